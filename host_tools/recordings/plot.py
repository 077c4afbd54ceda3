"""A strip of a recording as a monitor prints it, with what the firmware makes of it.

ECG on paper (25 mm/s, 10 mm/mV, 1 mm squares), light and acceleration below; beats found, and grey where withheld.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from host_tools.errors import UserError
from host_tools.replay import ReplayResult, replay_recording
from signal_models.recording import Recording

MM_PER_S, MM_PER_MV = 25.0, 10.0
FORMATS = (".svg", ".png", ".pdf")
_LEARN_S = 30.0  # heard before the strip, so that the firmware has settled
_LONGEST_S = 60.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 14.0, 4.0, 9.0, 8.0  # mm around the paper
_LIGHT_MM, _ACC_MM, _GAP_MM = 25.0, 20.0, 3.0
_PAPER = {"back": "#fff9f7", "fine": "#f7dcd6", "bold": "#ecb4a9", "ink": "#1b1f24", "soft": "#5b6470"}
_INK = {"red": "#b3261e", "ir": "#5b3a8e", "green": "#137333"}
_FOUND, _PULSE, _KNOWN, _HELD = "#0b57d0", "#8430ce", "#137333", "#5b647026"


def plot(
    recording: Recording, path: Path, start_s: float = 0.0, seconds: float = 10.0, engine: str = "micropython"
) -> dict:
    """Draw one strip into `path` (svg, png or pdf); returns what is on it: start_s, seconds, beats, pulses, mm_per_mv.

    Raises UserError for a stretch that is not there and a format that is none.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"`{path.suffix or path}` is not a format of pictures", f"one of {', '.join(FORMATS)}")
    end_s = min(start_s + seconds, recording.duration_s)
    if not 0 <= start_s < recording.duration_s or not 0 < seconds <= _LONGEST_S:
        raise UserError(
            f"a strip of {seconds:g} s from {start_s:g} s cannot be",
            f"`{recording.name}` lasts {recording.duration_s:g} s, and a strip at most {_LONGEST_S:g} s",
        )
    heard_s = max(0.0, start_s - _LEARN_S)
    result = replay_recording(part(recording, heard_s, end_s), engine)
    sheet = Sheet(end_s - start_s, recording, start_s, end_s)
    sheet.draw(result, heard_s)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
    except OSError as e:
        raise UserError(f"cannot write to `{path}`", e.strerror or "") from e
    return sheet.said


def part(recording: Recording, start_s: float, end_s: float) -> Recording:
    """A stretch of a recording, its time beginning at 0."""

    def cut(x: np.ndarray | None, fs: float | None) -> np.ndarray | None:
        return None if x is None or not fs else x[round(start_s * fs) : round(end_s * fs)]

    return Recording(
        recording.name,
        ecg=cut(recording.ecg, recording.ecg_fs),
        ecg_fs=recording.ecg_fs,
        ppg=cut(recording.ppg, recording.ppg_fs),
        ppg_fs=recording.ppg_fs,
        ppg_channels=recording.ppg_channels,
        ppg_unit=recording.ppg_unit,
        accel=cut(recording.accel, recording.accel_fs),
        accel_fs=recording.accel_fs,
    )


class Sheet:
    """One sheet of paper. Everything is drawn in millimetres from its lower left corner."""

    def __init__(self, seconds: float, recording: Recording, start_s: float, end_s: float):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._recording, self._start_s, self._end_s = recording, start_s, end_s
        self._width = MM_PER_S * seconds
        ecg = self._cut(recording.ecg, recording.ecg_fs)
        self._mm_per_mv, self._ecg_mm = self._fit(ecg[1]) if ecg else (MM_PER_MV, 0.0)
        heights = [self._ecg_mm] if ecg else []
        heights += [_LIGHT_MM] if recording.ppg is not None else []
        heights += [_ACC_MM] if recording.accel is not None else []
        self._height = sum(heights) + _GAP_MM * (len(heights) - 1)
        size = self._width + _LEFT + _RIGHT, self._height + _TOP + _BOTTOM
        self._figure = Figure(figsize=(size[0] / 25.4, size[1] / 25.4), facecolor="white")
        FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._axes.set_xlim(-_LEFT, self._width + _RIGHT)
        self._axes.set_ylim(-_BOTTOM, self._height + _TOP)
        self.said: dict = {"start_s": start_s, "seconds": seconds, "mm_per_mv": self._mm_per_mv}

    def draw(self, result: ReplayResult, heard_s: float) -> None:
        """Signals, beats, and the readings that the strip ends with. heard_s: where the firmware began to listen."""
        recording, top = self._recording, self._height
        beats = self._inside(result.ecg_beats_s + heard_s)
        pulses = self._inside(result.ppg_beats_s + heard_s)
        self.said |= {"beats_s": [round(float(t), 3) for t in beats], "pulses_s": [round(float(t), 3) for t in pulses]}
        if recording.ecg is not None:
            low = top - self._ecg_mm
            self._paper(low, top)
            self._shade(result, "heart_rate", heard_s, low, top)
            t_s, mv = self._cut(recording.ecg, recording.ecg_fs) or (np.zeros(0), np.zeros(0))
            middle = (float(np.nanmax(mv)) + float(np.nanmin(mv))) / 2 if np.isfinite(mv).any() else 0.0
            self._line(t_s, (low + top) / 2 + (mv - middle) * self._mm_per_mv, _PAPER["ink"], 0.9)
            self._marks(beats, low + 2.2, _FOUND, "o")
            if recording.beats_s is not None:
                self._marks(self._inside(recording.beats_s), top - 2.2, _KNOWN, "v")
            self._pulse_of_calibration(low, top)
            self._name("ECG", "mV", low, top)
            top = low - _GAP_MM
        if recording.ppg is not None:
            low = top - _LIGHT_MM
            self._paper(low, top, fine=False)
            self._shade(result, "pulse_rate", heard_s, low, top)
            for i, name in enumerate(recording.ppg_channels):
                up = 4.0 * i  # one above the other
                last = 4.0 * (len(recording.ppg_channels) - 1 - i)
                self._scaled(recording.ppg[:, i], recording.ppg_fs, low + 4 + up, top - 1 - last, _INK[name], flip=True)
            self._marks(pulses, low + 2.0, _PULSE, "o")
            self._name("light", "/".join(dict.fromkeys(recording.ppg_channels)), low, top)
            top = low - _GAP_MM
        if recording.accel is not None:
            low = top - _ACC_MM
            self._paper(low, top, fine=False)
            span = self._cut(recording.accel, recording.accel_fs)
            limits = (float(np.nanmin(span[1])), float(np.nanmax(span[1]))) if span else None
            for i, colour in enumerate(("#0b57d0", "#b06000", "#00838f")):
                self._scaled(recording.accel[:, i], recording.accel_fs, low + 1, top - 1, colour, limits=limits)
            self._name("motion", "x y z, g", low, top)
        self._titles(result, heard_s)

    def save(self, path: Path) -> None:
        """Write it; the same strip gives the same bytes."""
        import matplotlib

        about = {".svg": {"Date": None, "Creator": "Vigil"}, ".png": {"Software": "Vigil"}}.get(path.suffix.lower(), {})
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "vigil"}):
            self._figure.savefig(path, dpi=150, metadata=about)

    def _cut(self, x: np.ndarray | None, fs: float | None) -> tuple[np.ndarray, np.ndarray] | None:
        if x is None or not fs:
            return None
        first, last = round(self._start_s * fs), round(self._end_s * fs)
        x = x[first:last]
        return (np.arange(len(x)) + first) / fs, x

    def _fit(self, mv: np.ndarray) -> tuple[float, float]:
        """Millimetres a millivolt, and of the panel: 10 unless the trace is taller than the paper."""
        span = float(np.nanmax(mv) - np.nanmin(mv)) if np.isfinite(mv).any() else 1.0
        scale = next((s for s in (10.0, 5.0, 2.5, 1.0) if span * s <= 60), 50 / max(span, 1e-9))
        return scale, 5 * np.ceil((max(span * scale, 20) + 9) / 5)

    def _inside(self, t_s: np.ndarray) -> np.ndarray:
        return t_s[(t_s >= self._start_s) & (t_s < self._end_s)]

    def _x(self, t_s):
        return (t_s - self._start_s) * MM_PER_S

    def _paper(self, low: float, top: float, fine: bool = True) -> None:
        from matplotlib.patches import Rectangle

        self._axes.add_patch(Rectangle((0, low), self._width, top - low, facecolor=_PAPER["back"], lw=0))
        for step, colour, thick in ((1, _PAPER["fine"], 0.35), (5, _PAPER["bold"], 0.6))[0 if fine else 1 :]:
            self._axes.vlines(np.arange(0, self._width + 0.1, step), low, top, colors=colour, lw=thick)
            self._axes.hlines(np.arange(low, top + 0.1, step), 0, self._width, colors=colour, lw=thick)

    def _shade(self, result: ReplayResult, kind: str, heard_s: float, low: float, top: float) -> None:
        from matplotlib.patches import Rectangle

        for r in result.of(kind):
            a, b = max(r.t_end_s - 2 + heard_s, self._start_s), min(r.t_end_s + heard_s, self._end_s)
            if r.withheld and b > a:
                self._axes.add_patch(Rectangle((self._x(a), low), self._x(b) - self._x(a), top - low, fc=_HELD, lw=0))

    def _line(self, t_s: np.ndarray, y_mm: np.ndarray, colour: str, thick: float) -> None:
        self._axes.plot(self._x(t_s), y_mm, color=colour, lw=thick, solid_joinstyle="round", clip_on=False)

    def _scaled(self, x, fs, low: float, top: float, colour: str, *, flip: bool = False, limits=None) -> None:
        """A signal over the height of its panel. flip: light falls where blood comes."""
        cut = self._cut(x, fs)
        if cut is None or not np.isfinite(cut[1]).any():
            return
        t_s, y = cut
        relative = flip and self._recording.ppg_unit == "relative"
        y = -y if flip and not relative else y
        least, most = limits or (float(np.nanmin(y)), float(np.nanmax(y)))
        self._line(t_s, low + (y - least) / max(most - least, 1e-9) * (top - low), colour, 0.8)

    def _marks(self, t_s: np.ndarray, y: float, colour: str, shape: str) -> None:
        self._axes.plot(self._x(t_s), np.full(len(t_s), y), shape, color=colour, ms=3.4, mew=0)

    def _pulse_of_calibration(self, low: float, top: float) -> None:
        height, y = self._mm_per_mv, (low + top - self._mm_per_mv) / 2
        self._axes.plot(
            [-6, -5, -5, -1.5, -1.5, -0.5], [y, y, y + height, y + height, y, y], color=_PAPER["ink"], lw=0.8
        )

    def _name(self, name: str, unit: str, low: float, top: float) -> None:
        self._axes.text(-9, (low + top) / 2, f"{name}\n{unit}", rotation=90, ha="center", va="center", fontsize=7,
                        color=_PAPER["soft"])  # fmt: skip

    def _titles(self, result: ReplayResult, heard_s: float) -> None:
        scale = (
            f"{MM_PER_S:g} mm/s, {self._mm_per_mv:g} mm/mV" if self._recording.ecg is not None else f"{MM_PER_S:g} mm/s"
        )
        words = []
        for kind, name in (("heart_rate", "HR"), ("pulse_rate", "PR"), ("spo2", "SpO2"), ("resp_rate", "RR")):
            last = next((r for r in reversed(result.of(kind)) if r.t_end_s + heard_s <= self._end_s), None)
            if last is not None:
                words.append(f"{name} {last.absent_reason if last.withheld else f'{last.value:.0f} {last.unit}'}")
        self.said["readings"] = words
        at: dict[str, Any] = {"va": "bottom", "fontsize": 8}
        self._axes.text(0, self._height + 2, f"{self._recording.name}   {'   '.join(words)}", color=_PAPER["ink"], **at)
        self._axes.text(self._width, self._height + 2, scale, color=_PAPER["soft"], ha="right", **at)
        for t_s in range(int(np.ceil(self._start_s)), int(self._end_s) + 1):
            if self._x(t_s) <= self._width - 8 or t_s == self._start_s:
                self._axes.text(self._x(t_s) + 0.6, -1, f"{t_s // 60}:{t_s % 60:02d}", va="top", fontsize=7,
                                color=_PAPER["soft"])  # fmt: skip
        key = "o beat found" + ("   v annotated" if self._recording.beats_s is not None else "") + "   grey: withheld"
        self._axes.text(self._width, -5, key, ha="right", va="top", fontsize=6.5, color=_PAPER["soft"])
