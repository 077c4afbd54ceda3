"""bleak's backend classes on a Bumble device, so that unmodified bleak code meets the virtual radio.

Bumble waits for ever where a connection ends just before it is asked something of it (disconnect, encrypt, pair): all
that waits for the air here ends with a TimeoutError.
"""

from __future__ import annotations

import asyncio
import functools

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bumble.core import AdvertisingData, PhysicalTransport, ProtocolError
from bumble.device import Peer
from bumble.hci import Address

_PROPERTIES = (
    "broadcast",
    "read",
    "write-without-response",
    "write",
    "notify",
    "indicate",
    "authenticated-signed-writes",
    "extended-properties",
)


LIMIT_S = 30.0  # of one request; a machine under load is slow


def limited(work):
    """`work`, a method that waits for the air, with a deadline."""

    @functools.wraps(work)
    async def within(*arguments, **options):
        async with asyncio.timeout(LIMIT_S):
            return await work(*arguments, **options)

    return within


async def cut(connection) -> None:
    """End a Bumble connection, whatever its state."""
    try:
        await asyncio.wait_for(connection.disconnect(), 2)
    except (TimeoutError, asyncio.CancelledError, ProtocolError):
        if asyncio.current_task().cancelling():
            raise


def uuid_text(uuid) -> str:
    if len(uuid.uuid_bytes) == 16:
        return uuid.to_hex_str("-").lower()
    return f"0000{uuid.to_hex_str().lower()[-4:]}-0000-1000-8000-00805f9b34fb"


def scanner_of(device):
    """BaseBleakScanner subclass that scans with `device`."""

    class Scanner(BaseBleakScanner):
        def __init__(self, detection_callback=None, service_uuids=None, scanning_mode="active", **_options):
            super().__init__(detection_callback, service_uuids)

        def _heard(self, advertisement) -> None:
            data = advertisement.data
            name = data.get(AdvertisingData.COMPLETE_LOCAL_NAME)
            lists = data.get_all(AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS) or []
            lists += data.get_all(AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS) or []
            uuids = [uuid_text(uuid) for found in lists for uuid in found]
            if not self.is_allowed_uuid(uuids):
                return
            address = str(advertisement.address)
            said = AdvertisementData(name, {}, {}, uuids, None, advertisement.rssi, ())
            found = self.create_or_update_device(address, address, name, advertisement, said)
            self.call_detection_callbacks(found, said)

        async def start(self) -> None:
            self.seen_devices = {}
            device.on("advertisement", self._heard)
            await device.start_scanning(filter_duplicates=True)

        async def stop(self) -> None:
            await device.stop_scanning()
            device.remove_listener("advertisement", self._heard)

    return Scanner


def client_of(device):
    """BaseBleakClient subclass that connects with `device`. Encrypts a link to a bonded peer, as systems do."""

    class Client(BaseBleakClient):
        def __init__(self, address_or_ble_device, services=None, **options):
            super().__init__(address_or_ble_device, **options)
            self._address = (
                address_or_ble_device.address if isinstance(address_or_ble_device, BLEDevice) else address_or_ble_device
            )
            self.connection = None

        @property
        def name(self) -> str:
            return self._address

        @property
        def mtu_size(self) -> int:
            assert self.connection
            return self.connection.att_mtu

        @property
        def is_connected(self) -> bool:
            return self.connection is not None

        @limited
        async def connect(self, pair: bool, **_options) -> None:
            self.connection = await device.connect(Address(self._address), transport=PhysicalTransport.LE, timeout=5)
            self.connection.on("disconnection", self._gone)
            if device.keystore and await device.keystore.get(str(self.connection.peer_address)):
                await self.connection.encrypt()
            elif pair:
                await self.connection.pair()
            peer = Peer(self.connection)
            await peer.request_mtu(247)
            await peer.discover_all()
            services = BleakGATTServiceCollection()
            for service in peer.services:
                ours = BleakGATTService(service, service.handle, uuid_text(service.uuid))
                services.add_service(ours)
                for c in service.characteristics:
                    can = [word for bit, word in enumerate(_PROPERTIES) if c.properties & 1 << bit]
                    made = BleakGATTCharacteristic(c, c.handle, uuid_text(c.uuid), can, lambda: self.mtu_size - 3, ours)
                    services.add_characteristic(made)
                    for d in c.descriptors:
                        services.add_descriptor(BleakGATTDescriptor(d, d.handle, uuid_text(d.type), made))
            self.services = services

        def _gone(self, *_reason) -> None:
            self.connection = None
            if self._disconnected_callback:
                self._disconnected_callback()

        @limited
        async def disconnect(self) -> None:
            if self.connection:
                await cut(self.connection)

        @limited
        async def pair(self, *_args, **_options) -> None:
            assert self.connection
            await self.connection.pair()

        async def unpair(self) -> None:
            assert self.connection
            await device.keystore.delete(str(self.connection.peer_address))

        @limited
        async def read_gatt_char(self, characteristic, **_options) -> bytearray:
            return bytearray(await characteristic.obj.read_value())

        @limited
        async def read_gatt_descriptor(self, descriptor, **_options) -> bytearray:
            return bytearray(await descriptor.obj.read_value())

        @limited
        async def write_gatt_char(self, characteristic, data, response) -> None:
            await characteristic.obj.write_value(bytes(data), with_response=response)

        @limited
        async def write_gatt_descriptor(self, descriptor, data) -> None:
            await descriptor.obj.write_value(bytes(data), with_response=True)

        @limited
        async def start_notify(self, characteristic, callback, **_options) -> None:
            await characteristic.obj.subscribe(
                lambda value: callback(bytearray(value)), prefer_notify="notify" in characteristic.properties
            )

        @limited
        async def stop_notify(self, characteristic) -> None:
            await characteristic.obj.unsubscribe()

    return Client
