"""Pulse rate of treadmill runners, every window answered: `python -m host_tools.validate.motion [--perturb]`.

The field's protocol for ispc2015: windows of 8 s each 2 s, absolute error a window, mean a recording, mean of the
recordings. By the int64 mirror, which is equal to the firmware bit for bit; causal: a window that ends at t is answered
from samples up to t. `--perturb` hears the same runners as other boards and straps would have them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import signal

from host_tools.replay import frontend
from signal_models import datasets
from signal_models.design.motion import Network
from signal_models.fixed import motion as mirror
from signal_models.fixed import ppg
from signal_models.metrics.agreement import error_against_coverage, right_by_quality
from signal_models.recording import Recording

WINDOW_S, STEP_S = 8.0, 2.0
CHANNELS: tuple[tuple[int, ...], ...] = ((0, 1), (0,), (1,))


@dataclass
class Answers:
    """Of one recording, a window each: its middle (s), measured and reference rate (bpm), quality (percent), and
    whether the rate is shown or withheld."""

    name: str
    t_s: np.ndarray
    bpm: np.ndarray
    reference: np.ndarray
    quality: np.ndarray
    shown: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Absolute error, bpm."""
        return np.abs(self.bpm - self.reference)

    @property
    def mae(self) -> float:
        """Mean absolute error, bpm."""
        return float(self.error.mean())


def answers(
    recording: Recording, channels: Sequence[int], *, accelerometer: bool = True, net: Network | None = None
) -> Answers:
    """Answer every window of a recording from some of its light channels. net: other weights than the shipped ones."""
    assert recording.ppg is not None
    names = tuple(recording.ppg_channels[c] for c in channels)
    light = frontend.ppg_stream(recording.ppg[:, list(channels)], recording.ppg_fs, names, recording.ppg_unit)
    relative = recording.ppg_unit == "relative"
    ticks = {t.count: t for t in ppg.run(light.data, pulse=0, red=-1, ir=-1, relative=relative).ticks}
    pulse = ppg.front(ppg.decimate(light.data, 3 if relative else 0), 0, relative=relative).pulse
    acc = None
    if accelerometer and recording.accel is not None:
        acc = mirror.acceleration(frontend.accel_stream(recording.accel, recording.accel_fs).data)
    track = mirror.run(pulse, acc, net)
    rate, quality, shown = mirror.hand_over(track, ticks, pulse[:, 0], acc)
    end_s = (track.count + 1) / ppg.TICK
    t, bpm = recording.truth["heart_rate"]
    at = np.searchsorted(end_s, t + WINDOW_S / 2 - 1e-6)
    t_ok = at < len(end_s)
    at = at[t_ok]
    return Answers(recording.name, t[t_ok], rate[at] / 10, bpm[t_ok], quality[at], shown[at])


def recordings() -> list[Recording]:
    """All of ispc2015 that have a reference."""
    loaded = [datasets.load(path) for path in datasets.records("ispc2015")]
    return [r for r in loaded if "heart_rate" in r.truth]


def evaluate(
    runs: Iterable[Recording] | None = None, channels: Sequence[int] = (0, 1), *, accelerometer: bool = True
) -> list[Answers]:
    """Answers of each recording, all of ispc2015 by default."""
    return [answers(r, channels, accelerometer=accelerometer) for r in (recordings() if runs is None else runs)]


def coverage_curve(rows: Sequence[Answers]) -> dict[float, float]:
    """Mean absolute error of the best share by quality, over all windows of all recordings."""
    bpm, reference, quality = (np.concatenate([getattr(r, k) for r in rows]) for k in ("bpm", "reference", "quality"))
    return error_against_coverage(bpm, reference, quality)


def summary(rows: Sequence[Answers]) -> str:
    """One line: mean of the recordings' errors, error against coverage, what is shown, and confident errors."""
    curve = "  ".join(f"{100 * c:g} %: {e:.2f}" for c, e in coverage_curve(rows).items())
    shown, quality, error = (
        np.concatenate(v) for v in zip(*((r.shown, r.quality, r.error) for r in rows), strict=True)
    )
    return (
        f"MAE {np.mean([r.mae for r in rows]):5.2f}  by quality {curve}  shown {100 * shown.mean():.0f} %: "
        f"{error[shown].mean():.2f}  over 5 bpm at quality >= 50: {100 * (error[quality >= 50] > 5).mean():.1f} %  "
        f"[{' '.join(f'{r.mae:.1f}' for r in rows)}]"
    )


def _with(
    r: Recording, *, light: float = 1.0, accel: float = 1.0, most_g: float = 100.0, swap: bool = False
) -> Recording:
    """r with its light and acceleration scaled, the latter clipped, and the columns of the light swapped."""
    assert r.ppg is not None and r.accel is not None
    return replace(r, ppg=light * r.ppg[:, :: -1 if swap else 1], accel=np.clip(accel * r.accel, -most_g, most_g))


def _turned(r: Recording) -> Recording:
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    assert r.accel is not None
    return replace(r, accel=r.accel @ turn)


def _noisy(r: Recording, snr_db: float) -> Recording:
    """White noise at the recording's rate, snr_db below what lies within 0.5-8 Hz."""
    assert r.ppg is not None
    rng = np.random.default_rng(2)
    band = signal.butter(2, [0.5, 8.0], "bandpass", fs=r.ppg_fs, output="sos")
    level = signal.sosfiltfilt(band, r.ppg, axis=0).std(axis=0) * 10 ** (-snr_db / 20)
    return replace(r, ppg=r.ppg + level * rng.normal(size=r.ppg.shape))


def _fast(r: Recording) -> Recording:
    assert r.accel is not None and r.accel_fs
    return replace(r, accel=np.pad(r.accel, ((0, len(r.accel) // 50), (0, 0)), mode="edge"), accel_fs=1.01 * r.accel_fs)


PERTURBATIONS: dict[str, Callable[[Recording], Recording]] = {
    "axes turned": _turned,
    "light x 0.3": lambda r: _with(r, light=0.3),
    "light x 3": lambda r: _with(r, light=3.0),
    "columns swapped": lambda r: _with(r, swap=True),
    "noise, 2 dB": lambda r: _noisy(r, 2.0),
    "acceleration 1 % fast": _fast,
    "acceleration clipped, 4 g": lambda r: _with(r, most_g=4.0),
    "acceleration x 0.7": lambda r: _with(r, accel=0.7),
}


def label(channels: Sequence[int], accelerometer: bool) -> str:
    """Name of a case."""
    return f"channel {'+'.join(str(c + 1) for c in channels):4}{'' if accelerometer else 'no acc.':8}"


def main(argv: list[str] | None = None) -> int:
    """Print a line for two channels, each alone, with the accelerometer and without."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate.motion", description=__doc__)
    parser.add_argument("--perturb", action="store_true", help="both channels, with each disturbance in turn")
    perturb = parser.parse_args(argv).perturb
    runs = recordings()
    print(f"ispc2015: {len(runs)} recordings, pulse rate (bpm), every window answered")
    for name, change in PERTURBATIONS.items() if perturb else ():
        print(f"{name:26}", summary(evaluate([change(r) for r in runs])), flush=True)
    for accelerometer in () if perturb else (True, False):
        for channels in CHANNELS:
            rows = evaluate(runs, channels, accelerometer=accelerometer)
            print(label(channels, accelerometer), summary(rows))
            error, quality = (np.concatenate([getattr(r, k) for r in rows]) for k in ("error", "quality"))
            print(" " * 21, right_by_quality(error, quality, 5))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
