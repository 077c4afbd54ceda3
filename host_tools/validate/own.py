"""One recording of one's own: beats, heart rate, and what was withheld and why. `result` of the document:

recording   {name, seconds, fs_hz, lost_share: of samples, meta}; engine
beats_s     every R peak found
heart_rate  [{end_s, bpm: best guess, quality_pct, withheld: reason or ""}], one each 2 s
withheld_s  reason to seconds; shown_share
scores      against annotated beats, over the whole recording (none is left out); null without annotations
rate        Agreement of the readings with the annotated heart rate; null without one
strips      as in the ECG study
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import numpy as np

from host_tools.errors import UserError
from host_tools.validate import ecg_report
from host_tools.validate.ecg import WINDOWS_S
from host_tools.validate.ecg_study import REPORT_S, Found, densest, figures, measure, missed_and_false, strip_of
from host_tools.validate.page import Prose, number, table
from host_tools.validate.plots import Line, chart, clock
from host_tools.validate.study import Section
from signal_models import datasets
from signal_models.metrics.agreement import agreement
from signal_models.metrics.beats import heart_rate_series, score
from signal_models.recording import Recording

_STRIP_S = 8.0
_STRIPS = 8

MEANING = {  # of a withheld heart rate, and what to look at
    "no contact": "An electrode is off, samples are lost, or the line is flat. Look at the leads and for gaps.",
    "settling": "Fewer than three intervals since the start or since an interruption. It passes by itself.",
    "poor signal": "Beats cannot be told from noise or motion well enough. Look at the strips: would you count them?",
    "saturated": "The signal stood at the limit of the converter within the last 4 s. Lower the gain; check the unit.",
    "no pulse": "A clean line without a beat for 5 s: a pause, or a signal far too small. Check the unit (mV).",
    "out of range": "The rate is outside 15..300 /min.",
}


@dataclass(frozen=True)
class RecordingStudy:
    """path: WFDB record, csv or npz with an ECG. engine: one of replay's."""

    path: Path
    engine: str = "micropython"

    name = "ecg-recording"
    title = "Vigil ECG: your own recording"

    def tasks(self) -> list[Path]:
        """The one file. Raises UserError when it is no recording with an ECG."""
        if self.engine == "mirror":
            raise UserError("the mirror finds beats only", "use micropython, micropython-bytecode or cpython")
        _load(self.path)
        return [self.path]

    def key(self, task: Path) -> str:
        """See Study."""
        return f"recording {self.engine} {task.resolve()}"

    def run(self, task: Path) -> tuple[Recording, Found]:
        """Beats and readings of it."""
        recording = _load(task)
        beats_s, readings = measure(recording, self.engine)
        found = Found(readings=readings, beats_s=beats_s)
        if recording.beats_s is not None:
            end_s = recording.duration_s
            found.scores = [score(recording.beats_s, beats_s, w, end_s=end_s) for w in WINDOWS_S]
            found.missed_s, found.false_s = missed_and_false(recording.beats_s, beats_s)
        return recording, found

    def summarise(self, results: list[tuple[Path, tuple[Recording, Found]]]) -> dict:
        """See the module's docstring."""
        (_, (recording, found)) = results[0]
        readings = found.readings
        assert recording.ecg is not None and readings is not None
        held_s = Counter(why for why, shown in zip(readings.why, readings.shown, strict=True) if not shown)
        has_truth = "heart_rate" in recording.truth
        return {
            "engine": self.engine,
            "recording": {
                "name": recording.name,
                "seconds": recording.duration_s,
                "fs_hz": recording.ecg_fs,
                "lost_share": float(np.mean(~np.isfinite(recording.ecg))),
                "meta": recording.meta,
            },
            "beats_s": [round(float(t), 4) for t in found.beats_s],
            "heart_rate": [
                {"end_s": float(t), "bpm": float(v), "quality_pct": int(q), "withheld": "" if shown else why}
                for t, v, q, shown, why in zip(
                    readings.end_s, readings.bpm, readings.quality, readings.shown, readings.why, strict=True
                )
            ],
            "withheld_s": {why: REPORT_S * n for why, n in held_s.most_common()},
            "shown_share": float(np.mean(readings.shown)) if len(readings.shown) else 0.0,
            "scores": figures(found.scores) if found.scores else None,
            "rate": asdict(agreement(readings.bpm, readings.truth, readings.shown)) if has_truth else None,
            "strips": _strips(recording, found),
        }

    def sections(self, result: dict) -> list[Section]:
        """Draw it."""
        return [_summary(result), _track(result), _withheld(result), _drawn(result)]


def _load(path: Path) -> Recording:
    recording = datasets.load(path)
    if recording.ecg is None or not recording.ecg_fs:
        raise UserError(
            f"`{path}` has no ECG", "name a column ecg_mv or ecg_uv, or the WFDB signal ECG, MLII, I, II or V1..V6"
        )
    if recording.beats_s is not None and "heart_rate" not in recording.truth:
        recording.truth["heart_rate"] = heart_rate_series(recording.beats_s)
    return recording


def _strips(recording: Recording, found: Found) -> list[dict]:
    """Where it fails, else where it is withheld, and where it is surest."""
    readings = found.readings
    assert readings is not None
    chosen: list[tuple[float, str]] = []
    errors = np.sort(np.concatenate([found.missed_s, found.false_s]))
    chosen += [(t, "missed or false beats") for t in densest(errors, _STRIP_S, 4)]
    for why in dict.fromkeys(w for w, shown in zip(readings.why, readings.shown, strict=True) if not shown):
        spans = [t for t, w in zip(readings.end_s, readings.why, strict=True) if w == why]
        chosen.append((spans[len(spans) // 2] - REPORT_S - 3, f"withheld: {why}"))
    shown = np.flatnonzero(readings.shown)
    if len(shown):
        worst, best = shown[np.argmin(readings.quality[shown])], shown[np.argmax(readings.quality[shown])]
        chosen.append((float(readings.end_s[worst]) - 5, f"shown, least quality, {readings.quality[worst]:.0f} %"))
        chosen.append((float(readings.end_s[best]) - 5, f"shown, best quality, {readings.quality[best]:.0f} %"))
    latest = max(0.0, recording.duration_s - _STRIP_S)
    starts = [(round(float(min(max(0.0, t), latest)), 1), what) for t, what in chosen][:_STRIPS]
    return [strip_of(recording, f"From {clock(t)}: {what}", t, _STRIP_S, found) for t, what in starts]


def _summary(result: dict) -> Section:
    recording, scores, rate = result["recording"], result["scores"], result["rate"]
    rows: list[list[object]] = [
        ["Length", f"{clock(recording['seconds'])} min at {recording['fs_hz']:g} Hz"],
        ["Beats found", len(result["beats_s"])],
        ["Heart rate shown", f"{100 * result['shown_share']:.1f} % of the time"],
    ]
    if recording["lost_share"]:
        rows.append(["Samples lost", f"{100 * recording['lost_share']:.2f} %"])
    if scores:
        rows.append(["Annotated beats", f"{scores['beats']}; missed {scores['fn']}, false {scores['fp']}"])
        rows.append(["Se / PPV, ±150 ms", f"{number(scores['se_pct'])} / {number(scores['ppv_pct'])} %"])
        rows.append(["F1 ±150 / ±50 / ±25 ms", " / ".join(number(scores[f"f1_{w}_pct"]) for w in (150, 50, 25)) + " %"])
        rows.append(["Location", f"{number(scores['bias_ms'], sign=True)} ± {number(scores['sd_ms'])} ms"])
    if rate:
        rows.append(
            ["Heart-rate error, mean absolute", f"{number(rate['mae'])} /min, worst {number(rate['worst'], 1)}"]
        )
    what = f"{recording['name']}, engine {result['engine']}"
    return Section("Summary", table(["Figure", recording["name"]], rows), what)


def _track(result: dict) -> Section:
    readings = result["heart_rate"]
    t_min = [r["end_s"] / 60 for r in readings]
    lines = [Line("heart rate", t_min, [None if r["withheld"] else r["bpm"] for r in readings], 0)]
    spans = [((r["end_s"] - REPORT_S) / 60, r["end_s"] / 60, r["withheld"]) for r in readings if r["withheld"]]
    html = chart(lines, "minutes", "heart rate, /min", spans=spans)
    return Section("Heart rate", f"<figure>{html}</figure>", "Shaded: withheld.")


def _withheld(result: dict) -> Section:
    rows = [[why, f"{s:g}", Prose(MEANING.get(why, ""))] for why, s in result["withheld_s"].items()]
    note = "The device sends such a reading with its reason and without a value. It is silent rather than wrong."
    html = table(["Reason", "seconds", "what it means"], rows) if rows else "<p>Nothing was withheld.</p>"
    return Section("What was withheld, and why", html, note)


def _drawn(result: dict) -> Section:
    note = "25 mm/s. " + ("" if result["scores"] else escape("Without annotations only found beats are marked."))
    return ecg_report.strip_section(result["strips"], note.strip())
