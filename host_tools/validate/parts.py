"""The parts of `vigil validate` by name, and all of them as one study. `result` of the study "all":

left_out  sentences on parts that could not run
targets   every part's, each with `part`
parts     part to {title, result}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from host_tools.errors import UserError
from host_tools.validate import page, vitals
from host_tools.validate.beat_class import BeatClassStudy
from host_tools.validate.ecg_study import EcgStudy
from host_tools.validate.fixed_point import FixedPointStudy
from host_tools.validate.rhythm_study import RhythmStudy
from host_tools.validate.study import Section, Study
from host_tools.validate.vitals import VitalsStudy
from host_tools.validate.waveform import WaveformStudy


@dataclass(frozen=True)
class Options:
    """What a user may choose. records: names in the part's own data set. peers, noise: None for the default."""

    engine: str = "micropython"
    records: tuple[str, ...] = ()
    peers: bool | None = None
    noise: bool | None = None


@dataclass(frozen=True)
class Part:
    """How a part's study is made, and which options it knows beside the engine."""

    make: Callable[[Options], Study]
    knows: tuple[str, ...] = ()


def _vital(part: str) -> Part:
    knows = ("records", "peers") if part in ("ppg", "resp") else ("records",) if part == "motion" else ()
    return Part(lambda o: VitalsStudy(part, o.engine, o.records, o.peers), knows)


PARTS: dict[str, Part] = {
    "ecg": Part(lambda o: EcgStudy(o.engine, o.records, o.peers, o.noise is not False), ("records", "peers", "noise")),
    "rhythm": Part(lambda o: RhythmStudy(o.engine, o.records), ("records",)),
    "beat_class": Part(lambda o: BeatClassStudy(o.records), ("records",)),
    **{part: _vital(part) for part in vitals.PARTS},
    "waveform": Part(lambda o: WaveformStudy(o.engine)),
    "fixed-point": Part(lambda o: FixedPointStudy()),
}


def study_of(part: str, options: Options) -> Study:
    """The study of a part, or of all ("all"). Raises UserError for an option that the part does not know."""
    if part != "all" and part not in PARTS:
        raise UserError(f"there is no part `{part}`", f"one of {', '.join(PARTS)}; none for all")
    knows = ("peers", "noise") if part == "all" else PARTS[part].knows
    for name, chosen in (("records", options.records), ("peers", options.peers), ("noise", options.noise is not None)):
        if chosen and name not in knows:
            raise UserError(f"--{name} is not for {part if part != 'all' else 'all parts together'}", _who(name))
    if part != "all":
        return PARTS[part].make(options)
    return WholeStudy(tuple(p.make(options) for p in PARTS.values()))


def _who(option: str) -> str:
    return f"it goes with {', '.join(name for name, p in PARTS.items() if option in p.knows)}"


@dataclass(frozen=True)
class Task:
    """A task of the study of that number."""

    number: int
    part: str
    task: Any

    @property
    def case(self) -> str:
        """Those that share one run one after the other."""
        return f"{self.part} {getattr(self.task, 'case', self.task)}"

    def __str__(self) -> str:
        return f"{self.part}: {self.task}"


@dataclass(frozen=True)
class WholeStudy:
    """Several studies as one."""

    studies: tuple[Study, ...]

    name = "all"
    title = "Vigil: what it measures, on every recording that is here"

    def tasks(self) -> list[Task]:
        """Those of every part whose data are here."""
        tasks = []
        for i, study in enumerate(self.studies):
            tasks += [Task(i, study.name, task) for task in _tasks(study)[0]]
        if not tasks:
            raise UserError(
                "there is nothing to validate", "; ".join(filter(None, (_tasks(s)[1] for s in self.studies)))
            )
        return tasks

    def key(self, task: Task) -> str:
        """See Study."""
        return self.studies[task.number].key(task.task)

    def run(self, task: Task) -> Any:
        """Do one."""
        return self.studies[task.number].run(task.task)

    def summarise(self, results: list[tuple[Task, Any]]) -> dict:
        """See the module's docstring."""
        parts = {}
        left_out = []
        for i, study in enumerate(self.studies):
            mine = [(t.task, found) for t, found in results if t.number == i]
            if mine:
                parts[study.name] = {"title": study.title, "result": study.summarise(mine)}
            else:
                left_out.append(f"{study.name}: {_tasks(study)[1]}")
        targets = [{"part": name, **t} for name, p in parts.items() for t in p["result"].pop("targets")]
        return {"left_out": left_out, "targets": targets, "parts": parts}

    def sections(self, result: dict) -> list[Section]:
        """The summary of all, then every part's own report."""
        sections = [_summary(result)]
        by_name = {study.name: study for study in self.studies}
        for name, part in result["parts"].items():
            targets = [{**t, "part": ""} for t in result["targets"] if t["part"] == name]
            first, *rest = by_name[name].sections({**part["result"], "targets": targets})
            sections += [Section(part["title"], first.html, first.note, part=name), *rest]
        return sections


def _tasks(study: Study) -> tuple[list[Any], str]:
    """A study's tasks; or none, and why."""
    try:
        return study.tasks(), ""
    except UserError as e:
        return [], e.sentence


def _summary(result: dict) -> Section:
    judged = [t for t in result["targets"] if t["met"] is not None]
    kernels = [t for t in judged if t["part"] == "fixed-point"]
    shown = [t for t in result["targets"] if t["part"] != "fixed-point" or not t["met"]]
    said = f"The {len(kernels)} bounds of the fixed-point kernels are in their own part." if kernels else ""
    return page.summary({"targets": shown, "left_out": result["left_out"], "judged": len(judged)}, said)
