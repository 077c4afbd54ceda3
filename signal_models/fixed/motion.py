"""int64 mirror of the firmware's pulse rate in motion: its specification again, whole recordings at a time.

Equal to the firmware bit for bit. All windows of a recording go through each step together; only the tracker, which
feeds back, is a loop. Pulse and acceleration are taken to begin together and to have no gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signal_models.design import fft as transformed
from signal_models.design import motion as design
from signal_models.fixed import ppg

N, LAG, SPAN = 200, 5, 208  # window; how far it ends before the evaluation; acceleration to a window
STEP, FIRST_END = 50, 99  # samples between windows; pulse samples there are at the first evaluation (4 s)
BINS, LOW = 145, 20
LAST, BAND = 329, slice(10, 240)
HEARD = 165  # bins of the acceleration's spectrum that are looked at: up to 240 a minute, as far as pulses go
WIDTH = 3  # bins each side of the best one that the value is the mean of
STILL = 80  # quarter milli-g: acceleration below this is none


@dataclass
class Track:
    """Per evaluation: pulse samples so far, rate in 0.1 bpm, certainty in percent, quality, and whether it moves."""

    count: np.ndarray
    bpm_x10: np.ndarray
    sure_pct: np.ndarray
    moving: np.ndarray


def acceleration(mg: np.ndarray) -> np.ndarray:
    """(n, 3) milli-g at 50 Hz to (m, 3) quarter milli-g at 25 Hz without its slow part."""
    twos = np.asarray(mg, np.int64)[: len(mg) // 2 * 2].reshape(-1, 2, 3).sum(axis=1)
    v = twos[1:] + twos[:-1]
    out = np.zeros_like(v)
    dc_q8 = v[0] << 8 if len(v) else 0
    for i, row in enumerate(v):
        out[i] = np.clip(row - (dc_q8 >> 8), -32767, 32767)
        dc_q8 = dc_q8 + (row << 3) - (dc_q8 >> 5)
    return out


def normalise(x: np.ndarray) -> np.ndarray:
    """Rows scaled by a power of two each, so that the largest magnitude is 1024..2047."""
    most = np.maximum(np.abs(x).max(axis=-1, keepdims=True), 1)
    right = np.frexp(most.astype(float))[1] - 11
    return (x >> np.maximum(right, 0)) << np.minimum(np.maximum(-right, 0), 11)


def _twiddle(i: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s = transformed.sine_q14()
    first = i <= 256
    c = np.where(first, s[np.clip(256 - i, 0, 256)], -s[np.clip(i - 256, 0, 256)])
    return c, np.where(first, s[np.clip(i, 0, 256)], s[np.clip(512 - i, 0, 256)])


def transform(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(w, 200) to the half-length transform: real and imaginary parts, (w, 512)."""
    y = (x * transformed.window_q10() + 512) >> 10
    order = np.array([int(f"{i:09b}"[::-1], 2) for i in range(512)])
    re, im = (np.pad(y[:, k::2], ((0, 0), (0, 412)))[:, order] for k in (0, 1))
    half = 1
    while half < 512:
        c, s = _twiddle(np.arange(half) * (512 // half))
        (ar, br), (ai, bi) = (v.reshape(len(x), -1, 2, half).transpose(2, 0, 1, 3).copy() for v in (re, im))
        tr, ti = (c * br + s * bi + 8192) >> 14, (c * bi - s * br + 8192) >> 14
        re, im = (np.stack([a + t, a - t], axis=2).reshape(len(x), 512) for a, t in ((ar, tr), (ai, ti)))
        half *= 2
    return re, im


def power(x: np.ndarray) -> np.ndarray:
    """Power (w, LAST) of the windowed, padded rows of x."""
    re, im = transform(x)
    i = np.arange(1, LAST)
    m = 512 - i
    c, s = _twiddle(i)
    dr, di = (im[:, i] + im[:, m]) >> 1, (re[:, m] - re[:, i]) >> 1
    xr = (re[:, i] + re[:, m] + ((c * dr + s * di + 4096) >> 13)) >> 1
    xi = (im[:, i] - im[:, m] + ((c * di - s * dr + 4096) >> 13)) >> 1
    return np.pad(xr * xr + xi * xi, ((0, 0), (1, 0)))


def spectrum(x: np.ndarray) -> np.ndarray:
    """Log power, 16 an octave, the band's largest at 160, held to 0..160."""
    p = power(x)
    e = np.frexp(np.maximum(p, 1).astype(float))[1] - 1
    part = np.where(e >= 4, p >> np.maximum(e - 4, 0), p << np.maximum(4 - e, 0))
    log = np.where(p > 0, 16 * e + part - 16, 0)
    return np.clip(log + 160 - log[:, BAND].max(axis=1, keepdims=True), 0, 160)


def cancel(x: np.ndarray, acc: np.ndarray) -> np.ndarray:
    """What is left of x (w, 200) when 15 taps of acc (w, 3, 208) are fitted to it and taken away."""
    taps = np.concatenate([acc[:, a, None, j : j + N] for a in range(3) for j in (0, 2, 4, 6, 8)], axis=1)
    wide = taps.astype(float)  # sums below 2**53: exact
    gram = np.rint(wide @ wide.transpose(0, 2, 1)).astype(np.int64) >> 18
    b = np.rint((wide @ x[:, :, None].astype(float))[..., 0]).astype(np.int64) >> 8
    weight = np.zeros_like(b)
    for _ in range(32):
        for t in range(15):
            own = gram[:, t, t]
            rest = b[:, t] - (gram[:, t] * weight).sum(axis=1) + own * weight[:, t]
            weight[:, t] = np.clip(rest // (own + (own >> 6) + 1), -8191, 8191)
    return np.clip(x - (((weight[:, :, None] * taps).sum(axis=1) + 512) >> 10), -32767, 32767)


def windows(pulse: np.ndarray, acc: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """All windows of a recording: (w, k, 200) of the pulse, (w, 3, 208) of the acceleration, pulse samples so far."""
    counts = np.arange(FIRST_END, len(pulse) + 1, STEP)
    ends = counts - LAG + 1000
    p = np.pad(pulse, ((1000, 0), (0, 0)))
    x = np.stack([p[e - N : e].T for e in ends])
    if acc is None:
        return x, None, counts
    a = np.pad(acc, ((1000, 50), (0, 0)))
    return x, np.stack([a[e - N - 6 : e + 2].T for e in ends]), counts


def spectra(
    x: np.ndarray, acc: np.ndarray | None
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray, np.ndarray]:
    """Per column (pulse, what cancelling leaves), (w, LAST) each; that of the acceleration; which windows move.

    The sum of the columns comes last where there are several.
    """
    moving = np.zeros(len(x), bool) if acc is None else np.abs(acc).max(axis=(1, 2)) >= STILL
    motion = np.zeros((len(x), LAST), np.int64)
    scaled = np.zeros((0, 3, SPAN), np.int64)
    if acc is not None and moving.any():
        scaled = normalise(acc[moving])
        motion[moving] = np.max([spectrum(scaled[:, k, 6:206]) for k in range(3)], axis=0)
        motion[:, HEARD:] = 0
    columns = []
    heard = [normalise(x[:, c]) for c in range(x.shape[1])]
    if len(heard) > 1:
        heard.append(normalise(np.sum(heard, axis=0)))
    for one in heard:
        own = spectrum(one)
        left = own.copy()
        if moving.any():
            left[moving] = spectrum(normalise(cancel(one[moving], scaled)))
        columns.append((own, left))
    return columns, motion, moving


def inputs(own: np.ndarray, left: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The 13 numbers (w, BINS, 13) that each bin is judged by, in half units of the spectra."""
    b = np.arange(LOW, LOW + BINS)
    one = [2 * own[:, b], 2 * left[:, b], 2 * motion[:, b]]
    two = [2 * own[:, 2 * b], 2 * left[:, 2 * b], 2 * motion[:, 2 * b]]
    low = [2 * own[:, b >> 1], 2 * motion[:, b >> 1]]
    near = [v[:, b - 8] + v[:, b + 8] for v in (own, left, motion)]
    far = [own[:, b - 16] + own[:, b + 16], 2 * left[:, b + (b >> 1)]]
    return np.stack([*one, *two, *low, *near, *far], axis=-1)


def judge(u: np.ndarray, net: design.Network, shift: int = 11) -> np.ndarray:
    """Log2 likelihood (w, BINS) in Q4 of the inputs u; a shift of 12 halves it."""
    z = (u @ net.hidden_q14.T) + (net.bias_q8 << 6)
    return ((np.maximum(z, 0) >> 7) @ net.out_q8 + ((u @ net.straight_q14) << 1)) >> shift


def track(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rate (0.1 bpm) and certainty (percent) after each step over summed scores (w, BINS)."""
    kernel = design.step_q8()
    belief = np.full(BINS, 1 << 18, np.int64)
    bpm, sure = [], []
    for s in score:
        moved = (np.convolve(belief, kernel)[8 : 8 + BINS] >> 8) + 1
        v = s.max() - s
        down = (v + 15) >> 4
        weighed = np.where(down > 24, 0, (moved * (16 + (down << 4) - v)) >> (4 + np.minimum(down, 24)))
        best = int(weighed.argmax())
        belief = weighed << max(0, 19 - int(weighed[best]).bit_length())
        first, last = max(0, best - WIDTH), min(BINS, best + WIDTH + 1)
        near = belief[first:last] >> 4
        below = s[first:last].max() - s[first:last]
        down = (below + 15) >> 4
        weight = (near * (16 + (down << 4) - below)) >> (4 + np.minimum(down, 24))
        off_q8 = int((weight * (np.arange(first, last) - best)).sum()) * 256 // max(1, int(weight.sum()))
        bpm.append((((best + LOW) << 8) + off_q8) * 1875 >> 15)
        sure.append(int(near.sum()) * 100 // (int((belief >> 4).sum()) + 1))
    return np.array(bpm), np.array(sure)


def run(pulse: np.ndarray, acc: np.ndarray | None, net: design.Network | None = None) -> Track:
    """Track the rate over pulse (m, k) at 25 Hz and acceleration (m, 3) from `acceleration`."""
    x, a, counts = windows(np.asarray(pulse, np.int64), acc)
    columns, motion, moving = spectra(x, a)
    net = net or design.network(alone=acc is None)
    each = 11 + (x.shape[1] > 1)  # of several columns each counts half, and their sum whole
    shifts = [each] * x.shape[1] + [11]
    score = sum(judge(inputs(own, left, motion), net, s) for (own, left), s in zip(columns, shifts, strict=False))
    bpm, sure = track(np.asarray(score))
    return Track(counts, bpm, sure, moving)


@dataclass
class Shape:
    """Of the newest 8 s of light at a tick: skewness (Q6) and size over the smallest since the start (Q4)."""

    skew_q6: int
    grown_q4: int


def shapes(pulse: np.ndarray, ticks: dict[int, ppg.Tick]) -> dict[int, Shape]:
    """The shape of a column of light (m,) at each tick, by count."""
    out, least_q8, last = {}, 0, Shape(64, 16)
    x = np.pad(np.asarray(pulse, np.int64), (200, 0))
    for count, tick in sorted(ticks.items()):
        n = min(tick.age, 200)
        if n >= 100:
            size, skew_q6 = ppg.shape(x[count + 200 - n : count + 200])
            size_q8 = size << 8
            least_q8 += least_q8 >> 10
            least_q8 = least_q8 if 0 < least_q8 < size_q8 else max(size_q8, 1)
            last = Shape(skew_q6, size_q8 // ((least_q8 >> 4) + 1))
        out[count] = last
    return out


def hand_over(
    track_: Track, ticks: dict[int, ppg.Tick], pulse: np.ndarray, acc: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rate (0.1 bpm), quality and whether it is shown, as the channel reports them each 2 s.

    ticks: those of the PPG mirror by their count. pulse: the column (m,) that pulses. acc: 3 samples late, None: none.
    """
    rates, qualities, shown = [], [], []
    size = None if acc is None else np.abs(acc).sum(axis=1)
    shape = shapes(pulse, ticks)
    quiet = 0
    for i, count in enumerate(track_.count):
        tick, here = ticks[count], shape[count]
        track, sure = int(track_.bpm_x10[i]), max(0, 2 * int(track_.sure_pct[i]) - 100)
        beats, quality = (tick.bpm_x10, tick.quality_pct) if tick.bpm_x10 > 0 else (None, 0)
        apart = beats is not None and abs(beats - track) > 40
        if size is not None:
            last = size[max(0, count - 203) : count - 3]
            still = int(last.sum()) // (4 * len(last)) < 100
            quiet = min((quiet or len(last)) + STEP, 1000) if still else 0
            if quality < 50 or quiet < tick.span:
                beats, quality = track, sure
        elif here.skew_q6 < 30 or here.grown_q4 > 28 if apart else here.skew_q6 < 16 and here.grown_q4 > 24:
            beats, quality = track, sure * 29 // 100
        elif apart or here.grown_q4 > 40:
            quality = min(quality, 49)
        rates.append(0 if beats is None else beats)
        qualities.append(quality)
        shown.append(quality >= 30)
    return np.array(rates), np.array(qualities), np.array(shown)
