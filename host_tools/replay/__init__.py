"""Play recorded or synthetic signals through the firmware's own chains, off the board, on any engine.

    from host_tools.replay import replay
    result = replay(ecg=mv, ecg_fs=360, ppg=counts, ppg_fs=100)
    result.ecg_beats_s, result.readings

The engines `micropython` (viper), `micropython-bytecode` and `cpython` give identical results. What is judged is
what a wearer would get: samples are quantised as the front end would (`frontend`), go in causally in blocks of
100 ms, and come back as beats and readings, best guesses of withheld readings included.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from host_tools.replay import engines, frontend
from host_tools.replay.engines import ENGINES
from host_tools.vocabulary import KIND_NAMES, UNIT_NAMES
from signal_models.recording import Recording
from vigil.core import records

__all__ = ["ENGINES", "Reading", "ReplayResult", "replay", "replay_recording", "rhythm_from_rr"]

_BEAT_LABELS = {0: "N", records.BEAT_VENTRICULAR: "V", records.BEAT_UNCLASSED: "Q"}


@dataclass(frozen=True)
class Reading:
    """One reading. value: the best guess in `unit`, even where withheld; None where there is no guess.

    quality_pct: 0..100. t_start_s, t_end_s: the samples it was made from. withheld: the device would not show the
    value, for the reason absent_reason ("" when it is shown).
    """

    kind: str
    value: float | None
    unit: str
    quality_pct: int
    t_start_s: float
    t_end_s: float
    withheld: bool
    absent_reason: str


@dataclass(frozen=True)
class ReplayResult:
    """ecg_beats_s: R peaks, ppg_beats_s: pulse onsets, both in seconds. readings: in the order they were made.

    ecg_beat_labels: for each R peak N (normal), V (ventricular) or Q (it cannot be told), as WFDB has it.
    """

    ecg_beats_s: np.ndarray
    ppg_beats_s: np.ndarray
    readings: list[Reading]
    ecg_beat_labels: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[Reading]:
        """Readings of one kind."""
        return [r for r in self.readings if r.kind == kind]


def replay(
    *,
    ecg: npt.ArrayLike | None = None,
    ecg_fs: float | None = None,
    ppg: npt.ArrayLike | None = None,
    ppg_channels: tuple[str, ...] = ("red", "ir"),
    ppg_unit: str = "counts",
    ppg_fs: float | None = None,
    accel: npt.ArrayLike | None = None,
    accel_fs: float | None = None,
    engine: str = "micropython",
) -> ReplayResult:
    """Run the firmware's chains over arrays.

    ecg: (n,) mV. ppg: (n, k) with columns named by ppg_channels (`red`, `ir`, `green`; a name may stand twice), raw
    counts, or ppg_unit="relative" for a pulse without a meaningful DC (contact and SpO2 are then not judged).
    accel: (n, 3) g. Rates in Hz, any. NaN marks lost samples: a lead
    that is off in the ECG, a gap in light and acceleration; up to 20 ms of them are bridged. engine: one of ENGINES.
    Raises UserError for a shape, rate, name or engine that cannot be.
    """
    engines.check(engine)
    streams = []
    if ecg is not None:
        streams.append(frontend.ecg_stream(ecg, ecg_fs))
    if ppg is not None:
        streams.append(frontend.ppg_stream(ppg, ppg_fs, tuple(ppg_channels), ppg_unit))
    if accel is not None:
        streams.append(frontend.accel_stream(accel, accel_fs))
    beats: dict[int, list[float]] = {records.ECG: [], records.PPG: []}
    labels: list[str] = []
    readings = []
    rates = {s.source: s.fs for s in streams}
    end_s = max((s.duration_s for s in streams), default=0.0)
    for line in engines.play(frontend.interleave(streams), engine):
        tag, *numbers = line
        if tag == "B":
            source, index, frac_q8, flags = numbers
            if source == records.ECG:
                labels.append(_BEAT_LABELS[flags])
            beats[source].append((index + frac_q8 / 256) / rates[source])
        else:
            readings.append(_reading(*numbers))
    readings = [r for r in readings if r.t_end_s <= end_s]  # the front end's tail is nobody's heart
    ecg_s, ppg_s = (np.array([t for t in beats[source] if t < end_s]) for source in (records.ECG, records.PPG))
    return ReplayResult(ecg_s, ppg_s, readings, labels[: len(ecg_s)])


def replay_recording(recording: Recording, engine: str = "micropython") -> ReplayResult:
    """`replay` for a Recording."""
    return replay(
        ecg=recording.ecg,
        ecg_fs=recording.ecg_fs,
        ppg=recording.ppg,
        ppg_fs=recording.ppg_fs,
        ppg_channels=recording.ppg_channels,
        ppg_unit=recording.ppg_unit,
        accel=recording.accel,
        accel_fs=recording.accel_fs,
        engine=engine,
    )


def rhythm_from_rr(rr_s: npt.ArrayLike, engine: str = "micropython") -> list[tuple[float, str]]:
    """Label the rhythm of a series of RR intervals.

    rr_s: (n,) seconds, consecutive. Returns one (t_s, label) a beat, where t_s is the end of its RR interval counted
    from the start of the first, and label is `sinus`, `af`, `other` or `unknown`.
    """
    engines.check(engine)
    rr = np.asarray(rr_s, float).ravel()
    labels = engines.rhythm(np.clip(np.nan_to_num(rr * 1000), 0, 60000).round().astype(int).tolist(), engine)
    return list(zip(np.cumsum(np.nan_to_num(rr)).tolist(), labels, strict=True))


def _reading(kind, mantissa, exp10, unit, quality_pct, t_start_ms, t_end_ms, absent) -> Reading:
    return Reading(
        kind=KIND_NAMES[kind],
        value=None if mantissa is None else float(mantissa * 10.0**exp10),
        unit=UNIT_NAMES[unit],
        quality_pct=quality_pct,
        t_start_s=t_start_ms / 1000,
        t_end_s=t_end_ms / 1000,
        withheld=absent != records.PRESENT,
        absent_reason=records.ABSENT_NAMES[absent],
    )
