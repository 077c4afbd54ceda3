"""Fit the judge of pulse rates in motion: `python -m host_tools.validate.motion_fit [--leave-out] [--write JUDGE ...]`.

Every window of every recording and channel is one example: the judge's score over 145 rates is to be high near the
reference. Loss: minus the log of the share (softmax) that falls within 2.5 bins of it, with 2 % for anything. Each
recording is also used stretched in time by 0.75 and 1.3 (other rates, other cadences). There are two judges: of light
with acceleration (which sees a quarter of the recordings as if nothing moved) and of light alone. The first one also
learns from wearers that nobody recorded (half of its examples): runners whose hearts pass 1.5 times the arm's swing,
workouts, rest, daily life, and arms that swing at the pulse's rate, its half or its double; no recording has these.
`--leave-out` fits six times on ten recordings and scores the two left out, through the integer mirror: that is the
figure to believe.
`--write HEARD ALONE` replaces these judges in signal_models/design/motion_weights.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from scipy.optimize import OptimizeResult, minimize

from host_tools.replay import frontend
from host_tools.validate import motion as validate
from host_tools.validate.mixtures import FITTED, day, still, swing
from signal_models.design import motion_weights
from signal_models.design.motion import Network, network
from signal_models.fixed import motion as mirror
from signal_models.fixed import ppg
from signal_models.recording import Recording
from signal_models.synth.motion import exerciser, workout

HIDDEN, INPUTS = 8, 13
STRETCHES = (0.75, 1.3)
NEAR_BINS, ANYTHING, DECAY = 2.5, 0.02, 1e-3
TRUST = 0.2  # of a window's log likelihood: windows overlap by three quarters, and two channels err together
BIN_BPM = 60 * 25 / 1024
FOLDS, STARTS = 6, 3
WEARERS, OF_WEARER = 14, 60  # of a kind, and examples of each


def examples(
    recording: Recording, stretch: float = 1.0, *, accelerometer: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (windows, bins, 13), scaled to -1.5..0.5, of each channel and their sum in turn, and reference rates."""
    light = frontend.ppg_stream(recording.ppg, recording.ppg_fs, recording.ppg_channels, recording.ppg_unit)  # type: ignore[arg-type]
    relative = recording.ppg_unit == "relative"
    pulse = ppg.front(ppg.decimate(light.data, 3 if relative else 0), 0, relative=relative).pulse
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


def wearers() -> list[tuple[np.ndarray, np.ndarray]]:
    """Examples of wearers that nobody recorded, for the judge of light with acceleration, and their targets.

    Runners and workouts are synthetic. The others have every second pulse of bidmc (host_tools.validate.mixtures): at
    rest, where the second harmonic may be the stronger one; in daily life; and with an arm that swings at the pulse's
    rate, its half, its double or near them.
    """
    rng = np.random.default_rng(77)
    made = [workout(300 + k) for k in range(WEARERS)]
    for k in range(WEARERS):
        kinds = {
            "rest": (rng.uniform(55, 80), 40.0, 0.0, 0.0, 0.0),
            "walk": (rng.uniform(80, 115), 30.0, rng.uniform(95, 130), rng.uniform(0.15, 0.4), rng.uniform(0.3, 0.9)),
            "run": (*rng.uniform((125, 25, 140, 0.7, 0.7), (175, 45, 185, 1.6, 1.5)),),
        }
        made.append(exerciser((("rest", 10), ("walk", 30), ("run", 80), ("rest", 20)), 200 + k, kinds=kinds))
    made += [kind(np.random.default_rng(400 + k), FITTED) for k in range(2 * WEARERS) for kind in (day, swing)[k % 2 :]]
    rng = np.random.default_rng(78)
    rested = [still(rng, FITTED, low=low, high=low + 25) for low in rng.uniform(40, 130, WEARERS)]
    return [_some(*examples(r), k) for part in (made, rested) for k, r in enumerate(part)]


def _some(u: np.ndarray, bpm: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    some = np.random.default_rng(seed).permutation(len(u))[:OF_WEARER]
    return u[some], targets(bpm[some])


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
    hidden, bias, out, straight = (v.astype(np.float32) for v in _unpack(w))
    flat = x.reshape(-1, INPUTS)
    h = flat @ hidden
    h += bias
    np.maximum(h, 0, out=h)
    score = (h @ out + flat @ straight).reshape(target.shape)
    p = np.exp(score - score.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    share = ANYTHING / mirror.BINS + (1 - ANYTHING) * (p * target).sum(axis=1)
    up = -((1 - ANYTHING) / share / len(x))[:, None] * target
    g = (p * (up - (p * up).sum(axis=1, keepdims=True))).ravel()
    dz = (h > 0) * g[:, None] * out
    parts = (flat.T @ dz, dz.sum(axis=0), h.T @ g, flat.T @ g)
    gradient = np.concatenate([q.ravel() for q in parts]).astype(float) + DECAY * w
    return float(-np.log(share).mean(dtype=float) + DECAY * (w @ w) / 2), gradient


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
    x, target = (np.concatenate([p[i] for p in kept]).astype(np.float32) for i in (0, 1))
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


FITS: dict[str, Callable[[Sequence[Recording]], Network]] = {
    "HEARD": lambda runs: fit([material(r) for r in runs], wearers()),
    "ALONE": lambda runs: fit([material(r, accelerometer=False) for r in runs]),
}


def score(runs: list[Recording]) -> None:
    """Print what the judges are worth on recordings that they have not seen."""
    for heard in (True, False):
        parts = [material(r, accelerometer=heard) for r in runs]
        more = wearers() if heard else []
        scored: dict[tuple[int, ...], list[validate.Answers]] = {c: [] for c in validate.CHANNELS}
        for fold in track(range(FOLDS), f"fitting {FOLDS} times", console=Console(stderr=True)):
            net = fit([p for i, p in enumerate(parts) if i % FOLDS != fold], more)
            for channels, rows in scored.items():
                rows += [validate.answers(r, channels, accelerometer=heard, net=net) for r in runs[fold::FOLDS]]
        for channels, rows in scored.items():
            print(f"left out, {validate.label(channels, heard)}", validate.summary(rows), flush=True)


def main(argv: list[str] | None = None) -> int:
    """Fit, and print what the fit is worth."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate.motion_fit", description=__doc__)
    parser.add_argument("--leave-out", action="store_true", help="fit without each sixth of the recordings in turn")
    parser.add_argument(
        "--write", nargs="+", choices=FITS, help="fit these judges to all recordings, write the weights"
    )
    args = parser.parse_args(argv)
    runs = validate.recordings()
    if args.leave_out:
        score(runs)
    if args.write:
        nets = {"HEARD": network(), "ALONE": network(alone=True)}
        nets |= {name: FITS[name](runs) for name in args.write}
        Path(str(motion_weights.__file__)).write_text(text(nets))
        print("wrote the weights; now run `make gen`")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
