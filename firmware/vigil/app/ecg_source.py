"""One ECG lead, from whichever front end is fitted, as blocks of at most 64 samples on an even grid.

Both kinds convert or collect in a soft interrupt, because the scheduler is held up for longer than a FIFO lasts by
one signature; the scheduler then hands the ring's samples on.
"""

from array import array

from micropython import const

from vigil.app.keep import say_absent
from vigil.core.errors import SensorError
from vigil.core.log import WARN, log
from vigil.core.records import ECG, GAP, LEAD_OFF, SATURATED, SETTLING, SampleBlock
from vigil.estimators.sample_clock import between_us

PERIOD_US = const(4000)
INDEX = const(511)  # the ring is 2 s long: a TLS handshake holds the scheduler up for about one
_RING = const(512)
_ROWS = const(64)  # largest block
_READY = const(32)  # samples that are worth a turn


def ecg_source(board, push):
    """The source of a MAX30003 where one answers, else of an AD8232 where one is wired. A board with neither gets a
    source that says so. Only the chosen one's code is loaded."""
    spi = _wired(board.spi)
    adc = _wired(board.adc)
    if spi is not None and (adc is None or _answers(spi)):
        try:
            from vigil.app.ecg_fifo import FifoEcgSource

            return FifoEcgSource(board, push, spi)
        except ImportError:
            pass  # the image is of a board without it
    from vigil.app.ecg_timer import TimerEcgSource

    return TimerEcgSource(board, push, adc)


def _wired(bus):
    try:
        return bus("ecg")
    except ValueError:
        return None


def _answers(spi):
    try:
        from vigil.drivers.max30003 import Max30003
    except ImportError:
        return False
    try:
        Max30003(spi).configure()  # reads settings back: an open wire may look like an identity
    except SensorError as e:
        log(WARN, "ecg", str(e))
        return False
    return True


class EcgSource:
    """The ring and its hand-over. push(block) is called from the scheduler. `present`, `lost` (samples) and `faults`
    are for the status; `flags` goes into the next block.

    A subclass puts samples into `_ring` at `_head` and keeps `_head_us`, the time of the newest, with it. Numbers of
    samples: `_off_to` and `_settled` are the first that are not under an electrode that is off, or settling.
    """

    def __init__(self, board, push):
        self._clock = board.clock
        self._push = push
        self._ring = array("h", bytes(2 * _RING))
        self._block = SampleBlock(ECG, (0,), array("h", bytes(2 * _ROWS)), 0, 0, PERIOD_US)
        self._head = 0  # samples put into the ring
        self._tail = 0  # samples taken from it
        self._head_us = 0
        self._hole = -1  # number of the first sample after a hole
        self._keep_from = 0  # older samples lie before another hole, that the ring has no room to tell
        self._off_to = 0
        self._settled = 0
        self._low_uv = -32768  # beyond these, samples are at the converter's limit
        self._high_uv = 32767
        self.flags = GAP
        self.lost = 0
        self.faults = 0
        self.present = False

    def _gap(self):
        """Samples were lost before the next one."""
        if self._hole > self._tail:
            self._keep_from = self._hole
        self._hole = self._head

    def _hand_over(self, period_us):
        """Push what the ring holds, if it is worth it. Allocates nothing."""
        while self._head - self._tail >= _READY:
            self._push_block(period_us)

    def _push_block(self, period_us):
        block = self._block
        head = -1
        while head != self._head:  # the interrupt may come between the two
            head = self._head
            head_us = self._head_us
        hole = self._hole  # before _keep_from: a hole that comes between them is then looked at by the next block
        tail = self._tail
        if self._keep_from > tail or head - tail > _RING - _ROWS // 4:  # the rest may be overwritten while it is read
            start = max(self._keep_from, head - _RING // 2 if head - tail > _RING - _ROWS // 4 else tail)
            self.lost += start - tail
            tail = start
            self.flags |= GAP
        n = min(head - tail, _ROWS)
        if hole == tail:
            self.flags |= GAP
            self._hole = -1
        elif tail < hole < tail + n:
            n = hole - tail
        ring = self._ring
        data = block.data
        low = self._low_uv
        high = self._high_uv
        flags = self.flags
        for i in range(n):
            x = ring[(tail + i) & INDEX]
            data[i] = x
            if x >= high or x <= low:
                flags |= SATURATED
        if tail < self._off_to:
            flags |= LEAD_OFF
        elif tail < self._settled:
            flags |= SETTLING
        clock = self._clock
        block.t0_ms = clock.ms() - (between_us(head_us, clock.ticks_us()) + (head - 1 - tail) * period_us) // 1000
        block.period_us = period_us
        block.n = n
        block.flags = flags
        self.flags = 0
        self._tail = tail + n
        self._push(block)
        block.seq += 1

    def relieve(self, long):
        """There is no FIFO to empty."""

    def absent(self):
        """Push a block that says that there is no part."""
        say_absent(self, self._block, self._clock.ms(), self._push)
