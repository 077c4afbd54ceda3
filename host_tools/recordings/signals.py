"""What every format is read into and written from: named channels with units and rates, and marks at times.

A channel keeps the scale of the file's integers, so that a format with integers gives back the integers of another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

import numpy as np

from host_tools.errors import UserError

_DECIMALS = 6
_COUNTS = 1 << 23  # 24 bits with a sign: the widest sample of WFDB's usual formats and of BDF


@dataclass
class Channel:
    """One signal. values: (n,) in `unit`, NaN where a sample is lost. unit: "" where the file names none.

    Integers of the file are values * gain + baseline; gain is None where the file has none. EDF has half baselines.
    """

    name: str
    unit: str
    fs: float
    values: np.ndarray
    gain: float | None = None
    baseline: float = 0

    def scaled(self) -> tuple[Channel, bool]:
        """The same with a scale, and whether its integers hold every value exactly."""
        if self.gain is not None:
            return self, True
        known = self.values[np.isfinite(self.values)]
        most = float(np.abs(known).max(initial=0.0))
        for digits in range(_DECIMALS + 1):
            gain = 10.0**digits
            counts = known * gain
            if most * gain >= _COUNTS:
                break
            if np.array_equal(np.rint(counts) / gain, known):
                return self._with(gain), True
        return self._with(10.0 ** np.floor(np.log10((_COUNTS - 1) / max(most, 1e-12)))), False

    def counts(self) -> np.ndarray:
        """(n,) int64 of a channel with a scale; 0 where a sample is lost."""
        assert self.gain is not None
        return np.rint(np.nan_to_num(self.values) * self.gain + self.baseline).astype(np.int64)

    def lost(self) -> np.ndarray:
        """(n,) True where a sample is lost."""
        return ~np.isfinite(self.values)

    def _with(self, gain: float) -> Channel:
        return Channel(self.name, self.unit, self.fs, self.values, float(gain), self.baseline)


def of_counts(name: str, unit: str, fs: float, counts: np.ndarray, gain: float, baseline: float = 0) -> Channel:
    """A channel of a file's integers."""
    return Channel(name, unit, fs, (np.asarray(counts, float) - baseline) / gain, gain, baseline)


@dataclass(frozen=True, order=True)
class Mark:
    """An annotation. symbol: WFDB's (N, V, +, ...), or "" where the file has only a text."""

    t_s: float
    symbol: str = ""
    text: str = ""

    @property
    def said(self) -> str:
        """Both in one line."""
        return f"{self.symbol} {self.text}".strip()

    @staticmethod
    def of(t_s: float, said: str) -> Mark:
        """The other way round."""
        first, _, rest = said.partition(" ")
        return Mark(t_s, first, rest.strip()) if len(first) == 1 else Mark(t_s, "", said.strip())


@dataclass
class Signals:
    """A file's content. truth: kind (heart_rate, spo2, ...) to (t_s, values), as in a Recording."""

    name: str
    channels: list[Channel]
    marks: list[Mark] = field(default_factory=list)
    start: datetime | None = None
    truth: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)  # all that the file has, where some are no channel

    @property
    def duration_s(self) -> float:
        """Of the longest channel."""
        return max((len(c.values) / c.fs for c in self.channels), default=0.0)

    def named(self) -> str:
        """What there is, for a person: names with units."""
        return ", ".join(f"{c.name} [{c.unit}]" if c.unit else c.name for c in self.channels) or "none"


@dataclass(frozen=True)
class Options:
    """What a user says where a file does not. fs: Hz. columns: role to the name or number (1, 2, ...) of a column.

    units: role to unit. Roles are those of host_tools.recordings.roles, and `t` for a table's time.
    """

    fs: float | None = None
    columns: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fs or self.columns or self.units)


def options(fs: float | None, columns: list[str] | None, units: list[str] | None) -> Options:
    """From a command line: --fs HZ, --column ROLE=NAME, --unit ROLE=UNIT. Raises UserError."""
    from host_tools.recordings.roles import ROLES

    if fs is not None and not 1 <= fs <= 100_000:
        raise UserError(f"{fs:g} Hz is not a sample rate", "--fs takes 1 to 100000")
    told: list[dict[str, str]] = []
    for flag, words in (("--column", columns), ("--unit", units)):
        pairs = [word.partition("=") for word in words or []]
        for role, equals, value in pairs:
            if not equals or not value or role not in ROLES:
                raise UserError(
                    f"`{flag} {role}{equals}{value}` is not understood",
                    f"{flag} ROLE={'NAME' if flag == '--column' else 'UNIT'}, with a role of {', '.join(ROLES)}",
                )
        told.append({role: value for role, _, value in pairs})
    return Options(fs, *told)


def frame_rate(rates: list[float], what: str) -> tuple[float, list[int]]:
    """The largest rate of which all are multiples, and how many times each one is. Raises UserError."""
    exact = [Fraction(rate).limit_denominator(1000) for rate in rates]
    base = exact[0]
    for rate in exact[1:]:
        a, b = base.numerator * rate.denominator, rate.numerator * base.denominator
        base = Fraction(int(np.gcd(a, b)), base.denominator * rate.denominator)
    times = [int(rate / base) for rate in exact]
    if max(times) > 10_000:
        said = ", ".join(f"{rate:g} Hz" for rate in rates)
        raise UserError(f"{what} cannot hold signals of {said} together", "write csv or npz, or one signal a file")
    return float(base), times
