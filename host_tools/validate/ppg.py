"""PPG accuracy with the int64 mirror: `python -m host_tools.validate ppg [bidmc] [replay] [grid] [oxiwear]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import signal

from host_tools.replay import frontend, replay
from host_tools.validate.ecg import mirror_beats_s, quantised
from host_tools.validate.light_peers import PULSE_PEERS
from host_tools.validate.peers import PEERS, beats_s
from signal_models import datasets
from signal_models.design.ppg import spo2_pct
from signal_models.fixed import ppg as mirror
from signal_models.metrics.agreement import Agreement, agreement, error_against_coverage, mean_of, right_by_quality
from signal_models.metrics.beats import BeatScore, heart_rate_series, score
from signal_models.recording import Recording
from signal_models.synth.ppg import ppg, regular_beats

QUALITY_MIN = 30  # as the estimators withhold
STEP_S = 2
NOISES_DB = (None, 20.0, 10.0, 6.0)
TRANSITS_S = np.arange(-0.4, 0.9, 0.02)  # recorders shift the light against the ECG: one time a record
CONFIDENT, FAR_BPM = 50, 5
PULSE_LATE_S = 7  # the monitor's PULSE is its HR of so long ago: the median over the records of what fits best
WINDOW_S = 10  # of the figures published for peers
WITNESS = "NeuroKit2 Elgendi"  # of the ECG's beats
RATES = (30, 45, 60, 75, 100, 140, 180, 220, 240)
SHAPES = ((0.8, 0.1), (0.0, 0.1), (0.35, 1.0), (0.8, 1.0))  # dicrotic wave, wander
MOTIONS = (0.1, 0.2, 0.4, 1.0, 2.0, 4.0)


@dataclass
class Series:
    """What a recording gave, each STEP_S: when; the rate, from where to where; SpO2 (NaN: none); what is shown."""

    t_s: np.ndarray
    start_s: np.ndarray
    end_s: np.ndarray
    bpm: np.ndarray
    quality: np.ndarray
    rate_shown: np.ndarray
    spo2: np.ndarray
    spo2_shown: np.ndarray
    onsets_s: np.ndarray


def measure(recording: Recording) -> Series:
    """Run the mirror over a recording, quantised as the front end would."""
    assert recording.ppg is not None
    stream = frontend.ppg_stream(recording.ppg, recording.ppg_fs, recording.ppg_channels, recording.ppg_unit)
    names = recording.ppg_channels
    ir, red = (names.index(c) if c in names else -1 for c in ("ir", "red"))
    relative = recording.ppg_unit == "relative"
    run = mirror.run(stream.data, pulse=max(ir, 0), red=red, ir=ir, relative=relative)
    ticks = [t for t in run.ticks if t.settled and round((t.count + 1) / mirror.TICK) % STEP_S == 0]
    t_s = np.array([(t.count + 1) / mirror.TICK for t in ticks])
    bpm = np.array([t.bpm_x10 / 10 if t.bpm_x10 > 0 else np.nan for t in ticks])
    quality = np.array([t.quality_pct for t in ticks])
    rate_shown = quality >= QUALITY_MIN
    spo2 = np.array([t.spo2_x10 / 10 if t.spo2_x10 >= 0 else np.nan for t in ticks])
    return Series(
        t_s,
        t_s - np.array([min(t.age, t.span) for t in ticks]) / mirror.TICK,
        t_s - np.array([t.tail for t in ticks]) / mirror.TICK,
        bpm,
        quality,
        rate_shown,
        spo2,
        np.array([t.spo2_sure for t in ticks], bool),
        np.array(run.onsets_q8) / 25600,
    )


def reference(recording: Recording, kind: str, series: Series, late_s: float = 0.0) -> np.ndarray:
    """Truth of `kind` over the window of each reading (a rate's own, 8 s of saturation), `late_s` later."""
    start_s, end_s = (series.t_s - 8, series.t_s) if kind == "spo2" else (series.start_s, series.end_s)
    return np.array([recording.truth_mean(kind, a + late_s, b + late_s) for a, b in zip(start_s, end_s, strict=True)])


def ecg_beats_s(recording: Recording) -> np.ndarray:
    """The ECG's own beats, seconds, by the ECG chain's mirror; none without an ECG."""
    if recording.ecg is None or not recording.ecg_fs:
        return np.zeros(0)
    return mirror_beats_s(quantised(np.nan_to_num(recording.ecg), round(recording.ecg_fs)))


def pulse_beats(recording: Recording, series: Series) -> BeatScore:
    """Onsets against the ECG's beats within 150 ms, from 8 s on, after the one transit time that fits best."""
    beats_s = ecg_beats_s(recording)
    moved = [score(beats_s + t_s, series.onsets_s, 0.15, 8, recording.duration_s - 2) for t_s in TRANSITS_S]
    return max(moved, key=lambda s: s.f1_pct)


def ecg_rate(recording: Recording, series: Series) -> np.ndarray:
    """Rate of the ECG's own beats over the window of each reading; NaN without an ECG, and where a second detector
    (WITNESS, when it is installed) counts otherwise by more than 1 bpm: there nobody knows.
    """
    ours = _rate_over(ecg_beats_s(recording), series)
    witness = PEERS[WITNESS]
    if recording.ecg is None or witness.package.version is None:
        return ours
    theirs = _rate_over(beats_s(witness, np.nan_to_num(recording.ecg), round(recording.ecg_fs or 0)), series)
    return np.where(np.abs(ours - theirs) <= 1, ours, np.nan)


def in_windows(recording: Recording) -> dict[str, tuple[float, float]]:
    """MAE of the monitor's HR, of the peers and of the ECG's beats (median interval) against PULSE in windows of
    WINDOW_S one after the other, at one time and PULSE_LATE_S later: how others score this data set.
    """
    fs = round(recording.ppg_fs or 0)
    x = np.nan_to_num(np.ravel(recording.ppg if recording.ppg is not None else []))
    starts = np.arange(0, recording.duration_s - WINDOW_S + 0.1, WINDOW_S)

    def mean(kind: str, late_s: float = 0.0) -> np.ndarray:
        return np.array([recording.truth_mean(kind, a + late_s, a + late_s + WINDOW_S) for a in starts])

    events = {n: beats_s(p, x, fs) for n, p in PULSE_PEERS.items() if p.package.version is not None}
    rates = {"monitor's HR": mean("heart_rate")}
    for name, at_s in {**events, "ECG's beats": ecg_beats_s(recording)}.items():
        inside = [np.diff(at_s[(at_s >= a) & (at_s < a + WINDOW_S)]) for a in starts]
        rates[f"{name}, median interval"] = np.array([60 / np.median(d) if len(d) > 1 else np.nan for d in inside])
    at_once, later = mean("pulse_rate"), mean("pulse_rate", PULSE_LATE_S)
    return {n: (agreement(r, at_once).mae, agreement(r, later).mae) for n, r in rates.items()}


def _rate_over(events_s: np.ndarray, series: Series) -> np.ndarray:
    t, v = heart_rate_series(events_s)
    windows = [(t >= a) & (t <= b) for a, b in zip(series.start_s, series.end_s, strict=True)]
    return np.array([v[w].mean() if w.any() else np.nan for w in windows])


def through_replay(recording: Recording, engine: str = "micropython") -> Series:
    """The same as `measure`, of the light alone and by the firmware: what its wearer sees."""
    parts = {"ppg_channels": recording.ppg_channels, "ppg_unit": recording.ppg_unit, "engine": engine}
    result = replay(ppg=recording.ppg, ppg_fs=recording.ppg_fs, **parts)
    rates, spo2 = ([r for r in result.readings if r.kind == kind] for kind in ("pulse_rate", "spo2"))
    return Series(
        np.array([r.t_end_s for r in spo2]),
        np.array([r.t_start_s for r in rates]),
        np.array([r.t_end_s for r in rates]),
        np.array([np.nan if r.value is None else r.value for r in rates]),
        np.array([r.quality_pct for r in rates]),
        np.array([not r.withheld for r in rates]),
        np.array([np.nan if r.value is None else r.value for r in spo2]),
        np.array([not r.withheld for r in spo2]),
        result.ppg_beats_s,
    )


def _line(name: str, a: Agreement, rest: str = "") -> str:
    return (
        f"{name:26} coverage {100 * a.coverage:5.1f} %  MAE {a.mae:5.2f}  bias {a.bias:+5.2f}  Arms {a.arms:5.2f}{rest}"
    )


def bidmc(hear: Callable[[Recording], Series] = measure) -> None:
    """Pulse rate of each record against the rate of the ECG's beats and the monitor's PULSE numerics."""
    print("bidmc: pulse rate (bpm); every 2 s from 4 s on")
    if PEERS[WITNESS].package.version is None:
        print(f"{WITNESS} is not installed: the ECG's beats are those of our own detector, unchecked")
    late = f"PULSE {PULSE_LATE_S} s later"
    names = ("monitor's PULSE", late, "ECG's beats", "the same, pulse whole")
    rows: dict[str, list[Agreement]] = {n: [] for n in names}
    pooled = {n: [] for n in names}
    beats, monitors = [], []
    apart: dict[str, list[tuple[float, float]]] = {}
    for path in datasets.records("bidmc"):
        recording = datasets.load(path)
        series = hear(recording)
        pulse, monitor = (reference(recording, kind, series) for kind in ("pulse_rate", "heart_rate"))
        heart = ecg_rate(recording, series)
        beats.append(pulse_beats(recording, series).f1_pct)
        later = reference(recording, "pulse_rate", series, PULSE_LATE_S)
        shown = [agreement(monitor, r, series.rate_shown).mae for r in (pulse, later)]
        monitors.append((agreement(monitor, pulse).mae, *shown))
        for name, pair in in_windows(recording).items():
            apart.setdefault(name, []).append(pair)
        whole = np.where(np.abs(monitor - pulse) <= FAR_BPM, heart, np.nan)
        for name, truth in zip(names, (pulse, later, heart, whole), strict=True):
            rows[name].append(agreement(series.bpm, truth, series.rate_shown))
            pooled[name].append((series.bpm, truth, series.quality))
        own = rows["ECG's beats"][-1]
        against = (
            f"  against the ECG's beats: MAE {own.mae:5.2f} of {100 * own.n / len(pulse):3.0f} %, F1 {beats[-1]:6.2f} %"
        )
        print(_line(recording.name, rows["monitor's PULSE"][-1], against))
    print(f"beats: mean of records F1 {np.mean(beats):.2f} %, median {np.median(beats):.2f} %")
    every, shown, later = np.mean(monitors, axis=0)
    print(
        f"the monitor's HR against its PULSE, over the readings' intervals, mean of records MAE {every:.2f}; of those "
        f"shown {shown:.2f}, {late} {later:.2f}"
    )
    for name, pairs in apart.items():
        at_once, later = np.nanmean(pairs, axis=0)
        print(f"windows of {WINDOW_S} s, {name:32} against PULSE MAE {at_once:.2f}, {late} {later:.2f}")
    print("pulse whole: where the monitor's HR and PULSE are within 5 bpm, as they are not where beats make no pulse")
    for name, made in rows.items():
        m, r, q = (np.concatenate(column) for column in zip(*pooled[name], strict=True))
        maes = [a.mae for a in made]
        sure = np.abs(m - r)[(q >= CONFIDENT) & np.isfinite(r)]
        curve = error_against_coverage(m, r, q)
        print(
            f"{name:24} coverage {100 * mean_of(made, 'coverage'):5.1f} %  MAE {mean_of(made, 'mae'):5.2f}  "
            f"median {np.median(maes):5.2f}; of {len(sure)} confident, {int((sure > FAR_BPM).sum())} off by more than "
            f"{FAR_BPM}; MAE of the best " + "  ".join(f"{100 * c:g} %: {e:.2f}" for c, e in curve.items())
        )
        print(" " * 24, right_by_quality(np.abs(m - r), q, FAR_BPM))


def replayed() -> None:
    """`bidmc` by the firmware through replay."""
    bidmc(through_replay)


def grid() -> None:
    """Synthetic grid: rate x perfusion x noise, and SpO2 x noise."""
    print("synthetic: pulse rate (bpm); 30 s each; noise is white, against the pulse, at 100 Hz")
    every, good = [], []
    for snr_db in NOISES_DB:
        for perfusion in (0.1, 0.3, 1.0, 10.0):
            made = [_synthetic(rate, perfusion, 97.0, snr_db)[:2] for rate in RATES]
            every += made
            good += made if perfusion >= 0.3 and snr_db != 6 else []
            _grid_line(f"{'clean' if snr_db is None else f'{snr_db:g} dB'}, {perfusion:g} %", made)
    print("synthetic: pulse rate (bpm), perfusion 0.3, 1 and 10 %, by dicrotic wave and by wander in pulse amplitudes")
    for notch, wander in SHAPES:
        for snr_db in NOISES_DB:
            light = [(rate, perfusion) for rate in RATES for perfusion in (0.3, 1.0, 10.0)]
            made = [_synthetic(r, p, 97.0, snr_db, notch=notch, wander=wander)[:2] for r, p in light]
            every += made
            good += made if snr_db != 6 else []
            _grid_line(f"{notch:g}, {wander:g}, {'clean' if snr_db is None else f'{snr_db:g} dB'}", made)
    _grid_line("all to 10 dB and 0.3 %", good)
    _grid_line("all", every)
    print("synthetic: SpO2 (%), 70..100 % x perfusion 0.3..10 %, 75 bpm")
    for snr_db in NOISES_DB:
        parts = [_synthetic(75, p, s, snr_db)[2:] for p in (0.3, 1.0, 10.0) for s in (70.5, 75, 80, 85, 90, 95, 99)]
        m, r, ok = (np.concatenate([p[i] for p in parts]) for i in range(3))
        print(_line("clean" if snr_db is None else f"{snr_db:g} dB", agreement(m, r, ok)))
    print("synthetic: SpO2 (%), 70..99 % x perfusion 0.3, 2 %, intervals at random by a fifth (atrial fibrillation)")
    for snr_db in NOISES_DB:
        parts = [_synthetic(75, p, s, snr_db, uneven=0.2)[2:] for p in (0.3, 2.0) for s in (70.5, 80, 90, 97, 99)]
        m, r, ok = (np.concatenate([p[i] for p in parts]) for i in range(3))
        print(_line("clean" if snr_db is None else f"{snr_db:g} dB", agreement(m, r, ok)))
    print("synthetic: SpO2 (%), moved by so many pulse amplitudes, which pulls towards 80 %")
    for motion in MOTIONS:
        parts = [_synthetic(75, p, s, None, motion=motion)[2:] for p in (0.3, 2.0) for s in (70.5, 80, 90, 97)]
        m, r, ok = (np.concatenate([p[i] for p in parts]) for i in range(3))
        print(_line(f"motion {motion:g}", agreement(m, r, ok)))


def _grid_line(label: str, made: list[tuple[Agreement, np.ndarray]]) -> None:
    """Print what the cases of one row give together. made: agreement, and errors of the confident readings."""
    rows = [r for r, _ in made]
    sure = np.concatenate([s for _, s in made])
    due, kept = sum(r.n for r in rows), sum(r.shown for r in rows)
    worst = np.nanmax([r.worst for r in rows]) if kept else np.nan
    mae = np.nansum([r.mae * r.shown for r in rows]) / max(kept, 1)
    far = f"of {len(sure)} confident, {int((sure > FAR_BPM).sum())} off by more than {FAR_BPM}"
    print(f"{label:26} coverage {100 * kept / due:5.1f} %  MAE {mae:5.2f}  worst {worst:6.2f}  {far}")


def _synthetic(
    rate: float, perfusion: float, spo2: float, snr_db: float | None, motion=0.0, uneven=0.0, notch=0.35, wander=0.1
):
    seconds = 30.0
    rng = np.random.default_rng(round(rate * 1000 + perfusion * 10))
    beats = regular_beats(seconds, rate)
    if uneven:
        beats = np.cumsum(np.maximum(0.33, 60 / rate * (1 + uneven * rng.normal(size=2 * len(beats))))) - 2
    light = {"spo2_pct": spo2, "perfusion_pct": perfusion, "snr_db": snr_db, "motion": motion}
    made = ppg(seconds, rng, beats, notch=notch, wander=wander, **light)
    recording = Recording("", ppg=made.counts, ppg_fs=100.0, truth={"pulse_rate": made.pulse_rate})
    series = measure(recording)
    truth = reference(recording, "pulse_rate", series)
    rates = agreement(series.bpm, truth, series.rate_shown)
    sure = np.abs(series.bpm - truth)[(series.quality >= CONFIDENT) & np.isfinite(truth)]
    return rates, sure, series.spo2, np.full(len(series.spo2), spo2), series.spo2_shown


def captures() -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Of each capture of oxiwear, its last reading: name, ratio of ratios (NaN: too short), true SpO2, is it shown."""
    names, ratios, truth, shown = [], [], [], []
    for path in datasets.records("oxiwear"):
        recording = datasets.load(path)
        assert recording.ppg is not None
        stream = frontend.ppg_stream(recording.ppg, recording.ppg_fs, recording.ppg_channels, recording.ppg_unit)
        ticks = [t for t in mirror.run(stream.data, pulse=1, red=0, ir=1).ticks if t.settled]
        names.append(recording.name)
        truth.append(recording.truth["spo2"][1][0])
        ratios.append(ticks[-1].r_q12 / 4096 if ticks else np.nan)
        shown.append(bool(ticks) and ticks[-1].spo2_sure)
    return names, np.array(ratios), np.array(truth), np.array(shown)


def left_out(r: np.ndarray, s: np.ndarray, ok: np.ndarray) -> np.ndarray:
    """SpO2 of each capture by a line through all others that are shown; NaN for those that are not."""
    out = np.full(len(r), np.nan)
    for i in np.flatnonzero(ok):
        others = ok & (np.arange(len(r)) != i)
        out[i] = np.polyval(np.polyfit(r[others], s[others], 1), r[i])
    return out


def oxiwear() -> None:
    """SpO2 of each capture (its last reading) with the shipped curve, and with a line fitted to the other captures."""
    _, r, s, ok = captures()
    print(f"oxiwear: {len(r)} captures of 3-7 s, one subject; {int(np.isfinite(r).sum())} are long enough (2.8 s)")
    print(_line("shipped curve", agreement(spo2_pct(r), s, ok)))
    print(_line("line, leave one out", agreement(left_out(r, s, ok), s, ok)))
    long = np.isfinite(r)
    print(_line("the same, shown or not", agreement(left_out(r, s, long), s, long)))
    print("what is left is the captures' own: by float64 and without delay, on whole captures, their line has")
    for name, ratios in whole_captures().items():
        print(_line(name, agreement(left_out(ratios, s, ok), s, ok)))


def whole_captures() -> dict[str, np.ndarray]:
    """Ratio of ratios of each capture of oxiwear by band-pass filters without delay over all of it, in float64."""
    found: dict[str, list[float]] = {}
    for recording in map(datasets.load, datasets.records("oxiwear")):
        assert recording.ppg is not None and recording.ppg_fs
        x = recording.ppg / recording.ppg.mean(axis=0)
        for high in (3, 4, 6):
            sos = signal.butter(2, (0.7, high), "band", fs=recording.ppg_fs, output="sos")
            pad = min(len(x) - 1, round(3 * recording.ppg_fs))
            red, ir = signal.sosfiltfilt(sos, x, axis=0, padlen=pad).T
            found.setdefault(f"regression, 0.7-{high} Hz", []).append(float(red @ ir / (ir @ ir)))
            found.setdefault(f"ratio of sizes, 0.7-{high} Hz", []).append(float(np.sqrt(red @ red / (ir @ ir))))
    return {name: np.array(ratios) for name, ratios in found.items()}


PARTS = {"bidmc": bidmc, "replay": replayed, "grid": grid, "oxiwear": oxiwear}


def main(argv: list[str] | None = None) -> int:
    """Print the figures of the parts named, of all by default."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate ppg", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to evaluate (default: all)")
    for name in parser.parse_args(argv).parts or PARTS:
        PARTS[name]()
    return 0
