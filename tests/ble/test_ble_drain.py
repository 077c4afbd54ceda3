"""The journal over Bluetooth: nothing lost, nothing twice, whatever happens to the connection; and how fast it goes.

VIGIL_BLE_CUTS=1000 makes the first test a longer campaign.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import threading
import time

import cbor2
from bleak import BleakClient, BleakScanner
from bumble.core import ProtocolError

from boards.virtual.radio import Central
from host_tools.ble.link import DOWN, BleLink
from host_tools.ingest.gateway import Gateway
from host_tools.ingest.store import Store, sqlite_url
from host_tools.sources.ble import BleSource
from tests.ble.bleak_bumble import client_of, scanner_of
from tests.ble.worn_radio import Bare
from vigil.wire import ack

CUTS = int(os.environ.get("VIGIL_BLE_CUTS", "100"))
LIMIT_S = 120 + 4 * CUTS  # of a machine under load


async def find(central):
    return await BleakScanner.find_device_by_filter(lambda *_: True, timeout=10, backend=scanner_of(central.device))


async def bonded(worn, **options) -> Central:
    """A central that has paired by passkey."""
    central = await Central(worn.radio, passkey=worn.passkey, **options).start()
    for left in (2, 1, 0):  # a device whose time runs fast is impatient with a host under load
        await worn.press()
        try:
            async with BleakClient(await find(central), pair=True, backend=client_of(central.device)):
                return central
        except (asyncio.CancelledError, TimeoutError, ProtocolError):
            if not left or asyncio.current_task().cancelling():
                raise
    raise AssertionError


class Hub:
    """A gateway that hears by `central`, in the test's own loop."""

    def __init__(self, central, store):
        self.log: list[tuple[str, dict]] = []
        self.source = BleSource([], backend=client_of(central.device), on_event=self._say, backoff_s=(0.02, 0.2))
        self._central = central
        self._gateway = Gateway(store, self.source, self._say)
        self._never = threading.Event()

    def _say(self, name, **fields) -> None:
        self.log.append((name, fields))

    async def run(self) -> None:
        serving = asyncio.ensure_future(self.source.serve(lambda: find(self._central)))
        try:
            while True:
                self._gateway.take(self.source.take(64, 0), self._never)
                await asyncio.sleep(0.01)
        finally:
            serving.cancel()


async def drain(worn, store) -> None:
    """Serve until the device's journal is empty."""
    hub = Hub(await bonded(worn), store)
    running = asyncio.ensure_future(hub.run())
    try:
        await worn.until(lambda: running.done() or "LEFT" in worn.log, LIMIT_S)
        assert not running.done(), running.exception()
    finally:
        running.cancel()
    assert not [said for said in hub.log if said[0] == "rejected"]


def test_nothing_lost_across_disconnects(tmp_path):
    """Each connection is lost after so many fragments and answers: in the middle of a message, before it, after it."""
    rng = random.Random(7)
    carried = [rng.randint(1, 12) for _ in range(CUTS)]
    n = (
        sum(carried) // 3 + 16
    )  # an envelope takes two fragments and an answer: not all are through before the last loss

    async def go():
        async with Bare(tmp_path, fill=n, speed=4, interval_ms=10, losses=carried) as worn:
            with Store(sqlite_url(tmp_path / "vigil.db")) as store:
                key, device = worn.key
                store.add_device(device, key)
                await drain(worn, store)
                assert store.sequences(device) == list(range(1, n + 1))  # 0 lost, 0 twice
                assert store.counts()["rejected"] == 0
            left, connects = map(int, re.search(r"LEFT (\d+) .*connects (\d+)", worn.log).groups())
            assert left == 0 and worn.radio.lost == CUTS and connects > CUTS * 0.9

    asyncio.run(go())


def item(envelope: bytes) -> tuple[int, bytes]:
    """What acknowledges an envelope."""
    return cbor2.loads(cbor2.loads(envelope).value[2])[2], hashlib.sha256(envelope).digest()


def test_foreign_acknowledgements_free_nothing_and_how_fast_it_goes(tmp_path):
    async def go():
        async with Bare(tmp_path, fill=56, packets=6, interval_ms=30) as worn:
            central = await bonded(worn)
            link = BleLink(await find(central), backend=client_of(central.device))
            messages = []
            link.on_message = lambda kind, data: messages.append(data)
            async with link:
                await worn.until(lambda: len(messages) >= 8)  # the window of unacknowledged envelopes
                link.acknowledge(ack.encode([(seq, bytes(32)) for seq in range(1, 57)]))
                for bad in (b"\0", b"\x01", b"\x01\x07", b"\x02\xff\xff", b"\x02", b"\x03", b"\x03\xff", b"\x09" * 240):
                    await link.client.write_gatt_char(DOWN, bad, response=True)
                await asyncio.sleep(0.5)
                messages = list(dict.fromkeys(messages))  # some come again: the device asks what that was
                assert len(messages) == 8 and link.receiver.dropped == 0  # nothing was freed: nothing else comes

                start_s, before = time.monotonic(), link.bytes
                done, known = 0, {item(data) for data in messages}
                while len(known) < 56:  # as a gateway commits: all that has come
                    assert time.monotonic() - start_s < 120, worn.log
                    if new := messages[done:]:
                        done += len(new)
                        known |= {item(data) for data in new}
                        link.acknowledge(ack.encode([item(data) for data in new]))
                    await asyncio.sleep(0.01)
                seconds = time.monotonic() - start_s
                useful = sum(map(len, messages[8:])) / seconds
                print(f"{useful:.0f} B/s of envelopes, {(link.bytes - before) / seconds:.0f} of fragments")
                print(f"the link carries {6 * 244 / 0.03:.0f}, {6 / 0.03:.0f} fragments a second")
            await worn.until(lambda: not central.device.connections)

    asyncio.run(go())
