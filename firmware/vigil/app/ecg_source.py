"""ECG from the AD8232: a timer converts at 250 Hz into a ring, the scheduler hands blocks on."""

import asyncio
from array import array

from micropython import const

from vigil.core.log import INFO, WARN, log
from vigil.core.records import ABSENT, ECG, GAP, LEAD_OFF, REPORT_MS, SATURATED, SETTLING, SampleBlock
from vigil.drivers.ad8232 import Ad8232
from vigil.estimators.sample_clock import between_us

_PERIOD_US = const(4000)
_RING = const(512)  # 2 s: a TLS handshake holds the scheduler up for about one
_INDEX = const(511)
_ROWS = const(64)  # largest block
_READY = const(32)  # samples that are worth a turn
_POLL_MS = const(40)
_BRIDGE = const(4)  # missed conversions that a straight line replaces (16 ms)
_MASK = const(0x3FFFFFFF)
_SETTLE = const(100)  # samples after an electrode came back, until the high-pass has recovered


class EcgSource:
    """A sample belongs to a slot of the 4 ms grid, by the time at which the timer's handler really ran.

    A soft timer is late, skips turns and then comes twice at once: a slot that is already filled is not filled
    again, up to _BRIDGE skipped ones are bridged by a straight line, a longer hole is a GAP. So the rate is the
    grid's, exactly, and jitter of up to half a period stays jitter. push(block) is called from the scheduler.
    """

    def __init__(self, board, push):
        self._clock = board.clock
        self._push = push
        self._ring = array("h", bytes(2 * _RING))
        self._block = SampleBlock(ECG, (0,), array("h", bytes(2 * _ROWS)), 0, 0, _PERIOD_US)
        self._head = 0  # samples put into the ring
        self._tail = 0  # samples taken from it
        self._slot_us = 0  # grid time of sample head - 1
        self._hole = -1  # number of the first sample after a hole
        self._flags = GAP
        self._settled = 0
        self.lost = 0  # conversions that never happened or were overwritten
        self._timer = None
        self._part = None
        try:
            self._part = Ad8232(board.adc("ecg"), board.pin("lod_p"), board.pin("lod_n"), board.ecg_gain)
        except ValueError:
            log(WARN, "ecg", "no sensor")
        self._board = board
        self.present = self._part is not None

    async def run(self, until_ms):
        """Deliver blocks until `until_ms` (None: for ever)."""
        clock = self._clock
        if self._part is None:
            while until_ms is None or clock.ms() < until_ms:
                self._absent()
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
        self._flags |= GAP
        self._slot_us = self._clock.ticks_us()
        self._timer = self._board.timer(_PERIOD_US, self._convert)

    def _convert(self, t_us):
        """Soft interrupt. Allocates nothing."""
        late_us = between_us(self._slot_us, t_us)
        slots = (late_us + _PERIOD_US // 2) // _PERIOD_US
        if slots <= 0:
            return  # this turn made up for a skipped one
        x = self._part.read_uv()
        ring = self._ring
        head = self._head
        if slots > _BRIDGE + 1:
            self._hole = head
            self.lost += slots - 1
        elif slots > 1:
            last = ring[(head - 1) & _INDEX]
            for k in range(1, slots):
                ring[head & _INDEX] = last + (x - last) * k // slots
                head += 1
        ring[head & _INDEX] = x
        self._slot_us = (self._slot_us + slots * _PERIOD_US) & _MASK
        self._head = head + 1

    def drain(self):
        """Hand over what the ring holds, if it is worth it. Allocates nothing."""
        off = False
        asked = False
        while self._head - self._tail >= _READY:
            if not asked:
                asked = True
                off = self._part.lead_off()
                if off:
                    self._settled = self._head + _SETTLE
            self._hand_over(off)

    def _hand_over(self, off):
        block = self._block
        head = -1
        while head != self._head:  # the timer may come between the two
            head = self._head
            slot_us = self._slot_us
        tail = self._tail
        if head - tail > _RING - _ROWS // 4:  # the timer may be overwriting what would be read
            self.lost += head - tail - _RING // 2
            tail = head - _RING // 2
            self._flags |= GAP
        n = min(head - tail, _ROWS)
        hole = self._hole
        if hole == tail:
            self._flags |= GAP
            self._hole = -1
        elif tail < hole < tail + n:
            n = hole - tail
        ring = self._ring
        data = block.data
        limit = self._part.limit_uv
        flags = self._flags
        for i in range(n):
            x = ring[(tail + i) & _INDEX]
            data[i] = x
            if x >= limit or x <= -limit:
                flags |= SATURATED
        if off:
            flags |= LEAD_OFF
        elif tail < self._settled:
            flags |= SETTLING
        clock = self._clock
        block.t0_ms = clock.ms() - (between_us(slot_us, clock.ticks_us()) + (head - 1 - tail) * _PERIOD_US) // 1000
        block.n = n
        block.flags = flags
        self._flags = 0
        self._tail = tail + n
        self._push(block)
        block.seq += 1

    def _absent(self):
        block = self._block
        block.n = 0
        block.flags = ABSENT
        block.t0_ms = self._clock.ms()
        self._push(block)
        block.seq += 1
