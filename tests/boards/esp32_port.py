"""A stand-in for the modules of MicroPython's ESP32 port, for tests under the unix port: install(chip).

It knows the documented signatures (machine, network, esp32, bluetooth; 1.26) and what each chip's pins can do, and
refuses everything else. Soft interrupts come when a test says so: timers[n].fire(), fall(gpio).
"""

import errno
import sys

CHIPS = {
    "esp32": {"gpio": 40, "flash": (6, 7, 8, 9, 10, 11), "adc1": range(32, 40), "input": range(34, 40), "timers": 4},
    "esp32s3": {"gpio": 49, "flash": range(26, 38), "adc1": range(1, 11), "input": (), "timers": 4},
    "esp32c3": {"gpio": 22, "flash": range(11, 18), "adc1": range(0, 5), "input": (), "timers": 2},
}
FREQ = {"esp32": 240_000_000, "esp32s3": 240_000_000, "esp32c3": 160_000_000}
ESP_ERR_NVS_NOT_FOUND = 0x1102
ESP_ERR_NVS_INVALID_LENGTH = 0x110C

chip = CHIPS["esp32"]
pins = {}  # GPIO: its Pin
timers = {}
buses = {}
nvs_flash = {}  # what survives a reset: only what was committed
watchdogs = []
freqs = []


class Pin:
    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __new__(cls, id, *args, **kwargs):
        number = id.number if isinstance(id, Pin) else id
        if number not in range(chip["gpio"]) or number in chip["flash"]:
            raise ValueError("invalid pin")
        if number not in pins:
            pin = object.__new__(cls)
            pin.number = number
            pin.mode = pin.pull = pin.handler = None
            pin.level = 1
            pins[number] = pin
        return pins[number]

    def __init__(self, id, mode=None, pull=-1, *, value=None, drive=None, hold=None):
        if mode is not None:
            assert mode in (Pin.IN, Pin.OUT, Pin.OPEN_DRAIN)
            if self.number in chip["input"] and mode != Pin.IN:
                raise ValueError("pin can only be input")
            self.mode = mode
        if pull != -1:
            assert pull in (None, Pin.PULL_UP, Pin.PULL_DOWN)
            assert pull is None or self.number not in chip["input"], "this pin has no pull resistor"
            self.pull = pull
        if value is not None:
            self.value(value)

    def value(self, *x):
        if not x:
            return self.level
        assert len(x) == 1 and self.mode in (Pin.OUT, Pin.OPEN_DRAIN)
        for bus in buses.values():
            bus.wire(self.number, self.level, x[0])
        self.level = x[0]

    def irq(self, handler=None, trigger=3, wake=None):
        self.handler = handler
        self.trigger = trigger


class ADC:
    ATTN_0DB, ATTN_2_5DB, ATTN_6DB, ATTN_11DB = range(4)

    def __init__(self, id, *, sample_ns=None, atten=0):
        assert isinstance(id, Pin) and id.number in chip["adc1"], "not on ADC1"
        assert atten == ADC.ATTN_11DB, "1.65 V in the middle needs the widest range"
        self.number = id.number

    def read_uv(self):
        return 1_650_000

    def read_u16(self):
        return 1 << 15


class I2C:
    """registers: {address: bytearray}. stuck: clocks that a part holding SDA low still wants, then a stop."""

    def __init__(self, id, *, scl, sda, freq=400000, timeout=50000):
        assert id in (0, 1) and 1 <= freq <= 400_000
        old = buses.get(id)
        self.registers = old.registers if old else {}
        self.stuck = old.stuck if old else 0
        self.stops = old.stops if old else 0
        self.scl, self.sda = scl.number, sda.number
        buses[id] = self

    def wire(self, number, before, level):
        if number == self.scl and level and not before and self.stuck:
            self.stuck -= 1
        if number == self.sda and level and not before and pins[self.scl].level:
            self.stops += 1

    def _part(self, addr):
        if self.stuck:
            raise OSError(errno.ETIMEDOUT)
        if addr not in self.registers:
            raise OSError(errno.ENODEV)
        return self.registers[addr]

    def scan(self):
        return [] if self.stuck else sorted(self.registers)

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        part = self._part(addr)
        for i in range(len(buf)):  # a slice would allocate, and the test counts
            buf[i] = part[memaddr + i]

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self._part(addr)[memaddr : memaddr + len(buf)] = buf


class SPI:
    """Answers what it is told, while some pin that is an output is low: the chip select."""

    answer = b""

    def __init__(self, id, *, baudrate, polarity, phase, sck, mosi, miso):
        assert id in (1, 2) and baudrate <= 12_000_000 and (polarity, phase) == (0, 0)
        assert miso.number not in (sck.number, mosi.number)
        buses["spi"] = self

    def write_readinto(self, write_buf, read_buf):
        assert len(write_buf) == len(read_buf)
        assert any(p.mode == Pin.OUT and p.level == 0 for p in pins.values()), "nobody is selected"
        for i in range(min(len(read_buf), len(self.answer))):
            read_buf[i] = self.answer[i]

    def wire(self, number, before, level):
        pass


class Timer:
    ONE_SHOT, PERIODIC = 0, 1

    def __init__(self, id, **init):
        if id not in range(chip["timers"]):
            raise ValueError("invalid Timer number")
        self.callback = None
        timers[id] = self
        if init:
            self.init(**init)

    def init(self, *, mode=PERIODIC, freq=-1, period=-1, callback=None, hard=False):
        assert (freq == -1) != (period == -1), "one of freq and period"
        if hard:
            raise ValueError("hard Timers are not implemented")
        self.mode, self.callback = mode, callback
        self.period_us = round(1e6 / freq) if period == -1 else 1000 * period

    def deinit(self):
        self.callback = None

    def fire(self):
        if self.callback:
            self.callback(self)


class WDT:
    def __init__(self, *, id=0, timeout=5000):
        assert id == 0 and timeout >= 1000
        self.timeout, self.fed = timeout, 0
        watchdogs.append(self)

    def feed(self):
        self.fed += 1


class machine:
    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)
    cause = 1

    @staticmethod
    def freq(hz=None):
        if hz is None:
            return freqs[-1] if freqs else 160_000_000
        assert hz in (80_000_000, 160_000_000, chip["freq"])
        freqs.append(hz)

    @staticmethod
    def reset_cause():
        return machine.cause


for part in (Pin, ADC, I2C, SPI, Timer, WDT):
    setattr(machine, part.__name__, part)


class WLAN:
    IF_STA, IF_AP = 0, 1
    on = False
    linked = False
    joining = None
    broken = False
    heard = True  # the access point; an address outlives it for a moment

    def __init__(self, interface_id=0):
        assert interface_id == WLAN.IF_STA

    def active(self, *is_active):
        if is_active and not WLAN.broken:
            WLAN.on = bool(is_active[0])
            if not WLAN.on:
                WLAN.linked, WLAN.joining = False, None
        return WLAN.on

    def connect(self, ssid=None, key=None, *, bssid=None):
        assert isinstance(ssid, str) and (key is None or isinstance(key, str))
        if not WLAN.on or WLAN.joining:
            raise OSError("Wifi Internal State Error")
        WLAN.joining = (ssid, key)

    def disconnect(self):
        if not WLAN.on:
            raise OSError("Wifi Not Started")
        WLAN.linked, WLAN.joining = False, None

    def status(self, *param):
        if param:
            assert param == ("rssi",)
            if not WLAN.heard:
                raise OSError("Wifi Not Connected")
            return -61
        return 1010 if WLAN.linked else 1001 if WLAN.joining else 1000

    def isconnected(self):
        return WLAN.linked


class network:
    STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
    WLAN = WLAN


class NVS:
    def __init__(self, namespace):
        assert isinstance(namespace, str) and 0 < len(namespace) <= 15
        self.kept = nvs_flash.setdefault(namespace, {})
        self.now = dict(self.kept)

    def _key(self, key):
        assert isinstance(key, str) and 0 < len(key) <= 15, "an NVS key has at most 15 characters"
        return key

    def set_blob(self, key, value):
        self.now[self._key(key)] = bytes(value)

    def get_blob(self, key, buffer):
        if self._key(key) not in self.now:
            raise OSError(-ESP_ERR_NVS_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        value = self.now[key]
        if len(value) > len(buffer):
            raise OSError(-ESP_ERR_NVS_INVALID_LENGTH, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        if self.now.pop(self._key(key), None) is None:
            raise OSError(-ESP_ERR_NVS_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")

    def commit(self):
        self.kept.clear()
        self.kept.update(self.now)


partitions = {}  # content by label


class Partition:
    """esp32.Partition of applications. apps: labels in the table; running, boot: places in it."""

    BOOT, RUNNING = 0, 1
    apps = ("factory",)
    running = boot = 0
    valid = False

    def __init__(self, which, block_size=4096):
        assert block_size == 4096
        self.place = Partition.running if which == Partition.RUNNING else Partition.boot

    @property
    def content(self):
        return partitions.setdefault(self.info()[4], bytearray(0x4000))

    def info(self):
        return 0, 16 + self.place, 0x10000 + 0x4000 * self.place, 0x4000, Partition.apps[self.place], False

    def get_next_update(self):
        if len(Partition.apps) < 2:
            raise OSError(-261, "ESP_ERR_NOT_FOUND")
        other = Partition(Partition.RUNNING)
        other.place = (self.place + 1) % len(Partition.apps)
        return other

    def readblocks(self, block, buf, offset=0):
        at = 4096 * block + offset
        buf[:] = self.content[at : at + len(buf)]

    def writeblocks(self, block, buf):
        """Without an offset it erases first."""
        assert len(buf) % 4096 == 0 and self.place != Partition.running
        self.content[4096 * block : 4096 * block + len(buf)] = buf

    def set_boot(self):
        if self.content[0] != 0xE9:
            raise OSError(-5379, "ESP_ERR_OTA_VALIDATE_FAILED")
        Partition.boot = self.place

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        Partition.valid = True


class esp32:
    NVS = NVS
    Partition = Partition


class BLE:
    made = None

    def __new__(cls):
        if BLE.made is None:
            BLE.made = object.__new__(cls)
        return BLE.made

    def active(self, *on):
        return False


class bluetooth:
    BLE = BLE


def fall(number):
    """A falling edge on a GPIO."""
    pin = pins[number]
    if pin.handler and pin.trigger & Pin.IRQ_FALLING:
        pin.handler(pin)


def board_class():
    """The class of the board that was flashed: in its own module, or in the program's where that is linked."""
    import board  # noqa: F401  which loads it

    for name in ("esp32_common", "vigil.app.main"):
        for kind in getattr(sys.modules.get(name), "__dict__", {}).values():
            if isinstance(kind, type) and hasattr(kind, "feed_watchdog"):
                return kind


def install(name):
    """Become the port of chip `name` (esp32, esp32s3, esp32c3)."""
    global chip
    chip = dict(CHIPS[name], freq=FREQ[name])
    sys.modules["machine"] = machine
    sys.modules["network"] = network
    sys.modules["esp32"] = esp32
    sys.modules["bluetooth"] = bluetooth
