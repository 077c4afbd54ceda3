"""Keeps the tasks alive, remembers why one died, and feeds the watchdog only while the pipeline does its work."""

import asyncio
import gc
import sys

from micropython import const

from vigil.app.config import store_number, stored_number
from vigil.core.log import ERROR, log

_RESTART_MS = const(1000)  # times the failures in a row
_CALM_MS = const(60_000)  # a task that ran so long starts with a clean slate
_MAX_FAILURES = const(8)  # in a row: then the watchdog shall reset the board
_WATCH_MS = const(1000)
_SILENT_MS = const(30_000)  # without a block or a turn of the publisher
_CRASHES = "crash.count"  # keystore
_LAST = "crash.last"
_TASKS = ("acquire", "publish", "link", "uplink", "updates")  # numbers of a status, from 1 on; 0: another
_ERRORS = ("MemoryError", "OSError", "ValueError", "TypeError", "IndexError", "AttributeError", "KeyError")
_ERRORS += ("OverflowError", "ZeroDivisionError", "RuntimeError", "ImportError", "AssertionError")
_CAUSES = ("pwron", "hard", "wdt", "deepsleep", "soft", "brownout")  # likewise


class Health:
    """Stands between acquisition and pipeline and sees that samples flow. Allocates nothing in steady state.

    blocks: pushed so far, wraps at 2**30. period_us: last measured sample period by source.
    """

    def __init__(self, push):
        self._push = push
        self.blocks = 0
        self.period_us = [0, 0, 0, 0]

    def push(self, block) -> None:
        """Hand a block on; only what the pipeline has digested counts."""
        if not self.period_us[block.source]:
            gc.collect()  # the chain is made now, its buffers stay for ever: they belong side by side
        self._push(block)
        self.blocks = (self.blocks + 1) & 0x3FFFFFFF
        if block.n:
            self.period_us[block.source] = block.period_us

    def rate_error_ppm(self, source: int, nominal_us: int) -> int:
        """Measured sample rate against the nominal one; 0 before the first block."""
        period_us = self.period_us[source]
        return (nominal_us - period_us) * 1_000_000 // period_us if period_us else 0


def _number(names: tuple, name: str) -> int:
    return names.index(name) + 1 if name in names else 0


def reset_number(cause: str) -> int:
    """Return the number of a cause of reset in a status; 0 for what the board cannot tell."""
    return 1 if cause == "power-on" else _number(_CAUSES, cause)


class Supervisor:
    """Runs tasks by name. restarts: in this boot. crashes: over the device's life. last_crash: of those, 0 or 256 times
    the task's number plus the error's (SPEC.md)."""

    def __init__(self, board):
        self._board = board
        self.restarts = 0
        self.crashes = stored_number(board, _CRASHES)
        self.last_crash = stored_number(board, _LAST)
        self._hopeless = False

    async def keep(self, name: str, make) -> None:
        """Run the coroutine that make() returns until it returns; start another when it raises."""
        clock = self._board.clock
        failures = 0
        while True:
            start_ms = clock.ms()
            try:
                await make()
                return
            except Exception as e:
                self._record(name, e)
            failures = 1 if clock.ms() - start_ms > _CALM_MS else failures + 1
            self._hopeless = self._hopeless or failures >= _MAX_FAILURES
            self.restarts += 1
            gc.collect()
            await asyncio.sleep_ms(_RESTART_MS * failures)

    async def watch(self, health, publisher, memory) -> None:
        """Feed the watchdog while blocks arrive, batches are due and no task is beyond help; look after memory."""
        clock = self._board.clock
        seen = -1, -1
        alive_ms = [clock.ms(), clock.ms()]
        while True:
            await asyncio.sleep_ms(_WATCH_MS)
            now_ms = clock.ms()
            memory.watch()
            signs = health.blocks, publisher.beats
            for i in range(2):
                if signs[i] != seen[i]:
                    alive_ms[i] = now_ms
            seen = signs
            if not self._hopeless and now_ms - min(alive_ms) < _SILENT_MS:
                self._board.feed_watchdog()

    def _record(self, name: str, error) -> None:
        """Keep the last crash where a person finds it. Errors carry no key and nothing about the wearer."""
        self.crashes += 1
        gc.collect()  # memory may be what it died of
        kind = type(error).__name__
        log(ERROR, "app", name + ": " + kind)
        self.last_crash = _number(_TASKS, name) << 8 | _number(_ERRORS, kind)
        try:
            store_number(self._board, _CRASHES, self.crashes)
            store_number(self._board, _LAST, self.last_crash)
            with open(self._board.fs + "/crash.txt", "w") as file:
                file.write(name + "\n")
                sys.print_exception(error, file)
            sys.print_exception(error)
        except (OSError, MemoryError):
            pass  # a full flash or heap must not turn one crash into two
