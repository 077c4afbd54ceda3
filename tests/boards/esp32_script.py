"""One ESP32 board under MicroPython: `esp32_script.py CHIP FOLDER`, board and firmware on MICROPYPATH.

Prints the pins of the parts, as JSON, last.
"""

import gc
import json
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import contract
import esp32_port as port

port.install(sys.argv[1])
import board  # noqa: E402
import esp32_common  # noqa: E402

assert not (port.pins or port.buses or port.watchdogs or port.freqs or port.WLAN.on), "import touched hardware"
esp32_common.Esp32Board.fs = sys.argv[2] + "/data"
b = board.make()
assert not port.watchdogs and not port.WLAN.on, "the watchdog and the radio start when they are needed"
contract.check(b)
assert port.freqs == [port.FREQ[sys.argv[1]]]

# Keystore: what was set survives a reset; names of settings do not meet.
assert esp32_common.Keystore().get("link.server_name") == b"\x00\xff" * 16
for names in (("link.server_name", "link.server_nameX", "link.server_other"), ("sign.seed", "seq.floor")):
    keys = [esp32_common.nvs_key(n) for n in names]
    assert len(set(keys)) == len(keys) and max(len(k) for k in keys) <= 15, keys
try:
    b.keystore.set("big", bytes(513))
    raise AssertionError("kept 513 bytes")
except ValueError:
    pass

# MicroPython's successor: none where there is one application; the other partition, whole blocks, then the one step.
assert b.application is None
port.Partition.apps = "ota_0", "ota_1"
app = b.application
assert (app.label, app.bytes) == ("ota_0", 0x4000)
app.write(0, bytearray(b"\xff" * 4096))
try:
    app.choose()
    raise AssertionError("started from what is no image")
except OSError:
    pass
app.write(1, bytearray(b"\x55" * 4096))
app.write(0, bytearray(b"\xe9" * 4096))
back = bytearray(4)
app.read_into(4094, back)
assert back == b"\xe9\xe9\x55\x55" and port.Partition.boot == 0
app.choose()
app.keep()
assert port.Partition.boot == 1 and port.Partition.valid
port.Partition.apps, port.Partition.boot = ("factory",), 0
port.partitions.clear()

# A bus held low by a part in the middle of a byte.
bus = b.i2c("sensors")
port.buses[0].registers[0x57] = bytearray(256)
port.buses[0].registers[0x57][0xFF] = 0x15
one = bytearray(1)
bus.readfrom_mem_into(0x57, 0xFF, one)
assert one[0] == 0x15 and bus.scan() == [0x57]
port.buses[0].stuck, port.buses[0].stops = 9, 0
try:
    bus.readfrom_mem_into(0x57, 0xFF, one)
    raise AssertionError("a stuck bus answered")
except OSError:
    pass
bus.recover()
assert port.buses[0].stops >= 1
bus.readfrom_mem_into(0x57, 0xFF, one)

# A part on SPI is selected for the length of a transaction, also when that fails.
four = bytearray(4)
try:
    spi = b.spi("ecg")
except ValueError:
    spi = None  # this chip has no pins to spare
if spi:
    port.buses["spi"].answer = b"\0\x51\x30\0"
    spi.write_readinto(bytearray(4), four)
    assert bytes(four) == b"\0\x51\x30\0"
    try:
        spi.write_readinto(bytearray(3), four)
        raise AssertionError("took buffers of two lengths")
    except AssertionError as e:
        assert "two lengths" not in str(e)
    assert port.pins[b._fitted[esp32_common.SPI]["ecg"][4]].level == 1

# Interrupts and timers.
stamps = []
b.irq("max30102", stamps.append)
line = next(p for p in port.pins.values() if p.handler)
assert line.pull == port.Pin.PULL_UP and line.trigger == port.Pin.IRQ_FALLING
port.fall(line.number)
b.irq("max30102", None)
port.fall(line.number)
assert len(stamps) == 1 and isinstance(stamps[0], int)
first, second = b.timer(4000, stamps.append), b.timer(2500, stamps.append)
assert sorted(t.period_us for t in port.timers.values()) == [2500, 4000]
try:
    b.timer(1000, stamps.append)
    raise AssertionError("a third timer")
except ValueError:
    pass
number = first._number
port.timers[number].fire()
callback = port.timers[number].callback
first.stop()
callback(None)  # was still in the scheduler's queue
assert len(stamps) == 2
b.timer(1000, stamps.append).stop()
second.stop()

# Steady state allocates nothing.
ticked = []
timer = b.timer(4000, lambda t_us: None)
fire = port.timers[timer._number].callback
read_uv = b.adc("ecg").read_uv
before = grown = _ = 0  # names are there before memory is counted
gc.collect()
before = gc.mem_alloc()
for _ in range(50):
    fire(None)
    b.clock.ms()
    bus.readfrom_mem_into(0x57, 0xFF, one)
grown = gc.mem_alloc() - before
timer.stop()


# Time does not wrap, whatever the ticks do: 40 days in steps of an hour.
class Ticks:
    now_ms = (1 << 30) - 1000
    ticks_us = None

    def ticks_ms(self):
        return self.now_ms & 0x3FFFFFFF

    def ticks_add(self, a, n):
        return (a + n) & 0x3FFFFFFF

    def ticks_diff(self, a, b):
        return (((a - b) & 0x3FFFFFFF) ^ 0x20000000) - 0x20000000


real = esp32_common.time
esp32_common.time = fake = Ticks()
clock = esp32_common.Clock()
start_ms = fake.now_ms
for _ in range(40 * 24):
    fake.now_ms += 3_600_000
    assert clock.ms() == fake.now_ms - start_ms
esp32_common.time = real

# Radio.
wifi = b.wifi
try:
    wifi.connect()
    raise AssertionError("connected to nothing")
except ValueError as e:
    assert "provision" in str(e)
b.keystore.set("wifi.ssid", b"ward 3")
wifi.connect()
assert port.WLAN.joining == ("ward 3", None)
wifi.connect()  # again while it tries
b.keystore.set("wifi.key", b"secret88")
wifi.power_cycle()
assert port.WLAN.joining is None and port.WLAN.on
wifi.connect()
assert port.WLAN.joining == ("ward 3", "secret88") and not wifi.isconnected()
assert wifi.rssi() == 0
port.WLAN.linked = True
assert wifi.isconnected() and wifi.rssi() == -61
port.WLAN.heard = False
assert wifi.isconnected() and wifi.rssi() == 0
port.WLAN.on, port.WLAN.broken = False, True
try:
    b.random(8)
    raise AssertionError("random without entropy")
except OSError:
    pass

b.feed_watchdog()
assert len(port.watchdogs) == 1 and port.watchdogs[0].fed == 2 and port.watchdogs[0].timeout >= 10_000
causes = []
for cause in (1, 2, 3, 4, 5, 9):
    port.machine.cause = cause
    causes.append(b.reset_cause())
assert causes == ["pwron", "hard", "wdt", "deepsleep", "soft", "9"], causes

fitted = b._fitted
wires = {}
if spi:
    _, wires["sck"], wires["mosi"], wires["miso"], wires["cs"] = fitted[esp32_common.SPI]["ecg"]
    wires["max30003"] = fitted[esp32_common.Edge]["max30003"]
print(
    json.dumps(
        {
            "scl": fitted[esp32_common.I2C]["sensors"][1],
            "sda": fitted[esp32_common.I2C]["sensors"][2],
            "max30102": fitted[esp32_common.Edge]["max30102"],
            "lis3dh": fitted[esp32_common.Edge]["lis3dh"],
            "ecg": fitted[esp32_common.Adc]["ecg"],
            "lod_p": fitted[port.Pin]["lod_p"],
            "lod_n": fitted[port.Pin]["lod_n"],
            "pair": fitted[port.Pin]["pair"],
            "name": b.name,
            "grown": grown,
        }
        | wires
    )
)
