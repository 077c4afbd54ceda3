"""One recording of one's own: beats, rates, and what was withheld and why. `result` of the document:

recording   {name, seconds, fs_hz, lost_share: of samples, meta}; engine
beats_s     every R peak found; without an ECG every pulse
heart_rate  [{end_s, bpm: best guess, quality_pct, withheld: reason or ""}], one each 2 s
withheld_s  reason to seconds; shown_share
scores      against annotated beats, over the whole recording (none is left out); null without annotations
rate        Agreement of the readings with the annotated heart rate; null without one
strips      as in the ECG study
vitals      with light: [{kind, unit, shown_share, least, most, withheld_s, agreement: null without a reference}]
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from host_tools import recordings
from host_tools.errors import UserError
from host_tools.recordings.reference import attach
from host_tools.recordings.signals import Options
from host_tools.replay import Reading, replay_recording
from host_tools.validate import ecg_report, study
from host_tools.validate.ecg import WINDOWS_S
from host_tools.validate.ecg_study import (
    REPORT_S,
    Found,
    Readings,
    densest,
    figures,
    measure,
    missed_and_false,
    strip_of,
)
from host_tools.validate.page import Prose, number, table
from host_tools.validate.plots import Line, chart, clock
from host_tools.validate.study import Section
from signal_models.metrics.agreement import agreement
from signal_models.metrics.beats import heart_rate_series, score
from signal_models.recording import Recording

_STRIP_S = 8.0
_STRIPS = 8
_VITALS = ("pulse_rate", "spo2", "perfusion_index", "resp_rate")

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
    """path: any recording; options: what it leaves open. engine: one of replay's. reference: a file of what is true."""

    path: Path
    engine: str = "micropython"
    reference: Path | None = None
    options: Options = field(default_factory=Options)

    name = "ecg-recording"
    title = "Vigil: your own recording"

    def tasks(self) -> list[Path]:
        """The one file. Raises UserError when it is no recording."""
        if self.engine == "mirror":
            raise UserError("the mirror finds beats only", "use micropython, micropython-bytecode or cpython")
        self._load()
        return [self.path]

    def key(self, task: Path) -> str:
        """See Study."""
        return f"recording {self.engine} {task.resolve()}"

    def run(self, task: Path) -> tuple[Recording, Found, list[dict]]:
        """Beats and readings of it."""
        recording = self._load()
        found, vitals = Found(), []
        if recording.ecg is not None:
            found.beats_s, found.readings = measure(recording, self.engine)
        if recording.ppg is not None:
            heard = replay_recording(recording, self.engine)
            vitals = [_vital(recording, kind, heard.of(kind)) for kind in _VITALS if heard.of(kind)]
            found.beats_s = found.beats_s if recording.ecg is not None else heard.ppg_beats_s
        beats_s = found.beats_s
        if recording.ecg is not None and recording.beats_s is not None:
            end_s = recording.duration_s
            found.scores = [score(recording.beats_s, beats_s, w, end_s=end_s) for w in WINDOWS_S]
            found.missed_s, found.false_s = missed_and_false(recording.beats_s, beats_s)
        return recording, found, vitals

    def summarise(self, results: list[tuple[Path, tuple[Recording, Found, list[dict]]]]) -> dict:
        """See the module's docstring."""
        (_, (recording, found, vitals)) = results[0]
        readings = found.readings
        light = {} if recording.ecg is not None else vitals[0] if vitals else {}
        signal, fs = (
            (recording.ecg, recording.ecg_fs) if recording.ecg is not None else (recording.ppg, recording.ppg_fs)
        )
        assert signal is not None
        none = np.zeros(0)
        readings = readings or Readings(none, none, none, none, none, [])
        held_s = Counter(why for why, shown in zip(readings.why, readings.shown, strict=True) if not shown)
        has_truth = "heart_rate" in recording.truth
        return {
            "engine": self.engine,
            "recording": {
                "name": recording.name,
                "seconds": recording.duration_s,
                "fs_hz": fs,
                "signals": _signals(recording),
                "lost_share": float(np.mean(~np.isfinite(signal))),
                "meta": recording.meta,
            },
            "beats_s": [round(float(t), 4) for t in found.beats_s],
            "heart_rate": [
                {"end_s": float(t), "bpm": float(v), "quality_pct": int(q), "withheld": "" if shown else why}
                for t, v, q, shown, why in zip(
                    readings.end_s, readings.bpm, readings.quality, readings.shown, readings.why, strict=True
                )
            ],
            "withheld_s": light.get("withheld_s", {why: REPORT_S * n for why, n in held_s.most_common()}),
            "shown_share": light.get("shown_share", float(np.mean(readings.shown)) if len(readings.shown) else 0.0),
            "scores": figures(found.scores) if found.scores else None,
            "rate": asdict(agreement(readings.bpm, readings.truth, readings.shown))
            if has_truth and len(readings.bpm)
            else None,
            "strips": _strips(recording, found) if recording.ecg is not None else [],
            "vitals": vitals,
        }

    def sections(self, result: dict) -> list[Section]:
        """Draw it."""
        sections = [_summary(result)]
        if result["vitals"]:
            sections.append(_vitals_section(result))
        if result["heart_rate"]:
            sections.append(_track(result))
        sections.append(_withheld(result))
        return [*sections, _drawn(result)] if result["strips"] else sections

    def _load(self) -> Recording:
        recording = recordings.load(self.path, self.options)
        if recording.ecg is None and recording.ppg is None:
            raise UserError(
                f"`{self.path}` has neither ECG nor light",
                "say which column it is, e.g. --column ecg=NAME --unit ecg=mV, or --column ir=NAME",
            )
        if self.reference is not None:
            attach(recording, self.reference, self.options)
        if recording.beats_s is not None:
            for kind in ("heart_rate", "pulse_rate"):
                recording.truth.setdefault(kind, heart_rate_series(recording.beats_s))
        return recording


def _signals(recording: Recording) -> list[str]:
    """What was heard, in words."""
    heard = [f"ECG {recording.ecg_fs:g} Hz"] if recording.ecg_fs else []
    if recording.ppg_fs:
        heard.append(f"light ({', '.join(recording.ppg_channels)}; {recording.ppg_unit}) {recording.ppg_fs:g} Hz")
    return heard + ([f"acceleration {recording.accel_fs:g} Hz"] if recording.accel_fs else [])


def _vital(recording: Recording, kind: str, readings: list[Reading]) -> dict:
    """Readings of one kind as figures."""
    shown = [r.value for r in readings if not r.withheld and r.value is not None]
    held = Counter(r.absent_reason for r in readings if r.withheld)
    judged = None
    if kind in recording.truth:
        true = np.array([recording.truth_mean(kind, r.t_start_s, r.t_end_s) for r in readings], float)
        values = np.array([np.nan if r.value is None else r.value for r in readings], float)
        judged = asdict(agreement(values, true, np.array([not r.withheld for r in readings], bool)))
    return {
        "kind": kind,
        "unit": readings[0].unit,
        "shown_share": len(shown) / len(readings),
        "least": min(shown, default=None),
        "most": max(shown, default=None),
        "withheld_s": {why: REPORT_S * n for why, n in held.most_common()},
        "agreement": study.finite(judged),
    }


def _vitals_section(result: dict) -> Section:
    rows = []
    for v in result["vitals"]:
        a = v["agreement"]
        span = f"{v['least']:.4g} to {v['most']:.4g} {v['unit']}" if v["most"] is not None else "never"
        held = ", ".join(f"{why} {s:g} s" for why, s in v["withheld_s"].items()) or "–"
        error = f"{number(a['mae'])} (worst {number(a['worst'], 1)})" if a and a["mae"] is not None else None
        rows.append([v["kind"].replace("_", " "), span, f"{100 * v['shown_share']:.1f}", error, Prose(held)])
    heads = ["Reading", "shown", "% of the time", "mean error", "withheld"]
    return Section("Light", table(heads, rows), "As the device would show them; errors against your reference.")


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
        ["Signals", "; ".join(recording["signals"])],
        ["Beats found", len(result["beats_s"])],
        ["Rate shown", f"{100 * result['shown_share']:.1f} % of the time"],
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
