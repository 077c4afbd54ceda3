"""MicroPython side of the interrupt test: two lines, one handler slow on the bus."""

import asyncio

import board

b = board.make()
spi = b.spi("slow")
out = bytearray(500)
into = bytearray(500)
served = []


def first(t_us):
    served.append(("first", t_us, b.clock.ticks_us()))
    spi.write_readinto(out, into)  # 1 ms: the other line falls meanwhile, and tells it but once


def second(t_us):
    served.append(("second", t_us, b.clock.ticks_us()))
    spi.write_readinto(out, into)  # what a part needs to let go of its line


b.irq("first", first)
b.irq("second", second)
try:
    b.irq("third", second)
    print("has third")
except ValueError:
    print("no third")


async def main():
    await asyncio.sleep_ms(100)
    for line in served:
        print(*line)


asyncio.run(main())
