"""MAX30003 ECG front end, from the datasheet 19-8558; registers and tags checked against two published drivers.

SPI mode 0: a command byte (address and read bit), then 24 bits, or sample after sample in a burst of the FIFO. The
registers with their reset values; STATUS with EINT and EOVF as long as their condition holds, DCLOFFINT, FSTINT,
LONINT and PLLINT also until they are read; EN_INT and the INTB line; a FIFO of 32 samples with ETAG (valid, fast, last
of the FIFO, empty, overflow) that gives nothing but overflow until FIFO_RST or SYNCH; master clock and rate tables;
gain; digital filters; DC lead-off detection by current and threshold with its 115 ms; lead-on detection while the
channel is off; automatic fast recovery (beyond its threshold for 125 ms, then 500 ms); inputs that are isolated until
EMUX connects them; resistive bias that only an enabled channel takes.

Model limits
- R-to-R detection, calibration sources and the SAMP pulse do nothing (their registers keep what is written).
- PLL lock takes 10 ms and is never lost; a fast high-pass settles with 10 ms (both assumed: the datasheet is silent).
- The decimator and its low-pass delay by 20 ms, with the 40 Hz filter by 32 ms (assumed), as a linear-phase filter.
- Electrodes are two impedances and a DC offset; the common mode is not modelled. An electrode that is off goes to what
  current and bias make of it, at most 0.9 V, and picks up nothing.
- The INTB edges of FSTINT and PLLINT are not foretold: they show in STATUS only.
- Noise is white, from a table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import signal

from boards.virtual.devices.part import Part

STATUS, EN_INT, EN_INT2, MNGR_INT, MNGR_DYN = 0x01, 0x02, 0x03, 0x04, 0x05
SW_RST, SYNCH, FIFO_RST, INFO = 0x08, 0x09, 0x0A, 0x0F
CNFG_GEN, CNFG_CAL, CNFG_EMUX, CNFG_ECG, CNFG_RTOR1, CNFG_RTOR2 = 0x10, 0x12, 0x14, 0x15, 0x1D, 0x1E
FIFO_BURST, FIFO = 0x20, 0x21

EINT, EOVF, FSTINT, DCLOFFINT, LONINT, PLLINT = 1 << 23, 1 << 22, 1 << 21, 1 << 20, 1 << 11, 1 << 8
VALID, FAST, LAST, EMPTY, OVERFLOW = 0, 1, 2, 6, 7  # ETAG; LAST is added to the first two
DEPTH = 32
FULL = (1 << 17) - 1
PART = 3  # INFO bits 13:12
REVISION = 1

_RESET = {EN_INT: 3, EN_INT2: 3, MNGR_INT: 0x780004, MNGR_DYN: 0x3F0000, CNFG_GEN: 4, CNFG_CAL: 0x4800}
_RESET |= {CNFG_EMUX: 0x300000, CNFG_ECG: 0x805000, CNFG_RTOR1: 0x3FA300, CNFG_RTOR2: 0x202400}
_LATCHED = DCLOFFINT | FSTINT | LONINT | PLLINT
RATES = ((512.0, 256.0, 128.0), (500.0, 250.0, 125.0), (0, 0, 200.0), (0, 0, 199.8049))  # by FMSTR, RATE
CURRENTS_NA = (0, 5, 10, 20, 50, 100, 0, 0)
THRESHOLDS_MV = (300, 400, 450, 500)
BIASES_MOHM = (50, 100, 200, 200)

_PLL_US = 10_000
_OFF_US = 115_000  # DCLOFFINT
_SATURATED_S, _FAST_S = 0.125, 0.5
_SLOW_HZ, _FAST_TAU_S = 0.5, 0.01  # the high-pass of 1 uF between CAPP and CAPN, and both when fast
_RAIL_MV, _INPUT_MV = 900.0, 650.0
_FINE_HZ = 1000.0
_DELAY_S = (0.020, 0.032)  # without and with the digital low-pass
_CUTOFF_HZ = (110.0, 40.0, 100.0, 110.0)  # by DLPF; the decimator ends at 0.45 of 250/s
_NOISE = np.random.default_rng(30003).standard_normal(8191)
_NEVER = float("inf")


class Max30003(Part):
    """One part. ecg: mV between the electrodes, at fs Hz from time 0. off_s: [(from, to)] in which the positive
    electrode is off.

    clock_error: relative error of the 32,768 Hz crystal (0.01: 1 % too many samples). part: INFO's part number.
    brownouts_us: times at which the supply fails for a moment and every register returns to its reset value.
    contact_mohm: impedance of an electrode on the skin (dry ones reach tens). offset_mv: DC between the electrodes.
    repeat: the signal begins anew where it ends, instead of the electrode coming off.
    """

    def __init__(
        self,
        ecg: np.ndarray,
        fs: float,
        *,
        off_s: Sequence[tuple[float, float]] = (),
        clock_error: float = 0.0,
        part: int = PART,
        brownouts_us: tuple[int, ...] = (),
        contact_mohm: float = 0.2,
        offset_mv: float = 30.0,
        noise_uv: float = 0.8,
        repeat: bool = False,
    ):
        super().__init__(brownouts_us)
        self._fine, self._fs = _fine(ecg, fs)
        self._filtered: dict[int, np.ndarray] = {}
        self._repeat = repeat
        ends_us = _NEVER if repeat else 1e6 * len(self._fine) / self._fs
        self._off_us = [(1e6 * a, 1e6 * b) for a, b in off_s] + [(ends_us, _NEVER)] * (not repeat)
        self._clock = 1.0 + clock_error
        self._part = part
        self._contact_mohm, self._offset_mv, self._noise_uv = contact_mohm, offset_mv, noise_uv
        self._fell_us: int | None = None  # the line fell because of what was written, not yet told
        self._power_on(0)

    # Bus.

    def transfer(self, data: bytes, t_us: int) -> bytes:
        """One transaction; anything shorter than 32 clocks is ignored."""
        self.advance(t_us)
        answer = bytearray(len(data))
        if len(data) < 4:
            return bytes(answer)
        register, was_low = data[0] >> 1, self._low()
        if not data[0] & 1:
            self._write(register, int.from_bytes(data[1:4], "big"))
        else:
            words = (len(data) - 1) // 3 if register == FIFO_BURST else 1
            for i in range(words):
                answer[1 + 3 * i : 4 + 3 * i] = self._read(register).to_bytes(3, "big")
        if not was_low and self._low():
            self._fell_us = t_us
        return bytes(answer)

    def next_edge_us(self, t_us: int) -> int | None:
        """When INTB falls next if nobody touches the bus, None if it does not (or is low already)."""
        self.advance(t_us)
        if self._fell_us is not None:
            fell_us, self._fell_us = self._fell_us, None
            return fell_us
        if self._low():
            return None
        enable = self._reg[EN_INT] | self._reg[EN_INT2]
        edges: list[float] = []
        if self._period_us and not self._overflow:
            if enable & EINT:
                edges.append(self._sample_us(self._made + self._threshold - len(self._fifo) - 1))
            if enable & EOVF:
                edges.append(self._sample_us(self._made + DEPTH - len(self._fifo)))
        if enable & DCLOFFINT and self._detects:
            edges += [max(a, self._detect_us) + _OFF_US for a, b in self._off_us if b - max(a, t_us) > _OFF_US]
        if enable & LONINT and self._sleeps:
            edges += [b for _, b in self._off_us if b > t_us]
        edges = [edge for edge in edges if edge < _NEVER]
        return max(t_us, int(min(edges))) if edges else None

    # Time.

    def _live(self, t_us: int) -> None:
        self._now_us = max(self._now_us, t_us)
        if self._detects:
            for a, b in self._off_us:
                start_us = max(a, self._detect_us) + _OFF_US
                if start_us <= self._now_us and start_us <= b and b > self._read_us and self._off_mv(True)[0]:
                    self._status |= DCLOFFINT
        if self._sleeps and self._off_at(t_us) is None:
            self._status |= LONINT
        if self._period_us and self._start_us + _PLL_US <= self._now_us:
            self._unlocked = False
        if not self._period_us or t_us < self._sample_us(self._made):
            return
        n = int((t_us - self._start_us - _PLL_US) / self._period_us) - self._made + 1
        while self._sample_us(self._made + n - 1) > t_us:
            n -= 1
        self._convert(n)

    def _sample_us(self, i: int) -> float:
        """When sample i of this run is complete."""
        return self._start_us + _PLL_US + (i + 1) * self._period_us

    def _convert(self, n: int) -> None:
        """Make the next n samples of this run."""
        t_us = self._start_us + _PLL_US + (self._made + 1 + np.arange(n)) * self._period_us
        mv = self._input_mv(t_us)
        noise = self._noise_uv * 1e-3 * _NOISE[(self._made + np.arange(n)) % len(_NOISE)]
        gain = 20 << ((self._reg[CNFG_ECG] >> 16) & 3)
        dt_s = self._period_us * 1e-6
        slow, fast = 1 - np.exp(-2 * np.pi * _SLOW_HZ * dt_s), 1 - np.exp(-dt_s / _FAST_TAU_S)
        digital = bool(self._reg[CNFG_ECG] & 0x4000)
        mode = self._reg[MNGR_DYN] >> 22
        limit = 2048 * ((self._reg[MNGR_DYN] >> 16) & 0x3F)
        for x, e in zip(mv.tolist(), noise.tolist(), strict=True):
            if self._made == 0:
                self._high, self._low_end = x, 0.0
            hurry = mode == 1 or self._fast_left > 0
            k = fast if hurry else slow
            self._high += (x - self._high) * k
            y = x - self._high + e
            if digital:
                self._low_end += (y - self._low_end) * k
                y -= self._low_end
            code = int(max(-FULL - 1, min(FULL, round(y * gain * 131.072))))
            self._saturated = self._saturated + 1 if abs(code) > limit else 0
            if self._fast_left:
                self._fast_left -= 1
            elif mode == 2 and self._saturated * dt_s > _SATURATED_S:
                self._fast_left, self._saturated = round(_FAST_S / dt_s), 0
            if hurry:
                self._status |= FSTINT
            self._push(FAST if hurry else VALID, code)
            self._made += 1

    def _input_mv(self, t_us: np.ndarray) -> np.ndarray:
        """Differential input after the low-pass, within what the input stage takes."""
        emux = self._reg[CNFG_EMUX]
        if emux & 0x300000:  # isolated
            return np.zeros(len(t_us))
        code = (self._reg[CNFG_ECG] >> 12) & 3
        if code not in self._filtered:
            self._filtered[code] = _delayed(self._fine, self._fs, code)
        fine = self._filtered[code]
        at = t_us * 1e-6 * self._fs
        at = at % (len(fine) - 1.001) if self._repeat else np.clip(at, 0, len(fine) - 1.001)
        i = at.astype(np.int64)
        mv = fine[i] + (at - i) * (fine[i + 1] - fine[i]) + self._offset_mv
        for a, b in self._off_us:
            mv = np.where((t_us >= a) & (t_us < b), self._off_mv(True)[1] or 0.0, mv)
        return np.clip(-mv if emux >> 23 else mv, -_INPUT_MV, _INPUT_MV)

    # Electrodes.

    def _off_at(self, t_us: float) -> tuple[float, float] | None:
        return next(((a, b) for a, b in self._off_us if a <= t_us < b), None)

    def _off_mv(self, off: bool) -> tuple[int, float]:
        """LDOFF bits and voltage of the positive electrode against VMID, off or on."""
        general = self._reg[CNFG_GEN]
        na = CURRENTS_NA[(general >> 8) & 7] * (-1 if general & 0x800 else 1)
        bias = general & 0x30 == 0x10 and general & 2
        mohm = self._contact_mohm if not off else BIASES_MOHM[(general >> 2) & 3] if bias else 1e6
        mv = max(-_RAIL_MV, min(_RAIL_MV, na * mohm))
        limit = THRESHOLDS_MV[(general >> 6) & 3]
        return (8 if mv > limit else 4 if mv < -limit else 0), mv

    @property
    def _detects(self) -> bool:
        return self._reg[CNFG_GEN] & 0x083000 == 0x081000

    @property
    def _sleeps(self) -> bool:
        return self._reg[CNFG_GEN] & 0xC80000 == 0x400000

    # Registers.

    def _power_on(self, t_us: int) -> None:
        self._reg = dict(_RESET)
        self._status = 0  # the latched bits
        self._read_us = -1  # last reading of STATUS
        self._detect_us = t_us
        self._restart(t_us)

    def _restart(self, t_us: int) -> None:
        """Begin a new run with the settings as they are."""
        general = self._reg[CNFG_GEN]
        code = self._reg[CNFG_ECG] >> 22
        rate = RATES[(general >> 20) & 3][code] if general & 0x80000 and code < 3 else 0
        self._period_us = 1e6 / (rate * self._clock) if rate else 0.0
        self._start_us = t_us
        self._unlocked = bool(rate)
        self._made = 0
        self._high = self._low_end = 0.0
        self._saturated = self._fast_left = 0
        self._clear()

    def _clear(self) -> None:
        self._fifo: list[tuple[int, int]] = []
        self._overflow = False

    @property
    def _threshold(self) -> int:
        return (self._reg[MNGR_INT] >> 19) + 1

    def _conditions(self) -> int:
        """STATUS as it stands."""
        bits = self._status
        if len(self._fifo) >= self._threshold or self._overflow:
            bits |= EINT
        if self._overflow:
            bits |= EOVF
        if self._unlocked:
            bits |= PLLINT
        if self._detects:
            bits |= self._off_mv(self._off_at(self._now_us) is not None)[0]
            if self._off_mv(False)[0] and self._now_us - self._detect_us >= _OFF_US:
                bits |= DCLOFFINT
        return bits

    def _low(self) -> bool:
        return bool(self._conditions() & (self._reg[EN_INT] | self._reg[EN_INT2]) & 0xFFFF00)

    def _read(self, register: int) -> int:
        if register == STATUS:
            bits = self._conditions()
            self._status = 0
            self._read_us = self._now_us
            self._live(self._now_us)  # what still holds is set again
            return bits
        if register in (FIFO, FIFO_BURST):
            return self._pop()
        if register == INFO:
            return 0x500000 | REVISION << 16 | self._part << 12
        return self._reg.get(register, 0)

    def _write(self, register: int, value: int) -> None:
        if register == SW_RST:
            self._power_on(self._now_us)
        elif register == SYNCH:
            self._restart(self._now_us)
        elif register == FIFO_RST:
            self._clear()
        elif register in self._reg:
            if register == CNFG_GEN and not value & 0x80000:
                value &= ~0x30  # bias is for an enabled channel
            changed = value != self._reg[register]
            self._reg[register] = value
            if register in (CNFG_GEN, CNFG_ECG) and changed:
                self._detect_us = self._now_us
                self._restart(self._now_us)
                if self._sleeps:
                    self._status |= LONINT  # until STATUS is read

    # FIFO.

    def _push(self, tag: int, code: int) -> None:
        if len(self._fifo) == DEPTH:
            self._overflow = True
        if not self._overflow:
            self._fifo.append((tag, code))

    def _pop(self) -> int:
        if self._overflow:
            return OVERFLOW << 3
        if not self._fifo:
            return EMPTY << 3
        tag, code = self._fifo.pop(0)
        return (code & 0x3FFFF) << 6 | (tag if self._fifo else tag + LAST) << 3


def _fine(ecg: np.ndarray, fs: float) -> tuple[np.ndarray, float]:
    """The signal finely sampled, lost samples bridged, and its rate."""
    ecg = np.asarray(ecg, dtype=float)
    known = np.isfinite(ecg)
    if not known.all():
        at = np.arange(len(ecg))
        ecg = np.interp(at, at[known], ecg[known]) if known.any() else np.zeros(len(ecg))
    up = max(1, round(_FINE_HZ / fs))
    return (np.asarray(signal.resample_poly(ecg, up, 1, padtype="line")) if up > 1 else ecg), fs * up


def _delayed(fine: np.ndarray, fs: float, dlpf: int) -> np.ndarray:
    """`fine` after the decimator and the digital low-pass: linear phase, late by its delay."""
    delay = round(_DELAY_S[dlpf == 1] * fs)
    taps = signal.firwin(2 * delay + 1, _CUTOFF_HZ[dlpf], fs=fs)
    padded = np.concatenate([np.full(2 * delay, fine[0]), fine])
    return signal.oaconvolve(padded, taps, mode="valid")
