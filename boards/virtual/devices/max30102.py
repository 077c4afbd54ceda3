"""MAX30102 pulse oximeter front end, from the datasheet 19-7740 (Rev 1, 10/18).

Registers with their reset values and access rules; FIFO of 32 samples with pointers, overflow counter and rollover;
interrupts A_FULL, PPG_RDY, ALC_OVF, PWR_RDY, DIE_TEMP_RDY with clear-on-read; HR, SpO2 and multi-LED modes; sample
averaging; the table of possible sample rates and pulse widths (the chip lowers a rate that is too high); ADC range;
15 to 18 bits left-justified in 18; LED current in steps of 0.2 mA; die temperature; shutdown and reset. An
oscillator that is off by a few percent, as users find it, is an argument.

Model limits
- Light is two numbers a moment (nA of photocurrent per mA of LED current, from `light`); LEDs do not age or warm.
- After a change of LED current the light settles with a time constant of 5 ms (assumed: the datasheet is silent).
- Ambient light is cancelled perfectly up to `ALC_LIMIT_NA` and saturates the converter above it.
- Noise is white, from a table: `noise_counts` rms at 411 us, growing as the pulse gets shorter.
- A_FULL is raised by the sample that makes the FIFO that full and not again until it was drained below. Reading
  FIFO data clears PPG_RDY but not A_FULL (pages 11 and 12 differ; this is the harder reading for a driver).
- A transaction that ends inside a sample loses the rest of that sample; an empty FIFO repeats the oldest entry.
- The edge of ALC_OVF is not foretold: it shows in the status register only.
- Proximity mode does not exist (it does not on this part, only on the MAX30101 family's others).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from boards.virtual.devices.part import Part

ADDRESS = 0x57
PART_ID = 0x15
REVISION = 0x03
DEPTH = 32
FULL = (1 << 18) - 1
ALC_LIMIT_NA = 200_000.0

# Register map (page 10).
STATUS1, STATUS2, ENABLE1, ENABLE2 = 0x00, 0x01, 0x02, 0x03
FIFO_WR, FIFO_OVF, FIFO_RD, FIFO_DATA, FIFO_CONFIG = 0x04, 0x05, 0x06, 0x07, 0x08
MODE, SPO2, LED1_PA, LED2_PA, SLOTS12, SLOTS34 = 0x09, 0x0A, 0x0C, 0x0D, 0x11, 0x12
TEMP_INT, TEMP_FRAC, TEMP_EN, REV_ID, ID = 0x1F, 0x20, 0x21, 0xFE, 0xFF

A_FULL, PPG_RDY, ALC_OVF, PWR_RDY = 0x80, 0x40, 0x20, 0x01  # STATUS1
TEMP_RDY = 0x02  # STATUS2
SHDN, RESET = 0x80, 0x40  # MODE

RATES = (50, 100, 200, 400, 800, 1000, 1600, 3200)  # samples a second by SPO2_SR
WIDTHS_US = (69, 118, 215, 411)  # by LED_PW; 15, 16, 17, 18 bits
RANGES_NA = (2048, 4096, 8192, 16384)  # full scale by SPO2_ADC_RGE
TOP_RATE_2 = (1600, 1000, 800, 400)  # highest rate by LED_PW with two LEDs (table 11)
TOP_RATE_1 = (3200, 1600, 1600, 1000)  # with one (table 12)

_WRITABLE = {ENABLE1: 0xE0, ENABLE2: TEMP_RDY, FIFO_WR: 31, FIFO_OVF: 31, FIFO_RD: 31, FIFO_CONFIG: 0xFF, SPO2: 0x7F}
_WRITABLE |= {LED1_PA: 0xFF, LED2_PA: 0xFF, SLOTS12: 0x77, SLOTS34: 0x77}
_RESTART = (SPO2, FIFO_CONFIG, SLOTS12, SLOTS34)
_SETTLE_US = 5000.0
_TEMP_US = 29_000  # page 3, typical
_NOISE = np.random.default_rng(30102).standard_normal(8191)

Light = Callable[[np.ndarray, str], np.ndarray]


class Max30102(Part):
    """One part. light(t_us, "red"|"ir") -> nA of photocurrent per mA of LED current; ambient_na(t_us) likewise in nA.

    clock_error: relative error of the sample oscillator (0.03: 3 % too many samples). brownouts_us: times at which
    the supply fails for a moment and every register returns to its reset value. swap_leds: a clone board with the
    LEDs exchanged. die_c: temperature.
    """

    def __init__(
        self,
        light: Light,
        *,
        clock_error: float = 0.0,
        part_id: int = PART_ID,
        brownouts_us: tuple[int, ...] = (),
        swap_leds: bool = False,
        die_c: float = 31.5,
        noise_counts: float = 2.0,
        ambient_na: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        super().__init__(brownouts_us)
        self._light = light
        self._clock = 1.0 + clock_error
        self._part_id = part_id
        self._leds = ("ir", "red") if swap_leds else ("red", "ir")
        self._die_c = die_c
        self._noise_counts = noise_counts
        self.measured_us = 0.0  # that went into samples
        self._ambient_na = ambient_na
        self._power_on(0)

    # Bus.

    def read(self, register: int, n: int, t_us: int) -> bytes:
        """Bytes from `register` on; the address moves on, except at the FIFO's data register."""
        self.advance(t_us)
        out = bytearray()
        while len(out) < n:
            if register == FIFO_DATA:
                out += self._fifo_bytes(n - len(out))
            else:
                out.append(self._read(register))
                register = (register + 1) & 0xFF
        return bytes(out)

    def write(self, register: int, data: bytes, t_us: int) -> None:
        """Write `data` to `register` on. Read-only registers and bits ignore it."""
        self.advance(t_us)
        for value in data:
            self._write(register, value)
            register = (register + 1) & 0xFF

    def next_edge_us(self, t_us: int) -> int | None:
        """When the INT line falls next if nobody touches the bus, None if it does not (or is low already)."""
        self.advance(t_us)
        edges = self._brownouts_us[:1]
        if self._low():
            return None
        enable = self._reg[ENABLE1]
        if self._temp_us is not None and self._reg[ENABLE2] & TEMP_RDY:
            edges.append(self._temp_us)
        if self._channels:
            room = DEPTH - self._count if not self._reg[FIFO_CONFIG] & 0x10 else 1 << 20
            if enable & PPG_RDY and room:
                edges.append(self._sample_us(self._made))
            more = self._threshold - self._count
            if enable & A_FULL and 0 < more <= room:
                edges.append(self._sample_us(self._made + more - 1))
        return min(edges) if edges else None

    # Time.

    def _live(self, t_us: int) -> None:
        self._now_us = max(self._now_us, t_us)
        if self._temp_us is not None and self._temp_us <= t_us:
            sixteenths = round(self._die_c * 16)
            self._reg[TEMP_INT], self._reg[TEMP_FRAC] = (sixteenths >> 4) & 0xFF, sixteenths & 15
            self._reg[TEMP_EN] = 0
            self._reg[STATUS2] |= TEMP_RDY
            self._temp_us = None
        if not self._channels or t_us < self._sample_us(self._made):
            return
        n = int((t_us - self._start_us) / (self._period_us * self._average)) - self._made + 1
        while self._sample_us(self._made + n - 1) > t_us:
            n -= 1
        for row in self._convert(self._made, n):
            self._push(row)
        self._made += n
        self.measured_us += n * self._average * self._period_us

    def _sample_us(self, i: int) -> int:
        """When FIFO sample i of this run is complete."""
        return self._start_us + int((i + 1) * self._average * self._period_us)

    def _convert(self, first: int, n: int) -> np.ndarray:
        """FIFO samples first .. first+n-1 of this run, (n, channels) counts."""
        conversion = np.arange(first * self._average, (first + n) * self._average)
        t_us = self._start_us + (conversion + 1) * self._period_us
        shift = 3 - self._width
        scale = (FULL + 1) / RANGES_NA[(self._reg[SPO2] >> 5) & 3]
        noise = self._noise_counts * (411 / WIDTHS_US[self._width]) ** 0.5
        too_bright = self._ambient_na is not None and self._ambient_na(t_us) > ALC_LIMIT_NA
        if np.any(too_bright):
            self._reg[STATUS1] |= ALC_OVF
        columns = []
        for k, led in enumerate(self._channels):
            new, old, since_us = self._current[led]
            ma = new + (old - new) * np.exp(-np.maximum(t_us - since_us, 0) / _SETTLE_US)
            counts = self._light(t_us, self._leds[led]) * ma * scale
            counts = counts + noise * _NOISE[(conversion * 2 + k * 4099) % len(_NOISE)]
            counts = np.where(too_bright, FULL, counts)
            counts = np.clip(np.floor(counts), 0, FULL).astype(np.int64) >> shift << shift
            columns.append(counts.reshape(n, self._average).sum(axis=1) // self._average)
        return np.stack(columns, axis=1)

    # Registers.

    def _power_on(self, t_us: int) -> None:
        self._reg = bytearray(256)
        self._reg[STATUS1] = PWR_RDY
        self._reg[REV_ID], self._reg[ID] = REVISION, self._part_id
        self._memory = [bytes(6)] * DEPTH
        self._count = 0
        self._temp_us: int | None = None
        self._current = [(0.0, 0.0, t_us)] * 2  # mA: new, old, since
        self._channels: tuple[int, ...] = ()
        self._start_us = t_us
        self._made = 0
        self._period_us = 20_000.0
        self._average = 1

    @property
    def _width(self) -> int:
        return self._reg[SPO2] & 3

    @property
    def _threshold(self) -> int:
        return DEPTH - (self._reg[FIFO_CONFIG] & 15)

    def _low(self) -> bool:
        reg = self._reg
        return bool(reg[STATUS1] & (reg[ENABLE1] | PWR_RDY) or reg[STATUS2] & reg[ENABLE2])

    def _read(self, register: int) -> int:
        value = self._reg[register]
        if register in (STATUS1, STATUS2):
            self._reg[register] = 0
        elif register == TEMP_FRAC:
            self._reg[STATUS2] &= ~TEMP_RDY
        return value

    def _write(self, register: int, value: int) -> None:
        if register == MODE:
            if value & RESET:
                self._power_on(self._now_us)
                return
            self._reg[MODE] = value & (SHDN | 7)
            if value & SHDN:  # page 17: interrupts are cleared in this state
                self._reg[STATUS1] = self._reg[STATUS2] = 0
            self._restart()
        elif register == TEMP_EN:
            if value & 1 and self._temp_us is None:
                self._reg[TEMP_EN] = 1
                self._temp_us = self._now_us + _TEMP_US
        elif register in _WRITABLE:
            if register == FIFO_WR and self._reg[MODE] & 7 not in (2, 3, 7):
                return  # page 12: changeable in the measuring modes only
            value &= _WRITABLE[register]
            self._reg[register] = value
            if register in (FIFO_WR, FIFO_RD):
                self._count = (self._reg[FIFO_WR] - self._reg[FIFO_RD]) % DEPTH
            elif register in (LED1_PA, LED2_PA):
                led = register - LED1_PA
                self._current[led] = (value * 0.2, self._current[led][0], self._now_us)
            elif register in _RESTART:
                self._restart()

    def _restart(self) -> None:
        """Begin a new run of conversions with the settings as they are."""
        reg = self._reg
        mode = reg[MODE] & 7
        slots = [reg[SLOTS12] & 7, reg[SLOTS12] >> 4, reg[SLOTS34] & 7, reg[SLOTS34] >> 4]
        channels = {2: (0,), 3: (0, 1), 7: tuple(s - 1 for s in slots if s in (1, 2))}.get(mode, ())
        if reg[MODE] & SHDN:
            channels = ()
        top = (TOP_RATE_1 if len(channels) == 1 else TOP_RATE_2)[self._width]
        code = min((reg[SPO2] >> 2) & 7, RATES.index(top))
        if channels:
            reg[SPO2] = reg[SPO2] & ~0x1C | code << 2
        if channels and not self._channels:  # the LEDs were dark
            self._current = [(new, 0.0, self._now_us) for new, _, _ in self._current]
        self._channels = channels
        self._start_us = self._now_us
        self._made = 0
        self._period_us = 1e6 / (RATES[code] * self._clock)
        self._average = 1 << min(reg[FIFO_CONFIG] >> 5, 5)

    # FIFO.

    def _push(self, row: np.ndarray) -> None:
        reg = self._reg
        if self._count == DEPTH:
            reg[FIFO_OVF] = min(reg[FIFO_OVF] + 1, 31)
            if not reg[FIFO_CONFIG] & 0x10:
                return
            reg[FIFO_RD] = (reg[FIFO_RD] + 1) % DEPTH  # rolls over: the oldest is lost
            self._count -= 1
        self._memory[reg[FIFO_WR]] = b"".join(int(v).to_bytes(3, "big") for v in row)
        reg[FIFO_WR] = (reg[FIFO_WR] + 1) % DEPTH
        self._count += 1
        reg[STATUS1] |= PPG_RDY
        if self._count == self._threshold:
            reg[STATUS1] |= A_FULL

    def _fifo_bytes(self, n: int) -> bytes:
        """The oldest sample, at most n bytes of it."""
        reg = self._reg
        sample = self._memory[reg[FIFO_RD]]
        if self._count:
            reg[FIFO_RD] = (reg[FIFO_RD] + 1) % DEPTH
            reg[FIFO_OVF] = 0
            self._count -= 1
        reg[STATUS1] &= ~PPG_RDY
        return sample[:n]
