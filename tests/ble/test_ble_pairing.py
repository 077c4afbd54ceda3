"""The firmware's peripheral on the virtual radio: who may read what, pairing, bonds and those who try without."""

from __future__ import annotations

import asyncio

from bleak import BleakClient, BleakScanner
from bumble.att import ATT_Error
from bumble.core import PhysicalTransport, ProtocolError
from bumble.hci import Address
from bumble.keys import MemoryKeyStore
from bumble.pairing import PairingDelegate

from boards.virtual.radio import Central
from host_tools.ble import gatt
from host_tools.ble.link import ABOUT, CONTROL, DOWN, BleLink
from tests.ble.bleak_bumble import client_of, scanner_of
from tests.ble.worn_radio import Bare

FEATURES = "2a60"
BOTH = PairingDelegate.DISPLAY_OUTPUT_AND_YES_NO_INPUT
NOTHING = PairingDelegate.NO_OUTPUT_NO_INPUT
REFUSED = (ATT_Error, ProtocolError, asyncio.CancelledError, TimeoutError)
LONG_S = 5  # Bumble waits 30 s for an answer on a connection that has ended


async def find(central):
    found = await BleakScanner.find_device_by_filter(lambda *_: True, timeout=10, backend=scanner_of(central.device))
    assert found
    return found


def client(central, where, **options):
    return BleakClient(where, backend=client_of(central.device), **options)


async def refused(work, wait_s: float = LONG_S) -> bool:
    """Whether the work is refused. A cancellation is the connection's end, as Bumble tells it."""
    try:
        await asyncio.wait_for(work, wait_s)
    except REFUSED:
        return True
    return False


async def pair(worn, central, wait_s: float = 30) -> bool:
    """Press the button, pair, and tell whether the features can be read."""
    await worn.press()
    return not await refused(_paired_read(central), wait_s)


def run(tmp_path, work, **options):
    async def go():
        async with Bare(tmp_path, stay=True, **options) as worn:
            await work(worn)
            assert worn.radio.error is None

    asyncio.run(go())


def test_passkey_bond_and_reboots(tmp_path):
    async def work(worn):
        data, response = worn.radio.advertising
        assert b"Vigil" not in data + response and data[2] == 0x04  # not discoverable, no name
        central = await Central(worn.radio, passkey=worn.passkey).start()
        where = await find(central)
        assert where.address[:2] != "F0"  # a resolvable private address, not the identity
        async with client(central, where) as stranger:
            for uuid in (FEATURES, ABOUT, "2a2b"):
                assert await refused(stranger.read_gatt_char(uuid)), uuid
            for uuid in (CONTROL, DOWN):
                assert await refused(stranger.write_gatt_char(uuid, b"\x03", response=True)), uuid
        assert await pair(worn, central)

        await central.stop()  # the phone restarts
        central = await Central(worn.radio, passkey=worn.passkey, keystore=central.keystore).start()
        async with client(central, await find(central)) as known:
            assert await known.read_gatt_char(FEATURES)
        await worn.stop()  # the device restarts
        await worn.start()
        where = await find(central)
        async with client(central, where) as known:
            assert await known.read_gatt_char(FEATURES)
            assert central.device.address_resolver.resolve(known._backend.connection.peer_resolvable_address)

        await worn.press(9)  # the wearer forgets all bonds
        assert await refused(_read(central, await find(central)))

    run(tmp_path, work)


async def _read(central, where):
    async with client(central, where) as paired:
        await paired.read_gatt_char(FEATURES)


def test_comparison(tmp_path):
    async def work(worn):
        central = await Central(worn.radio, io=BOTH).start()
        await worn.press()

        async def confirm():
            shown = await worn.passkey()
            assert shown == central.compared
            await worn.press()

        confirming = asyncio.ensure_future(confirm())
        async with client(central, await find(central), pair=True) as paired:
            assert await paired.read_gatt_char(FEATURES)
        await confirming
        other = await Central(worn.radio, io=BOTH, agrees=False, address="F0:11:22:33:44:03").start()
        await worn.press()
        assert await refused(_paired_read(other))

    run(tmp_path, work, settings={"ble.compare": b"1"})


async def _paired_read(central):
    async with client(central, await find(central), pair=True) as paired:
        await paired.read_gatt_char(FEATURES)


async def _wrong(worn):
    return (await worn.passkey() + 1) % 1_000_000


def test_those_who_try(tmp_path):
    """Attacks, by name; afterwards the bonded phone is as well served as before."""

    async def work(worn):
        async def wrong():
            return await _wrong(worn)

        friend = await Central(worn.radio, passkey=worn.passkey).start()
        assert await pair(worn, friend)
        bonds = (tmp_path / "fs" / "bonds").read_bytes()

        mallory = "F0:11:22:33:44:66"
        attacks = {
            "a wrong passkey": lambda: Central(worn.radio, address=mallory, passkey=wrong),
            "just works, with no display": lambda: Central(worn.radio, address=mallory, io=NOTHING),
        }
        for name, make in attacks.items():
            central = await make().start()
            assert not await pair(worn, central, LONG_S), name
            await central.stop()
        worn.wearer.stop()
        await worn.until(lambda: worn.radio.device is None)
        await worn.start()  # closes the window
        outside = {
            "pairing outside the window": Central(worn.radio, address=mallory, passkey=worn.passkey),
            "in the name of the bonded phone": Central(worn.radio, passkey=worn.passkey, keystore=MemoryKeyStore()),
        }
        await friend.stop()
        for name, central in outside.items():
            await central.start()
            assert await refused(_paired_read(central)), name
            await central.stop()
        assert (tmp_path / "fs" / "bonds").read_bytes() == bonds
        friend = await Central(worn.radio, keystore=friend.keystore).start()
        await _read(friend, await find(friend))

    run(tmp_path, work)


def test_two_centrals_control_and_damage(tmp_path):
    async def work(worn):
        one = await Central(worn.radio, passkey=worn.passkey).start()
        two = await Central(worn.radio, passkey=worn.passkey, address="F0:11:22:33:44:03").start()
        assert await pair(worn, one) and await pair(worn, two)
        first = BleLink(await find(one), backend=client_of(one.device))
        second = BleLink(await find(two), backend=client_of(two.device))
        async with first, second:
            assert first.device == second.device == worn.key[1]
            assert await first.control(9) == 1  # what nobody knows
            assert await first.set("wifi.ssid", b"home")
            assert not await first.set("sign.seed", bytes(32))
            assert gatt.battery(bytes(await first.client.read_gatt_char("2a19"))) == 74
            assert await second.command(b"\xff" * 200) == 0  # taken and dropped: malformed
        assert (tmp_path / "nvs" / "wifi.ssid").read_bytes() == b"home"
        await worn.stop()
        path = tmp_path / "fs" / "bonds"
        raw = bytearray(path.read_bytes())
        raw[20] ^= 1
        path.write_bytes(raw)
        await worn.start()
        assert "bonds are damaged" in worn.log and (tmp_path / "fs" / "bonds.bad").exists()
        assert await refused(_read(one, await find(one)))  # nobody is known: pair again

    run(tmp_path, work)


def test_a_connection_that_never_encrypts_is_cut(tmp_path):
    async def work(worn):
        central = await Central(worn.radio).start()
        where = await find(central)
        await central.device.connect(Address(where.address), transport=PhysicalTransport.LE, timeout=10)
        await worn.until(lambda: not central.device.connections)

    run(tmp_path, work, speed=5)
