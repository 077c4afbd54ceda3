"""ECG from the AD8232: a timer converts at 250 Hz."""

import asyncio

from micropython import const

from vigil.app.ecg_source import INDEX, PERIOD_US, EcgSource
from vigil.core.log import INFO, WARN, log
from vigil.core.records import GAP, REPORT_MS
from vigil.drivers.ad8232 import Ad8232
from vigil.estimators.sample_clock import between_us

_POLL_MS = const(40)
_BRIDGE = const(4)  # missed conversions that a straight line replaces (16 ms)
_MASK = const(0x3FFFFFFF)
_SETTLE = const(100)  # samples after an electrode came back, until the high-pass has recovered


class TimerEcgSource(EcgSource):
    """A sample belongs to a slot of the 4 ms grid, by the time at which the timer's handler really ran.

    A soft timer is late, skips turns and then comes twice at once: a slot that is already filled is not filled
    again, up to _BRIDGE skipped ones are bridged by a straight line, a longer hole is a GAP. So the rate is the
    grid's, exactly, and jitter of up to half a period stays jitter. adc: hal.Adc, None when nothing is wired.
    """

    def __init__(self, board, push, adc):
        super().__init__(board, push)
        self._board = board
        self._timer = None
        self.part = None  # none with a FIFO that would have to be emptied
        self._part = None
        try:
            if adc is not None:
                part = Ad8232(adc, board.pin("lod_p"), board.pin("lod_n"), board.ecg_gain)
                self._low_uv = part.low_uv
                self._high_uv = part.high_uv
                self._part = part
        except ValueError:
            pass
        self.present = self._part is not None
        if not self.present:
            log(WARN, "ecg", "no sensor")

    async def run(self, until_ms):
        """Deliver blocks until `until_ms` (None: for ever)."""
        clock = self._clock
        if self._part is None:
            while until_ms is None or clock.ms() < until_ms:
                self.absent()
                await asyncio.sleep_ms(REPORT_MS)
            return
        self._start()
        log(INFO, "ecg", "AD8232 runs")
        try:
            while until_ms is None or clock.ms() < until_ms:
                self.drain()
                await asyncio.sleep_ms(_POLL_MS)
        finally:
            self._timer.stop()

    def _start(self):
        self._tail = self._head
        self._hole = -1
        self.flags |= GAP
        self._head_us = self._clock.ticks_us()
        self._timer = self._board.timer(PERIOD_US, self._interrupt)

    def _interrupt(self, t_us):
        """Soft interrupt. Allocates nothing."""
        late_us = between_us(self._head_us, t_us)
        slots = (late_us + PERIOD_US // 2) // PERIOD_US
        if slots <= 0:
            return  # this turn made up for a skipped one
        x = self._part.read_uv()
        ring = self._ring
        head = self._head
        if slots > _BRIDGE + 1:
            self._gap()
            self.lost += slots - 1
        elif slots > 1:
            last = ring[(head - 1) & INDEX]
            for k in range(1, slots):
                ring[head & INDEX] = last + (x - last) * k // slots
                head += 1
        ring[head & INDEX] = x
        self._head_us = (self._head_us + slots * PERIOD_US) & _MASK
        self._head = head + 1

    def drain(self):
        """Hand over what the ring holds, if it is worth it. Allocates nothing."""
        if self._part.lead_off():
            self._off_to = self._head
            self._settled = self._head + _SETTLE
        self._hand_over(PERIOD_US)
