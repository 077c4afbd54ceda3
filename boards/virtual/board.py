"""The virtual board for MicroPython's unix port, after firmware/vigil/hal.py. Nothing here is emulation: parts
answer over the link (link.py), time is clock.py.

Environment: VIGIL_STATE folder of this device (made; `fs/` is its file system, `nvs/` its keystore), VIGIL_LINK
"host:port" of the emulators, VIGIL_SPEED (default 1; 0: no limit), VIGIL_UNTIL_MS (optional end of the run),
VIGIL_RESET_CAUSE (default "power-on").
"""

import os
from array import array

import ble
import clock
import link

_BIT_NS = 2500  # I2C at 400 kHz
_BYTE_US = 2  # SPI at 4 MHz
_BLOCK = 64  # conversions fetched at once for a running timer


class I2C:
    """A bus; a transaction takes its time on the wire."""

    def __init__(self, wires, name, now):
        self._wires = wires
        self._part = wires.part("i2c:" + name)
        self._clock = now

    def _pass(self, n):
        self._clock.now_us += n * 9 * _BIT_NS // 1000

    def scan(self):
        """Addresses that acknowledge."""
        self._pass(112)
        return list(self._wires.ask(link.SCAN, self._part))

    def readfrom_mem_into(self, addr, memaddr, buf):
        """Read len(buf) bytes from register memaddr on."""
        self._pass(3 + len(buf))
        self._wires.call(link.READ, self._part, addr, memaddr, len(buf), None, buf)

    def writeto_mem(self, addr, memaddr, buf):
        """Write buf to register memaddr on."""
        self._pass(2 + len(buf))
        self._wires.call(link.WRITE, self._part, addr, memaddr, len(buf), buf)

    def recover(self):
        """Nine clocks and a stop."""
        self._pass(2)
        self._wires.call(link.RECOVER, self._part)


class SPI:
    """One part on an SPI bus."""

    def __init__(self, wires, name, now):
        self._wires = wires
        self._part = wires.part("spi:" + name)
        self._clock = now

    def write_readinto(self, out, into):
        """One transaction: send `out`, fill `into`."""
        if len(out) != len(into):
            raise ValueError("buffers must be the same length")
        self._clock.now_us += _BYTE_US * len(out)
        self._wires.call(link.TRANSFER, self._part, 0, 0, len(out), out, into)


class Adc:
    """An analogue input. For a running timer a block of conversions is fetched ahead: voltages depend on time only."""

    def __init__(self, wires, name, now):
        self._wires = wires
        self._part = wires.part("adc:" + name)
        self._clock = now
        self._block = array("i", bytes(4 * _BLOCK))
        self._bytes = memoryview(self._block)
        self._one = array("i", [0])
        self._period = array("I", [0])
        self._t0_us = 0
        self._grid_us = 0

    def read_uv(self):
        """Microvolts at the pin now."""
        now_us = self._clock.now_us
        grid_us = self._clock.grid_us
        if not grid_us:
            self._wires.call(link.ADC, self._part, 0, 0, 1, self._period, self._one)
            return self._one[0]
        i = (now_us - self._t0_us) // grid_us
        if grid_us != self._grid_us or i >= _BLOCK or self._t0_us + i * grid_us != now_us:
            self._period[0] = self._grid_us = grid_us
            self._t0_us = now_us
            self._wires.call(link.ADC, self._part, 0, 0, _BLOCK, self._period, self._block)
            i = 0
        return self._block[i]


class Pin:
    """A digital input."""

    def __init__(self, wires, name):
        self._wires = wires
        self._part = wires.part("pin:" + name)

    def value(self):
        """0 or 1."""
        return self._wires.call(link.PIN, self._part)


class Wifi:
    """Always there, but for the outages of the scenario ([[from_ms, to_ms], ...])."""

    def __init__(self, now, outages):
        self._clock = now
        self._outages = outages
        self._wanted = False

    def connect(self):
        """Start to connect."""
        self._wanted = True

    def isconnected(self):
        """Tell whether there is a link."""
        t_ms = self._clock.ms()
        return self._wanted and not any(a <= t_ms < b for a, b in self._outages)

    def rssi(self):
        """Strength of the signal in dBm, 0 where there is none."""
        return -60 if self.isconnected() else 0

    def power_cycle(self):
        """Turn the radio off and on."""

    def off(self):
        """Turn the radio off."""
        self._wanted = False


class Keystore:
    """One file an entry, replaced in one step."""

    def __init__(self, folder):
        self._folder = folder

    def get(self, name):
        """Value of `name`, None when it was never set."""
        try:
            with open(self._folder + "/" + name, "rb") as f:
                return f.read()
        except OSError:
            return None

    def set(self, name, value):
        """Keep `value` under `name`."""
        path = self._folder + "/" + name
        with open(path + ".tmp", "wb") as f:
            f.write(value)
        os.rename(path + ".tmp", path)


class Board:
    """One virtual device."""

    name = "virtual"
    ble_uuid = ble.UUID

    def __init__(self, state, address, speed, until_ms, cause):
        for folder in (state, state + "/fs", state + "/nvs"):
            try:
                os.mkdir(folder)
            except OSError:
                pass
        self.fs = state + "/fs"
        self.until_ms = until_ms
        self.clock = clock.Clock(speed)
        self.clock.install()
        self._cause = cause
        self.ble = ble.make()
        self._wires = link.Link(address, self.clock)
        hello = self._wires.hello
        self.clock.stalls = [[a * 1000, n * 1000] for a, n in hello["stalls_ms"]]
        self.ecg_gain = hello["ecg_gain"]
        self.clock.on_edge = self._edge
        self._handlers = {}
        self._parts = {}
        self.wifi = Wifi(self.clock, hello["wifi_out_ms"])
        self.keystore = Keystore(state + "/nvs")

    def _once(self, key, make):
        if key not in self._parts:
            self._parts[key] = make()
        return self._parts[key]

    def i2c(self, name):
        """Bus `name`; ValueError when there is none."""
        return self._once("i2c:" + name, lambda: I2C(self._wires, name, self.clock))

    def spi(self, name):
        """Part `name` on an SPI bus; ValueError when there is none."""
        return self._once("spi:" + name, lambda: SPI(self._wires, name, self.clock))

    def adc(self, name):
        """Analogue input `name`; ValueError when there is none."""
        return self._once("adc:" + name, lambda: Adc(self._wires, name, self.clock))

    def pin(self, name):
        """Digital input `name`; ValueError when there is none."""
        if name == "pair" and self.ble:
            return ble.Button(self.ble)
        return self._once("pin:" + name, lambda: Pin(self._wires, name))

    def irq(self, name, handler):
        """Call handler(t_us) at each falling edge of line `name`; None stops it."""
        self._handlers[self._wires.line(name)] = handler
        self._wires.call(link.NEXT)

    def _edge(self, line, t_us):
        handler = self._handlers.get(line)
        if handler:
            handler(t_us)
        self._wires.call(link.NEXT)

    def timer(self, period_us, handler):
        """Call handler(t_us) each period_us."""
        return clock.Timer(self.clock, period_us, handler)

    def random(self, n):
        """n bytes from the operating system."""
        return os.urandom(n)

    def reset_cause(self):
        """Why the device started."""
        return self._cause

    def feed_watchdog(self):
        """The virtual watchdog is always content."""


def make():
    """Return the board that the environment describes. Raises KeyError when VIGIL_STATE or VIGIL_LINK is not set."""
    state = os.getenv("VIGIL_STATE")
    address = os.getenv("VIGIL_LINK")
    if not state or not address:
        raise KeyError("VIGIL_STATE and VIGIL_LINK must be set")
    until = os.getenv("VIGIL_UNTIL_MS")
    speed = float(os.getenv("VIGIL_SPEED") or "1")
    return Board(state, address, speed, int(until) if until else None, os.getenv("VIGIL_RESET_CAUSE") or "power-on")
