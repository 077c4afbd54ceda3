"""Scores ventricular ectopic beats on MIT-BIH: `python -m host_tools.validate.beat_class [RECORD ...]`.

By ANSI/AAMI EC57: our beats are matched with the annotated ones within 150 ms; the first five minutes and ventricular
flutter are not scored. V and E are ventricular; fusion beats (F, f) and unclassifiable ones (Q, ?) are left out; all
others are not ventricular. A ventricular beat that was not detected at all is missed, a false detection that is called
ventricular is false. A beat without a class counts as not ventricular. Paced records (102, 104) are scored too.

With --leave-out the limits that decide most are chosen anew for each record from all the others.
Runs on the int64 mirrors, which are equal to the firmware bit for bit.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from host_tools.validate.cases import record_names
from host_tools.validate.ecg import quantised
from host_tools.validate.page import number, summary, table
from host_tools.validate.study import Section, judged
from signal_models import datasets
from signal_models.datasets import mitdb
from signal_models.fixed import beat_class
from signal_models.fixed import ecg as fixed_ecg
from signal_models.fixed.beat_class import RULES, UNKNOWN, VENTRICULAR, Rules
from signal_models.metrics.beats import LEARNING_S, WINDOW_S, match

POSITIVE, LEFT_OUT = "VE", "FfQ?"
GRID = [
    replace(RULES, join_q8=join, mean_early_q8=early, opposite_q8=opposite)
    for join in (215, 220, 225)
    for early in (228, 232, 236)
    for opposite in (-90, -77, -64)
]


@dataclass(frozen=True)
class Score:
    """Counts of a record. unknown: scored beats without a class."""

    name: str
    found: int = 0
    missed: int = 0
    false: int = 0
    unknown: int = 0
    beats: int = 0

    @property
    def se_pct(self) -> float:
        """Sensitivity, percent; NaN without ventricular beats."""
        return 100 * self.found / (self.found + self.missed) if self.found + self.missed else float("nan")

    @property
    def ppv_pct(self) -> float:
        """Positive predictive value, percent; NaN where none was called."""
        return 100 * self.found / (self.found + self.false) if self.found + self.false else float("nan")

    @property
    def line(self) -> str:
        """For people."""
        return (
            f"{self.name:6} beats {self.beats:6}  V {self.found + self.missed:5}  missed {self.missed:4}  false"
            f" {self.false:4}  no class {self.unknown:4}  Se {self.se_pct:6.2f}  PPV {self.ppv_pct:6.2f}"
        )


@dataclass(frozen=True)
class Case:
    """A record: our beats with what was annotated there ("x": nothing), and the annotated ones that we missed."""

    name: str
    signal: np.ndarray
    at: np.ndarray
    rr_n: np.ndarray
    quality_pct: np.ndarray
    symbols: np.ndarray
    scored: np.ndarray
    undetected: int


def read(path: Path) -> Case:
    """A record of MIT-BIH by its path."""
    recording, notes = mitdb.load(path), mitdb.read_atr(path)
    assert recording.ecg is not None
    signal = quantised(recording.ecg, 360.0)
    beats = fixed_ecg.detect(signal)
    symbols = np.full(len(beats.at), "x")
    pairs = match(notes.beats_s, beats.time_s)
    for i, j in pairs:
        symbols[j] = notes.symbols[i]

    def scored(t: np.ndarray) -> np.ndarray:
        keep = t >= LEARNING_S
        for start, end in notes.flutter_s:
            keep &= (t < start - WINDOW_S) | (t > end + WINDOW_S)
        return keep

    lost = np.ones(len(notes.beats_s), bool)
    lost[[i for i, _ in pairs]] = False
    lost &= scored(notes.beats_s) & np.isin(notes.symbols, list(POSITIVE))
    at = beats.at - (beats.frac_q8 < 0)
    rr_n = np.diff(at, prepend=at[:1])
    return Case(path.stem, signal, at, rr_n, beats.quality_pct, symbols, scored(beats.time_s), int(lost.sum()))


def score(case: Case, rules: Rules = RULES) -> Score:
    """Classify a record's beats and compare."""
    codes = beat_class.classify(case.signal, case.at, case.rr_n, case.quality_pct, rules).codes
    said = codes == VENTRICULAR
    is_v = np.isin(case.symbols, list(POSITIVE)) & case.scored
    not_v = ~np.isin(case.symbols, list(POSITIVE + LEFT_OUT)) & case.scored
    return Score(
        case.name,
        int((is_v & said).sum()),
        int((is_v & ~said).sum()) + case.undetected,
        int((not_v & said).sum()),
        int(((codes == UNKNOWN) & case.scored).sum()),
        int(case.scored.sum()),
    )


def total(scores: list[Score], name: str = "gross") -> Score:
    """Sum of scores."""
    return Score(name, *(sum(getattr(s, k) for s in scores) for k in ("found", "missed", "false", "unknown", "beats")))


def _merit(scores: list[Score]) -> float:
    s = total(scores)
    return 2 * s.found / (2 * s.found + s.missed + s.false)


def left_out(cases: list[Case]) -> list[Score]:
    """Each record with the limits that suit all others best."""
    table = [[score(case, rules) for case in cases] for rules in GRID]
    return [
        max(table, key=lambda row, i=i: _merit(row[:i] + row[i + 1 :]))[i]  # type: ignore[misc]
        for i in range(len(cases))
    ]


@dataclass(frozen=True)
class BeatClassStudy:
    """As a study. `result`: engine, left_out, targets, data; records: [Score as numbers, with se_pct and ppv_pct], the
    last one `gross`."""

    records: tuple[str, ...] = ()

    name = "beat_class"
    title = "Vigil beat classes: ventricular ectopic beats"

    def tasks(self) -> list[str]:
        """Names in mitdb."""
        return record_names("mitdb", self.records)

    def key(self, task: str) -> str:
        """See Study."""
        return f"beat_class {task}"

    def run(self, task: str) -> Score:
        """Classify a record's beats."""
        return score(read(datasets.folder("mitdb") / task))

    def summarise(self, results: list[tuple[str, Score]]) -> dict:
        """See above."""
        scores = [s for _, s in results]
        gross = total(scores)
        se = {s.name: (100.0 * s.found, s.found + s.missed) for s in scores}
        ppv = {s.name: (100.0 * s.found, s.found + s.false) for s in scores}
        return {
            "engine": "mirror",
            "left_out": ["targets are for the whole data set, and these are some of its records"] * bool(self.records),
            "targets": [
                judged("Ventricular beats, sensitivity", gross.se_pct, "%", 92.0, True, se),
                judged("Ventricular beats, positive predictive value", gross.ppv_pct, "%", 92.0, True, ppv),
            ],
            "data": {"mitdb": [s.name for s in scores]},
            "records": [asdict(s) | {"se_pct": s.se_pct, "ppv_pct": s.ppv_pct} for s in [*scores, gross]],
        }

    def sections(self, result: dict) -> list[Section]:
        """Draw it."""
        *records, gross = result["records"]
        keys = ("name", "beats", "found", "missed", "false", "unknown")
        rows = [
            [*(s[k] for k in keys), number(s["se_pct"]), number(s["ppv_pct"])]
            for s in [gross, *sorted(records, key=lambda s: -(s["missed"] + s["false"]))]
        ]
        heads = ["Record", "beats", "found", "missed", "false", "no class", "Se %", "PPV %"]
        return [
            summary(result, f"{len(records)} records of the MIT-BIH Arrhythmia Database, first channel, by EC57."),
            Section("Ventricular beats by record", table(heads, rows, [0]), "Most errors first."),
        ]


def main(argv: list[str] | None = None) -> int:
    """Print a line a record and the gross figures."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate.beat_class", description="Score beat classes.")
    parser.add_argument("record", nargs="*", help="names; all that are here by default")
    parser.add_argument("--leave-out", action="store_true", help="choose limits from the other records (minutes)")
    args = parser.parse_args(argv)
    cases = [read(p) for p in datasets.records("mitdb") if not args.record or p.stem in args.record]
    scores = left_out(cases) if args.leave_out else [score(case) for case in cases]
    print("\n".join(s.line for s in [*scores, total(scores)]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
