"""Fit the judge of pulse rates in motion: `python -m host_tools.validate.motion_fit [--leave-out] [--write]`.

Every window of every recording and channel is one example: the judge's score over 145 rates is to be high near the
reference. Loss: minus the log of the share (softmax) that falls within 2.5 bins of it, with 2 % for anything. Each
recording is also used stretched in time by 0.75 and 1.3 (other rates, other cadences). There are two judges: of light
with acceleration (which sees a quarter of the recordings as if nothing moved) and of light alone. The first one also
learns from synthetic wearers (a quarter of its examples): runners whose hearts pass 1.5 times the arm's swing, and
workouts of boxing, jumps, push-ups and work without a rhythm; no recording has either. `--leave-out` fits six times on
ten recordings and scores the two left out, through the integer mirror: that is the figure to believe.
`--write` replaces signal_models/design/motion_weights.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from host_tools.replay import frontend
from host_tools.validate import motion as validate
from signal_models.design import motion_weights
from signal_models.design.motion import Network
from signal_models.fixed import motion as mirror
from signal_models.fixed import ppg
from signal_models.recording import Recording
from signal_models.synth.motion import exerciser, workout

HIDDEN, INPUTS = 8, 12
STRETCHES = (0.75, 1.3)
NEAR_BINS, ANYTHING, DECAY = 2.5, 0.02, 1e-3
TRUST = 0.2  # of a window's log likelihood: windows overlap by three quarters, and two channels err together
BIN_BPM = 60 * 25 / 1024
FOLDS, STARTS = 6, 4
WEARERS, OF_WEARER = 14, 60  # synthetic ones of either kind, and examples of each


def examples(
    recording: Recording, stretch: float = 1.0, *, accelerometer: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (windows, bins, 12), scaled to -1.5..0.5, of each channel and their sum in turn, and reference rates."""
    light = frontend.ppg_stream(recording.ppg, recording.ppg_fs, recording.ppg_channels, recording.ppg_unit)  # type: ignore[arg-type]
    pulse = ppg.front(ppg.decimate(light.data, 3), 0, relative=True).pulse
    acc = mirror.acceleration(frontend.accel_stream(recording.accel, recording.accel_fs).data)  # type: ignore[arg-type]
    n = min(len(pulse), len(acc))
    at = np.arange(0, n - 1, 1 / stretch)

    def stretched(x: np.ndarray) -> np.ndarray:
        return np.rint([np.interp(at, np.arange(n), c) for c in x[:n].T]).astype(np.int64).T

    x, a, count = mirror.windows(stretched(pulse), stretched(acc) if accelerometer else None)
    columns, motion, _ = mirror.spectra(x, a)
    t, bpm = recording.truth["heart_rate"]
    middle_s = ((count + 1) / 25 - validate.WINDOW_S / 2) / stretch
    rate = np.interp(middle_s, t, bpm) / stretch
    good = (count >= 199) & (middle_s <= t[-1] + 0.01) & (rate > 33) & (rate < 235)
    u = [mirror.inputs(own, left, motion)[good] / 160 - 1.5 for own, left in columns]
    return np.concatenate(u), np.tile(rate[good], len(u))


def synthetic() -> list[tuple[np.ndarray, np.ndarray]]:
    """Examples of synthetic wearers who run or work out, each with rates, paces and leaks of its own."""
    rng, few = np.random.default_rng(77), np.random.default_rng(1)
    wearers = [workout(300 + k) for k in range(WEARERS)]
    for k in range(WEARERS):
        kinds = {
            "rest": (rng.uniform(55, 80), 40.0, 0.0, 0.0, 0.0),
            "walk": (rng.uniform(80, 115), 30.0, rng.uniform(95, 130), rng.uniform(0.15, 0.4), rng.uniform(0.3, 0.9)),
            "run": (*rng.uniform((125, 25, 140, 0.7, 0.7), (175, 45, 185, 1.6, 1.5)),),
        }
        wearers.append(exerciser((("rest", 10), ("walk", 30), ("run", 80), ("rest", 20)), 200 + k, kinds=kinds))
    out = []
    for wearer in wearers:
        light = frontend.ppg_stream(wearer.ppg, wearer.ppg_fs, wearer.ppg_channels, wearer.ppg_unit)  # type: ignore[arg-type]
        pulse = ppg.front(ppg.decimate(light.data, 0), 1, relative=False).pulse
        acc = mirror.acceleration(frontend.accel_stream(wearer.accel, wearer.accel_fs).data)  # type: ignore[arg-type]
        x, a, count = mirror.windows(pulse, acc)
        columns, motion, _ = mirror.spectra(x, a)
        middle_s = (count + 1) / 25 - validate.WINDOW_S / 2
        good = (count >= 199) & (middle_s > 10)
        u = np.concatenate([mirror.inputs(own, left, motion)[good] / 160 - 1.5 for own, left in columns])
        bpm = np.tile(np.interp(middle_s, *wearer.truth["pulse_rate"])[good], len(columns))
        some = few.permutation(len(u))[:OF_WEARER]
        out.append((u[some], targets(bpm[some])))
    return out


def targets(bpm: np.ndarray) -> np.ndarray:
    """(windows, bins): 1 at the reference rate, 0 from 2.5 bins on."""
    bins = np.arange(mirror.LOW, mirror.LOW + mirror.BINS)
    return np.maximum(0, 1 - np.abs(bins - bpm[:, None] / BIN_BPM) / NEAR_BINS)


def material(recording: Recording, *, accelerometer: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """All examples that come from one recording, for the judge with or without acceleration, and their targets."""
    parts = [examples(recording, s, accelerometer=accelerometer) for s in (1.0, *STRETCHES)]
    if accelerometer:
        u, rate = examples(recording, accelerometer=False)
        parts.append((u[::4], rate[::4]))
    bpm = np.concatenate([rate for _, rate in parts])
    return np.concatenate([u for u, _ in parts]), targets(bpm)


def _unpack(w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n = INPUTS * HIDDEN
    return w[:n].reshape(INPUTS, HIDDEN), w[n : n + HIDDEN], w[n + HIDDEN : n + 2 * HIDDEN], w[n + 2 * HIDDEN :]


def _loss(w: np.ndarray, x: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    hidden, bias, out, straight = _unpack(w)
    z = x @ hidden + bias
    h = np.maximum(z, 0)
    score = h @ out + x @ straight
    p = np.exp(score - score.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    share = ANYTHING / mirror.BINS + (1 - ANYTHING) * (p * target).sum(axis=1)
    up = -((1 - ANYTHING) / share / len(x))[:, None] * target
    g = p * (up - (p * up).sum(axis=1, keepdims=True))
    dz = (g[..., None] * out) * (z > 0)
    flat = x.reshape(-1, INPUTS)
    parts = (
        flat.T @ dz.reshape(-1, HIDDEN),
        dz.sum(axis=(0, 1)),
        h.reshape(-1, HIDDEN).T @ g.ravel(),
        flat.T @ g.ravel(),
    )
    gradient = np.concatenate([q.ravel() for q in parts]) + DECAY * w
    return float(-np.log(share).mean() + DECAY * (w @ w) / 2), gradient


def fit(
    parts: list[tuple[np.ndarray, np.ndarray]],
    more: Sequence[tuple[np.ndarray, np.ndarray]] = (),
    most: int = 4500,
) -> Network:
    """Fit to `material`, thinned to about `most` examples, and to all of `more`; weights in the firmware's units.

    Several starts go a little way, and the best of them to the end: where one ends is worth 0.05 bpm.
    """
    thin = max(1, sum(len(x) for x, _ in parts) // most)
    kept = [(x[::thin], target[::thin]) for x, target in parts] + list(more)
    x, target = (np.concatenate([p[i] for p in kept]) for i in (0, 1))
    rng = np.random.default_rng(0)

    def descend(start: np.ndarray, steps: int) -> OptimizeResult:
        return minimize(_loss, start, (x, target), jac=True, method="L-BFGS-B", options={"maxiter": steps})

    starts = [
        np.concatenate(
            [rng.normal(0, 0.5, INPUTS * HIDDEN), np.zeros(HIDDEN), rng.normal(0, 0.3, HIDDEN), np.eye(1, INPUTS)[0]]
        )
        for _ in range(STARTS)
    ]
    found = descend(min((descend(s, 50) for s in starts), key=lambda r: r.fun).x, 200)
    hidden, bias, out, straight = _unpack(found.x)
    trust = TRUST / np.log(2)
    values = (hidden.T * 102.4, (bias - 1.5 * hidden.sum(axis=0)) * 256, out * trust * 256, straight * trust * 102.4)
    return Network(*(np.rint(v).astype(np.int64) for v in values))


_DOC = """Weights of the judges of pulse rates in motion, made by `python -m host_tools.validate.motion_fit --write`.

HEARD judges light with acceleration, ALONE light alone: a row of weights (Q14) a hidden unit, its inputs in the
order of signal_models.fixed.motion.inputs, the units' biases (Q8), their weights (Q8), straight weights (Q14).
"""


def text(nets: dict[str, Network]) -> str:
    """The source of signal_models/design/motion_weights.py."""
    out = f'"""{_DOC}"""\n'
    for name, net in nets.items():
        rows = "".join(f"        {row},\n" for row in net.hidden_q14.tolist())
        rest = "".join(f"    {v.tolist()},\n" for v in (net.bias_q8, net.out_q8, net.straight_q14))
        out += f"\n{name} = (\n    [\n{rows}    ],\n{rest})\n"
    return out


def score(runs: list[Recording]) -> None:
    """Print what the judges are worth on recordings that they have not seen."""
    for heard in (True, False):
        parts = [material(r, accelerometer=heard) for r in runs]
        more = synthetic() if heard else []
        scored: dict[tuple[int, ...], list[validate.Answers]] = {c: [] for c in validate.CHANNELS}
        for fold in range(FOLDS):
            net = fit([p for i, p in enumerate(parts) if i % FOLDS != fold], more)
            for channels, rows in scored.items():
                rows += [validate.answers(r, channels, accelerometer=heard, net=net) for r in runs[fold::FOLDS]]
        for channels, rows in scored.items():
            print(f"left out, {validate.label(channels, heard)}", validate.summary(rows), flush=True)


def main(argv: list[str] | None = None) -> int:
    """Fit, and print what the fit is worth."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate.motion_fit", description=__doc__)
    parser.add_argument("--leave-out", action="store_true", help="fit without each sixth of the recordings in turn")
    parser.add_argument("--write", action="store_true", help="fit to all recordings and write the weights")
    args = parser.parse_args(argv)
    runs = validate.recordings()
    if args.leave_out:
        score(runs)
    if args.write:
        nets = {
            "HEARD": fit([material(r) for r in runs], synthetic()),
            "ALONE": fit([material(r, accelerometer=False) for r in runs]),
        }
        Path(str(motion_weights.__file__)).write_text(text(nets))
        print("wrote the weights; now run `make gen`")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
