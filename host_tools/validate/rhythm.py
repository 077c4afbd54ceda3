"""Scores rhythm and heart-rate variability: `python -m host_tools.validate.rhythm [SET ...]`.

afdb: time in atrial fibrillation (AF) from the data set's RR intervals; each beat stands for its interval, AF is
`(AFIB` and nothing else; a label describes the beat 64 intervals before its decision. With --leave-one-out the limits
that decide most are chosen anew for each record from all the others.

cinc2017 and mitdb: what the wearer's device says, by our own beats, their quality and class and what comes before
them, causally. cinc2017: a record's answer is the label that most of its readings (one each 2 s) show; `unknown` when
all are withheld; with --leave-one-out, the limits of the rule for beats without a wave before them are chosen in five
folds. mitdb: share of time in false AF on records without AF, and of AF found on the others; also by annotated
intervals alone.

ventricular: ectopic beats on MIT-BIH (host_tools.validate.beat_class).

hrv: SDNN, RMSSD and pNN50 of the device's readings against the annotated normal-to-normal intervals of the same
stretch, on MIT-BIH records in sinus rhythm; by replay on the real MicroPython. All else runs on the int64 mirrors, that
are equal to the firmware bit for bit.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace

import numpy as np

from host_tools.replay import replay
from host_tools.validate.beat_class import read as read_beats
from host_tools.validate.beat_class import score as score_classes
from host_tools.validate.beat_class import total as total_classes
from host_tools.validate.cases import record_names
from host_tools.validate.ecg import quantised
from signal_models import datasets
from signal_models.datasets import afdb_rr, cinc2017, mitdb
from signal_models.fixed import beat_class
from signal_models.fixed import ecg as fixed_ecg
from signal_models.fixed.rhythm import AF, LABELS, RULES, UNKNOWN, Rules, Views, decide, views, worn
from vigil.estimators.rhythm import LATENCY

SETS = ("afdb", "cinc2017", "mitdb", "ventricular", "hrv")
REPORT_S = 2.0
FOLDS = 5
HRV_RECORDS = ("101", "106", "112", "114", "115", "116", "119", "122", "205", "220", "223")
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
    return Share(name, *_seconds(rr_s, truth, said))


def _seconds(rr_s: np.ndarray, truth: np.ndarray, said: np.ndarray) -> tuple[float, ...]:
    parts = (truth & said, truth & ~said, ~truth & ~said, ~truth & said)
    return tuple(float(rr_s[p].sum()) for p in parts)


def _totals(shares: list[Share]) -> tuple[float, float]:
    """Sensitivity and specificity in percent of the time; 0 where there is none."""
    found, missed, other, false = (
        sum(getattr(s, k) for s in shares) for k in ("af_found_s", "af_missed_s", "other_s", "false_s")
    )
    return 100 * found / max(found + missed, 1e-9), 100 * other / max(other + false, 1e-9)


Heard = tuple[str, Views, np.ndarray, np.ndarray]  # of a record: name, what the rule sees, intervals, is it AF?


def _read_afdb(name: str, rules: Rules) -> Heard:
    r = afdb_rr.load(datasets.folder("afdb-rr") / f"{name}.txt")
    return r.name, views(_milliseconds(r.rr_s), rules), r.rr_s, r.in_af()


def afdb_share(name: str, rules: Rules = RULES) -> Share:
    """A record of afdb-rr, by the name of its file."""
    return _share(rules, *_read_afdb(name, rules))


def afdb_figures(shares: list[Share]) -> dict[str, float]:
    """Percent of the time."""
    se, sp = _totals(shares)
    return {"afdb_se_pct": se, "afdb_sp_pct": sp}


def _afdb(result: Result, rules: Rules, leave_one_out: bool) -> None:
    records = [_read_afdb(name, rules) for name in record_names("afdb-rr")]
    shares = [_share(rules, *record) for record in records]
    result.shares["afdb"] = shares
    result.records += [s.line for s in shares]
    result.figures |= afdb_figures(shares)
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


@dataclass(frozen=True)
class Told:
    """What goes into the device's rhythm, a row an interval: its end, its length, and the beat that ends it."""

    end_s: np.ndarray
    rows: tuple[np.ndarray, ...]

    def codes(self, rules: Rules = RULES) -> np.ndarray:
        """Label code after each interval, UNKNOWN where it is withheld."""
        return worn(*self.rows, r=rules) if len(self.end_s) else np.zeros(0, int)

    def answer(self, rules: Rules = RULES) -> int:
        """The label of most readings of the record."""
        codes = self.codes(rules)
        at_s = np.arange(REPORT_S, self.end_s[-1] + REPORT_S, REPORT_S) if len(codes) else np.zeros(0)
        last = np.searchsorted(self.end_s, at_s, side="right") - 1
        shown = codes[last[last >= 0]]
        shown = shown[shown != UNKNOWN]
        return int(np.bincount(shown, minlength=4).argmax()) if len(shown) else UNKNOWN


def told(ecg_mv: np.ndarray, fs: float) -> Told:
    """Beats, classes and intervals of a record by our own chain."""
    signal = quantised(ecg_mv, fs)
    beats = fixed_ecg.detect(signal)
    at = beats.at - (beats.frac_q8 < 0)
    classes = beat_class.classify(signal, at, np.diff(at, prepend=at[:1]), beats.quality_pct)
    codes = classes.codes
    rows = (_milliseconds(np.diff(beats.time_s)), beats.quality_pct[1:])
    flags = (codes[1:] == beat_class.VENTRICULAR, codes[1:] == beat_class.UNKNOWN, classes.atrial[1:])
    return Told(beats.time_s[1:], rows + flags)


def _read_cinc(name: str) -> tuple[str, str, Told]:
    r = cinc2017.load(datasets.folder("cinc2017") / name)
    assert r.ecg is not None and r.ecg_fs
    return r.name, r.meta["rhythm"], told(r.ecg, r.ecg_fs)


def cinc_answer(name: str, rules: Rules = RULES) -> tuple[str, int]:
    """A strip's label (N, A, O, ~) and the code of our answer."""
    _, truth, heard = _read_cinc(name)
    return truth, heard.answer(rules)


def _cinc(result: Result, rules: Rules, leave_out: bool) -> None:
    records = [_read_cinc(name) for name in record_names("cinc2017")]
    answers = [t.answer(rules) for _, _, t in records]
    result.records += [f"{name}  {truth}  {LABELS[a]}" for (name, truth, _), a in zip(records, answers, strict=True)]
    truths = [truth for _, truth, _ in records]
    result.figures |= cinc_figures(truths, answers)
    if leave_out:
        grid = [
            replace(rules, free_absent_q8=free, back_absent_short_q8=back, again_absent_short_q8=again)
            for free in (150, 164, 178, 192, 206)
            for back in (150, 175, 200)
            for again in (200, 230, 245)
        ]
        table = np.array([[t.answer(g) for _, _, t in records] for g in grid])
        is_a, is_no = np.array([t == "A" for t in truths]), np.array([t in "NO" for t in truths])
        chosen = np.zeros(len(records), int)
        for fold in range(FOLDS):
            held = np.arange(len(records)) % FOLDS == fold
            said = (table == AF)[:, ~held]
            merit = said[:, is_a[~held]].mean(axis=1) + (~said)[:, is_no[~held]].mean(axis=1)
            chosen[held] = table[int(merit.argmax())][held]
        result.figures |= cinc_figures(truths, chosen.tolist(), "cinc2017_left_out")


def cinc_figures(truths: list[str], answers: list[int], name: str = "cinc2017") -> dict[str, float]:
    """Percent of the strips."""
    figures: dict[str, float] = {}
    said = np.array(answers)
    truth = np.array(truths)
    for key, among in (("a", "A"), ("n", "N"), ("o", "O"), ("noisy", "~")):
        here = said[truth == among]
        if len(here):
            figures[f"{name}_{key}_af_pct"] = 100 * float((here == AF).mean())
            figures[f"{name}_{key}_unknown_pct"] = 100 * float((here == UNKNOWN).mean())
    a, rest = said[truth == "A"], said[(truth == "N") | (truth == "O")]
    if len(a) and len(rest):
        figures[f"{name}_se_pct"] = 100 * float((a == AF).mean())
        figures[f"{name}_sp_pct"] = 100 * float((rest != AF).mean())
    return figures


MITDB_WAYS = ("annotated", "own")  # whose beats


def mitdb_share(name: str, way: str, rules: Rules = RULES) -> Share:
    """A record of mitdb; way: one of MITDB_WAYS."""
    path = datasets.folder("mitdb") / name
    notes = mitdb.read_atr(path)
    starts = np.array([t for t, _ in notes.rhythm])
    af = np.array([label == "(AFIB" for _, label in notes.rhythm])
    if way == "own":
        recording = mitdb.load(path)
        assert recording.ecg is not None
        heard = told(recording.ecg, 360.0)
        end_s, rr_s, said = heard.end_s, heard.rows[0] / 1000, heard.codes(rules) == AF
    else:
        end_s, rr_s = notes.beats_s[1:], np.diff(notes.beats_s)
        said = _centred(decide(views(_milliseconds(rr_s), rules), rules)) == AF
    truth = af[np.maximum(np.searchsorted(starts, end_s, side="right") - 1, 0)]
    return Share(name, *_seconds(rr_s, truth, said))


def mitdb_figures(shares: list[Share], way: str) -> dict[str, float]:
    """Percent of the time: false AF on records without any, AF found on the others."""
    without = [s for s in shares if not s.af_found_s + s.af_missed_s]
    with_af = [s for s in shares if s.af_found_s + s.af_missed_s]
    figures = {f"mitdb_{way}_false_pct": 100 - _totals(without)[1]}
    return figures | ({f"mitdb_{way}_found_pct": _totals(with_af)[0]} if with_af else {})


def _mitdb(result: Result, rules: Rules, records: tuple[str, ...]) -> None:
    for way in MITDB_WAYS:
        shares = [mitdb_share(name, way, rules) for name in record_names("mitdb", records)]
        result.shares[f"mitdb {way}"] = shares
        result.records += [f"{way:9} {s.line}" for s in shares]
        result.figures |= mitdb_figures(shares, way)


def hrv_errors(name: str, engine: str = "micropython") -> dict[str, list[float]]:
    """Readings less the annotated, of a record of mitdb."""
    errors: dict[str, list[float]] = {"hrv_sdnn": [], "hrv_rmssd": [], "hrv_pnn50": []}
    path = datasets.folder("mitdb") / name
    recording, notes = mitdb.load(path), mitdb.read_atr(path)
    heard = replay(ecg=recording.ecg, ecg_fs=recording.ecg_fs, engine=engine)
    normal = np.isin(notes.symbols, list("NLR"))
    for reading in heard.readings:
        if reading.kind in errors and not reading.withheld and reading.value is not None:
            inside = (notes.beats_s >= reading.t_start_s) & (notes.beats_s <= reading.t_end_s)
            truth = variability(notes.beats_s[inside], normal[inside])[reading.kind]
            errors[reading.kind].append(reading.value - truth)
    return errors


def hrv_figures(records: list[dict[str, list[float]]]) -> dict[str, float]:
    """Milliseconds, and percent of pNN50."""
    figures: dict[str, float] = {}
    for kind in records[0] if records else ():
        values = [v for r in records for v in r[kind]]
        if values:
            figures[f"{kind}_median_error"] = float(np.median(values))
            figures[f"{kind}_mean_absolute_error"] = float(np.mean(np.abs(values)))
            figures[f"{kind}_readings"] = len(values)
    return figures


def _hrv(result: Result) -> None:
    names = [n for n in record_names("mitdb") if n in HRV_RECORDS]
    records = [hrv_errors(name) for name in names]
    for name, errors in zip(names, records, strict=True):
        worst = "  ".join(f"{k} worst {max(map(abs, v), default=0):.1f}" for k, v in errors.items())
        result.records.append(f"hrv {name}  {worst}")
    result.figures |= hrv_figures(records)


def variability(beats_s: np.ndarray, normal: np.ndarray) -> dict[str, float]:
    """SDNN, RMSSD (ms) and pNN50 (%) of the intervals between two normal beats in a row; NaN where there are none."""
    rr_ms = 1000 * np.diff(beats_s)
    counted = normal[1:] & normal[:-1]
    steps = np.diff(rr_ms)[counted[1:] & counted[:-1]]
    if counted.sum() < 2 or not len(steps):
        return dict.fromkeys(("hrv_sdnn", "hrv_rmssd", "hrv_pnn50"), float("nan"))
    return {
        "hrv_sdnn": float(np.std(rr_ms[counted], ddof=1)),
        "hrv_rmssd": float(np.sqrt(np.mean(steps**2))),
        "hrv_pnn50": 100 * float(np.mean(np.abs(steps) > 50)),
    }


def evaluate(
    sets: tuple[str, ...] = SETS,
    rules: Rules = RULES,
    leave_one_out: bool = False,
    records: tuple[str, ...] = (),
) -> Result:
    """Score the rule on the data sets named; records: of mitdb, all when empty.

    Raises UserError where one of them is absent.
    """
    result = Result()
    if "afdb" in sets:
        _afdb(result, rules, leave_one_out)
    if "cinc2017" in sets:
        _cinc(result, rules, leave_one_out)
    if "mitdb" in sets:
        _mitdb(result, rules, records)
    if "ventricular" in sets:
        paths = datasets.records("mitdb")
        scores = [score_classes(read_beats(p)) for p in paths]
        gross = total_classes(scores)
        result.records += [s.line for s in scores]
        result.figures |= {"ventricular_se_pct": gross.se_pct, "ventricular_ppv_pct": gross.ppv_pct}
    if "hrv" in sets:
        _hrv(result)
    return result


def main(argv: list[str] | None = None) -> int:
    """Print a line a record and the figures."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate.rhythm", description="Score the rhythm rule.")
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], help="data sets (default: all)")
    parser.add_argument("--leave-one-out", action="store_true", help="choose limits from the other records")
    args = parser.parse_args(argv)
    result = evaluate(tuple(args.sets) or SETS, leave_one_out=args.leave_one_out)
    print("\n".join(result.records))
    for name, value in result.figures.items():
        print(f"{name:36} {value:7.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
