"""The one shape in which signals travel on the host: synthetic or recorded, with what is known to be true of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Recording:
    """Signals of one wearer on one time axis that starts at 0 s, and their references.

    ecg: (n,) mV. ppg: (n, k) with columns named by ppg_channels (red, ir, green), raw counts, or
    ppg_unit="relative" for a pulse without a meaningful DC. accel: (n, 3) g. Rates in Hz. NaN marks lost samples.
    truth: kind (heart_rate, pulse_rate, spo2, resp_rate, perfusion_index, ...) to (t_s, value) arrays; NaN where
    unknown. beats_s: R-peak times in seconds where they are annotated; beat_labels: their classes as WFDB symbols (N, V
    ...), one each, where they are known. meta: what a report should say of it.
    """

    name: str
    ecg: np.ndarray | None = None
    ecg_fs: float | None = None
    ppg: np.ndarray | None = None
    ppg_fs: float | None = None
    ppg_channels: tuple[str, ...] = ("red", "ir")
    ppg_unit: str = "counts"
    accel: np.ndarray | None = None
    accel_fs: float | None = None
    truth: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    beats_s: np.ndarray | None = None
    beat_labels: list[str] | None = None
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Length of the longest signal, seconds."""
        signals = ((self.ecg, self.ecg_fs), (self.ppg, self.ppg_fs), (self.accel, self.accel_fs))
        return max((len(x) / fs for x, fs in signals if x is not None and fs), default=0.0)

    def truth_mean(self, kind: str, t_start_s: float, t_end_s: float) -> float:
        """Mean of the reference `kind` over a reading's window; NaN where there is none.

        Where no reference sample falls into the window, the nearest one within 2 s counts.
        """
        if kind not in self.truth:
            return float("nan")
        t, v = self.truth[kind]
        inside = (t >= t_start_s) & (t <= t_end_s) & np.isfinite(v)
        if inside.any():
            return float(v[inside].mean())
        known = np.flatnonzero(np.isfinite(v))
        if not len(known):
            return float("nan")
        middle = (t_start_s + t_end_s) / 2
        nearest = known[np.argmin(np.abs(t[known] - middle))]
        return float(v[nearest]) if abs(t[nearest] - middle) <= 2 else float("nan")
