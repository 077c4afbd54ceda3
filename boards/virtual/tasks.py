"""asyncio's Task and TaskQueue in Python, because the built-in ones read the real clock when a task is made ready.

Same contract as MicroPython's `_asyncio` module (the attributes coro, data, state and ph_key belong to it).
Ready tasks run in the order in which they became ready, so that a run can be repeated event for event.
"""

import asyncio.core as core


class TaskQueue:
    """Tasks by the time they are due, first come first served among equals. Small, hence a sorted list."""

    def __init__(self):
        self._tasks = []

    def peek(self):
        """Return the next task, None when there is none."""
        return self._tasks[0] if self._tasks else None

    def push(self, task, key=None):
        """Insert `task`, due at `key` (ticks, milliseconds) or now."""
        task.data = None
        if key is None:
            key = core.ticks()
        task.ph_key = key
        tasks = self._tasks
        i = len(tasks)
        while i and tasks[i - 1].ph_key > key:
            i -= 1
        tasks.insert(i, task)

    def pop(self):
        """Remove and return the next task."""
        return self._tasks.pop(0)

    def remove(self, task):
        """Remove `task`, wherever it stands."""
        if task in self._tasks:
            self._tasks.remove(task)


class Task:
    """A coroutine in the scheduler.

    state: True running, TaskQueue of those who await it, None ended and not awaited, False ended and awaited.
    data: the queue it waits on, or the exception to throw into it next, or the exception that ended it.
    """

    def __init__(self, coro, context=None):
        self.coro = coro
        self.data = None
        self.state = True
        self.ph_key = 0

    def __iter__(self):
        if not self.state:
            self.state = False
        elif self.state is True:
            self.state = TaskQueue()
        elif not isinstance(self.state, TaskQueue):
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        if not self.state:
            raise self.data
        self.state.push(core.cur_task)
        core.cur_task.data = self

    def done(self):
        """Tell whether it has ended."""
        return not self.state

    def remove(self, task):
        """Forget that `task` waits for this one."""
        self.state.remove(task)

    def cancel(self):
        """Throw CancelledError into it at its next turn. False when it has already ended."""
        if not self.state:
            return False
        if self is core.cur_task:
            raise RuntimeError("can't cancel self")
        task = self
        while isinstance(task.data, Task):
            task = task.data
        if hasattr(task.data, "remove"):
            task.data.remove(task)
        else:
            core._task_queue.remove(task)
        core._task_queue.push(task)
        task.data = core.CancelledError()
        return True
