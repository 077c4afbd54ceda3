"""Pulse rate of wearers that nobody recorded: `python -m host_tools.validate.mixtures [--seeds N] [GROUP ...]`.

Pulses of `bidmc` played at other rates, with what movement did to the light of the runners of `ispc2015`, or what the
activities of `weda-fall` and synthetic arms would do to it (signal_models.synth.mixture): changes of rate that no
recording has, an arm at the pulse's rate, its half, its double; a start in motion; a column lost; steps of the light;
other rates of sampling, polarities, units. Scored as `host_tools.validate.motion` does. Of the pulses every second one
is for the fit of the judge (host_tools.validate.motion_fit), the others are for this.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
from scipy import ndimage

from host_tools.replay import frontend
from host_tools.validate import motion as validate
from signal_models import datasets
from signal_models.fixed import ppg
from signal_models.recording import Recording
from signal_models.synth.mixture import FS, at_rest, mixture, played, rate_track, residue
from signal_models.synth.motion import AT_REST, MOVES, leak

SECONDS = 180.0
EVEN, EVEN_SHARE = 0.12, 0.97  # so many intervals within so much of the median: pulses that can be played
FITTED, SCORED = 0, 1  # halves of the pulses


@lru_cache
def pulses(half: int) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """Light, rate and onsets of the recordings of bidmc whose pulses are even, every second one."""
    out = []
    for path in datasets.records("bidmc"):
        r = datasets.load(path)
        assert r.ppg is not None and r.ppg_fs
        stream = frontend.ppg_stream(r.ppg, r.ppg_fs, r.ppg_channels, r.ppg_unit)
        onsets_s = np.array(ppg.run(stream.data, pulse=0, red=-1, ir=-1, relative=True).onsets_q8) / 25600
        spans = np.diff(onsets_s)
        if (np.abs(spans / np.median(spans) - 1) < EVEN).mean() > EVEN_SHARE:
            out.append((np.nan_to_num(r.ppg[:, 0]), r.ppg_fs, onsets_s))
    return out[half::2]


@lru_cache
def _runs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each runner at FS: what movement did to his light, of rms 1 over the run, and his acceleration."""
    out = []
    for r in validate.recordings():
        assert r.accel is not None
        moved = frontend.resample(residue(r), r.ppg_fs or 0, round(FS))
        accel = frontend.resample(r.accel, r.accel_fs or 0, round(FS))
        n = min(len(moved), len(accel))
        out.append((moved[:n] / np.std(moved[:n], axis=0), accel[:n]))
    return out


@lru_cache
def _trials() -> list[np.ndarray]:
    """Acceleration (n, 3) at FS of each trial of a daily activity."""
    paths = [p for p in datasets.records("weda-fall") if p.parent.name.startswith("D")]
    trials = (datasets.load(p) for p in paths)
    return [frontend.resample(r.accel, r.accel_fs or 0, round(FS)) for r in trials]  # type: ignore[arg-type]


def _pulse(rng: np.random.Generator, bpm: np.ndarray, half: int) -> np.ndarray:
    x, fs, onsets_s = pulses(half)[rng.integers(len(pulses(half)))]
    return played(x, fs, onsets_s, bpm, int(rng.integers(len(onsets_s) - 1)))


def _steady(rng: np.random.Generator, low: float, high: float, each_s: float = 30) -> np.ndarray:
    """A rate that tends to another one within low..high each each_s."""
    return rate_track([(t, rng.uniform(low, high)) for t in np.arange(0, SECONDS + each_s, each_s)], SECONDS, rng)


def _run(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    moved, accel = _runs()[rng.integers(len(_runs()))]
    n = round(SECONDS * FS)
    at = int(rng.integers(0, len(moved) - n))
    return moved[at : at + n], accel[at : at + n]


def _leaks(rng: np.random.Generator, accel: np.ndarray, unseen: float) -> np.ndarray:
    return np.stack([leak(accel - AT_REST, FS, rng, unseen=unseen) for _ in range(2)], axis=1)


def effort(rng: np.random.Generator, half: int = SCORED) -> Recording:
    """Rest, a rise of about 100 bpm within a minute while running, and the recovery at rest."""
    low, high = rng.uniform(55, 75), rng.uniform(150, 175)
    knots = [(0, low), (20, low), (80, high), (110, high), (170, low + 35), (999, low + 30)]
    bpm = rate_track(knots, SECONDS, rng)
    moved, accel = _run(rng)
    t_s = np.arange(len(bpm)) / FS
    acts = ndimage.gaussian_filter1d(((t_s > 15) & (t_s < 125)) * 1.0, FS)
    accel = acts[:, None] * (accel - AT_REST) + at_rest(len(bpm), rng)
    return mixture(_pulse(rng, bpm, half), moved, accel, bpm, ratio=rng.uniform(0.7, 1.6) * acts, rng=rng)


def begun(rng: np.random.Generator, half: int = SCORED) -> Recording:
    """A run that began before the light did."""
    bpm = _steady(rng, 120, 170, 60)
    moved, accel = _run(rng)
    return mixture(_pulse(rng, bpm, half), moved, accel, bpm, ratio=rng.uniform(0.7, 2.0), rng=rng)


def swing(rng: np.random.Generator, half: int = SCORED, *, turns: float | None = None) -> Recording:
    """An arm that swings `turns` times a beat, a little loosely; None: any of 0.5 to 2, or near one of them."""
    bpm = _steady(rng, 60, 150)
    if turns is None:
        turns = rng.choice([0.5, 2 / 3, 1.0, 1.0, 1.5, 2.0]) * rng.uniform(0.93, 1.07)
    loose = ndimage.gaussian_filter1d(rng.standard_normal(len(bpm)), 6 * FS)
    phase = 2 * np.pi * np.cumsum(bpm * turns * (1 + 0.02 * loose / loose.std())) / 60 / FS
    arm = np.stack([np.sin(phase), 0.5 * np.sin(2 * phase + 1), 0.25 * np.sin(3 * phase + 2)], axis=1)
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    accel = rng.uniform(0.3, 1.0) * arm @ turned + at_rest(len(bpm), rng)
    moved = _leaks(rng, accel, rng.uniform(0.3, 0.7))
    return mixture(_pulse(rng, bpm, half), moved, accel, bpm, ratio=rng.uniform(0.6, 1.6), rng=rng)


def arms(rng: np.random.Generator, half: int = SCORED) -> Recording:
    """Arms that work in MOVES of 10 to 30 s, one in five a pause, and a heart that follows quickly."""
    bpm = _steady(rng, 75, 165)
    n, at = len(bpm), 0
    accel, ratio = at_rest(n, rng), np.zeros(n)
    while at < n:
        m = min(n - at, round(rng.uniform(10, 30) * FS))
        if rng.random() > 0.2:
            ends = np.minimum(1, np.minimum(np.arange(m), np.arange(m)[::-1]) / (0.5 * FS))
            accel[at : at + m] += MOVES[str(rng.choice(list(MOVES)))](m, FS, rng)[:m] * ends[:, None]
            ratio[at : at + m] = rng.uniform(0.5, 2.5) * ends
        at += m
    accel = np.clip(accel, -8, 8)
    moved = _leaks(rng, accel, rng.uniform(0.4, 0.9))
    return mixture(_pulse(rng, bpm, half), moved, accel, bpm, ratio=ratio, rng=rng)


def day(rng: np.random.Generator, half: int = SCORED, **more) -> Recording:
    """Daily activities with stillness between them, at 50 to 110 bpm. more: as `mixture` has them."""
    bpm = _steady(rng, 50, 110)
    n = len(bpm)
    accel, now = np.zeros((0, 3)), np.array(AT_REST)
    while len(accel) < n:
        trial = _trials()[rng.integers(len(_trials()))]
        trial = trial[: round(rng.uniform(8, 25) * FS)]
        still = np.tile(now, (round(rng.exponential(10) * FS), 1))
        accel = np.concatenate([accel, still, np.linspace(now, trial[0], round(0.5 * FS)), trial])
        now = trial[-1]
    accel = accel[:n] + 0.004 * rng.standard_normal((n, 3))
    moved = _leaks(rng, accel, rng.uniform(0.5, 0.9))
    size = ndimage.uniform_filter1d(moved[:, 0] ** 2, round(4 * FS))
    moved *= rng.uniform(0.6, 2.5) / np.sqrt(np.percentile(size, 75))
    return mixture(_pulse(rng, bpm, half), moved, accel, bpm, ratio=1.0, noise=rng.uniform(0.05, 0.3), rng=rng, **more)


def still(rng: np.random.Generator, half: int = SCORED, *, low: float = 45, high: float = 95) -> Recording:
    """A wearer at rest."""
    return _unmoved(rng, _steady(rng, low, high, 60), half)


def rises(rng: np.random.Generator, half: int = SCORED) -> Recording:
    """A rate that rises by 100 bpm within a minute and falls by 70, of a wearer who holds still."""
    low = rng.uniform(50, 75)
    knots = [(0, low), (25, low), (85, low + 100), (100, low + 100), (160, low + 30), (999, low + 25)]
    return _unmoved(rng, rate_track(knots, SECONDS, rng), half)


def _unmoved(rng: np.random.Generator, bpm: np.ndarray, half: int) -> Recording:
    n = len(bpm)
    noise = rng.uniform(0, 0.3)
    return mixture(_pulse(rng, bpm, half), np.zeros((n, 2)), at_rest(n, rng), bpm, ratio=0.0, noise=noise, rng=rng)


def _instead(kind: Callable[..., Recording], size: float, rng: np.random.Generator) -> Recording:
    """The second column is noise of `size` for a minute."""
    r = kind(rng)
    assert r.ppg is not None
    light = r.ppg.copy()
    light[6000:12000, 1] = size * rng.standard_normal(6000)
    return replace(r, ppg=light)


def _inverted(kind: Callable[..., Recording], rng: np.random.Generator) -> Recording:
    r = kind(rng)
    assert r.ppg is not None
    return replace(r, ppg=-r.ppg)


def _stepped(kind: Callable[..., Recording], rng: np.random.Generator) -> Recording:
    """Six steps of the light, of 25 pulses' rms."""
    r = kind(rng)
    assert r.ppg is not None
    steps = np.zeros(len(r.ppg))
    for at in rng.integers(1000, len(steps) - 500, 6):
        steps[at:] += rng.normal(0, 25)
    return replace(r, ppg=r.ppg + steps[:, None])


def _sampled(kind: Callable[..., Recording], fs: int, accel_fs: int, rng: np.random.Generator) -> Recording:
    r = kind(rng)
    assert r.ppg is not None and r.accel is not None
    light, accel = frontend.resample(r.ppg, FS, fs), frontend.resample(r.accel, FS, accel_fs)
    return replace(r, ppg=light, ppg_fs=float(fs), accel=accel, accel_fs=float(accel_fs))


BOTH, ONE = (0, 1), (0,)
# Of each group: how a wearer is made, which columns are heard, and the accelerometer, too?
GROUPS: dict[str, tuple[Callable[[np.random.Generator], Recording], tuple[int, ...], bool]] = {
    "effort, two columns": (effort, BOTH, True),
    "effort, one column": (effort, ONE, True),
    "effort, no accelerometer": (effort, ONE, False),
    "begun in motion, two columns": (begun, BOTH, True),
    "begun in motion, one column": (begun, ONE, True),
    "a column dark for a minute": (partial(_instead, begun, 0.01), BOTH, True),
    "a column of noise for a minute": (partial(_instead, begun, 3.0), BOTH, True),
    **{
        f"{t} swings a beat, {n} column{'s' * (n > 1)}": (partial(swing, turns=t), BOTH[:n], True)
        for t in (0.5, 0.97, 1.0, 1.5, 2.0)
        for n in (2, 1)
    },
    "arms at work, two columns": (arms, BOTH, True),
    "arms at work, one column": (arms, ONE, True),
    "day": (day, ONE, True),
    "day, 64 and 32 Hz": (partial(_sampled, day, 64, 32), ONE, True),
    "day, 25 Hz": (partial(_sampled, day, 25, 25), ONE, True),
    "day, 256 Hz": (partial(_sampled, day, 256, 100), ONE, True),
    "day, upside down": (partial(_inverted, day), ONE, True),
    "day, steps of light": (partial(_stepped, day), ONE, True),
    "day, perfusion 0.15 %": (partial(day, perfusion_pct=0.15), ONE, True),
    "day, no accelerometer": (day, ONE, False),
    "still": (still, ONE, True),
    "still, upside down": (partial(_inverted, still), ONE, True),
    "still, no accelerometer": (still, ONE, False),
    "still, upside down, no accelerometer": (partial(_inverted, still), ONE, False),
    "rises unmoved": (rises, ONE, True),
    "rises unmoved, no accelerometer": (rises, ONE, False),
}


def evaluate(group: str, seeds: int = 6, **more) -> list[validate.Answers]:
    """Answers of a group's wearers. more: as `host_tools.validate.motion.answers` has it."""
    make, channels, accelerometer = GROUPS[group]
    wearers = (make(np.random.default_rng(1000 + k)) for k in range(seeds))
    return [validate.answers(r, channels, accelerometer=accelerometer, **more) for r in wearers]


def main(argv: list[str] | None = None) -> int:
    """Print a line a group, and the mean over groups."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate.mixtures", description=__doc__)
    parser.add_argument("groups", nargs="*", help="what to evaluate: groups whose names begin so (default: all)")
    parser.add_argument("--seeds", type=int, default=6, help="wearers a group (default: 6)")
    args = parser.parse_args(argv)
    means = []
    for group in GROUPS:
        if not args.groups or group.startswith(tuple(args.groups)):
            rows = evaluate(group, args.seeds)
            means.append(np.mean([r.mae for r in rows]))
            print(f"{group:36}", validate.summary(rows), flush=True)
    print(f"mean of {len(means)} groups: MAE {np.mean(means):.2f} bpm")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
