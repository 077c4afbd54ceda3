"""Rhythm and heart-rate variability as a study (host_tools.validate.rhythm says how each is scored). `result`:

engine, left_out, targets; data: data set to its records
figures  name to value, percent; of heart-rate variability the unit of the reading (ms, pNN50 percent)
time     [{set: "afdb", "mitdb annotated" or "mitdb own" (whose beats), record, af_found_s, af_missed_s, other_s,
         false_s}]
strips   {label in cinc2017: {our answer: number of strips}}
hrv      [{record, kind, readings, mae, worst}]
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from host_tools.errors import UserError
from host_tools.validate import rhythm
from host_tools.validate.cases import record_names
from host_tools.validate.ecg_study import present
from host_tools.validate.page import number, summary, table
from host_tools.validate.study import Section, Shares, judged
from signal_models.fixed.rhythm import AF, LABELS, UNKNOWN

_SETS = {"afdb": "afdb-rr", "cinc2017": "cinc2017", "mitdb annotated": "mitdb", "mitdb own": "mitdb", "hrv": "mitdb"}

# Figure, name, limit, is it a minimum?
_TARGETS = (
    ("afdb_se_pct", "AF on afdb, by intervals: sensitivity, of the time", 97.5, True),
    ("afdb_sp_pct", "AF on afdb, by intervals: specificity, of the time", 98.5, True),
    ("cinc2017_se_pct", "AF on cinc2017, by own beats: sensitivity, of the strips", 90.0, True),
    ("cinc2017_sp_pct", "AF on cinc2017, by own beats: specificity, of the strips", 93.0, True),
    ("mitdb_own_false_pct", "False AF on mitdb, by own beats, of the time", 1.0, False),
    ("mitdb_own_found_pct", "AF found on mitdb, by own beats, of the time", None, True),
)


@dataclass(frozen=True)
class Task:
    """One record of one of _SETS."""

    set: str
    record: str

    @property
    def case(self) -> str:
        """Those of one record run one after the other."""
        return self.record

    def __str__(self) -> str:
        return f"{self.set} {self.record}"


@dataclass(frozen=True)
class RhythmStudy:
    """engine: of the heart-rate variability; all else is by the mirrors, which are equal. records: of mitdb, all."""

    engine: str = "micropython"
    records: tuple[str, ...] = ()

    name = "rhythm"
    title = "Vigil rhythm: atrial fibrillation and heart-rate variability"

    def tasks(self) -> list[Task]:
        """Every record of every data set that is here."""
        sets = {s: folder for s, folder in _SETS.items() if not self.records or folder == "mitdb"}
        tasks = [Task(s, r) for s, folder in sets.items() if present(folder) for r in self._names(s, folder)]
        if not tasks:
            raise UserError("no data set with rhythms is here", "`vigil data` says how to get one")
        return tasks

    def _names(self, data_set: str, folder: str) -> list[str]:
        names = record_names(folder, self.records)
        return [n for n in names if data_set != "hrv" or n in rhythm.HRV_RECORDS]

    def key(self, task: Task) -> str:
        """See Study."""
        return f"rhythm {self.engine if task.set == 'hrv' else ''} {task!r}"

    def run(self, task: Task) -> Any:
        """Share of time, (label, answer) or errors, by its set."""
        if task.set == "afdb":
            return rhythm.afdb_share(task.record)
        if task.set == "cinc2017":
            return rhythm.cinc_answer(task.record)
        if task.set == "hrv":
            return rhythm.hrv_errors(task.record, self.engine)
        return rhythm.mitdb_share(task.record, task.set.split()[1])

    def summarise(self, results: list[tuple[Task, Any]]) -> dict:
        """See the module's docstring."""
        of: dict[str, dict[str, Any]] = {}
        for task, found in results:
            of.setdefault(task.set, {})[task.record] = found
        figures: dict[str, float] = {}
        strips = of.get("cinc2017", {})
        if "afdb" in of:
            figures |= rhythm.afdb_figures(list(of["afdb"].values()))
        if strips:
            figures |= rhythm.cinc_figures([t for t, _ in strips.values()], [a for _, a in strips.values()])
        for way in rhythm.MITDB_WAYS:
            if f"mitdb {way}" in of:
                figures |= rhythm.mitdb_figures(list(of[f"mitdb {way}"].values()), way)
        figures |= rhythm.hrv_figures(list(of.get("hrv", {}).values()))
        missing = sorted({folder for folder in _SETS.values() if not present(folder)})
        left_out = [f"data sets that are not here: {', '.join(missing)}"] if missing else []
        if self.records:
            left_out.append("targets are for the whole data set, and these are some of its records")
        time = {s: found for s, found in of.items() if s not in ("cinc2017", "hrv")}
        return {
            "engine": self.engine,
            "left_out": left_out,
            "targets": [
                judged(name, figures[f], "%", limit, least, _shares(f, of))
                for f, name, limit, least in _TARGETS
                if f in figures
            ],
            "data": {folder: list(of[s]) for s, folder in _SETS.items() if s in of and s != "hrv"},
            "figures": figures,
            "time": [
                {"set": s, **asdict(share), "record": r} for s, found in time.items() for r, share in found.items()
            ],
            "strips": {
                label: dict(Counter(LABELS[a] for t, a in strips.values() if t == label))
                for label in "NAO~"
                if any(t == label for t, _ in strips.values())
            },
            "hrv": [
                {
                    "record": r,
                    "kind": kind,
                    "readings": len(values),
                    "mae": float(np.mean(np.abs(values))) if values else None,
                    "worst": float(np.max(np.abs(values))) if values else None,
                }
                for r, errors in of.get("hrv", {}).items()
                for kind, values in errors.items()
            ],
        }

    def sections(self, result: dict) -> list[Section]:
        """Draw it."""
        parts = [summary(result, "; ".join(f"{name}: {len(names)} records" for name, names in result["data"].items()))]
        if result["strips"]:
            parts.append(_strips(result))
        if result["time"]:
            parts.append(_time(result))
        if result["hrv"]:
            parts.append(_hrv(result))
        return parts


def _shares(figure: str, of: dict[str, dict[str, Any]]) -> Shares:
    """What a record adds to a figure of _TARGETS: see study.judged."""
    if figure.startswith("cinc2017"):
        sick = figure.endswith("_se_pct")
        rows = {r: (t, a == AF) for r, (t, a) in of["cinc2017"].items() if (t == "A") == sick and t in "ANO"}
        return {r: (100.0 * (af if sick else not af), 1) for r, (_, af) in rows.items()}
    shares: dict[str, rhythm.Share] = of["afdb" if figure.startswith("afdb") else "mitdb own"]
    if figure.endswith(("_se_pct", "_found_pct")):
        return {r: (100 * s.af_found_s, s.af_found_s + s.af_missed_s) for r, s in shares.items()}
    if figure.endswith("_sp_pct"):
        return {r: (100 * s.other_s, s.other_s + s.false_s) for r, s in shares.items()}
    healthy = {r: s for r, s in shares.items() if not s.af_found_s + s.af_missed_s}
    return {r: (100 * s.false_s, s.other_s + s.false_s) for r, s in healthy.items()}


def _strips(result: dict) -> Section:
    said = [LABELS[c] for c in range(len(LABELS)) if c != UNKNOWN] + [LABELS[UNKNOWN]]
    names = {"N": "normal", "A": "AF", "O": "other", "~": "noisy"}
    rows = [
        [names[label], sum(counts.values()), *(counts.get(s, 0) for s in said)]
        for label, counts in result["strips"].items()
    ]
    return Section(
        "Strips: what was answered",
        table(["Label", "strips", *said], rows),
        "cinc2017, a strip of 9 to 61 s each; its answer is the label of most readings, unknown when all are withheld.",
    )


def _time(result: dict) -> Section:
    order = sorted(result["time"], key=lambda s: (s["set"], -(s["af_missed_s"] + s["false_s"])))
    rows = [
        [
            s["record"],
            s["set"],
            number((s["af_found_s"] + s["af_missed_s"]) / 60, 1),
            number(s["af_missed_s"] / 60, 1),
            number((s["other_s"] + s["false_s"]) / 60, 1),
            number(s["false_s"] / 60, 1),
        ]
        for s in order
    ]
    return Section(
        "Time in atrial fibrillation, by record",
        table(["Record", "data", "AF, min", "missed", "not AF, min", "false"], rows),
        "Most errors first. mitdb twice: by the annotated intervals alone, and by our own beats and their looks.",
    )


def _hrv(result: dict) -> Section:
    rows = [[h["record"], h["kind"], h["readings"], number(h["mae"]), number(h["worst"], 1)] for h in result["hrv"]]
    return Section(
        "Heart-rate variability",
        table(["Record", "what", "readings", "MAE", "worst"], rows),
        "SDNN and RMSSD in ms, pNN50 in percent, against the annotated normal-to-normal intervals of the same stretch.",
    )
