"""The board contract on MicroPython's ESP32 port (1.26 and later); each board.py says its pins and nothing else.

Signatures are those of the port's documentation. Two things that the port cannot do, and what follows:
interrupts of pins and timers are soft, so t_us is the time at which the scheduler served them (tens of microseconds
late, milliseconds while the file system or TLS computes: SampleClock averages it out); a running watchdog cannot be
stopped.
"""

import hashlib
import os
import sys
import time
from binascii import hexlify

import machine
from machine import Pin
from micropython import const

_I2C_HZ = const(400_000)
_I2C_TIMEOUT_US = const(20_000)  # of a stretched clock: longer than any part of ours takes
_HALF_US = const(5)  # half a clock while a bus is freed: 100 kHz
_SPI_HZ = const(4_000_000)  # the MAX30003 takes 12 MHz; wires on a breadboard do not
_WATCHDOG_MS = const(20_000)  # the supervisor feeds it each second
_STEP_MS = const(0x10000000)  # 2**28: half of what ticks_diff can tell
_KEY_MAX = const(15)  # characters of an NVS key
_BLOB_MAX = const(512)  # bytes of a setting
_TIMERS = (0, 1)  # hardware timers that every chip of the family has


class Clock:
    """ms() counts from the start of the program and never wraps: it must be asked once in three days."""

    def __init__(self):
        self.ticks_us = time.ticks_us
        self._mark_ms = time.ticks_ms()
        self._base_ms = 0

    def ms(self):
        """Milliseconds. Allocates nothing for the first 12 days; a small integer ends at 2**30."""
        past_ms = time.ticks_diff(time.ticks_ms(), self._mark_ms)  # 0 <= past_ms < 2**29
        if past_ms >= _STEP_MS:
            self._mark_ms = time.ticks_add(self._mark_ms, _STEP_MS)
            self._base_ms += _STEP_MS
            past_ms -= _STEP_MS
        return self._base_ms + past_ms


class I2C:
    """One bus. number: of the peripheral."""

    def __init__(self, number, scl, sda):
        self._number = number
        self._scl = scl
        self._sda = sda
        self._start()

    def _start(self):
        self._bus = machine.I2C(
            self._number, scl=Pin(self._scl), sda=Pin(self._sda), freq=_I2C_HZ, timeout=_I2C_TIMEOUT_US
        )

    def scan(self):
        """Addresses that acknowledge."""
        return self._bus.scan()

    def readfrom_mem_into(self, addr, memaddr, buf):
        """Read len(buf) bytes from register memaddr on. OSError when the part does not answer."""
        self._bus.readfrom_mem_into(addr, memaddr, buf)

    def writeto_mem(self, addr, memaddr, buf):
        """Write buf to register memaddr on. OSError when the part does not answer."""
        self._bus.writeto_mem(addr, memaddr, buf)

    def recover(self):
        """Clock SCL nine times, so that a part in the middle of a byte lets go of SDA; then a stop, then anew."""
        scl = Pin(self._scl, Pin.OPEN_DRAIN, Pin.PULL_UP, value=1)
        sda = Pin(self._sda, Pin.OPEN_DRAIN, Pin.PULL_UP, value=1)
        for _ in range(9):
            scl.value(0)
            time.sleep_us(_HALF_US)
            scl.value(1)
            time.sleep_us(_HALF_US)
        for pin, level in ((scl, 0), (sda, 0), (scl, 1), (sda, 1)):
            pin.value(level)
            time.sleep_us(_HALF_US)
        self._start()


class SPI:
    """One part; the port drives no chip select, so this does."""

    def __init__(self, number, sck, mosi, miso, cs):
        self._select = Pin(cs, Pin.OUT, value=1).value
        bus = machine.SPI(number, baudrate=_SPI_HZ, polarity=0, phase=0, sck=Pin(sck), mosi=Pin(mosi), miso=Pin(miso))
        self._transfer = bus.write_readinto

    def write_readinto(self, out, into):
        """One transaction: send `out`, fill `into`. Allocates nothing."""
        self._select(0)
        try:
            self._transfer(out, into)
        finally:
            self._select(1)


class Adc:
    """One input of ADC1 (ADC2 belongs to the radio), corrected by the chip's calibration.

    The port's documentation has 150 to 2450 mV as its straight part at this attenuation; vigil.drivers.ad8232 says
    what follows for an ECG.
    """

    def __init__(self, number):
        adc = machine.ADC(Pin(number), atten=machine.ADC.ATTN_11DB)
        self.read_uv = adc.read_uv


class Timer:
    """A running periodic timer on the hardware timer `number`, which goes back to `free` when it stops."""

    def __init__(self, free, period_us, handler):
        if not free:
            raise ValueError("no hardware timer is left")
        self._free = free
        self._number = free.pop()
        self._handler = handler
        self._timer = timer = machine.Timer(self._number)
        if period_us % 1000:
            timer.init(mode=machine.Timer.PERIODIC, freq=1_000_000 / period_us, callback=self._tick)
        else:
            timer.init(mode=machine.Timer.PERIODIC, period=period_us // 1000, callback=self._tick)

    def _tick(self, _timer):
        if self._timer is not None:  # one call may still wait in the scheduler's queue
            self._handler(time.ticks_us())

    def stop(self):
        """Stop. Idempotent."""
        if self._timer is not None:
            self._timer.deinit()
            self._timer = None
            self._free.append(self._number)


class Edge:
    """Calls handler(t_us) at falling edges of an open-drain line; handler None stops it."""

    def __init__(self, number):
        self._pin = Pin(number, Pin.IN, Pin.PULL_UP)
        self._call = self._serve
        self._handler = None

    def set(self, handler):
        """Replace the handler."""
        self._handler = handler
        if handler is None:
            self._pin.irq(handler=None)
        else:
            self._pin.irq(handler=self._call, trigger=Pin.IRQ_FALLING)

    def _serve(self, _pin):
        if self._handler is not None:
            self._handler(time.ticks_us())


class Wifi:
    """The station interface; network and key are the settings wifi.ssid and wifi.key (none: an open network)."""

    def __init__(self, keystore):
        self._keystore = keystore
        self._wlan = None

    def wake(self):
        """Return the interface with its radio on; it draws current and memory only from here on."""
        if self._wlan is None:
            import network

            self._connecting = network.STAT_CONNECTING
            self._wlan = network.WLAN(network.WLAN.IF_STA)
        if not self._wlan.active():
            self._wlan.active(True)
        return self._wlan

    def connect(self):
        """Start to connect. The port keeps trying, also after the network was lost. ValueError without wifi.ssid."""
        ssid = self._keystore.get("wifi.ssid")
        if not ssid:
            raise ValueError("wifi.ssid is not set: provision the device")
        key = self._keystore.get("wifi.key")
        wlan = self.wake()
        if wlan.status() != self._connecting:
            wlan.connect(str(ssid, "utf-8"), str(key, "utf-8") if key else None)

    def isconnected(self):
        """Tell whether there is an address."""
        return self._wlan is not None and self._wlan.isconnected()

    def rssi(self):
        """Strength of the signal in dBm, 0 where there is none."""
        try:
            return self._wlan.status("rssi") if self.isconnected() else 0
        except OSError:  # lost a moment ago: the port still has an address
            return 0

    def power_cycle(self):
        """Turn the radio off and on, and forget what it was doing."""
        self.off()
        self.wake()

    def off(self):
        """Turn the radio off until it is to connect."""
        if self._wlan is not None and self._wlan.active():
            try:
                self._wlan.disconnect()
            except OSError:
                pass  # it was not connected
            self._wlan.active(False)


class Keystore:
    """NVS blobs in a namespace of ours: they survive a new image, and NVS replaces a value in one step."""

    def __init__(self):
        import esp32

        self._nvs = esp32.NVS("vigil")

    def get(self, name):
        """Value of `name`, None when it was never set."""
        buffer = bytearray(_BLOB_MAX)
        try:
            n = self._nvs.get_blob(nvs_key(name), buffer)
        except OSError:
            return None
        return bytes(memoryview(buffer)[:n])

    def set(self, name, value):
        """Keep `value` (at most 512 bytes) under `name`. OSError when NVS is full."""
        if len(value) > _BLOB_MAX:
            raise ValueError(name + ": at most 512 bytes")
        self._nvs.set_blob(nvs_key(name), value)
        self._nvs.commit()


def nvs_key(name):
    """Return the NVS key of a setting: the name, or where that is longer than 15 characters, 8 of them, ~ and 6
    digits of its SHA-256."""
    if len(name) <= _KEY_MAX:
        return name
    return name[:8] + "~" + hexlify(hashlib.sha256(name.encode()).digest()[:3]).decode()


class Esp32Board:
    """One device. i2c: {name: (peripheral, scl, sda)}; spi: {name: (peripheral, sck, mosi, miso, cs)}; adc, pin and
    irq: {name: GPIO number}.

    A name that is absent is a part that is not fitted. freq_hz: of the processor. pin inputs are pulled up, so that
    an electrode detector that is not there says "electrode off".
    """

    fs = "/data"  # beside the firmware's files, which an update replaces

    def __init__(self, name, freq_hz, ecg_gain, i2c, adc, pin, irq, spi=None):
        self.name = name
        self.ecg_gain = ecg_gain
        self._fitted = {I2C: i2c, SPI: spi or {}, Adc: adc, Pin: pin, Edge: irq}
        self._made = {}
        self._timers = list(_TIMERS)
        self._watchdog = None
        self._ble = None
        machine.freq(freq_hz)
        try:
            os.mkdir(self.fs)
        except OSError:
            pass  # it is there
        self.clock = Clock()
        self.keystore = Keystore()
        self.wifi = Wifi(self.keystore)

    def _part(self, kind, name, *options):
        where = self._fitted[kind].get(name)
        if where is None:
            raise ValueError(name + " is not fitted")
        key = (kind, name)
        if key not in self._made:
            self._made[key] = kind(*where) if kind in (I2C, SPI) else kind(where, *options)
        return self._made[key]

    def i2c(self, name):
        """Bus `name`; ValueError when there is none."""
        return self._part(I2C, name)

    def spi(self, name):
        """Part `name` on an SPI bus; ValueError when there is none."""
        return self._part(SPI, name)

    def adc(self, name):
        """Analogue input `name`; ValueError when there is none."""
        return self._part(Adc, name)

    def pin(self, name):
        """Digital input `name`; ValueError when there is none."""
        return self._part(Pin, name, Pin.IN, Pin.PULL_UP)

    def irq(self, name, handler):
        """Call handler(t_us) at each falling edge of line `name`; None stops it."""
        self._part(Edge, name).set(handler)

    def timer(self, period_us, handler):
        """Call handler(t_us) each period_us, on a hardware timer."""
        return Timer(self._timers, period_us, handler)

    def random(self, n):
        """n bytes from the hardware generator, which is one only while the radio feeds it noise. OSError without."""
        if not (self._ble and self._ble.active()) and not self.wifi.wake().active():
            raise OSError("no entropy: the radio does not start")
        return os.urandom(n)

    @property
    def ble(self):
        """MicroPython's bluetooth.BLE, None where the image has none. Made when first asked for."""
        if self._ble is None:
            try:
                import bluetooth
            except ImportError:
                return None
            self._ble = bluetooth.BLE()
        return self._ble

    def ble_uuid(self, value):
        """bluetooth.UUID of a 16-bit number or a text of 128 bits."""
        import bluetooth

        return bluetooth.UUID(value)

    @property
    def application(self):
        """Where MicroPython's successor goes, None where the partition table has one application alone."""
        from esp32_application import application

        del sys.modules["esp32_application"]  # one update a month has no need of memory in between
        return application()

    def power_off(self):
        """Sleep until a reset, or until the supply comes back: what is left in the battery protects it."""
        machine.deepsleep()

    def reset_cause(self):
        """Why the device started, in a word. The port has none for a brown-out: it says power or watchdog."""
        cause = machine.reset_cause()
        known = machine.PWRON_RESET, machine.HARD_RESET, machine.WDT_RESET, machine.DEEPSLEEP_RESET, machine.SOFT_RESET
        words = "pwron", "hard", "wdt", "deepsleep", "soft"
        return words[known.index(cause)] if cause in known else str(cause)

    def feed_watchdog(self):
        """Start the watchdog at the first call; 20 s after the last one the chip is reset."""
        if self._watchdog is None:
            self._watchdog = machine.WDT(timeout=_WATCHDOG_MS)
        self._watchdog.feed()
