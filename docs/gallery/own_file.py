"""Validate your own file: a csv as an instrument writes it, its beats in a second file, and the report's figures."""

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
from canvas import BLUE, GREEN, INK, SOFT, panels, save

from host_tools import cli, recordings
from signal_models.synth.arrhythmia import ectopy


def main():
    """Draw it; return the figures of the report."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder)
        arguments = ["validate", "--recording", folder / "lead.csv", "--reference", folder / "beats.csv"]
        try:
            cli.main([str(a) for a in (*arguments, "--out", folder / "report")])  # as on a command line
        except SystemExit as end:
            assert not end.code
        result = json.loads((folder / "report" / "ecg-recording.json").read_text())["result"]
        heart = recordings.load(folder / "lead.csv")
    figure, (lead, rate) = panels(2, "Your own file: lead.csv, beats.csv, and what the report says of them")
    t_s = np.arange(len(heart.ecg)) / heart.ecg_fs
    lead.plot(t_s, heart.ecg, color=INK, lw=0.6)
    lead.plot(result["beats_s"], np.full(len(result["beats_s"]), np.min(heart.ecg) - 0.2), "o", color=BLUE, ms=3)
    lead.set_ylabel("lead, mV")
    readings = result["heart_rate"]
    shown = [r for r in readings if not r["withheld"]]
    rate.plot([r["end_s"] for r in shown], [r["bpm"] for r in shown], "o-", color=BLUE, ms=3, lw=0.8, label="shown")
    for r in readings:
        if r["withheld"]:
            rate.axvspan(r["end_s"] - 2, r["end_s"], color=SOFT, alpha=0.15, lw=0)
    rate.axhline(72, color=GREEN, ls="--", lw=1, label="mean of the wearer")
    rate.set_ylabel("heart rate, /min")
    rate.set_xlabel("seconds (grey: withheld)")
    rate.set_xlim(0, 60)
    rate.legend(loc="lower right", fontsize=8, ncols=2, frameon=False)
    scores = result["scores"]
    return {"picture": save(figure, __file__), "beats": scores["beats"], "missed": scores["fn"], "false": scores["fp"],
            "error_bpm": result["rate"]["mae"]}  # fmt: skip


def write(folder):
    """lead.csv in microvolts at 360 Hz, and beats.csv in milliseconds."""
    heart = ectopy(60.0, np.random.default_rng(9))
    t_s = np.arange(60 * 360) / 360
    mv = np.interp(t_s, np.arange(len(heart.ecg)) / heart.ecg_fs, heart.ecg)
    with (folder / "lead.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["time_ms", "Lead II [uV]"])
        rows.writerows([f"{1000 * t:.0f}", f"{1000 * v:.0f}"] for t, v in zip(t_s, mv, strict=True))
    labels = heart.beat_labels or ["N"] * len(heart.beats_s)
    with (folder / "beats.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["t_ms", "label"])
        rows.writerows([f"{1000 * t:.0f}", c] for t, c in zip(heart.beats_s, labels, strict=True))


if __name__ == "__main__":
    print(main())
