"""Virtual time: it jumps to the next event while the firmware waits and stands still while the firmware computes.

Events are timer periods, interrupt edges, stalls and asyncio's own deadlines. Time never runs faster than
`speed` times real time, so a slow host slows the clock and no FIFO overflows for it. A socket that becomes ready
ends a wait at once; the real time it took counts times `speed`.

Handlers run as soft interrupts do on the chip: between turns of the scheduler, late when something blocked. Edges
keep the time of the edge, timers see the time at which they are served, and at most _BACKLOG periods are made up.
"""

import asyncio.core as core
import time

import tasks
from link import LINES

NEVER = 1 << 61

_GRAIN_US = 2000  # real: shorter waits are not slept, time may lead by this much
_CREDIT_US = 50000  # real: an overslept wait is made up to this much
_BACKLOG = 8  # depth of the chip's queue of scheduled handlers
_IDLE_MS = 100  # real: longest sleep when nothing at all is due

_poll = core.IOQueue.wait_io_event


class Timer:
    """A running periodic timer."""

    def __init__(self, clock, period_us, handler):
        self.period_us = period_us
        self.due_us = clock.now_us + period_us
        self.handler = handler
        self._clock = clock
        clock.timers.append(self)

    def stop(self):
        """Stop. Idempotent."""
        if self in self._clock.timers:
            self._clock.timers.remove(self)


class Clock:
    """Time since power-on in microseconds (now_us). speed 0: as fast as the host can.

    With 32-bit words a run may last 8 real minutes: the interpreter's own ticks wrap.
    """

    def __init__(self, speed):
        self.now_us = 0
        self.timers = []
        self.grid_us = 0  # period of the timer that is being served on time, else 0
        self.edges_us = [NEVER] * LINES  # next falling edge of each interrupt line, as the emulators tell
        self.on_edge = None  # on_edge(line, t_us): serves it and asks for the next
        self.stalls = []  # [[at_us, for_us], ...]: the processor is held up (flash, radio)
        self._speed_q8 = int(speed * 256)
        self._real0_us = self._left_us = time.ticks_us()  # real time that belongs to virtual time _virtual0_us
        self._virtual0_us = 0

    def ticks_us(self):
        """Wraps as the interpreter's own ticks do (later than 2**30 on a 64-bit port)."""
        return self.now_us

    def ms(self):
        """Milliseconds since boot."""
        return self.now_us // 1000

    def _ticks(self):
        return self.now_us // 1000

    def install(self):
        """Make asyncio run on this clock. Call before the first task is made."""
        core.ticks = self._ticks
        core.Task = tasks.Task
        core.TaskQueue = tasks.TaskQueue
        core.new_event_loop()

        def wait(queue, dt_ms, clock=self):
            clock._wait(queue, dt_ms)

        core.IOQueue.wait_io_event = wait

    def _next_us(self):
        due_us = NEVER
        for edge_us in self.edges_us:
            if edge_us < due_us:
                due_us = edge_us
        for timer in self.timers:
            if timer.due_us < due_us:
                due_us = timer.due_us
        if self.stalls and self.stalls[0][0] < due_us:
            due_us = self.stalls[0][0]
        return due_us

    def _serve(self):
        """Run the handlers that are due. True when there were any."""
        served = False
        while self._next_us() <= self.now_us:
            served = True
            if self.stalls and self.stalls[0][0] <= self.now_us:
                self.now_us += self.stalls.pop(0)[1]
            for line in range(LINES):
                t_us = self.edges_us[line]
                if t_us <= self.now_us:
                    self.edges_us[line] = NEVER
                    self.on_edge(line, t_us)
            for timer in self.timers:
                if timer.due_us <= self.now_us:
                    late_us = self.now_us - timer.due_us
                    self.grid_us = 0 if late_us else timer.period_us
                    if late_us > _BACKLOG * timer.period_us:
                        timer.due_us += (late_us // timer.period_us - _BACKLOG) * timer.period_us
                    timer.due_us += timer.period_us
                    timer.handler(self.now_us)
                    self.grid_us = 0
        return served

    def _wait(self, queue, dt_ms):
        """IOQueue.wait_io_event: let time pass until something happens or dt_ms are over (-1: no deadline)."""
        real_us = time.ticks_us()
        computed_us = time.ticks_diff(real_us, self._left_us)
        self._real0_us = time.ticks_add(self._real0_us, computed_us)  # what the firmware computed took no time
        served = self._serve()
        if queue.map:
            _poll(queue, 0)
        if dt_ms and not served:
            ready = core._task_queue.peek()
            if not ready or ready.ph_key > self.now_us // 1000:
                self._pass(queue, dt_ms)
        self._left_us = time.ticks_us()

    def _pass(self, queue, dt_ms):
        target_us = self._next_us()
        if dt_ms > 0:
            target_us = min(target_us, (self.now_us // 1000 + dt_ms) * 1000)
        if target_us == NEVER:
            _poll(queue, _IDLE_MS)
            return
        if self._speed_q8:
            real_us = time.ticks_diff(time.ticks_us(), self._real0_us)
            ahead_us = (target_us - self._virtual0_us) * 256 // self._speed_q8 - real_us
            if ahead_us > _GRAIN_US:
                _poll(queue, ahead_us // 1000)
                real_us = time.ticks_diff(time.ticks_us(), self._real0_us)
                allowed_us = self._virtual0_us + real_us * self._speed_q8 // 256
                target_us = min(target_us, max(self.now_us, allowed_us))
            elif ahead_us < -_CREDIT_US:
                self._real0_us = time.ticks_add(self._real0_us, -(ahead_us + _CREDIT_US))
        self.now_us = target_us
