"""Scores the rhythm rule on recorded hearts: `python -m host_tools.validate.rhythm [afdb] [cinc2017] [mitdb]`.

afdb: time in atrial fibrillation (AF) from the data set's RR intervals; each beat stands for its interval, AF is
`(AFIB` and nothing else; a label describes the beat 64 intervals before its decision. With --leave-one-out the limits
that decide most are chosen anew for each record from all the others. cinc2017: beats by our own ECG chain; a
record's answer is the label that covers most of its time; `by quality` also takes intervals that end with a doubtful
beat as implausible, as the wearer's device does. mitdb: false AF, by the annotated beats and by our own.

Runs on the int64 mirrors, which are equal to the firmware bit for bit.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace

import numpy as np

from host_tools.validate.ecg import quantised
from signal_models import datasets
from signal_models.datasets import afdb_rr, cinc2017, mitdb
from signal_models.fixed import ecg as fixed_ecg
from signal_models.fixed.rhythm import AF, LABELS, RULES, UNKNOWN, Rules, Views, decide, views
from vigil.estimators.rhythm import LATENCY

SETS = ("afdb", "cinc2017", "mitdb")
DOUBTFUL_PCT = 10  # as estimators.heart_rhythm
BACK_GRID_Q8 = range(64, 101, 2)
SPREAD_GRID_Q8 = range(80, 93, 4)


@dataclass
class Share:
    """Seconds of a record by truth (AF or not) and answer (AF or not)."""

    name: str
    af_found_s: float
    af_missed_s: float
    other_s: float
    false_s: float

    @property
    def line(self) -> str:
        """For people."""
        af_min, other_min = (self.af_found_s + self.af_missed_s) / 60, (self.other_s + self.false_s) / 60
        return (
            f"{self.name:6} AF {af_min:6.1f} min, missed {self.af_missed_s / 60:5.1f}"
            f"   not AF {other_min:6.1f} min, false {self.false_s / 60:5.1f}"
        )


@dataclass
class Result:
    """figures: totals by name, percent. records: a line each. shares: by data set, where time is scored."""

    figures: dict[str, float] = field(default_factory=dict)
    records: list[str] = field(default_factory=list)
    shares: dict[str, list[Share]] = field(default_factory=dict)


def _centred(codes: np.ndarray) -> np.ndarray:
    return np.concatenate([codes[LATENCY:], np.repeat(codes[-1:], min(LATENCY, len(codes)))])


def _milliseconds(rr_s: np.ndarray) -> np.ndarray:
    return np.clip(np.round(rr_s * 1000), 0, 60000).astype(np.int64)


def _share(rules: Rules, name: str, v: Views, rr_s: np.ndarray, truth: np.ndarray) -> Share:
    said = _centred(decide(v, rules)) == AF
    parts = (truth & said, truth & ~said, ~truth & ~said, ~truth & said)
    return Share(name, *(float(rr_s[p].sum()) for p in parts))


def _totals(shares: list[Share]) -> tuple[float, float]:
    """Sensitivity and specificity in percent of the time; 0 where there is none."""
    found, missed, other, false = (
        sum(getattr(s, k) for s in shares) for k in ("af_found_s", "af_missed_s", "other_s", "false_s")
    )
    return 100 * found / max(found + missed, 1e-9), 100 * other / max(other + false, 1e-9)


def _afdb(result: Result, rules: Rules, leave_one_out: bool) -> None:
    records = []
    for path in sorted(datasets.folder("afdb-rr").glob("qrs*.txt")):
        r = afdb_rr.load(path)
        records.append((r.name, views(_milliseconds(r.rr_s), rules), r.rr_s, r.in_af()))
    shares = [_share(rules, *record) for record in records]
    result.shares["afdb"] = shares
    result.records += [s.line for s in shares]
    result.figures["afdb_se_pct"], result.figures["afdb_sp_pct"] = _totals(shares)
    if leave_one_out:
        grid = [replace(rules, back_long_q8=b, spread_limit_q8=s) for b in BACK_GRID_Q8 for s in SPREAD_GRID_Q8]
        table = [[_share(g, *record) for record in records] for g in grid]
        left_out = []
        for i in range(len(records)):
            best = max(table, key=lambda row: _merit(row[:i] + row[i + 1 :]))
            left_out.append(best[i])
        result.figures["afdb_left_out_se_pct"], result.figures["afdb_left_out_sp_pct"] = _totals(left_out)


def _merit(shares: list[Share]) -> tuple[float, float]:
    """The most specific of the rules with 97.5 % sensitivity; failing that, the most sensitive."""
    se, sp = _totals(shares)
    return min(se, 97.5), sp


def _cinc(result: Result, rules: Rules) -> None:
    for by_quality in (False, True):
        answers: dict[str, list[int]] = {}
        for path in datasets.records("cinc2017"):
            r = cinc2017.load(path)
            assert r.ecg is not None and r.ecg_fs
            beats = fixed_ecg.detect(quantised(r.ecg, r.ecg_fs))
            rr_s = np.diff(beats.time_s)
            rr_ms = _milliseconds(rr_s)
            if by_quality and len(rr_ms):
                rr_ms = np.where(beats.quality_pct[1:] < DOUBTFUL_PCT, 0, rr_ms)
            answer = UNKNOWN
            if len(rr_ms):
                codes = _centred(decide(views(rr_ms, rules), rules))
                answer = int(np.bincount(codes, rr_s, 4).argmax())
            answers.setdefault(r.meta["rhythm"], []).append(answer)
            if by_quality:
                result.records.append(f"{r.name}  {r.meta['rhythm']}  {LABELS[answer]}")
        _cinc_figures(result, answers, "cinc2017_by_quality" if by_quality else "cinc2017")


def _cinc_figures(result: Result, answers: dict[str, list[int]], name: str) -> None:
    of = {k: np.array(v) for k, v in answers.items()}
    other = np.concatenate([of.get("N", np.zeros(0)), of.get("O", np.zeros(0))])
    for key, values, wanted in (
        ("a_af", of.get("A"), AF),
        ("a_unknown", of.get("A"), UNKNOWN),
        ("no_af", other, AF),
        ("no_unknown", other, UNKNOWN),
        ("noisy_af", of.get("~"), AF),
        ("noisy_unknown", of.get("~"), UNKNOWN),
    ):
        if values is not None and len(values):
            result.figures[f"{name}_{key}_pct"] = 100 * float((values == wanted).mean())
    for part, values in (("se", of.get("A")), ("sp", other)):
        if values is not None and len(values):
            said = values == AF
            result.figures[f"{name}_{part}_pct"] = 100 * float((said if part == "se" else ~said).mean())


def _mitdb(result: Result, rules: Rules) -> None:
    for name in ("annotated", "own"):
        shares = []
        for path in datasets.records("mitdb"):
            notes = mitdb.read_atr(path)
            beats_s = notes.beats_s
            if name == "own":
                recording = mitdb.load(path)
                assert recording.ecg is not None
                beats_s = fixed_ecg.detect(quantised(recording.ecg, 360.0)).time_s
            starts = np.array([t for t, _ in notes.rhythm])
            af = np.array([label == "(AFIB" for _, label in notes.rhythm])
            truth = af[np.maximum(np.searchsorted(starts, beats_s[1:], side="right") - 1, 0)]
            rr_s = np.diff(beats_s)
            shares.append(_share(rules, path.stem, views(_milliseconds(rr_s), rules), rr_s, truth))
        result.shares[f"mitdb {name}"] = shares
        result.records += [f"{name:9} {s.line}" for s in shares]
        without = [s for s in shares if not s.af_found_s + s.af_missed_s]
        result.figures[f"mitdb_{name}_false_pct"] = 100 - _totals(without)[1]


def evaluate(sets: tuple[str, ...] = SETS, rules: Rules = RULES, leave_one_out: bool = False) -> Result:
    """Score the rule on the data sets named. Raises UserError where one of them is absent."""
    result = Result()
    if "afdb" in sets:
        _afdb(result, rules, leave_one_out)
    if "cinc2017" in sets:
        _cinc(result, rules)
    if "mitdb" in sets:
        _mitdb(result, rules)
    return result


def main(argv: list[str] | None = None) -> int:
    """Print a line a record and the figures."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate.rhythm", description="Score the rhythm rule.")
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], help="data sets (default: all)")
    parser.add_argument("--leave-one-out", action="store_true", help="choose afdb's limits from the other records")
    args = parser.parse_args(argv)
    result = evaluate(tuple(args.sets) or SETS, leave_one_out=args.leave_one_out)
    print("\n".join(result.records))
    for name, value in result.figures.items():
        print(f"{name:36} {value:7.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
