"""`python -m host_tools.validate.waveform_fit`: make the waveform codec's predictors, and say what they are worth.

Autocorrelations of the steps of each block, over what the block's own linear prediction leaves, fall into clusters
by which predictor leaves least of them (Lloyd's algorithm, Itakura distance); a cluster's predictor solves the
normal equations of its mean. The polynomials stay as they are. Fitted on each second record, scored on the others,
and the other way round; then on all.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scipy.linalg import solve, toeplitz

from host_tools.validate.waveform import Signal, signals
from signal_models.design.waveform import PREDICTORS_Q8, TAPS

_POLYNOMIALS = np.array(PREDICTORS_Q8[:3]) / 256
_CLUSTERS = 13
_WORDS = 250  # of a block
_PER_GROUP = 1500  # blocks: no data set outweighs another
_ROUNDS = 40


def columns(signal: Signal) -> list[np.ndarray]:
    """What is predicted: the last column, and the others less the best eighths of it."""
    data = signal.data.astype(float)
    last = data[:, -1]
    found = [last]
    for column in data.T[:-1]:
        gains = [np.abs(np.diff(column - g / 8 * last)).mean() for g in range(16)]
        found.append(column - np.floor(int(np.argmin(gains)) * last / 8))
    return found


def correlations(some: list[Signal]) -> np.ndarray:
    """(blocks, TAPS + 1): autocorrelation of the steps over what the best predictor leaves."""
    groups: dict[str, list[np.ndarray]] = {}
    for one in some:
        size = _WORDS // one.data.shape[1]
        for column in columns(one):
            steps = np.diff(column)
            for start in range(0, len(steps) - size + 1, size):
                block = steps[start : start + size]
                r = np.correlate(block, block, "full")[size - 1 : size + TAPS]
                if r[0] < 0.3 * size:
                    continue  # a still line is predicted by anything
                r[0] = 1.0005 * r[0] + 0.1 * size  # rounding to integers is noise, too
                groups.setdefault(one.group, []).append(r / (r[0] - solve(toeplitz(r[:TAPS]), r[1:]) @ r[1:]))
    rng = np.random.default_rng(0)
    picked = [np.array(rows)[rng.permutation(len(rows))[:_PER_GROUP]] for rows in groups.values()]
    return np.concatenate(picked)


def left(predictor: np.ndarray, r: np.ndarray) -> np.ndarray:
    """What a predictor leaves of each block's power, over what the block's own leaves."""
    whole = np.concatenate([[1], -predictor])
    a = np.correlate(whole, whole, "full")[TAPS:]
    return np.maximum(r @ np.concatenate([a[:1], 2 * a[1:]]), 1e-9)


def _centre(r: np.ndarray) -> np.ndarray:
    mean = r.mean(axis=0)
    return solve(toeplitz(mean[:TAPS]), mean[1:])


def fit(r: np.ndarray) -> np.ndarray:
    """(16, TAPS) predictors of blocks with these autocorrelations, the polynomials first."""
    rng = np.random.default_rng(0)
    order = np.argsort(r[:, 1] / r[:, 0])
    centres = [_centre(r[part]) for part in np.array_split(order, _CLUSTERS)]
    for _ in range(_ROUNDS):
        table = [*_POLYNOMIALS, *centres]
        nearest = np.array([left(p, r) for p in table]).argmin(axis=0)
        for i in range(_CLUSTERS):
            members = r[nearest == len(_POLYNOMIALS) + i]
            centres[i] = _centre(members if len(members) >= 5 else r[rng.integers(len(r), size=30)])
    return np.array([*_POLYNOMIALS, *centres])


def excess_bits(table: np.ndarray, r: np.ndarray) -> float:
    """Mean bits a sample that the best of a table costs above each block's own predictor (half the log of powers)."""
    return float(np.mean(0.5 * np.log2(np.min([left(p, r) for p in table], axis=0))))


def main(argv: list[str] | None = None) -> int:
    """Print what a table costs where it was fitted and where it was not, and the table of all."""
    argparse.ArgumentParser(prog="python -m host_tools.validate.waveform_fit", description=__doc__).parse_args(argv)
    groups: dict[str, list[Signal]] = {}
    for one in signals():
        groups.setdefault(one.group, []).append(one)
    halves = [correlations([one for members in groups.values() for one in members[k::2]]) for k in (0, 1)]
    print("bits a sample above each block's own predictor of order 6:")
    for k in (0, 1):
        table = fit(halves[k])
        own, other = excess_bits(table, halves[k]), excess_bits(table, halves[1 - k])
        print(f"  fitted on half {k}: {own:.3f} there, {other:.3f} on the other")
    both = np.concatenate(halves)
    print(f"  polynomials alone: {excess_bits(_POLYNOMIALS, both):.3f}")
    print(f"  the table in use:  {excess_bits(np.array(PREDICTORS_Q8) / 256, both):.3f}")
    print("fitted on all, 1/256:")
    for row in np.rint(fit(both) * 256).astype(int).tolist():
        print(f"    {tuple(row)},")
    return 0


if __name__ == "__main__":
    sys.exit(main())
