"""Where sealed envelopes come from. A source hands out messages and takes back what became of them."""

from __future__ import annotations

import queue
from typing import TypeVar

T = TypeVar("T")


def take(messages: queue.SimpleQueue[T], limit: int, timeout_s: float) -> list[T]:
    """Up to `limit` waiting messages; waits timeout_s for the first, may return none."""
    taken: list[T] = []
    try:
        taken.append(messages.get(timeout=timeout_s) if timeout_s else messages.get_nowait())
        while len(taken) < limit:
            taken.append(messages.get_nowait())
    except queue.Empty:
        pass
    return taken
