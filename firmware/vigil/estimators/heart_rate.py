"""Heart rate from R-R intervals by the rule that bedside monitors disclose (IEC 60601-2-27).

The mean of the last 4 intervals when the last 3 exceed 1,200 ms each, else of the last 12 without the largest and the
smallest. With fewer than 12 since the start or the last interruption: of those there are, without the extremes once
there are 4.
"""

from array import array

from micropython import const

_N = const(12)


class HeartRate:
    """Intervals of beats in 1/256 samples at the nominal 250 Hz; the measured period corrects the rate."""

    def __init__(self):
        self._rr_q8 = array("i", bytes(4 * _N))
        self.reset()

    def reset(self):
        """Forget all intervals."""
        self.count = 0

    def add(self, rr_q8: int) -> None:
        """Take the interval that ends with the newest beat, 1/256 samples, > 0."""
        self._rr_q8[self.count % _N] = rr_q8
        self.count += 1

    def mean(self) -> "tuple[int, int, int]":
        """(sum in 1/256 samples, intervals in it, sum of all looked at) by the rule; (0, 0, 0) without any."""
        rr = self._rr_q8
        count = min(self.count, _N)
        slow = count >= 3
        for k in range(1, 4):
            if slow and rr[(self.count - k) % _N] <= 76800:  # 1,200 ms
                slow = False
        if slow and count > 4:
            count = 4
        least = 1 << 29
        most = total = 0
        for k in range(1, count + 1):
            v = rr[(self.count - k) % _N]
            total += v  # 12 * 2**25 at most: an interval of half an hour
            least = min(least, v)
            most = max(most, v)
        if slow or count < 4:
            return total, count, total
        return total - least - most, count - 2, total

    def span_ms(self, period_us: int) -> int:
        """Length of the stretch that the rate was made from."""
        return self.mean()[2] // 256 * period_us // 1000

    def bpm_x10(self, period_us: int) -> "int | None":
        """Heart rate in 0.1/min, rounded; None before the first interval. period_us: measured sample period."""
        total, n, _ = self.mean()
        if not n:
            return None
        span_us = total * period_us >> 8  # beyond 30 bits for seconds of span: allocates, at a report only
        return (600_000_000 * n + span_us // 2) // span_us
