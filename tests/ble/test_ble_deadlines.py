"""What the system's Bluetooth leaves unanswered the gateway's radio source gives up, says so, and tries again."""

from __future__ import annotations

import asyncio

import pytest

from host_tools.ble import link as ble_link
from host_tools.ble import visit
from host_tools.sources.ble import BleSource

FINE = ("connect", "read_gatt_char", "start_notify", "write_gatt_char", "disconnect")


class Client:
    """bleak's client, of which one method is never answered, or is cancelled as if somebody had cancelled us."""

    mtu_size = 247
    services = ()
    stuck = ""
    cancelled = ""
    asked = 0

    def __init__(self, where, gone=None, **options):
        self.reads = 0

    async def _do(self, name):
        if name == Client.cancelled:
            raise asyncio.CancelledError
        if name == Client.stuck:
            Client.asked += 1
            await asyncio.Event().wait()

    async def connect(self):
        await self._do("connect")

    async def read_gatt_char(self, uuid):
        self.reads += 1
        if Client.stuck == "silence" and self.reads > 1:
            await asyncio.Event().wait()
        await self._do("read_gatt_char")
        return b"\x010011223344556677"

    async def start_notify(self, uuid, callback):
        await self._do("start_notify")

    async def write_gatt_char(self, uuid, data, response):
        await self._do("write_gatt_char")

    async def disconnect(self):
        await self._do("disconnect")


@pytest.fixture
def hasty(monkeypatch):
    for name in ("CONNECT_S", "ANSWER_S"):
        monkeypatch.setattr(ble_link, name, 0.02)
    monkeypatch.setattr(ble_link, "BleakClient", Client)
    monkeypatch.setattr(ble_link.BleLink.until_gone, "__defaults__", (0.02,))
    monkeypatch.setattr(Client, "stuck", "")
    monkeypatch.setattr(Client, "cancelled", "")


async def tried_again(times=3):
    """Wait until the source has come back so often; returns what it said of each end."""
    reasons: list[str] = []
    enough = asyncio.Event()

    def told(name, **fields):
        if name == "disconnected":
            reasons.append(fields["reason"])
            if len(reasons) == times:
                enough.set()

    source = BleSource([], on_event=told, backoff_s=(0.001, 0.002))
    serving = asyncio.ensure_future(source.serve("AA:BB"))
    await asyncio.wait_for(enough.wait(), 60)
    assert not serving.done()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):  # it still obeys who really cancels it
        await asyncio.wait_for(serving, 60)
    return reasons


@pytest.mark.parametrize("stuck", [*FINE, "silence"])
def test_unanswered(hasty, stuck):
    Client.stuck = stuck
    if stuck == "disconnect":
        Client.cancelled = "start_notify"  # something has to end it first
    reasons = asyncio.run(tried_again())
    assert all(reason or stuck == "write_gatt_char" for reason in reasons)


@pytest.mark.parametrize("cancelled", FINE[:3])
def test_a_cancellation_that_nobody_asked_for_is_a_failure(hasty, cancelled):
    Client.cancelled = cancelled
    assert asyncio.run(tried_again()) == ["the connection was given up"] * 3


def test_cancelled_at_the_moment_the_connection_ends(hasty):
    """Both at once: the task ends, it does not stand still with nobody left who would cancel it."""

    async def go():
        links = []
        source = BleSource([], on_event=lambda name, **_: links.extend(source._links.values()))
        serving = asyncio.ensure_future(source.serve("AA:BB"))
        while not links:
            await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        links[0].gone.set()
        serving.cancel()
        await asyncio.wait((serving,), timeout=30)
        assert serving.done()

    asyncio.run(go())


def test_listening_ends(monkeypatch):
    import bleak

    monkeypatch.setattr(bleak, "BleakClient", Client)
    monkeypatch.setattr(ble_link, "CONNECT_S", 0.02)
    monkeypatch.setattr(Client, "stuck", "connect")
    with pytest.raises(TimeoutError):
        asyncio.run(visit.listen("AA:BB", None, print))
