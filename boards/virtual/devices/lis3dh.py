"""LIS3DH accelerometer, from the datasheet DocID17530 Rev 2 (December 2016).

Registers with their reset values and access rules; output rates; ranges with their sensitivities; high-resolution,
normal and low-power readings of 12, 10 and 8 bits, left-justified; settling after a change of mode; FIFO of 32
samples in bypass, FIFO and stream mode with watermark, overrun and empty flags; data-ready with overrun; block data
update; address auto-increment by the sub-address' top bit; INT1 (data ready, watermark, overrun) and its polarity.

Model limits
- A reading from OUT_X_L on returns to OUT_X_L after OUT_Z_H while the FIFO is on, and each six bytes take one sample
  (ST's application note AN3308; the datasheet does not say). A read that ends inside a sample loses its rest.
- OVRN_FIFO comes with the 32nd sample and goes when one is read (AN3308; page 22 has "is overwritten").
- Mode stream-to-FIFO stays in stream mode; inertial interrupts, click, 6D, high-pass, self-test, auxiliary ADC and
  temperature do nothing (their registers keep what is written).
- Samples read through the FIFO have `fifo_bits`: 10, as users report of this part, unless told otherwise.
- An INT1 that is not active low counts as never falling. CTRL_REG4's BLE and SIM do nothing.
- Noise is white, from a table; offset is none.
"""

from __future__ import annotations

import numpy as np

from boards.virtual.devices.part import Part

ADDRESS = 0x18  # SA0 low (page 25)
PART_ID = 0x33
DEPTH = 32

WHO_AM_I, CTRL0, TEMP_CFG = 0x0F, 0x1E, 0x1F
CTRL1, CTRL2, CTRL3, CTRL4, CTRL5, CTRL6, REFERENCE, STATUS = 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27
OUT_X_L, OUT_Z_H, FIFO_CTRL, FIFO_SRC = 0x28, 0x2D, 0x2E, 0x2F

WTM, OVRN, EMPTY = 0x80, 0x40, 0x20  # FIFO_SRC
I1_ZYXDA, I1_WTM, I1_OVERRUN = 0x10, 0x04, 0x02  # CTRL3
BDU, HR = 0x80, 0x08  # CTRL4
FIFO_EN, BOOT = 0x40, 0x80  # CTRL5
BYPASS, FIFO, STREAM = 0, 1, 2  # FIFO_CTRL 7:6

RATES = (0, 1, 10, 25, 50, 100, 200, 400, 1620, 1344)  # by ODR; the last is 5376 in low power
MG_PER_STEP = {12: (1, 2, 4, 12), 10: (4, 8, 16, 48), 8: (16, 32, 64, 192)}  # by range 2, 4, 8, 16 g (table 4)

_RESET = {CTRL0: 0x10, CTRL1: 0x07, WHO_AM_I: PART_ID}
_WRITABLE = (CTRL0, TEMP_CFG, *range(CTRL1, REFERENCE + 1), FIFO_CTRL, *range(0x30, 0x40))
_WRITABLE = tuple(r for r in _WRITABLE if r not in (0x31, 0x35, 0x39))  # the sources
_SETTLE = 7  # samples after a change to high resolution (page 16)
_NOISE = np.random.default_rng(3).standard_normal(8191)


class Lis3dh(Part):
    """One part. g: (n, 3) acceleration at fs Hz from time 0, which stays at its last value after its end.

    clock_error: relative error of the output rate. part_id: of WHO_AM_I. brownouts_us: times at which the supply fails
    for a moment and every register returns to its reset value.
    """

    def __init__(
        self,
        g: np.ndarray,
        fs: float,
        *,
        clock_error: float = 0.0,
        part_id: int = PART_ID,
        brownouts_us: tuple[int, ...] = (),
        noise_mg: float = 2.0,
        fifo_bits: int = 10,
    ):
        super().__init__(brownouts_us)
        self._g = np.nan_to_num(np.asarray(g, float))
        self._fs = fs
        self._clock = 1.0 + clock_error
        self._part_id = part_id
        self._noise_mg = noise_mg
        self._fifo_bits = fifo_bits
        self._power_on(0)

    # Bus.

    def read(self, register: int, n: int, t_us: int) -> bytes:
        """Bytes from `register` on; its top bit makes the address move on."""
        self.advance(t_us)
        on, register = register & 0x80, register & 0x7F
        out = bytearray()
        while len(out) < n:
            out.append(self._read(register))
            if on:
                register = OUT_X_L if register == OUT_Z_H and self._fifo_on else (register + 1) & 0x7F
        if self._held is not None and self._fifo_on:
            self._held = None  # what is left of a sample is lost
        return bytes(out)

    def write(self, register: int, data: bytes, t_us: int) -> None:
        """Write `data` to `register` on. Read-only registers ignore it."""
        self.advance(t_us)
        on, register = register & 0x80, register & 0x7F
        for value in data:
            self._write(register, value)
            register = (register + 1) & 0x7F if on else register

    def next_edge_us(self, t_us: int) -> int | None:
        """When INT1 falls next if nobody touches the bus, None if it does not (or is low already)."""
        self.advance(t_us)
        edges = self._edges_us()
        return max(t_us, min(edges)) if edges and not self._low() else None

    def _edges_us(self) -> list[int]:
        if not self._reg[CTRL6] & 2 or not self._period_us:
            return []
        enable = self._reg[CTRL3]
        more = [1] if enable & I1_ZYXDA else []
        if self._fifo_on:
            more += [self._threshold + 1 - len(self._fifo)] if enable & I1_WTM else []
            more += [DEPTH - len(self._fifo)] if enable & I1_OVERRUN else []
        return [self._sample_us(self._made + m - 1) for m in more if m > 0]

    # Time.

    def _live(self, t_us: int) -> None:
        self._now_us = max(self._now_us, t_us)
        if not self._period_us or t_us < self._sample_us(self._made):
            return
        n = int((t_us - self._start_us) / self._period_us) - self._made + 1
        while self._sample_us(self._made + n - 1) > t_us:
            n -= 1
        for row in self._convert(self._made, n):
            self._push(row)
        self._made += n

    def _sample_us(self, i: int) -> int:
        """When sample i of this run is complete."""
        return self._start_us + int((i + 1) * self._period_us)

    def _convert(self, first: int, n: int) -> list[tuple[int, ...]]:
        """Samples first .. first+n-1 of this run as words."""
        i = first + np.arange(n)
        at = (self._start_us + (i + 1) * self._period_us) * 1e-6 * self._fs
        mg = 1000 * np.stack([np.interp(at, np.arange(len(self._g)), column) for column in self._g.T], axis=1)
        mg += self._noise_mg * _NOISE[(3 * i[:, None] + np.arange(3)) % len(_NOISE)]
        mg *= np.minimum((i[:, None] + 1) / _SETTLE, 1) if self._bits == 12 else 1
        bits = min(self._bits, self._fifo_bits) if self._fifo_on else self._bits
        step = MG_PER_STEP[bits][(self._reg[CTRL4] >> 4) & 3]
        top = 1 << (bits - 1)
        words = np.clip(np.floor(mg / step + 0.5), -top, top - 1).astype(int) << (16 - bits)
        words[:, [not self._reg[CTRL1] & 1 << a for a in range(3)]] = 0
        return [tuple(row) for row in words.tolist()]

    def _push(self, row: tuple[int, ...]) -> None:
        if self._fifo_on:
            if len(self._fifo) == DEPTH:
                if self._mode == FIFO:
                    return
                self._fifo.pop(0)
            self._fifo.append(row)
            return
        if self._reg[STATUS] & 0x08:
            self._reg[STATUS] |= 0xF0
        self._reg[STATUS] |= 0x0F
        self._last = row

    # Registers.

    def _power_on(self, t_us: int) -> None:
        self._reg = bytearray(128)
        for register, value in _RESET.items():
            self._reg[register] = value
        self._reg[WHO_AM_I] = self._part_id
        self._last: tuple[int, ...] = (0, 0, 0)
        self._restart(t_us)

    def _restart(self, t_us: int) -> None:
        """Begin a new run with the settings as they are."""
        code = self._reg[CTRL1] >> 4
        rate = RATES[code] if code < len(RATES) else 0
        if code == 9 and self._reg[CTRL1] & 8:
            rate = 5376
        self._period_us = 1e6 / (rate * self._clock) if rate else 0.0
        self._start_us = t_us
        self._made = 0
        self._fifo: list[tuple[int, ...]] = []
        self._held: tuple[int, ...] | None = None

    @property
    def _bits(self) -> int:
        return 8 if self._reg[CTRL1] & 8 else 12 if self._reg[CTRL4] & HR else 10

    @property
    def _mode(self) -> int:
        return self._reg[FIFO_CTRL] >> 6

    @property
    def _fifo_on(self) -> bool:
        return bool(self._reg[CTRL5] & FIFO_EN and self._mode != BYPASS)

    @property
    def _threshold(self) -> int:
        return self._reg[FIFO_CTRL] & 31

    def _source(self) -> int:
        n = len(self._fifo)
        flags = WTM * (n > self._threshold) | OVRN * (n == DEPTH) | EMPTY * (n == 0)
        return flags | min(n, 31) if self._fifo_on else EMPTY

    def _low(self) -> bool:
        reg, source = self._reg, self._source()
        waits = reg[CTRL3] & I1_ZYXDA and reg[STATUS] & 0x08
        waits = waits or (reg[CTRL3] & I1_WTM and source & WTM) or (reg[CTRL3] & I1_OVERRUN and source & OVRN)
        return bool(waits and reg[CTRL6] & 2)

    def _read(self, register: int) -> int:
        if register == FIFO_SRC:
            return self._source()
        if not OUT_X_L <= register <= OUT_Z_H:
            return self._reg[register]
        axis, high = divmod(register - OUT_X_L, 2)
        if self._fifo_on:
            if axis == high == 0 or self._held is None:
                self._held = self._fifo.pop(0) if self._fifo else self._held or (0, 0, 0)
            word = self._held[axis]
        else:
            if self._held is None or not high or not self._reg[CTRL4] & BDU:
                self._held = self._last
            word = self._held[axis]
            self._reg[STATUS] &= ~(0x11 << axis)
            self._reg[STATUS] &= ~0x88 if not self._reg[STATUS] & 7 else 0xFF
        return (word >> 8 if high else word) & 0xFF

    def _write(self, register: int, value: int) -> None:
        if register not in _WRITABLE:
            return
        if register == CTRL5 and value & BOOT:  # the trimming is loaded anew; the bit clears itself
            value &= ~BOOT
        changed = self._reg[register] ^ value
        self._reg[register] = value
        if changed and (register == CTRL1 or (register == CTRL4 and changed & HR)):
            self._restart(self._now_us)
        elif register in (FIFO_CTRL, CTRL5) and not self._fifo_on:
            self._fifo, self._held = [], None
