"""Long computations as generators, in steps between which others work."""

import asyncio


async def drive(steps):
    """Run a generator to its end with a pause after each step; return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as e:
            return e.value
        await asyncio.sleep_ms(0)
