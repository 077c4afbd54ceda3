"""Updates, as far as every device carries them: which release runs, and when to load the rest of the code."""

import asyncio
import gc
import os
import sys

import loader
from micropython import const

from vigil.app.config import stored_number
from vigil.core.log import INFO, log
from vigil.wire import cbor

_RUNNING = const(13)  # keys of the status in a batch (SPEC.md)
_FAILED = const(14)
_WHY = const(15)
_ON_TRIAL = const(16)
APPLICATION = "app.trial"  # keystore: number, sensors, why, partition before; "-": no MicroPython is on trial
_NO_MEMORY = const(20)  # WHY
_LEAVE_MS = const(2_000)
_ALONE_S = const(600)  # without sensors, at most
_PARTS = (
    "app.update",
    "app.trial",
    "app.fetch",
    "app.steps",
    "ota.slot",
    "ota.application",
    "ota.release",
    "crypto.ed25519_verify",
)
_PARTS += ("wire.signed", "wire.update")


class Updates:
    """One device's updates. monitor: app.main.Monitor. number: of the running release, 0 where it came by none.

    record: the loader's. message, event: the last that came, for app.update. alone: sensors sleep in this boot, because
    there is no memory to measure and to fetch at once; what measured before, as bits.
    """

    def __init__(self, monitor, device_id: str):
        self.monitor = monitor
        self.topic = b"v1/" + device_id.encode() + b"/u"
        self.message = None
        self.event = asyncio.Event()
        self.alone = None
        self._offer = None  # the message that offered last, while it is worked on
        self._path = monitor.board.fs + "/offer"
        try:
            with open(self._path, "rb") as file:
                data = file.read()
            os.remove(self._path)  # first: whatever happens now, the next start measures
            self.alone = data[0]
            self.take(data[1:])
        except (OSError, IndexError):
            pass
        self.record = loader.read()
        self.number = 0
        if loader.running is not None:
            with open(loader.slot(loader.running) + "/release", "rb") as file:
                self.number = cbor.decode(file.read())[1]

    @property
    def failed(self) -> int:
        """Number of the release that was rolled back last, 0: none."""
        return self.record[loader.RELEASE] if self.record[loader.WHY] else 0

    def status(self, out: dict) -> dict:
        """Add to the status of a batch what runs and what has failed; return it."""
        if loader.running is not None:
            out[_RUNNING] = self.number
            if loader.trial:
                out[_ON_TRIAL] = 1
        if self.failed:
            out[_FAILED] = self.failed
            out[_WHY] = self.record[loader.WHY]
        return out

    def take(self, payload: bytes) -> bool:
        """Take a message of the command topic if it is about updates (wire.update); the latest counts."""
        if payload[1:3] not in (b"\x01\x02", b"\x01\x03"):
            return False
        self.message = payload
        if payload[2] == 2:
            self._offer = payload
        self.event.set()
        return True

    def interrupted(self):
        """Return the offer whose fetch was interrupted, None where none was."""
        try:
            with open(loader.slot(1 - loader.running) + "/offer", "rb") as file:
                return file.read()
        except OSError:
            return None

    def _due(self) -> bool:
        """Tell whether there is something to do after a start."""
        board = self.monitor.board
        floor = stored_number(board, "release.floor")
        return (
            loader.trial
            or b"," in (board.keystore.get(APPLICATION) or b"")
            or self.failed
            or self.number > floor
            or self.interrupted() is not None
        )

    def sensors(self) -> int:
        """Return a bit for each source whose samples flow, or flowed before this boot that fetches alone."""
        flows = enumerate(self.monitor.health.period_us)
        return self.alone or sum([1 << i for i, period_us in flows if period_us])

    async def restart(self) -> None:
        """Seal what has been read, and start again."""
        self.monitor.publisher.seal()
        await asyncio.sleep_ms(_LEAVE_MS)
        loader.reset()

    async def rest(self) -> None:
        """Take the place of the acquisition where `alone`: the watchdog is content, for a while."""
        for _ in range(_ALONE_S):
            await asyncio.sleep_ms(1000)
            self.monitor.health.blocks += 1
        await self.restart()

    async def _make_room(self) -> None:
        """Go on without sensors, from the next start on. For an offer that a host has just made: one that was
        interrupted waits until it is made again, else a device whose host is gone would not measure."""
        if loader.trial:
            loader.settle(1 - loader.running, _NO_MEMORY)
            await self.restart()
        if self._offer and self.alone is None:
            log(INFO, "update", "fetched with the sensors asleep, for want of memory")
            with open(self._path, "wb") as file:
                file.write(bytes((self.sensors(),)) + self._offer)
            await self.restart()

    async def run(self) -> None:
        """Do what there is to do, for ever."""
        due = loader.running is not None and self._due()
        while True:
            if not due:
                await self.event.wait()
            due = False
            try:
                from vigil.app.update import Update

                await Update(self).run()
            except MemoryError:
                unload(*_PARTS)
                await self._make_room()
            unload(*_PARTS)
            self._offer = None
            if self.alone is not None:
                await self.restart()  # whatever it came to


def unload(*names: str) -> None:
    """Forget modules below vigil, so that their memory can be had again."""
    for name in names:
        package, _, module = ("vigil." + name).rpartition(".")
        if sys.modules.pop("vigil." + name, None) and hasattr(sys.modules[package], module):
            delattr(sys.modules[package], module)
    gc.collect()
