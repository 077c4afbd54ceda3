"""Acceleration from the LIS3DH, as blocks of 100 ms at a measured rate."""

from array import array

from micropython import const

from vigil.app.fifo_source import FifoSource
from vigil.core.errors import SensorError
from vigil.core.log import INFO, log
from vigil.core.records import ACC, SATURATED, SampleBlock
from vigil.drivers.lis3dh import DEPTH, Lis3dh

_NOMINAL_US = const(20000)
_LEVEL = const(5)  # blocks of 100 ms: the pulse rate in motion wants the acceleration of the same time
_WATCH_US = const(150000)
_SILENT_US = const(800000)
_RANGE_G = const(8)  # runners' wrists go beyond 4 g
_SETTLE_N = const(7)
_CHECK = const(8)  # looks between two questions after the settings


class AccSource(FifoSource):
    """An optional part: where none ever answered nothing is said, and the pulse is measured without it."""

    def __init__(self, board, push):
        block = SampleBlock(ACC, (0, 1, 2), array("h", bytes(6 * DEPTH)))
        FifoSource.__init__(self, board, push, "acc", "lis3dh", block, _NOMINAL_US, _LEVEL, _WATCH_US, _SILENT_US)
        self._looks = 0
        self._seen = False

    def recover(self):
        """Free the bus, unless it is only this part that is not there."""
        if self.present:
            FifoSource.recover(self)

    def absent(self):
        """Say that there is no part any more."""
        if self._seen:
            FifoSource.absent(self)

    def open(self):
        """Find the part and start it. Raises SensorError."""
        part = Lis3dh(self._i2c)
        part.configure(_RANGE_G, _LEVEL)
        self._begin(_SETTLE_N)
        self.part = part
        self._seen = True
        if not self.present:
            log(INFO, "acc", "LIS3DH runs")

    def _alarm(self):
        self._looks += 1
        if self._looks % _CHECK == 0 and not self.part.alive():
            raise SensorError("LIS3DH has lost its settings")
        return 0

    def _look(self, n, alarm):
        data = self._block.data
        limit_mg = self.part.limit_mg
        for i in range(3 * n):
            if not -limit_mg < data[i] < limit_mg:
                return SATURATED
        return 0
