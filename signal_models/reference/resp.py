"""float64 reference of the respiration rate on the unquantised design: what the integers approximate.

From the same definitions as the firmware: slopes of straight lines from beat to beat, Hann window, transform of 1024
points, a weighted sum of log spectra, and a belief in natural logarithms where moving and jumping have a price.
"""

from __future__ import annotations

import numpy as np

from signal_models.design import resp as design

RANGE = 160  # sixteenths of an octave of power: 30 dB
NEAR = 6  # bins each side of the best one that the value is the mean of
FLANK = 20  # below this bin a double that does not stand out belongs to the rate's own line
UNIT = 64  # of the scores: 1/64 of a natural logarithm


def slopes(at_slots: np.ndarray, values: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """How much the line through beats' values rises in each of `slots`: that of the two beats round its beginning."""
    between = np.searchsorted(at_slots, slots)
    rise = np.diff(values) / np.diff(at_slots)
    return np.where((between > 0) & (between < len(at_slots)), rise[np.clip(between - 1, 0, len(rise) - 1)], 0.0)


def spectrum(x: np.ndarray) -> np.ndarray:
    """(n, 100) slopes to (n, 313) log power: 16 an octave, the largest of the rates at 160, held to 0..160."""
    limit = 4 * np.abs(x).mean(axis=-1, keepdims=True)
    x = np.clip(x, -limit, limit)
    x = np.repeat(x - x.mean(axis=-1, keepdims=True), 2, axis=-1)
    window = np.sin(np.pi * np.arange(1, 201) / 201) ** 2
    log = 16 * np.log2(np.abs(np.fft.rfft(x * window, 1024))[..., :313] ** 2 + 1e-12)
    band = log[..., design.FIRST_BIN : design.FIRST_BIN + design.BINS]
    return np.clip(log + RANGE - band.max(axis=-1, keepdims=True), 0, RANGE)


def score(spectra: np.ndarray, weights_q5: np.ndarray) -> np.ndarray:
    """(n, views, 313) to natural log likelihoods (n, bins), without a constant."""
    b = np.arange(design.FIRST_BIN, design.FIRST_BIN + design.BINS)
    double = np.where((b < FLANK) & (spectra[..., 3 * b // 2] >= spectra[..., 2 * b]), 0, spectra[..., 2 * b])
    inputs = np.stack([spectra[..., b], double, spectra[..., b // 2]], axis=-1)
    return np.einsum("nvbk,vk->nb", inputs, weights_q5 / (32 * UNIT))


def followed(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rate (a minute) and margin (natural logarithm) after each of (n, bins) scores; beats limit no rate."""
    step, jump = design.STEP / UNIT, design.JUMP / UNIT
    bins = np.arange(design.BINS)
    cost = step * np.abs(np.subtract.outer(bins, bins))
    belief = np.zeros(design.BINS)
    rate, margin = [], []
    for s in scores:
        belief = np.max(np.maximum(belief, -jump) - cost, axis=1) + s
        best = int(belief.argmax())
        belief = np.maximum(belief - belief[best], -2 * jump)
        near = np.abs(bins - best) <= NEAR
        weight = np.maximum(belief[near] + 128 / UNIT, 0)
        rate.append((weight @ bins[near] / weight.sum() + design.FIRST_BIN) * design.BIN_PER_MIN)
        margin.append(-belief[~near].max())
    return np.array(rate), np.array(margin)
