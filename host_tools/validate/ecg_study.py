"""Beats and heart rate on recorded hearts, beside open peers, clean and in noise. `result` of the document:

    engine      that ran ours; left_out: sentences on what was not run
    data        data set to the names of its records; stress_records: those that noise was added to
    detectors   name to package, version, offset_removed: is each record's median error taken off for the comparison?
                (peers yes, ours no)
    targets     [{name, value, unit, limit, least: is it a minimum?, met, peer, peer_value, ahead}]; a peer
                counts with the better of its figures, moved or as it is, and for the spread only with an F1 of
                95 % or more
    clean       {records: {name: [Scores...]}, gross: {detector: Scores}}; Scores: record, beats, fn, fp, se_pct,
                ppv_pct, f1_150_pct, f1_50_pct, f1_25_pct, sd_ms, bias_ms and, for peers, as_it_is: the same with no
                offset removed. EC57: the first 300 s and ventricular flutter are not scored; gross adds up beats
    stress      [{noise, snr_db, scores: {detector: Scores}, ours: {withheld_share, shown: Scores of beats outside
                withheld stretches, rate: Agreement}, best_peer, ahead}]
    heart_rate  data set or noise to Agreement and curve {coverage: mean absolute error of the best by quality}, bpm
    quality     does the quality of a heart rate say how probably it is right (within 5 /min)? data set or "noise" to
                {rows: [{quality_pct: the least of a step of ten, n, said_pct, right_pct, promised_pct, mae}], gap_pct};
                said: the mean quality; promised: the share that is right at that step in the other half of the
                records; gap: mean |promised - right|
    beat_quality  the same of beats (right: annotated; mae: none), by the mirror, that is equal to the firmware
    monitor     [{record, n, coverage, mae, bias, worst, beats, witness_beats, witness_mae}] of bidmc: readings against
                the monitor's number at their end (it looks back, too); the witness's beats by our rule against the same
    worst       strips of the records with most errors: {title, start_s, fs, mv, found, missed, false, withheld}

A stretch is withheld when the heart-rate reading made at its end, each 2 s, is withheld.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from host_tools.errors import UserError
from host_tools.replay import ENGINES, replay
from host_tools.validate import peers as peer_detectors
from host_tools.validate.cases import NOISES, SNRS_DB, Case, load, notes_of, record_names, stressed
from host_tools.validate.ecg import WINDOWS_S, held, mirror_beats_s, quantised, scores
from host_tools.validate.study import Section, judged
from signal_models import datasets
from signal_models.fixed import ecg as fixed_ecg
from signal_models.metrics.agreement import agreement, error_against_coverage
from signal_models.metrics.beats import LEARNING_S, WINDOW_S, BeatScore, match
from signal_models.recording import Recording

OURS = "Vigil"
ENGINE_NAMES = ("mirror", *ENGINES)
REPORT_S = 2.0  # a heart-rate reading each, as the pipeline makes them
COVERAGES = tuple(round(c, 2) for c in np.arange(0.5, 1.001, 0.025))
_LOOK_BACK_S = 12.0
WITNESS = "NeuroKit2 neurokit"  # whose beats tell whether an error is the beats' or the averaging's
RIGHT_BPM = 5.0
_RIVAL_F1_PCT = 95.0
_STRIP_S, _STRIPS, _STRIPS_A_RECORD = 8.0, 8, 2

# Figures to reach over the whole of the data set: attribute, name, unit, limit, is it a minimum?
TARGETS = (
    ("se_pct", "Sensitivity, ±150 ms", "%", 99.85, True),
    ("ppv_pct", "Positive predictive value, ±150 ms", "%", 99.85, True),
    ("f1_50_pct", "F1, ±50 ms", "%", 98.8, True),
    ("f1_25_pct", "F1, ±25 ms", "%", 96.5, True),
    ("sd_ms", "Location, standard deviation", "ms", 9.0, False),
)


@dataclass(frozen=True)
class Task:
    """One detector (OURS or a peer) on one case."""

    case: Case
    detector: str = OURS

    def __str__(self) -> str:
        return f"{self.detector} on {self.case}"


@dataclass
class Readings:
    """Heart rate each REPORT_S: best guess (NaN: none), truth over its window, quality, shown; why: "" when shown."""

    end_s: np.ndarray
    bpm: np.ndarray
    truth: np.ndarray
    quality: np.ndarray
    shown: np.ndarray
    why: list[str]

    @property
    def withheld_s(self) -> list[tuple[float, float]]:
        """Stretches whose reading was withheld."""
        return merge((t - REPORT_S, t) for t, shown in zip(self.end_s, self.shown, strict=True) if not shown)


@dataclass
class Found:
    """What one task gave. scores: at WINDOWS_S as it is; moved: with the record's median error taken off."""

    scores: list[BeatScore] = field(default_factory=list)
    moved: list[BeatScore] = field(default_factory=list)
    readings: Readings | None = None
    shown: list[BeatScore] = field(default_factory=list)
    withheld_share: float = 0.0
    beats_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    beat_quality: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))  # quality, and is it right?
    missed_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    false_s: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class EcgStudy:
    """records: names in mitdb, all by default. peers: None takes those installed. noise: the stress test too?"""

    engine: str = "micropython"
    records: tuple[str, ...] = ()
    peers: bool | None = None
    noise: bool = True
    snrs_db: tuple[float, ...] = SNRS_DB

    name = "ecg"
    title = "Vigil ECG: beats and heart rate on recorded hearts"

    def tasks(self) -> list[Task]:
        """Every detector on every case; ours alone on what has no beat annotations."""
        here, _ = peer_detectors.installed(self.peers)
        records = record_names("mitdb", self.records)
        tasks = [Task(Case(r), d) for r in records for d in (OURS, *(p.name for p in here))]
        if self.noise:
            rivals = [p.name for p in here if p.in_noise]
            tasks += [Task(c, d) for c in stressed(records, self.snrs_db)[0] for d in (OURS, *rivals)]
        if not self.records and self.engine != "mirror" and present("bidmc"):
            heard_by = [OURS, *(p.name for p in here if p.name == WITNESS)]
            tasks += [Task(Case(r, data_set="bidmc"), d) for r in record_names("bidmc") for d in heard_by]
        return tasks

    def key(self, task: Task) -> str:
        """See Study."""
        return f"ecg {self.engine if task.detector == OURS else ''} {task!r}"

    def run(self, task: Task) -> Found:
        """Detect and score."""
        recording = load(task.case)
        assert recording.ecg is not None and recording.ecg_fs
        if task.detector == OURS:
            return _ours(task.case, recording, self.engine)
        peer = peer_detectors.PEERS[task.detector]
        found_s = peer_detectors.beats_s(peer, recording.ecg, round(recording.ecg_fs))
        if task.case.data_set != "mitdb":
            return Found(beats_s=found_s)
        return _scored(task.case, found_s, recording.duration_s)

    def summarise(self, results: list[tuple[Task, Found]]) -> dict:
        """See the module's docstring."""
        here, peers_out = peer_detectors.installed(self.peers)
        clean = [(t, f) for t, f in results if not t.case.noise and t.case.data_set == "mitdb"]
        noisy = [(t, f) for t, f in results if t.case.noise]
        records = list(dict.fromkeys(t.case.record for t, _ in clean))
        left_out = [
            peers_out,
            stressed(records, self.snrs_db)[1] if self.noise else "the noise stress test was left out",
            _too_slow(here) if self.noise else "",
        ]
        if self.engine == "mirror":
            left_out.append("the mirror has beats and no readings: heart rate and what is withheld need another engine")
        if self.records:
            left_out.append("targets are for the whole data set, and these are some of its records")
        gross = {d: _scores([f for t, f in clean if t.detector == d], d) for d in (OURS, *(p.name for p in here))}
        return {
            "engine": self.engine,
            "left_out": [s for s in left_out if s],
            "data": {"mitdb": records, **_others(results)},
            "stress_records": list(dict.fromkeys(t.case.record for t, _ in noisy)),
            "detectors": {
                OURS: {"package": "vigil-monitor", "version": None, "offset_removed": False},
                **{
                    p.name: {
                        "package": p.package.distribution,
                        "version": p.package.version,
                        "offset_removed": True,
                        "in_noise": p.in_noise,
                    }
                    for p in here
                },
            },
            "targets": [_target(*t, gross, _shares(t[0], clean)) for t in TARGETS] + _followed(results),
            "clean": {
                "records": {
                    r: {t.detector: _scores([f], t.detector) for t, f in clean if t.case.record == r} for r in records
                },
                "gross": gross,
            },
            "stress": _stress(noisy),
            "heart_rate": _heart_rate(results),
            "quality": _quality(results),
            "beat_quality": _beat_quality(results),
            "monitor": _monitor(results),
            "worst": _worst(clean),
        }

    def sections(self, result: dict) -> list[Section]:
        """Draw it."""
        from host_tools.validate import ecg_report

        return ecg_report.sections(result)


def _too_slow(here: list[peer_detectors.Peer]) -> str:
    names = ", ".join(p.name for p in here if not p.in_noise)
    return f"too slow for the noise stress test, or of no use there, and left out of it: {names}" if names else ""


def present(data_set: str) -> bool:
    """Is any record of it on this machine?"""
    try:
        return bool(datasets.records(data_set))
    except UserError:
        return False


def merge(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Sorted spans, those that touch made one."""
    merged: list[tuple[float, float]] = []
    for a, b in spans:
        if merged and a <= merged[-1][1] + 1e-6:
            merged[-1] = (merged[-1][0], b)
        else:
            merged.append((max(0.0, a), b))
    return merged


def measure(recording: Recording, engine: str) -> tuple[np.ndarray, Readings]:
    """Our beats (seconds) and heart-rate readings of a recording's ECG, as a wearer would get them."""
    assert recording.ecg is not None and recording.ecg_fs
    result = replay(ecg=held(recording.ecg, recording.ecg_fs), ecg_fs=recording.ecg_fs, engine=engine)
    readings = result.of("heart_rate")
    return result.ecg_beats_s, Readings(
        end_s=REPORT_S * (1 + np.arange(len(readings))),
        bpm=np.array([np.nan if r.value is None else r.value for r in readings], float),
        truth=np.array([recording.truth_mean("heart_rate", r.t_start_s, r.t_end_s) for r in readings], float),
        quality=np.array([r.quality_pct for r in readings], float),
        shown=np.array([not r.withheld for r in readings], bool),
        why=[r.absent_reason for r in readings],
    )


def missed_and_false(reference_s: np.ndarray, found_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Annotated beats that were not found, and beats found where there is none, within EC57's 150 ms."""
    pairs = np.array(match(reference_s, found_s), int).reshape(-1, 2)
    return np.delete(reference_s, pairs[:, 0]), np.delete(found_s, pairs[:, 1])


def _scored(case: Case, found_s: np.ndarray, duration_s: float) -> Found:
    notes = notes_of(case.record)
    as_it_is = scores(notes, found_s, duration_s)
    offset_s = float(np.median(as_it_is[0].errors_s)) if len(as_it_is[0].errors_s) else 0.0
    return Found(as_it_is, scores(notes, found_s - offset_s, duration_s))


def _ours(case: Case, recording: Recording, engine: str) -> Found:
    assert recording.ecg is not None and recording.ecg_fs
    if engine == "mirror":
        beats_s, readings = mirror_beats_s(quantised(recording.ecg, recording.ecg_fs)), None
    else:
        beats_s, readings = measure(recording, engine)
    if case.data_set != "mitdb":
        if readings is not None:  # the monitor's number looks back as ours does: compared where both end
            readings.truth = np.array([recording.truth_mean("heart_rate", t, t) for t in readings.end_s])
        return Found(readings=readings, beats_s=beats_s)
    notes = notes_of(case.record)
    found = _scored(case, beats_s, recording.duration_s)
    found.moved = found.scores
    found.beats_s = beats_s
    found.beat_quality = _right_beats(case, recording)
    end_s = recording.duration_s - WINDOW_S
    found.missed_s, found.false_s = (
        np.array([t for t in times if LEARNING_S <= t <= end_s and not any(a <= t <= b for a, b in notes.flutter_s)])
        for times in missed_and_false(notes.beats_s, beats_s)
    )
    if readings is not None:
        for a, b in notes.flutter_s:  # no beats are annotated there, and a reading looks back over a dozen
            readings.truth[(readings.end_s > a) & (readings.end_s - REPORT_S < b + _LOOK_BACK_S)] = np.nan
        found.readings = readings
        found.shown = scores(notes, beats_s, recording.duration_s, readings.withheld_s)
        due = readings.end_s > LEARNING_S
        found.withheld_share = float(1 - readings.shown[due].mean()) if due.any() else 0.0
    return found


def _right_beats(case: Case, recording: Recording) -> np.ndarray:
    assert recording.ecg is not None and recording.ecg_fs
    notes = notes_of(case.record)
    beats = fixed_ecg.detect(quantised(recording.ecg, recording.ecg_fs))
    t = beats.time_s
    right = np.isin(np.arange(len(t)), [j for _, j in match(notes.beats_s, t)])
    scored = (t >= LEARNING_S) & (t <= recording.duration_s - WINDOW_S)
    for a, b in notes.flutter_s:
        scored &= (t < a) | (t > b)
    return np.column_stack([beats.quality_pct, right])[scored]


def figures(at_windows: list[BeatScore]) -> dict:
    """Scores at WINDOWS_S as plain numbers."""
    wide = at_windows[0]
    return {
        "beats": wide.tp + wide.fn,
        "fn": wide.fn,
        "fp": wide.fp,
        "se_pct": wide.se_pct,
        "ppv_pct": wide.ppv_pct,
        **{f"f1_{round(1000 * w)}_pct": s.f1_pct for w, s in zip(WINDOWS_S, at_windows, strict=True)},
        "sd_ms": wide.sd_ms,
        "bias_ms": wide.bias_ms,
    }


def _total(parts: Iterable[list[BeatScore]]) -> list[BeatScore]:
    total = [BeatScore() for _ in WINDOWS_S]
    for part in parts:
        total = [a + b for a, b in zip(total, part, strict=True)]
    return total


def _scores(found: list[Found], detector: str) -> dict:
    if detector == OURS:
        return figures(_total(f.scores for f in found))
    return {**figures(_total(f.moved for f in found)), "as_it_is": figures(_total(f.scores for f in found))}


def _better(a: float, b: float, least: bool) -> bool:
    return bool(a > b if least else a < b)


def _shares(attribute: str, clean: list[tuple[Task, Found]]) -> dict[str, tuple[float, float]]:
    """What each record adds to a figure of TARGETS, ours: see study.judged."""
    ours = {t.case.record: f.scores for t, f in clean if t.detector == OURS}
    if attribute == "sd_ms":
        mean = _total(ours.values())[0].bias_ms
        return {r: (float(np.sum((1e3 * s[0].errors_s - mean) ** 2)), s[0].tp) for r, s in ours.items()}
    if attribute.startswith("f1_"):
        i = [round(1000 * w) for w in WINDOWS_S].index(int(attribute.split("_")[1]))
        return {r: (200 * s[i].tp, 2 * s[i].tp + s[i].fn + s[i].fp) for r, s in ours.items()}
    return {r: (100 * s[0].tp, s[0].tp + (s[0].fn if attribute == "se_pct" else s[0].fp)) for r, s in ours.items()}


def _followed(results: list[tuple[Task, Found]]) -> list[dict]:
    """Figures without a target of their own: heart rate on each data set, beats in each kind of noise."""
    rows = []
    groups: dict[str, list[tuple[str, Readings]]] = {}
    noisy: dict[str, dict[str, list[BeatScore]]] = {}
    for task, found in results:
        case = task.case
        if found.readings is not None and not case.noise:
            groups.setdefault(case.data_set, []).append((case.record, found.readings))
        if task.detector == OURS and case.noise:
            noisy.setdefault(case.noise, {}).setdefault(case.record, []).append(found.scores[0])
    for data_set, parts in groups.items():
        shares = {record: _error_of(r) for record, r in parts}
        total, n = (sum(v) for v in zip(*shares.values(), strict=True))
        rows.append(judged(f"Heart rate on {data_set}, MAE", total / max(n, 1), "/min", None, False, shares))
    for noise, records in noisy.items():
        counts = {r: (200.0 * sum(s.tp for s in k), sum(2 * s.tp + s.fn + s.fp for s in k)) for r, k in records.items()}
        total, n = (sum(v) for v in zip(*counts.values(), strict=True))
        rows.append(judged(f"F1 of all beats in noise, {noise}", total / max(n, 1), "%", None, True, counts))
    return rows


def _error_of(r: Readings) -> tuple[float, float]:
    due = r.end_s > (LEARNING_S if len(r.end_s) * REPORT_S > 2 * LEARNING_S else 0)
    error = np.abs(r.bpm - r.truth)[due & r.shown]
    error = error[np.isfinite(error)]
    return float(error.sum()), len(error)


def _target(
    attribute: str, name: str, unit: str, limit: float, least: bool, gross: dict[str, dict], shares: dict
) -> dict:
    value = gross[OURS][attribute]
    pick = max if least else min
    rivals = {d: pick(s[attribute], s["as_it_is"][attribute]) for d, s in gross.items() if d != OURS and s["beats"]}
    # A detector that finds few beats locates those few well: its spread is no rival.
    rivals = {d: v for d, v in rivals.items() if attribute != "sd_ms" or gross[d]["f1_150_pct"] >= _RIVAL_F1_PCT}
    best = pick(rivals, key=lambda d: rivals[d]) if rivals else None
    return judged(name, value, unit, limit, least, shares, root=attribute == "sd_ms") | {
        "peer": best,
        "peer_value": rivals[best] if best else None,
        "ahead": _better(value, rivals[best], least) if best else None,
    }


def _others(results: list[tuple[Task, Found]]) -> dict[str, list[str]]:
    others: dict[str, list[str]] = {}
    for task, _ in results:
        if task.case.data_set != "mitdb" and task.detector == OURS:
            others.setdefault(task.case.data_set, []).append(task.case.record)
    return others


def _stress(noisy: list[tuple[Task, Found]]) -> list[dict]:
    rows = []
    for noise, snr_db in dict.fromkeys((t.case.noise, t.case.snr_db) for t, _ in noisy):
        here = [(t, f) for t, f in noisy if (t.case.noise, t.case.snr_db) == (noise, snr_db)]
        by_detector: dict[str, list[Found]] = {}
        for task, found in here:
            by_detector.setdefault(task.detector, []).append(found)
        gross = {d: _scores(f, d) for d, f in by_detector.items()}
        rivals = {d: s["f1_150_pct"] for d, s in gross.items() if d != OURS and np.isfinite(s["f1_150_pct"])}
        best = max(rivals, key=lambda d: rivals[d]) if rivals else None
        ours = by_detector[OURS]
        row: dict[str, Any] = {"noise": noise, "what": NOISES[noise], "snr_db": snr_db, "scores": gross, "ours": None}
        if ours[0].readings is not None:
            row["ours"] = {
                "withheld_share": float(np.mean([f.withheld_share for f in ours])),
                "shown": figures(_total(f.shown for f in ours)),
                "rate": _rate(ours)["agreement"],
            }
        row["best_peer"] = best
        row["ahead"] = gross[OURS]["f1_150_pct"] > rivals[best] if best else None
        rows.append(row)
    return rows


def _rate(found: list[Found]) -> dict:
    parts = [f.readings for f in found if f.readings is not None]
    scored = [r.end_s > (LEARNING_S if len(r.end_s) * REPORT_S > 2 * LEARNING_S else 0) for r in parts]
    bpm, truth, quality, shown = (
        np.concatenate([getattr(r, name)[s] for r, s in zip(parts, scored, strict=True)])
        for name in ("bpm", "truth", "quality", "shown")
    )
    a = agreement(bpm, truth, shown)
    curve = error_against_coverage(bpm, truth, quality, COVERAGES)
    return {"agreement": {**asdict(a), "coverage": a.coverage}, "curve": {f"{c:g}": e for c, e in curve.items()}}


def _heart_rate(results: list[tuple[Task, Found]]) -> dict:
    groups: dict[str, list[Found]] = {}
    for task, found in results:
        if found.readings is not None:
            case = task.case
            name = f"{case.noise} {case.snr_db:g} dB" if case.noise else case.data_set
            groups.setdefault(name, []).append(found)
    return {name: _rate(found) for name, found in groups.items()}


def _quality(results: list[tuple[Task, Found]]) -> dict:
    groups: dict[str, dict[str, list[Readings]]] = {}
    for task, found in results:
        if found.readings is not None:
            group = groups.setdefault("noise" if task.case.noise else task.case.data_set, {})
            group.setdefault(task.case.record, []).append(found.readings)
    return {name: reliability(list(records.values())) for name, records in groups.items()}


def reliability(records: list[list[Readings]]) -> dict:
    """Rows and gap_pct of the module's docstring. records: readings of each; every second record is one half."""

    def rows(r: Readings) -> np.ndarray:
        error = np.abs(r.bpm - r.truth)
        known = r.shown & np.isfinite(error)
        return np.column_stack([r.quality, error <= RIGHT_BPM, error])[known]

    return kept_word([[rows(r) for r in readings] for readings in records])


def kept_word(records: list[list[np.ndarray]]) -> dict:
    """reliability() of rows (quality, is it right?, error) of each record."""
    halves = []
    for half in (records[::2], records[1::2]):
        parts = [r for parts in half for r in parts]
        if not parts:
            return {"rows": [], "gap_pct": None}
        quality, right, error = np.concatenate(parts).T
        step = np.minimum(9, quality // 10).astype(int)
        halves.append([np.bincount(step, v, 10) for v in (np.ones(len(step)), right, error, quality)])
    rows, gap = [], 0.0
    for step in range(10):
        n, right, error, said = (sum(h[i][step] for h in halves) for i in range(4))
        if all(h[0][step] for h in halves):
            shares = [h[1][step] / h[0][step] for h in halves]
            promised = (halves[0][0][step] * shares[1] + halves[1][0][step] * shares[0]) / n
            gap += n * abs(shares[0] - shares[1])
            rows.append(
                {
                    "quality_pct": 10 * step,
                    "n": int(n),
                    "said_pct": float(said / n),
                    "right_pct": float(100 * right / n),
                    "promised_pct": float(100 * promised),
                    "mae": float(error / n),
                }
            )
    total = sum(r["n"] for r in rows)
    return {"rows": rows, "gap_pct": float(100 * gap / total) if total else None}


def _beat_quality(results: list[tuple[Task, Found]]) -> dict:
    groups: dict[str, dict[str, list[np.ndarray]]] = {}
    for task, found in results:
        if len(found.beat_quality):
            group = groups.setdefault("noise" if task.case.noise else task.case.data_set, {})
            rows = np.column_stack([found.beat_quality, np.zeros(len(found.beat_quality))])
            group.setdefault(task.case.record, []).append(rows)
    return {name: kept_word(list(records.values())) for name, records in groups.items()}


def rule_bpm(beats_s: np.ndarray, at_s: float) -> float:
    """Heart rate at at_s by the rule of vigil.estimators.heart_rate from anybody's beats; NaN below 3 intervals."""
    rr_s = np.diff(beats_s[beats_s <= at_s][-13:])
    if len(rr_s) < 3:
        return float("nan")
    if rr_s[-3:].min() > 1.2:
        return float(60 / rr_s[-4:].mean())
    return float(60 / (np.sort(rr_s)[1:-1] if len(rr_s) > 3 else rr_s).mean())


def _monitor(results: list[tuple[Task, Found]]) -> list[dict]:
    heard = {(t.case.record, t.detector): f for t, f in results if t.case.data_set == "bidmc"}
    rows = []
    for (record, detector), found in heard.items():
        r = found.readings
        if detector != OURS or r is None:
            continue
        error = r.bpm - r.truth
        seen = error[r.shown & np.isfinite(error)]
        row = {"record": record, "n": len(r.end_s), "coverage": float(r.shown.mean()), "beats": len(found.beats_s)}
        for name, value in (("mae", np.abs(seen)), ("bias", seen)):
            row[name] = float(value.mean()) if len(seen) else None
        row["worst"] = float(np.abs(seen).max()) if len(seen) else None
        if witness := heard.get((record, WITNESS)):
            theirs = np.abs([rule_bpm(witness.beats_s, t) for t in r.end_s] - r.truth)
            row["witness_beats"] = len(witness.beats_s)
            row["witness_mae"] = float(np.nanmean(theirs)) if np.isfinite(theirs).any() else None
        rows.append(row)
    return sorted(rows, key=lambda row: -(row["mae"] or 0))


def _worst(clean: list[tuple[Task, Found]]) -> list[dict]:
    ours = [(t.case, f) for t, f in clean if t.detector == OURS]
    ranked = sorted(ours, key=lambda p: -(p[1].scores[0].fn + p[1].scores[0].fp))
    strips = []
    for case, found in ranked:
        errors = np.sort(np.concatenate([found.missed_s, found.false_s]))
        for start_s in densest(errors, _STRIP_S, _STRIPS_A_RECORD):
            if len(strips) < _STRIPS:
                recording = load(case)
                title = f"Record {case.record} from {int(start_s // 60)}:{int(start_s % 60):02d}"
                strips.append(strip_of(recording, title, start_s, _STRIP_S, found))
    return strips


def densest(times_s: np.ndarray, span_s: float, most: int) -> list[float]:
    """Starts of up to `most` stretches of span_s that hold most of the times, each about its middle."""
    starts = []
    left = times_s
    while len(left) and len(starts) < most:
        held = [int(((left >= t) & (left < t + 0.75 * span_s)).sum()) for t in left]
        at = left[int(np.argmax(held))]
        inside = left[(left >= at) & (left < at + 0.75 * span_s)]
        start = max(0.0, float((inside[0] + inside[-1] - span_s) / 2))
        starts.append(round(start, 1))
        left = left[(left < start) | (left > start + span_s)]
    return starts


def strip_of(recording: Recording, title: str, start_s: float, span_s: float, found: Found) -> dict:
    """A stretch of a recording and what was found there, as plain numbers."""
    assert recording.ecg is not None and recording.ecg_fs
    fs = recording.ecg_fs
    mv = recording.ecg[round(start_s * fs) : round((start_s + span_s) * fs)]
    step = max(1, int(fs // 180))  # finer than a line on paper

    def inside(times: np.ndarray) -> list[float]:
        return [round(float(t), 3) for t in times if start_s <= t < start_s + span_s]

    withheld = found.readings.withheld_s if found.readings is not None else []
    return {
        "title": title,
        "start_s": start_s,
        "fs": fs / step,
        "mv": [round(float(v), 3) for v in mv[::step]],
        "found": inside(found.beats_s),
        "missed": inside(found.missed_s),
        "false": inside(found.false_s),
        "withheld": [(a, b) for a, b in withheld if b > start_s and a < start_s + span_s],
    }
