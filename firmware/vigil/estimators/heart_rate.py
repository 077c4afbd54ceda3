"""Heart rate from R-R intervals by the rule that bedside monitors disclose (IEC 60601-2-27), and how far to trust it.

Rate: the mean of the last 4 intervals when the last 3 exceed 1,200 ms each, else of the last 12 without the largest and
the smallest. With fewer since the start or the last interruption: of those there are, without the extremes once there
are 4 or more.

Quality: how probably the rate is right, within 5 /min, %. From q, the least quality of the beats that end those
intervals, their spread (second largest against second smallest; largest against smallest while there are fewer than 4)
and the noise between the waves, floor of estimators.qrs; quotients are floored. A rate of intervals within 6:5 is right
even among noise: 90 + q / 11; within 3:2: 75 + q / 4; within 2:1: q + 5 - floor / 8, at most 97. Beyond, either the
heart is irregular or beats were missed or made up, and only a clean lead can tell: when q is 99, 98 less 3/4 of what
floor is above 32; else 40 + q / 2 - 3/4 min(64, floor).
"""

from array import array

from micropython import const

from vigil.dsp.ecg import nth_smallest

_N = const(12)
_SLOW_Q8 = const(76800)  # 1,200 ms


class HeartRate:
    """Intervals of beats in 1/256 samples at the nominal 250 Hz; the measured period corrects the rate.

    After measure(): used (intervals in the mean, 0: no rate), quality_pct, and bpm_x10 and span_ms can be asked for.
    """

    def __init__(self):
        self._rr_q8 = array("i", bytes(4 * _N))
        self._quality_pct = array("i", bytes(4 * _N))
        self.reset()

    def reset(self):
        """Forget all intervals."""
        self.count = self.used = self.quality_pct = 0

    def add(self, rr_q8: int, quality_pct: int) -> None:
        """Take the interval that ends with the newest beat, 1/256 samples, > 0, and that beat's quality."""
        # Newest first: what is looked at is then always the beginning of the array.
        rr = self._rr_q8
        quality = self._quality_pct
        for i in range(_N - 1, 0, -1):
            rr[i] = rr[i - 1]
            quality[i] = quality[i - 1]
        rr[0] = rr_q8
        quality[0] = quality_pct
        self.count += 1

    def measure(self, floor_q8: int) -> None:
        """Apply the rule to the intervals so far; floor_q8: of a beat's energy, what noise leaves between them."""
        rr = self._rr_q8
        n = min(self.count, _N)
        self.used = n
        if not n:
            return
        slow = n >= 3 and nth_smallest(rr, 3, 0) > _SLOW_Q8
        if slow:
            n = min(n, 4)
        trim = 1 if n >= 4 else 0
        least = nth_smallest(rr, n, trim)
        most = nth_smallest(rr, n, n - 1 - trim)
        total = 0
        for i in range(n):
            total += rr[i]  # 12 * 2**25 at most: an interval of half an hour
        self._span_q8 = total
        self.used = n
        if trim and not slow:
            total -= nth_smallest(rr, n, 0) + nth_smallest(rr, n, n - 1)
            self.used = n - 2
        self._total_q8 = total
        q = nth_smallest(self._quality_pct, n, 0)
        if 5 * most <= 6 * least:
            q = 90 + q // 11
        elif 2 * most <= 3 * least:
            q = 75 + q // 4
        elif most <= 2 * least:
            q = min(97, q + 5 - (floor_q8 >> 3))
        elif q < 99:
            q = 40 + q // 2 - (3 * min(64, floor_q8) >> 2)
        else:
            q = 98 - (3 * max(0, floor_q8 - 32) >> 2)
        self.quality_pct = max(0, q)

    def bpm_x10(self, period_us: int) -> int:
        """Measured heart rate in 0.1/min, rounded. period_us: measured sample period. Allocates beyond 30 bits."""
        span_us = self._total_q8 * period_us >> 8
        return (600_000_000 * self.used + span_us // 2) // span_us

    def span_ms(self, period_us: int) -> int:
        """Length of the stretch that the rate was made from."""
        return self._span_q8 // 256 * period_us // 1000
