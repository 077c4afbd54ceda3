"""A part on a bus that fills a FIFO and interrupts at a level: its samples as blocks at a measured rate."""

from vigil.app.keep import keep, say_absent
from vigil.core.errors import SensorError
from vigil.core.records import GAP, SETTLING
from vigil.estimators.sample_clock import SampleClock, between_us


class FifoSource:
    """push(block) is called from the scheduler, never from an interrupt. `present`, `lost` (samples) and `faults`
    (times started again) are for the status; `flags` goes into the next block.

    The interrupt's time belongs to sample number `_taken + _level`: samples taken from the FIFO so far, plus its level
    at the interrupt. Those pairs give the real sample rate and the time of every block.

    A subclass has open(), which sets `part` after _begin(), and _look(n, alarm): flags of the block just read. `part`
    has read_fifo_into(buf) and `overflow`. `_watch_us`: longest time between two looks at the part, interrupt or not.
    `_silent_us`: without samples for so long the part has lost its settings. `_settled`: first sample that is sound.
    """

    def __init__(self, board, push, name, line, block, nominal_us, level, watch_us, silent_us):
        self._clock = board.clock
        self._i2c = board.i2c("sensors")
        self._push = push
        self._name = name
        self._block = block
        self._nominal_us = nominal_us
        self._level = level
        self._watch_us = watch_us
        self._silent_us = silent_us
        self._rate = SampleClock(nominal_us)
        self.part = None
        self.present = False
        self.lost = 0
        self.faults = 0
        self.flags = GAP
        self._taken = 0  # samples taken from the FIFO
        self._settled = 0
        self._edge_us = 0  # last interrupt with a known sample number
        self._edge_index = -1
        self._edge = False
        self._busy = False
        self._look_us = 0
        self._sample_us = 0
        try:
            board.irq(line, self._interrupt)
        except ValueError:
            pass  # no line: the FIFO is looked at every _watch_us

    async def run(self, until_ms):
        """Deliver blocks until `until_ms` (None: for ever). Survives every fault of the part and its bus."""
        await keep(self, self._name, self._clock, until_ms)

    def recover(self):
        """Free the bus."""
        self._i2c.recover()

    def _begin(self, settle):
        """The part was started with an empty FIFO; its first `settle` samples are not sound."""
        self._edge_index = -1
        self._edge = False
        self._rate.restart()
        self.flags |= GAP
        self._look_us = self._sample_us = self._clock.ticks_us()
        self._settled = self._taken + settle

    def _interrupt(self, t_us):
        """Soft interrupt: the FIFO holds _level samples (if nobody is just emptying it)."""
        if not self._busy:
            self._edge_us = t_us
            self._edge_index = self._taken + self._level - 1
        self._edge = True

    def _alarm(self):
        """Whatever _look() wants to know of the part. Raises SensorError when it has lost its settings."""
        return 0

    def _read_into(self, data):
        """Empty the FIFO into `data`; return how many samples of _nominal_us that is."""
        return self.part.read_fifo_into(data)

    def drain(self):
        """Hand over what the FIFO holds when it interrupted or was not looked at for long. Allocates nothing.

        Raises SensorError when the bus fails or the part has lost its settings.
        """
        now_us = self._clock.ticks_us()
        if not self._edge and between_us(self._look_us, now_us) < self._watch_us:
            return
        self._look_us = now_us
        self._busy = True
        self._edge = False
        part = self.part
        block = self._block
        try:
            alarm = self._alarm()
            n = self._read_into(block.data)
        finally:
            self._busy = False
        if n == 0:
            if between_us(self._sample_us, now_us) > self._silent_us:
                raise SensorError(self._name + ": the part gives no samples")
            return
        silent_us = between_us(self._sample_us, now_us)
        self._sample_us = now_us
        if part.overflow and part.keeps_newest:
            self._overflow(silent_us // self._rate.period_us - n)
        first = self._taken
        self._taken = first + n
        self._date(first, n, now_us)
        block.n = n
        block.period_us = self._rate.period_us
        block.flags = self.flags | self._look(n, alarm)
        if first < self._settled:
            block.flags |= SETTLING
        self.flags = 0
        self._push(block)
        block.seq += 1
        if part.overflow and not part.keeps_newest:  # the samples lost are those after this block
            self._overflow(max(part.lost, silent_us // self._rate.period_us - n))  # its own count ends at 31
            part.lost = 0

    def relieve(self, long):
        """Empty the FIFO now; long: what comes holds up the processor for half a second. Raises SensorError."""
        self._edge = True
        self._edge_index = -1
        self.drain()

    def _overflow(self, lost):
        self.lost += max(0, lost)
        self.flags |= GAP
        self._edge_index = -1
        self._rate.restart()

    def _date(self, first, n, now_us):
        """Set the block's time: sample `first` of n, read at now_us."""
        clock = self._clock
        edge = self._edge_index
        if edge >= 0:
            self._rate.mark(edge, self._edge_us)
            period_us = self._rate.period_us
            age_us = between_us(self._edge_us, clock.ticks_us()) + (edge - first) * period_us
            self._block.t0_ms = clock.ms() - age_us // 1000
            if edge < first:  # a silent interrupt line must not make the age overflow
                self._edge_us = (self._edge_us + (first - edge) * period_us) & 0x3FFFFFFF
                self._edge_index = -1
        else:  # no interrupt to go by: the newest sample is at most one period old
            self._rate.mark(first + n - 1, now_us)
            self._block.t0_ms = clock.ms() - n * self._rate.period_us // 1000

    def absent(self):
        """Push a block that says that there is no part."""
        say_absent(self, self._block, self._clock.ms(), self._push)
