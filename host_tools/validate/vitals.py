"""Pulse rate, SpO2 and respiration against their references, beside open peers. `result` of the document:

    part     "ppg", "spo2", "resp" or "motion"; engine; unit; left_out: sentences on what was not run
    data     data set to the names of its records
    targets  see host_tools.validate.study.judged
    groups   name to {data, ours: is it Vigil?, records, agreement: Agreement of what is shown, within_5_pct,
             mae_of_records: mean of the records' mean absolute errors, every reading counted, curve {coverage: mean
             absolute error of the best by quality}, calibration [[quality from, to, readings, mean absolute error]],
             bland_altman [[mean, difference]]}; peers show every reading
    records  [{group, record, agreement}]
    tracks   [{title, t_s, value, reference, withheld [[from, to]]}]: the worst records of each group of ours

A group is one way of measuring on one data set. A reading is due each 2 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from host_tools.errors import UserError
from host_tools.replay import ENGINES
from host_tools.validate import light_peers, motion, ppg, resp
from host_tools.validate import peers as peer_detectors
from host_tools.validate.ecg_study import present
from host_tools.validate.pairs import Pairs, events_rate
from host_tools.validate.study import Section, judged
from signal_models import datasets
from signal_models.design.ppg import spo2_pct
from signal_models.metrics.agreement import agreement, error_against_coverage
from signal_models.recording import Recording
from signal_models.synth.ppg import ppg as light
from signal_models.synth.ppg import regular_beats

PARTS = {
    "ppg": ("Vigil PPG: pulse rate at rest", "/min"),
    "motion": ("Vigil PPG in motion: pulse rate of runners", "/min"),
    "spo2": ("Vigil SpO2: oxygen saturation from red and infrared light", "%"),
    "resp": ("Vigil respiration: breath from light and ECG", "/min"),
}


def _as_it_is(recording: Recording) -> Recording:
    return recording


OURS = "Vigil"
LATE = f"monitor {ppg.PULSE_LATE_S} s later"  # when its number tells of the reading's time
COVERAGES = tuple(round(c, 2) for c in np.arange(0.5, 1.001, 0.05))
_POINTS, _TRACKS = 1500, 3
RATES = (30, 45, 60, 75, 100, 140, 180, 220, 240)
PERFUSIONS = (0.3, 1.0, 10.0)
_CHANNELS = {"channel " + "+".join(str(c + 1) for c in channels): channels for channels in motion.CHANNELS}
# How a runner's recording is heard: channels, with the acceleration?, as another board or strap would have had it.
HOW_WORN = {
    **{name: (channels, True, _as_it_is) for name, channels in _CHANNELS.items()},
    **{f"{name}, no acceleration": (channels, False, _as_it_is) for name, channels in _CHANNELS.items()},
    **{name: (motion.CHANNELS[0], True, change) for name, change in motion.PERTURBATIONS.items()},
}

# Group, figure of it, name, limit, is it a minimum?
TARGETS = {
    "ppg": (
        (
            "Vigil on bidmc, ECG beats",
            "mae",
            "Pulse rate at rest, against the ECG's beats, MAE",
            0.5,
            False,
        ),
        ("Vigil on bidmc, ECG beats", "coverage_pct", "coverage there", 97.0, True),
        (
            "Vigil on bidmc, monitor",
            "mae",
            "Pulse rate at rest, against the monitor's, MAE",
            1.1,
            False,
        ),
        ("Vigil on synthetic, clean", "mae", "Synthetic grid, clean, MAE", 0.5, False),
        ("Vigil on synthetic, 10 dB", "mae", "Synthetic grid, 10 dB, MAE", 0.5, False),
    ),
    "motion": (
        ("Vigil on ispc2015, channel 1+2", "mae_of_records", "Running, two channels, every window", 1.2, False),
        ("Vigil on ispc2015, channel 1", "mae_of_records", "Running, first channel", 2.5, False),
        ("Vigil on ispc2015, channel 2", "mae_of_records", "Running, second channel", 2.5, False),
    ),
    "spo2": (
        ("Vigil on synthetic, clean", "arms", "Simulator, clean, Arms", 1.0, False),
        ("Vigil on synthetic, 6 dB", "arms", "Simulator, 6 dB, Arms", 2.0, False),
        (
            "Vigil on oxiwear, line, left out",
            "arms",
            "OxiWear, leave one out, Arms",
            3.0,
            False,
        ),
    ),
    "resp": tuple(
        (f"Vigil on bidmc, {heard}", figure, f"{heard}: {name}", limit, least)
        for heard in resp.WITH
        for figure, name, limit, least in (
            ("mae", "mean absolute error", 1.8, False),
            ("coverage_pct", "coverage", 80.0, True),
            ("within_5_pct", "within 5 a minute", 95.0, True),
        )
    ),
}


@dataclass(frozen=True)
class Task:
    """One way of measuring (`how`, of Vigil or the name of a peer) on one case."""

    case: str
    data_set: str
    how: str = ""
    peer: str = ""

    def __str__(self) -> str:
        return f"{self.peer or OURS} on {self.case}"

    @property
    def drawn(self) -> bool:
        """Is it drawn reading by reading, and listed by record? Not so a disturbed or crippled variant of another."""
        return self.how not in motion.PERTURBATIONS and not self.how.endswith("no acceleration")

    @property
    def group(self) -> str:
        """What its readings are counted with."""
        return f"{self.peer or OURS} on {self.data_set}{', ' if self.how else ''}{self.how}"


@dataclass(frozen=True)
class VitalsStudy:
    """part: one of PARTS. records: names in bidmc, all by default. peers: None takes those installed."""

    part: str
    engine: str = "micropython"
    records: tuple[str, ...] = ()
    peers: bool | None = None

    @property
    def name(self) -> str:
        """See Study."""
        return self.part

    @property
    def title(self) -> str:
        """See Study."""
        return PARTS[self.part][0]

    def tasks(self) -> list[Task]:
        """Ours and the peers on every case that is here."""
        if self.engine not in ENGINES:
            raise UserError(f"unknown engine `{self.engine}`", f"one of {', '.join(ENGINES)}")
        if self.part == "motion":
            runs = _names("ispc2015", self.records)
            return [Task(run, "ispc2015", how) for run in runs for how in HOW_WORN]
        tasks = [Task(f"synthetic {noise}", "synthetic", noise) for noise in _noises()] if self.part != "resp" else []
        if self.part == "spo2":
            if self.records:
                raise UserError("SpO2 has no records to choose from", "leave out --records")
            if present("oxiwear"):
                tasks += [Task("oxiwear", "oxiwear", how) for how in ("shipped curve", "line, left out")]
            return tasks
        names = _names("bidmc", self.records) if self.records or self.part == "resp" or present("bidmc") else []
        for name in names:
            hows = tuple(resp.WITH) if self.part == "resp" else ("ECG beats", "monitor", LATE)
            tasks += [Task(name, "bidmc", how) for how in hows]
            tasks += [Task(name, "bidmc", hows[0] if self.part == "ppg" else "", p) for p in self._peers()[0]]
        return tasks

    def _peers(self) -> tuple[list[str], str]:
        known = {"ppg": light_peers.PULSE_PEERS, "resp": light_peers.BREATH_PEERS}.get(self.part, {})
        if self.peers is False or not known:
            return [], "peers were not asked for" if known else ""
        absent = sorted({p.package.distribution for p in known.values() if p.package.version is None})
        if self.peers and absent:
            raise UserError(
                f"peers that are not installed: {', '.join(absent)}",
                peer_detectors.EXTRA,
            )
        here = [n for n, p in known.items() if p.package.version is not None]
        return (
            here,
            f"peers that are not installed: {', '.join(absent)} ({peer_detectors.EXTRA})" if absent else "",
        )

    def key(self, task: Task) -> str:
        """See Study."""
        return f"{self.part} {self.engine if self.part == 'resp' and not task.peer else ''} {task!r}"

    def run(self, task: Task) -> list[tuple[str, Pairs]]:
        """(record, readings) pairs."""
        if task.data_set == "synthetic":
            return _synthetic(self.part, task.how)
        if task.data_set == "oxiwear":
            return _oxiwear(task.how)
        path = next(p for p in datasets.records(task.data_set) if p.stem == task.case)
        if task.data_set == "ispc2015":
            return [(task.case, _running(datasets.load(path), task.how))] if _has_rate(path) else []
        if self.part == "resp" and not task.peer:
            return [
                (
                    task.case,
                    resp.measure(path, ecg=resp.WITH[task.how], engine=self.engine),
                )
            ]
        recording = datasets.load(path)
        pairs = _resting(recording, task.how) if self.part == "ppg" else resp.windows(path)
        return [(task.case, _by_peer(task.peer, recording, pairs) if task.peer else pairs)]

    def summarise(self, results: list[tuple[Task, list[tuple[str, Pairs]]]]) -> dict:
        """See the module's docstring."""
        groups: dict[str, list[tuple[str, Pairs]]] = {}
        about: dict[str, Task] = {}
        for task, found in results:
            groups.setdefault(task.group, []).extend(found)
            about[task.group] = task
        groups = {g: rows for g, rows in groups.items() if rows}
        figures = {g: _figures(rows, about[g]) for g, rows in groups.items()}
        data: dict[str, list[str]] = {}
        for g, rows in groups.items():
            names = data.setdefault(about[g].data_set, [])
            names += [r for r, _ in rows if r not in names]
        left_out = [self._peers()[1]]
        if self.records:
            left_out.append("targets are for the whole data set, and these are some of its records")
        return {
            "part": self.part,
            "engine": self.engine if self.part == "resp" else "mirror",
            "unit": PARTS[self.part][1],
            "left_out": [s for s in left_out if s],
            "data": data,
            "targets": [_target(t, figures, groups, self.part) for t in TARGETS[self.part] if t[0] in figures],
            "groups": figures,
            "records": [
                {
                    "group": g,
                    "record": r,
                    "agreement": asdict(agreement(p.value, p.reference, p.shown)),
                }
                for g, rows in groups.items()
                if not about[g].peer and about[g].data_set != "synthetic" and about[g].drawn
                for r, p in rows
            ],
            "tracks": [
                t for g, rows in groups.items() if not about[g].peer and about[g].drawn for t in _tracks(g, rows)
            ],
        }

    def sections(self, result: dict) -> list[Section]:
        """Draw it."""
        from host_tools.validate import vitals_report

        return vitals_report.sections(result)


def _names(data_set: str, wanted: Sequence[str]) -> list[str]:
    here = [p.stem for p in datasets.records(data_set)]
    missing = [n for n in wanted if n not in here]
    if missing:
        raise UserError(f"no record {', '.join(missing)} in {data_set}", f"it has {', '.join(here[:8])} ...")
    return list(wanted) or here


def _noises() -> dict[str, float | None]:
    return {"clean" if db is None else f"{db:g} dB": db for db in ppg.NOISES_DB}


def _pairs(series: ppg.Series, reference: np.ndarray, part: str = "ppg") -> Pairs:
    if part == "spo2":
        return Pairs(series.t_s, series.spo2, reference, series.quality, series.spo2_shown, series.start_s)
    return Pairs(series.end_s, series.bpm, reference, series.quality, series.rate_shown, series.start_s)


def _resting(recording: Recording, how: str) -> Pairs:
    series = ppg.measure(recording)
    if how == "ECG beats":
        return _pairs(series, ppg.ecg_rate(recording, series))
    late_s = ppg.PULSE_LATE_S if how == LATE else 0
    return _pairs(series, ppg.reference(recording, "pulse_rate", series, late_s))


def _by_peer(name: str, recording: Recording, ours: Pairs) -> Pairs:
    """The peer's rate in the windows of our readings; it shows all that it has."""
    of_ecg = name.endswith("ECG")
    x, fs = (recording.ecg, recording.ecg_fs) if of_ecg else (recording.ppg, recording.ppg_fs)
    assert x is not None and fs
    events = peer_detectors.beats_s(light_peers.ALL[name], np.nan_to_num(np.ravel(x)), round(fs))
    value = events_rate(events, ours.start_s, ours.end_s)
    known = np.isfinite(value)
    return Pairs(ours.end_s, value, ours.reference, 100.0 * known, known, ours.start_s)


def _has_rate(path) -> bool:
    return "heart_rate" in datasets.load(path).truth


def _running(recording: Recording, how: str) -> Pairs:
    channels, accelerometer, change = HOW_WORN[how]
    a = motion.answers(change(recording), channels, accelerometer=accelerometer)
    half = motion.WINDOW_S / 2
    return Pairs(a.t_s + half, a.bpm, a.reference, a.quality, a.shown, a.t_s - half)


def _synthetic(part: str, noise: str, seconds: float = 30.0) -> list[tuple[str, Pairs]]:
    """The grid of one noise: rate x perfusion for the pulse, saturation x perfusion for SpO2."""
    out = []
    for perfusion in PERFUSIONS:
        for wanted in RATES if part == "ppg" else (70.5, 75, 80, 85, 90, 95, 99):
            rate, spo2 = (wanted, 97.0) if part == "ppg" else (75, wanted)
            rng = np.random.default_rng(round(wanted * 1000 + perfusion * 10))
            beats = regular_beats(seconds, rate)
            made = light(
                seconds,
                rng,
                beats,
                spo2_pct=spo2,
                perfusion_pct=perfusion,
                snr_db=_noises()[noise],
            )
            recording = Recording("", ppg=made.counts, ppg_fs=100.0, truth={"pulse_rate": made.pulse_rate})
            series = ppg.measure(recording)
            truth = ppg.reference(recording, "pulse_rate", series)
            if part == "spo2":
                truth = np.full(len(series.t_s), spo2)
            out.append((f"{wanted:g}, perfusion {perfusion:g} %", _pairs(series, truth, part)))
    return out


def _oxiwear(how: str) -> list[tuple[str, Pairs]]:
    """A capture each, with its one reading."""
    names, r, truth, shown = ppg.captures()
    value = np.asarray(spo2_pct(r) if how == "shipped curve" else ppg.left_out(r, truth, shown), float)
    columns = (np.arange(len(r), dtype=float), value, truth, np.where(shown, 99.0, 0.0), shown)
    rows = [[c[i : i + 1] for c in columns] for i in range(len(r))]
    return [(name, Pairs(*row, start_s=row[0])) for name, row in zip(names, rows, strict=True)]


def _figures(rows: list[tuple[str, Pairs]], task: Task) -> dict:
    p = Pairs.joined([pairs for _, pairs in rows])
    a = agreement(p.value, p.reference, p.shown)
    every = [agreement(q.value, q.reference).mae for _, q in rows]
    known = np.isfinite(p.value) & np.isfinite(p.reference)
    error = np.abs(p.value - p.reference)
    edges = (0, 30, 50, 60, 70, 80, 90, 101)
    bins = [(lo, hi, known & (p.quality >= lo) & (p.quality < hi)) for lo, hi in pairwise(edges)]
    kept = np.flatnonzero(p.counted)
    kept = kept[:: max(1, -(-len(kept) // _POINTS))]
    return {
        "data": task.data_set,
        "ours": not task.peer,
        "records": len(rows),
        "agreement": {**asdict(a), "coverage": a.coverage},
        "coverage_pct": 100 * a.coverage,
        "mae": a.mae,
        "arms": a.arms,
        "within_5_pct": p.within_pct(5.0),
        "mae_of_records": float(np.nanmean(every)) if np.isfinite(every).any() else float("nan"),
        "curve": {}
        if task.peer or not task.drawn
        else error_against_coverage(p.value, p.reference, p.quality, COVERAGES),
        "calibration": [[lo, min(hi, 100), int(m.sum()), float(error[m].mean())] for lo, hi, m in bins if m.any()],
        "bland_altman": [
            [
                round(float((p.value[i] + p.reference[i]) / 2), 2),
                round(float(p.value[i] - p.reference[i]), 2),
            ]
            for i in (kept if task.drawn else ())
        ],
    }


def _target(
    target: tuple[str, str, str, float, bool], figures: dict, groups: dict[str, list[tuple[str, Pairs]]], part: str
) -> dict:
    group, figure, name, limit, least = target
    shares = {record: _share(figure, pairs) for record, pairs in groups[group]}
    unit = "%" if figure.endswith("_pct") else PARTS[part][1]
    return judged(name, figures[group][figure], unit, limit, least, shares, root=figure == "arms")


def _share(figure: str, p: Pairs) -> tuple[float, float]:
    """What a record adds to a figure of TARGETS: see study.judged."""
    known, counted = np.isfinite(p.reference), p.counted
    error = np.abs(p.value - p.reference)
    if figure == "coverage_pct":
        return 100.0 * counted.sum(), known.sum()
    if figure == "mae_of_records":
        known &= np.isfinite(p.value)
        return (float(error[known].mean()), 1.0) if known.any() else (0.0, 0.0)
    of = {"mae": error, "arms": error**2, "within_5_pct": 100.0 * (error <= 5)}[figure]
    return float(of[counted].sum()), counted.sum()


def _tracks(group: str, rows: list[tuple[str, Pairs]]) -> list[dict]:
    """The records with the largest error of what is shown, best last."""
    if " on bidmc" not in group and " on ispc2015" not in group:
        return []
    errors = [float(np.abs(p.value - p.reference)[p.counted].mean()) if p.counted.any() else 0.0 for _, p in rows]
    order = np.argsort(errors)[::-1]
    return [
        {
            "title": f"{rows[i][0]}: {group}, {errors[i]:.2f} mean absolute error of what is shown",
            "t_s": rows[i][1].end_s.round(2).tolist(),
            "value": rows[i][1].value.round(2).tolist(),
            "reference": rows[i][1].reference.round(2).tolist(),
            "withheld": [
                [round(float(t) - 2.0, 2), round(float(t), 2)]
                for t, shown in zip(rows[i][1].end_s, rows[i][1].shown, strict=True)
                if not shown
            ],
        }
        for i in dict.fromkeys([*order[:_TRACKS], *order[-1:]])
    ]
