"""float64 reference of the pulse rate in motion on the unquantised design: what the integers approximate.

From the same definitions as the firmware: Hann window, transform of 1024 points, least squares on 15 taps of the
acceleration with a ridge of 1/64, the judge in floating point, and a belief with a Gaussian step.
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from signal_models.design import motion as design

RIDGE = 1 / 64
RANGE = 160  # sixteenths of an octave of power: 30 dB


def acceleration(mg: np.ndarray) -> np.ndarray:
    """(n, 3) milli-g at 50 Hz to quarter milli-g at 25 Hz, less what a pole of 32 samples follows."""
    v = signal.convolve(np.asarray(mg, float), np.ones((4, 1)), mode="valid")[::2]
    slow = v[0] + np.asarray(signal.lfilter([0, 1 / 32], [1, -31 / 32], v - v[0], axis=0))
    return v - slow


def spectrum(x: np.ndarray, band: slice, last: int) -> np.ndarray:
    """Log power of the rows of x (w, 200), `last` bins of 1.46 bpm: 16 an octave, the band's largest at 160, 0..160."""
    window = np.sin(np.pi * np.arange(1, x.shape[-1] + 1) / (x.shape[-1] + 1)) ** 2
    power = np.abs(np.fft.rfft(x * window, 1024))[..., :last] ** 2
    log = 16 * np.log2(power + 1e-9)
    return np.clip(log + RANGE - log[..., band].max(axis=-1, keepdims=True), 0, RANGE)


def cancelled(x: np.ndarray, acc: np.ndarray) -> np.ndarray:
    """What is left of x (w, 200) when 15 taps of acc (w, 3, 208) are fitted to it: the ridge's exact solution."""
    n = x.shape[-1]
    taps = np.stack([acc[:, a, d : d + n] for a in range(3) for d in (0, 2, 4, 6, 8)], axis=1).astype(float)
    gram = taps @ taps.transpose(0, 2, 1)
    gram += RIDGE * gram * np.eye(15)
    weight = np.linalg.solve(gram, taps @ x[:, :, None].astype(float))
    return x - (taps * weight).sum(axis=1)


def judged(u: np.ndarray, net: design.Network) -> np.ndarray:
    """Log2 likelihood (w, bins) of inputs (w, bins, 13) in half units of the spectra."""
    hidden = u @ (net.hidden_q14.T / 2**14) + net.bias_q8 / 2**8
    return np.maximum(hidden, 0) @ (net.out_q8 / 2**8) + u @ (net.straight_q14 / 2**14)


def followed(score: np.ndarray, first_bin: int) -> np.ndarray:
    """Rate (bpm) after each step over log2 likelihoods (w, bins): a Bayes filter, its best bin's neighbourhood weighed
    once more by the likelihood."""
    bins = score.shape[1]
    step = np.exp(-(np.subtract.outer(np.arange(bins), np.arange(bins)) ** 2) / (2 * design.STEP_BINS**2))
    step /= np.exp(-(np.arange(-bins, bins + 1) ** 2) / (2 * design.STEP_BINS**2)).sum()
    belief = np.full(bins, 0.5)
    out = []
    for s in score:
        likelihood = 2.0 ** (s - s.max())
        belief = (step @ belief + 2.0**-19) * likelihood
        belief /= belief.max()
        best = int(belief.argmax())
        near = np.arange(max(0, best - 3), min(bins, best + 4))
        weight = belief[near] * likelihood[near]
        out.append((weight @ near / weight.sum() + first_bin) * 60 * 25 / 1024)
    return np.array(out)
