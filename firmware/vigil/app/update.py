"""What there is to do about updates: loaded when there is something, gone when it is done."""

import asyncio
import os
import sys

import loader
from micropython import const

from vigil.app.config import store_number, stored_number
from vigil.app.updates import APPLICATION
from vigil.core.errors import LinkError, TrustError
from vigil.core.log import INFO, WARN, log
from vigil.wire import cbor, update
from vigil.wire.update import CONFIRMED, REFUSED, ROLLED_BACK, TRIAL

_NO_MEMORY = const(20)  # WHY
_NO_SLOTS = const(23)
_FAULT = const(24)
_POLL_MS = const(500)
_FREE = const(2)  # places in the client's window that must be free: readings come first
_TELL_MS = const(60_000)
FLOOR = "release.floor"  # keystore: highest number confirmed


class Update:
    """One device's updates. updates: app.updates.Updates. number, profile: of the running release."""

    def __init__(self, updates):
        self.updates = updates
        self.monitor = updates.monitor
        self.number = updates.number
        self.profile = ""
        if loader.running is not None:
            with open(loader.slot(loader.running) + "/release", "rb") as file:
                self._said = cbor.decode(file.read())
            self.profile = self._said[4]

    @property
    def floor(self) -> int:
        """Highest number that was confirmed, or runs."""
        return max(self.number, stored_number(self.monitor.board, FLOOR))

    def _pin(self) -> None:
        """Never go back below a confirmed release; and its successor's key. Repeated until both are kept."""
        board = self.monitor.board
        if self.number > stored_number(board, FLOOR):
            if 10 in self._said:
                board.keystore.set("release.key", self._said[10])
            store_number(board, FLOOR, self.number)

    async def message(self, wait_ms: int):
        """Return the next message, (signed,) or (number, offset, piece); None after wait_ms.

        None as well when the link was made anew: what was on its way is lost.
        """
        event = self.updates.event
        session = self.monitor.client.session
        connects = session.connects
        while not event.is_set():
            if wait_ms <= 0 or session.connects != connects:
                return None
            wait_ms -= _POLL_MS
            try:
                await asyncio.wait_for_ms(event.wait(), _POLL_MS)
            except asyncio.TimeoutError:
                pass
        event.clear()
        payload, self.updates.message = self.updates.message, None
        try:
            return update.decode(payload)
        except ValueError:
            log(WARN, "update", "malformed message")
            return None

    async def send(self, payload: bytes, limit_ms: int = -1) -> None:
        """Send a message on the update topic, whenever the link has room; give up after limit_ms (-1: never)."""
        client, clock = self.monitor.client, self.monitor.board.clock
        until_ms = clock.ms() + limit_ms
        while limit_ms < 0 or clock.ms() < until_ms:
            if client.free >= _FREE:
                try:
                    await client.publish(self.updates.topic, payload)
                    return
                except LinkError:
                    pass
            await asyncio.sleep_ms(_POLL_MS)

    async def tell(self, number: int, state: int, why: int = 0) -> None:
        """Tell the gateway how an update stands. Best effort: what counts is in the next batch, sealed."""
        await self.send(update.tell(number, state, why), _TELL_MS)

    async def run(self) -> None:
        """End a trial if this is one, go on with a fetch that was interrupted, take an offer; until nothing is left."""
        signed = None
        if loader.trial:
            await self._end_trial()
        elif loader.running is not None:
            self._pin()
            if self.updates.failed:
                await self.tell(self.updates.failed, ROLLED_BACK, self.updates.record[loader.WHY])
            signed = self.updates.interrupted()
        about = (self.monitor.board.keystore.get(APPLICATION) or b"").decode().split(",")
        if len(about) == 4:
            await self._end_application(*about)
        while True:
            message = await self.message(0) if signed is None else None
            if message and len(message) == 1:
                signed = message[0]
            if not signed:
                return
            self.offered = 0  # number of what is offered, once that is believed
            try:
                if loader.running is None:
                    raise TrustError(_NO_SLOTS)
                from vigil.app.fetch import fetch

                signed = await fetch(self, signed)
                if not signed:
                    await self.tell(self.offered, TRIAL)
                    await self.updates.restart()
            except Exception as e:  # whatever it is, the readings go on
                if isinstance(e, MemoryError) and self.updates.alone is None:
                    raise
                why = e.args[0] if isinstance(e, TrustError) else _NO_MEMORY if isinstance(e, MemoryError) else _FAULT
                log(WARN, "update", "refused, reason %d" % why)
                if why == _FAULT:
                    sys.print_exception(e)
                await self.tell(self.offered, REFUSED, why)
                signed = None

    async def _end_application(self, number, sensors, why, before) -> None:
        """End the trial of a MicroPython: keep it, or start from the partition before (what does not come so far the
        bootloader has put back)."""
        board = self.monitor.board
        app = board.application
        number = int(number)
        if app.label == before:
            board.keystore.set(APPLICATION, b"-")
            await self.tell(number, ROLLED_BACK, int(why) or loader.USED_UP)
            return
        from vigil.app.trial import judge

        failed = await judge(self, int(sensors))
        if failed:
            board.keystore.set(APPLICATION, ("%d,%s,%d,%s" % (number, sensors, failed, before)).encode())
            app.choose()
            await self.updates.restart()
        app.keep()
        store_number(board, FLOOR, max(number, stored_number(board, FLOOR)))
        board.keystore.set(APPLICATION, b"-")
        log(INFO, "update", "MicroPython %d is confirmed" % number)
        await self.tell(number, CONFIRMED)

    async def _end_trial(self) -> None:
        from vigil.app.trial import judge

        why = await judge(self, self.updates.record[loader.SENSORS])
        if why:
            log(WARN, "update", "release %d fails, reason %d" % (self.number, why))
            loader.settle(1 - loader.running, why)
            await self.updates.restart()
        loader.settle(loader.running)
        loader.trial = False
        self.updates.record = loader.read()
        self._pin()
        for name in ("/offer", "/index"):
            try:
                os.remove(loader.slot(loader.running) + name)
            except OSError:
                pass  # a cut came between
        log(INFO, "update", "release %d is confirmed" % self.number)
        await self.tell(self.number, CONFIRMED)
