"""Respiration rate of bidmc against the breaths that two annotators marked: `python -m host_tools.validate resp`.

The reference of a reading is the breath rate over the reading's own 32 s: marks less one over the time from the first
to the last, the mean of the two annotators. By replay, from the light alone and with the ECG.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from host_tools.replay import replay
from host_tools.validate.pairs import Pairs, events_rate
from signal_models import datasets
from signal_models.datasets import bidmc
from signal_models.metrics.agreement import agreement, error_against_coverage

WINDOW_S, STEP_S = 32.0, 2.0
WITH = {"light": False, "light and ECG": True}  # what is heard: is the ECG?


def reference(marks: list[np.ndarray], start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
    """Breaths a minute in each window, mean of the annotators; NaN where none has marked three breaths."""
    rates = np.array([events_rate(m, start_s, end_s) for m in marks]).reshape(len(marks), len(end_s))
    known = np.isfinite(rates)
    return np.where(
        known.any(axis=0),
        np.nansum(rates, axis=0) / np.maximum(known.sum(axis=0), 1),
        np.nan,
    )


def measure(path: Path, *, ecg: bool, engine: str = "micropython") -> Pairs:
    """Readings of a record whose window is full, beside their reference."""
    recording = datasets.load(path)
    result = replay(
        ppg=recording.ppg,
        ppg_fs=recording.ppg_fs,
        ppg_channels=recording.ppg_channels,
        ppg_unit=recording.ppg_unit,
        ecg=recording.ecg if ecg else None,
        ecg_fs=recording.ecg_fs if ecg else None,
        engine=engine,
    )
    readings = [r for r in result.of("resp_rate") if r.t_end_s - r.t_start_s >= WINDOW_S - 0.1]
    start_s, end_s = (np.array([getattr(r, k) for r in readings], float) for k in ("t_start_s", "t_end_s"))
    return Pairs(
        end_s,
        np.array([np.nan if r.value is None else r.value for r in readings], float),
        reference(bidmc.breaths(path), start_s, end_s),
        np.array([r.quality_pct for r in readings], float),
        np.array([not r.withheld for r in readings], bool),
        start_s,
    )


def windows(path: Path) -> Pairs:
    """The windows that are due in a record, with their reference and no value."""
    end_s = np.arange(WINDOW_S, datasets.load(path).duration_s, STEP_S)
    none = np.full(len(end_s), np.nan)
    start_s = end_s - WINDOW_S
    return Pairs(end_s, none, reference(bidmc.breaths(path), start_s, end_s), 0 * end_s, none > 0, start_s)


def main(argv: list[str] | None = None) -> int:
    """Print a line for each of WITH, over all records."""
    argparse.ArgumentParser(prog="python -m host_tools.validate resp", description=__doc__).parse_args(argv)
    paths = datasets.records("bidmc")
    print(f"bidmc: {len(paths)} records, respiration (a minute), every 2 s from {WINDOW_S:g} s on")
    for name, ecg in WITH.items():
        p = Pairs.joined([measure(path, ecg=ecg) for path in paths])
        a = agreement(p.value, p.reference, p.shown)
        told = np.isfinite(p.value)  # all but the first, where the light's window lacks one slot
        curve = error_against_coverage(p.value[told], p.reference[told], p.quality[told])
        print(
            f"{name:14} coverage {100 * a.coverage:5.1f} %  MAE {a.mae:5.2f}  bias {a.bias:+5.2f}  "
            f"within 5: {p.within_pct(5.0):5.1f} %  by quality "
            + "  ".join(f"{100 * c:g} %: {e:.2f}" for c, e in curve.items())
        )
    return 0
