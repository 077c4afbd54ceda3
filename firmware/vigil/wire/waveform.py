"""Lossless blocks of a waveform: one encoder a source, 1000 bytes of samples, nothing allocated after it was made.

Every block stands for itself: lose one and the others can be read. SPEC.md section 11 has the bytes; the reader is
host_tools/ingest/waveform.py.
"""

from array import array

from micropython import const

from vigil.dsp.coeffs.waveform import PREDICTORS_Q8
from vigil.dsp.waveform import choose, crc16, pack, residue, steps, take

WORDS = const(250)  # of a block: 1 s of ECG, 1.25 s of two columns of light
MOST_BYTES = const(1 + 5 * WORDS + 2)  # of a block, were every sample a surprise
_GAINS = const(16)


class Encoder:
    """columns: 1..4. wide: the data to come are int32 (0 .. 2**18 - 1, or -2**17 .. 2**17 - 1), else int16.

    rows: collected so far; limit: how many make the block full.
    """

    def __init__(self, columns: int, wide: bool):
        self._k = columns
        self._wide = 1 if wide else 0
        self._words = array("i", bytes(4 * WORDS))
        self.limit = WORDS // columns
        self.rows = 0

    def put(self, data, row: int, n: int) -> int:
        """Take up to n rows of `data` from number `row` on; return for how many there was room."""
        n = min(n, self.limit - self.rows)
        k = self._k
        take(data, row * k, self._wide, self._words, self.rows * k, n * k)
        self.rows += n
        return n

    def finish_into(self, out, at: int) -> int:
        """Write the block of what was collected to `out` from byte `at` on and begin anew; return its end.

        out: bytearray with MOST_BYTES from `at` on. At least one row must have been collected.
        """
        words = self._words
        n = self.rows
        start = at
        out[at] = n - 1
        at += 1
        for column in range(self._k):  # the last one, on which the others lean, is as it was measured until its turn
            gain = self._gain(column, n)
            code = choose(words, column, self._k, n, PREDICTORS_Q8)
            left = residue(words, column, self._k, n, PREDICTORS_Q8, code, 0, 1)
            at = pack(words, column, self._k, n, code | gain << 4, left, out, at)
        check = crc16(out, start, at)
        out[at] = check >> 8
        out[at + 1] = check & 255
        self.rows = 0
        return at + 2

    def _gain(self, column: int, n: int) -> int:
        """Take from a column what goes with the last one, in eighths; return how many."""
        k = self._k
        last = k - 1
        if column == last:
            return 0
        best = 0
        least = steps(self._words, column, last, k, n, 0, 0)
        for gain in range(1, _GAINS):
            left = steps(self._words, column, last, k, n, gain, 0)
            if left < least:
                least = left
                best = gain
        steps(self._words, column, last, k, n, best, 1)
        return best
