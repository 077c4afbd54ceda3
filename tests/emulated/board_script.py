"""MicroPython side of the contract test: prints what the virtual board's parts other than sensors do."""

import asyncio
import os

import board

b = board.make()
for call in (b.spi, b.i2c, b.adc, b.pin):
    try:
        call("nothing")
        print("has", call)
    except ValueError:
        pass
try:
    b.irq("nothing", print)
    print("has irq")
except ValueError:
    pass
print(b.name, b.reset_cause(), b.ble, b.i2c("sensors") is b.i2c("sensors"), b.i2c("sensors").scan())
print(len(b.random(32)), b.random(16) != b.random(16))
print(b.keystore.get("boot.count"))
b.keystore.set("boot.count", b"1")
b.keystore.set("boot.count", b"22")
print(b.keystore.get("boot.count"), os.listdir(b.fs))
b.feed_watchdog()


async def main():
    ticks = []
    timer = b.timer(10000, ticks.append)
    print(b.wifi.isconnected())
    b.wifi.connect()
    for _ in range(3):
        print(b.clock.ms(), b.wifi.isconnected())
        await asyncio.sleep_ms(1000)
    timer.stop()
    timer.stop()
    await asyncio.sleep_ms(100)
    print(len(ticks), ticks[1] - ticks[0], b.until_ms)


asyncio.run(main())
