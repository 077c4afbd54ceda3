"""MAX17048 fuel gauge, from the datasheet 19-6171 Rev 7 (November 2016), on a modelled lithium cell.

Registers of 16 bits with their reset values and access rules; VCELL in 78.125 uV, SOC in 1/256 %, CRATE in 0.208 %/h;
updates each 250 ms; state-of-charge alert with its threshold; reset indicator; power-on reset by command.

Model limits
- The gauge knows the cell's true charge from the first conversion on: ModelGauge's convergence after insertion, its
  error and RCOMP's temperature compensation are not modelled; quick start and the custom model do nothing.
- The cell is an open-circuit voltage by charge, a series resistance and a load that is a function of time; no
  relaxation, temperature or ageing.
- CRATE follows the load at once. Hibernation and sleep keep their bits and change nothing.
- Voltage alerts, the 1 % alert and VRESET keep what is written and do nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ADDRESS = 0x36
VCELL, SOC, MODE, VERSION, HIBRT, CONFIG, VALRT, CRATE, VRESET, STATUS, CMD = (
    *(0x02, 0x04, 0x06, 0x08, 0x0A, 0x0C),
    *(0x14, 0x16, 0x18, 0x1A, 0xFE),
)
POR = 0x5400  # of CMD
ALRT = 0x20  # of CONFIG
RI, HD = 0x0100, 0x1000  # of STATUS: reset indicator; SOC is low

_RESET = {HIBRT: 0x8030, CONFIG: 0x971C, VALRT: 0x00FF, VRESET: 0x9600, STATUS: RI}
_WRITABLE = (HIBRT, CONFIG, VALRT, VRESET, STATUS)
_UPDATE_US = 250_000
_STEP_S = 1.0
# Open-circuit voltage of a common 4.2 V cell at rest, by charge in percent.
_OCV = ((0, 3.27), (5, 3.61), (10, 3.69), (20, 3.75), (40, 3.80), (60, 3.90), (80, 4.02), (100, 4.19))


class Cell:
    """One cell. mah: capacity. charge_pct: at time 0. load_ma: drawn at a time in seconds, negative: it charges."""

    def __init__(
        self, mah: float, charge_pct: float = 100.0, load_ma: Callable[[float], float] | float = 50.0, ohm: float = 0.15
    ):
        self.mah = mah
        self._load = load_ma if callable(load_ma) else lambda _t_s: load_ma
        self._ohm = ohm
        self._charge_mah = mah * charge_pct / 100
        self._t_s = 0.0

    def advance(self, t_s: float) -> None:
        """Let time pass."""
        while self._t_s < t_s:
            step_s = min(_STEP_S, t_s - self._t_s)
            self._charge_mah -= self._load(self._t_s) * step_s / 3600
            self._charge_mah = min(max(self._charge_mah, 0.0), self.mah)
            self._t_s += step_s

    @property
    def charge_pct(self) -> float:
        """State of charge."""
        return 100 * self._charge_mah / self.mah

    @property
    def rate_pct_per_h(self) -> float:
        """Change of charge: negative while it falls."""
        return -100 * self._load(self._t_s) / self.mah

    @property
    def volts(self) -> float:
        """At the terminals."""
        pct, volts = zip(*_OCV, strict=True)
        return float(np.interp(self.charge_pct, pct, volts)) - self._ohm * self._load(self._t_s) / 1000


class Max17048:
    """One part on `cell`. version: of its VERSION register."""

    def __init__(self, cell: Cell, *, version: int = 0x0012):
        self._cell = cell
        self._version = version
        self._reg = dict(_RESET)
        self._measured = {VCELL: 0, SOC: 0, CRATE: 0}
        self._next_us = 0
        self._was_below = False

    def read(self, register: int, n: int, t_us: int) -> bytes:
        """Bytes from `register` on; registers follow one another by their even addresses."""
        self._live(t_us)
        words = b"".join(self._word(register + 2 * i).to_bytes(2, "big") for i in range((n + 1) // 2))
        return words[:n]

    def write(self, register: int, data: bytes, t_us: int) -> None:
        """Write whole words from `register` on; half a word and read-only registers are ignored."""
        self._live(t_us)
        for i in range(0, len(data) - 1, 2):
            at, value = register + i, int.from_bytes(data[i : i + 2], "big")
            if at == CMD and value == POR:
                self._reg = dict(_RESET)
                self._was_below = False
            elif at in _WRITABLE:
                self._reg[at] = value

    def level(self, t_us: int) -> int:
        """Of the alert line: low while an alert waits."""
        self._live(t_us)
        return 0 if self._reg[CONFIG] & ALRT else 1

    def _word(self, register: int) -> int:
        if register == VERSION:
            return self._version
        return self._measured.get(register, self._reg.get(register, 0))

    def _live(self, t_us: int) -> None:
        if t_us < self._next_us:
            return
        self._next_us = t_us - t_us % _UPDATE_US + _UPDATE_US
        cell = self._cell
        cell.advance(t_us / 1e6)
        self._measured[VCELL] = max(0, min(0xFFFF, round(cell.volts / 78.125e-6)))
        self._measured[SOC] = round(cell.charge_pct * 256)
        self._measured[CRATE] = round(cell.rate_pct_per_h / 0.208) & 0xFFFF
        below = cell.charge_pct < 32 - (self._reg[CONFIG] & 0x1F)
        if below and not self._was_below:
            self._reg[CONFIG] |= ALRT
            self._reg[STATUS] |= HD
        self._was_below = below
