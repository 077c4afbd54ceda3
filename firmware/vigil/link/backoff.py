"""How long to wait before the next attempt: doubling, with jitter so that a thousand devices do not return at once."""


class Backoff:
    """Waits between `first_ms` and `last_ms`; random(n) gives n random bytes."""

    def __init__(self, random, first_ms: int = 1000, last_ms: int = 120_000):
        self._random = random
        self._first_ms = first_ms
        self._last_ms = last_ms
        self.failures = 0  # since the last reset

    def next_ms(self) -> int:
        """Count a failure; return the wait after it: between half and the whole of first * 2**failures, capped."""
        step_ms = min(self._first_ms << min(self.failures, 10), self._last_ms)  # << 10: last_ms caps it long before
        self.failures += 1
        r = self._random(2)
        return step_ms // 2 + (step_ms // 2 * (r[0] << 8 | r[1]) >> 16)  # <= 60_000 * 2**16: one bigint, rarely

    def reset(self) -> None:
        """After a success: the next failure waits the shortest again."""
        self.failures = 0
