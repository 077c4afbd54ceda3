"""Exercises asyncio and prints what happened. With VIGIL_LINK on the virtual board's clock, without on the built-in."""

# ruff: noqa: UP041 - MicroPython has TimeoutError in asyncio only

import asyncio
import os
import time

if os.getenv("VIGIL_LINK"):
    import board

    the_board = board.make()
    now_ms = the_board.clock.ms
else:
    start_ms = time.ticks_ms()

    def now_ms():
        return time.ticks_diff(time.ticks_ms(), start_ms)


def say(*words):
    print(*words, "at", (now_ms() + 5) // 20)  # in steps of 20 ms: the real clock has jitter


async def sleeper(name, ms, turns=1):
    try:
        for _ in range(turns):
            await asyncio.sleep_ms(ms)
        say(name, "slept")
        return name
    except asyncio.CancelledError:
        say(name, "cancelled")
        raise


async def failing():
    await asyncio.sleep_ms(20)
    raise ValueError("failing")


async def waiter(name, event, lock):
    await event.wait()
    async with lock:
        say(name, "has the lock")
        await asyncio.sleep_ms(40)


async def main():
    print(await asyncio.gather(sleeper("a", 60), sleeper("b", 20), sleeper("c", 20, 2)))
    try:
        await asyncio.wait_for_ms(sleeper("slow", 400), 100)
    except asyncio.TimeoutError:
        say("timed out")
    print(await asyncio.wait_for_ms(sleeper("fast", 20), 200))
    task = asyncio.create_task(sleeper("victim", 1000))
    await asyncio.sleep_ms(40)
    print(task.done(), task.cancel())
    try:
        await task
    except asyncio.CancelledError:
        say("saw it", task.done(), task.cancel())
    never = asyncio.create_task(sleeper("never", 10))
    never.cancel()
    await asyncio.sleep_ms(20)
    try:
        await failing()
    except ValueError as e:
        say(e)
    print(await asyncio.gather(failing(), sleeper("d", 60), return_exceptions=True))
    event, lock = asyncio.Event(), asyncio.Lock()
    tasks = [asyncio.create_task(waiter(n, event, lock)) for n in ("x", "y", "z")]
    await asyncio.sleep_ms(20)
    event.set()
    tasks[1].cancel()
    for task in tasks:
        try:
            await task
        except asyncio.CancelledError:
            say("y gave up")
    flag = asyncio.ThreadSafeFlag()
    task = asyncio.create_task(flag.wait())
    await asyncio.sleep_ms(20)
    flag.set()
    await task
    say("flag")
    outer = asyncio.create_task(asyncio.wait_for_ms(sleeper("inner", 1000), 2000))
    await asyncio.sleep_ms(20)
    outer.cancel()
    try:
        await outer
    except asyncio.CancelledError:
        say("outer cancelled")


asyncio.run(main())
say("end")
