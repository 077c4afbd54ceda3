"""Beats of the MIT-BIH records by EC57, first channel, no offset removed.

Uses the int64 mirror, which is equal to the firmware bit for bit; `--engine firmware` runs the firmware itself.
"""

from __future__ import annotations

import argparse
from array import array
from collections.abc import Sequence

import numpy as np

from host_tools.replay import frontend
from signal_models import datasets
from signal_models.datasets import mitdb, nstdb
from signal_models.fixed import ecg as fixed
from signal_models.metrics.beats import LEARNING_S, WINDOW_S, BeatScore, score

WINDOWS_S = (WINDOW_S, 0.050, 0.025)
Spans = Sequence[tuple[float, float]]


def held(ecg_mv: np.ndarray, fs: float) -> np.ndarray:
    """The last value held for a second more, so that the last beat of the record comes out of the chain too."""
    return np.pad(ecg_mv, (0, round(fs)), mode="edge")


def quantised(ecg_mv: np.ndarray, fs: float) -> np.ndarray:
    """As the front end delivers it: 250 Hz, int16 microvolts; with its last value held."""
    return frontend.ecg_stream(held(ecg_mv, fs), fs).data[:, 0].astype(np.int16)


def firmware_beats_s(x: np.ndarray) -> np.ndarray:
    """R peaks in seconds found by the firmware's channel on CPython."""
    from vigil.core.records import ECG, SampleBlock
    from vigil.estimators.ecg_channel import EcgChannel

    beats = []
    channel = EcgChannel(beats.append)
    for at in range(0, len(x), 64):
        piece = x[at : at + 64]
        channel.push(SampleBlock(ECG, (0,), array("h", piece.tobytes()), t0_ms=4 * at, period_us=4000, n=len(piece)))
    return np.array([b.index + b.frac_q8 / 256 for b in beats]) / 250


def mirror_beats_s(x: np.ndarray) -> np.ndarray:
    """The same, by the mirror."""
    return fixed.detect(x).time_s


def scores(notes: mitdb.Annotations, found_s: np.ndarray, duration_s: float, withheld_s: Spans = ()) -> list[BeatScore]:
    """Scores at WINDOWS_S. Left out: the first five minutes, flutter, withheld_s, and the last 0.15 s (the annotation
    of a beat there may lie beyond the end).
    """
    excluded = [*notes.flutter_s, *withheld_s]
    end_s = duration_s - WINDOW_S
    return [score(notes.beats_s, found_s, w, LEARNING_S, end_s, excluded) for w in WINDOWS_S]


def evaluate_record(path, detect=mirror_beats_s, noise: str | None = None, snr_db: float = 0.0) -> list[BeatScore]:
    """Scores of one record, one a window of WINDOWS_S; the first five minutes and flutter are left out."""
    recording = mitdb.load(path)
    notes = mitdb.read_atr(path)
    assert recording.ecg is not None
    ecg = recording.ecg
    if noise:
        ecg = nstdb.stressed(ecg, nstdb.noise(noise), snr_db, notes.beats_s)
    found_s = detect(quantised(ecg, nstdb.FS))
    return scores(notes, found_s, recording.duration_s)


def main(argv: list[str]) -> int:
    """Print a line a record and the gross figures."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate ecg", description=__doc__)
    parser.add_argument("record", nargs="*", help="names; all that are here by default")
    parser.add_argument("--engine", choices=["mirror", "firmware"], default="mirror")
    parser.add_argument("--noise", choices=["ma", "bw"], help="add noise of nstdb in alternate 2-minute blocks")
    parser.add_argument("--snr", type=float, default=6.0, help="dB, with --noise")
    args = parser.parse_args(argv)
    detect = mirror_beats_s if args.engine == "mirror" else firmware_beats_s
    gross = [BeatScore() for _ in WINDOWS_S]
    print("record  beats   FN   FP     Se %    PPV %  F1@150   @50   @25    SD ms  bias ms")
    for path in datasets.records("mitdb"):
        if args.record and path.stem not in args.record:
            continue
        scores = evaluate_record(path, detect, args.noise, args.snr)
        gross = [a + b for a, b in zip(gross, scores, strict=True)]
        print(_line(path.stem, scores))
    print(_line("gross", gross))
    return 0


def _line(name: str, scores: list[BeatScore]) -> str:
    wide = scores[0]
    return (
        f"{name:6s} {wide.tp + wide.fn:6d} {wide.fn:4d} {wide.fp:4d}  {wide.se_pct:7.3f}  {wide.ppv_pct:7.3f}  "
        + "  ".join(f"{s.f1_pct:5.2f}" for s in scores)
        + f"  {wide.sd_ms:6.2f}  {wide.bias_ms:+6.2f}"
    )
