"""Pulse rate in motion against its int64 mirror, however the streams are cut; the transform against numpy's."""

from array import array

import numpy as np
import pytest

from signal_models.design import fft as transformed
from signal_models.design import motion as design
from signal_models.fixed import motion as mirror
from signal_models.fixed import ppg as light
from vigil.app.pipeline import Pipeline
from vigil.core.records import ACC, GREEN, PPG, PRESENT, PULSE_RATE, RELATIVE, SampleBlock
from vigil.dsp import fft
from vigil.dsp.coeffs import fft as coeffs


def runner(seconds, seed, *, scale=20_000, g=900):
    """Two columns of light and an acceleration that leaks into them, with noise: (n, 2) and (n / 2, 3) integers."""
    rng = np.random.default_rng(seed)
    t = np.arange(seconds * 100) / 100
    beat, swing = 2 * np.pi * (1.6 + 0.01 * t) * t, 2 * np.pi * 1.4 * t
    arm = np.stack([np.sin(swing), 0.5 * np.sin(2 * swing + 1), 0.3 * np.sin(3 * swing)], axis=1)
    leak = arm @ rng.normal(size=(3, 2))
    pulse = np.sin(beat) + 0.3 * np.sin(2 * beat + 1)
    ppg = scale * (pulse[:, None] + 2 * leak + 0.3 * rng.normal(size=(len(t), 2)))
    acc = g * arm[::2] + [0, 0, 1000] + 20 * rng.normal(size=(len(t) // 2, 3))
    return np.clip(np.rint(ppg), -100_000, 100_000).astype(int), np.clip(np.rint(acc), -32768, 32767).astype(int)


def firmware(ppg, acc, rows):
    """(rate, certainty, moving) after each evaluation; blocks of `rows` PPG rows and half as many of acceleration."""
    pipeline = Pipeline()
    got = []
    columns = (GREEN,) * ppg.shape[1]
    watched = None
    for at in range(0, len(ppg), rows):
        data = array("i", ppg[at : at + rows].ravel().tolist())
        n = len(data) // len(columns)
        pipeline.push(SampleBlock(PPG, columns, data, t0_ms=at * 10, period_us=10000, n=n, flags=RELATIVE))
        rate = pipeline._channels[PPG].hand_over.motion
        if rate is not None and rate is not watched:
            watched, evaluate = rate, rate.evaluate

            def watch(*args, rate=rate, evaluate=evaluate):
                evaluate(*args)
                if rate.bpm_x10 is not None:
                    got.append((rate.bpm_x10, rate.sure_pct, rate.moving))

            rate.evaluate = watch
        piece = acc[at // 2 : (at + rows) // 2]
        data = array("h", piece.ravel().tolist())
        pipeline.push(SampleBlock(ACC, (0, 1, 2), data, t0_ms=at // 2 * 20, period_us=20000, n=len(piece)))
    return got


@pytest.mark.parametrize("rows", [4, 10])
def test_pipeline_equals_the_mirror(rows):
    ppg, acc = runner(16, 1)
    pulse = light.front(light.decimate(ppg, 3), 0, relative=True).pulse
    want = mirror.run(pulse, mirror.acceleration(acc))
    assert firmware(ppg, acc, rows) == list(
        zip(want.bpm_x10.tolist(), want.sure_pct.tolist(), want.moving.tolist(), strict=True)
    )


def test_blocks_of_200_ms_lack_the_last_samples_of_acceleration_and_hardly_any_accuracy():
    ppg, acc = runner(16, 1)
    few, many = (np.array([rate for rate, _, _ in firmware(ppg, acc, rows)]) for rows in (10, 20))
    assert np.abs(few - many)[2:].max() <= 10


@pytest.mark.parametrize("g", [32000, 0])
def test_full_scale_and_silence(g):
    ppg, acc = runner(8, 2, scale=100_000, g=g)
    if not g:
        acc[:] = (0, 0, 1000)
    pulse = light.front(light.decimate(ppg, 3), 0, relative=True).pulse
    want = mirror.run(pulse, mirror.acceleration(acc))
    assert firmware(ppg, acc, 10) == list(
        zip(want.bpm_x10.tolist(), want.sure_pct.tolist(), want.moving.tolist(), strict=True)
    )
    assert want.moving.all() == bool(g)


@pytest.mark.parametrize("accelerometer", [True, False])
def test_hand_over_equals_the_mirror(accelerometer):
    """From rest to running and back: what the channel reports each 2 s, with acceleration and without."""
    ppg, acc = runner(30, 4)
    still = np.repeat((np.arange(30) // 10 != 1), 100)
    rest = 20_000 * np.maximum(np.sin(2 * np.pi * 1.2 * np.arange(3000) / 100), -0.3)
    ppg[still] = rest[still, None].astype(int)
    acc[still[::2]] = (0, 0, 1000)
    pipeline = Pipeline()
    for at in range(0, len(ppg), 10):
        data = array("i", ppg[at : at + 10].ravel().tolist())
        pipeline.push(SampleBlock(PPG, (GREEN, GREEN), data, t0_ms=at * 10, period_us=10000, n=10, flags=RELATIVE))
        if accelerometer:
            data = array("h", acc[at // 2 : at // 2 + 5].ravel().tolist())
            pipeline.push(SampleBlock(ACC, (0, 1, 2), data, t0_ms=at * 10, period_us=20000, n=5))
    got = [r for r in pipeline.take() if r.kind == PULSE_RATE and r.mantissa is not None and r.t_end_ms >= 4000]
    pulse = light.front(light.decimate(ppg, 3), 0, relative=True).pulse
    heard = mirror.acceleration(acc) if accelerometer else None
    ticks = {t.count: t for t in light.run(ppg, pulse=0, red=-1, ir=-1, relative=True).ticks}
    rate, quality, shown = mirror.hand_over(mirror.run(pulse, heard), ticks, pulse[:, 0], heard)
    known = rate > 0
    assert [r.mantissa for r in got] == rate[known].tolist()
    assert [r.quality_pct for r in got] == quality[known].tolist()
    assert [r.absent_reason == PRESENT for r in got] == shown[known].tolist()
    assert len({r.absent_reason for r in got}) > 1


def _transform(x):
    buffer = array("h", bytes(2 * fft.WORDS))
    fft.load(array("h", x.tolist()), 0, coeffs.WINDOW_Q10, buffer)
    fft.transform(buffer, coeffs.SINE_Q14)
    z = np.array(buffer).reshape(512, 2)
    return z[:, 0] + 1j * z[:, 1]


def test_transform_stays_within_its_error_bound():
    rng = np.random.default_rng(3)
    t = np.arange(200)
    inputs = [
        np.full(200, 2047),
        2047 * (-1) ** (t // 2),
        np.rint(2047 * np.sin(0.3 * t)),
        rng.integers(-2047, 2048, 200),
    ]
    for x in inputs:
        x = np.asarray(x).astype(int)
        y = (x * transformed.window_q10() + 512) >> 10
        want = np.fft.fft(y[0::2] + 1j * y[1::2], 512)
        got = _transform(x)
        error = np.abs(got - want)
        assert error.max() <= 32 and np.sqrt((error**2).mean()) <= 12, (error.max(), np.sqrt((error**2).mean()))
        re, im = mirror.transform(x[None])
        assert np.array_equal(got, re[0] + 1j * im[0])


def test_no_input_can_overflow_the_transform():
    """The sum of all magnitudes and what rounding adds in nine stages stay below 16 bits."""
    y = 2047 * transformed.window_q10() // 1024 + 1
    assert np.hypot(y[0::2], y[1::2]).sum() + 0.71 * 511 + 10 < 32768


@pytest.mark.parametrize("alone", [False, True])
def test_the_network_cannot_overflow(alone):
    """Inputs 0..320: hidden sums within 31 bits, outputs within 16, and their weighted sum within 31."""
    net = design.network(alone=alone)
    up = 320 * np.clip(net.hidden_q14, 0, None).sum(axis=1) + (net.bias_q8 << 6)
    down = 320 * np.clip(net.hidden_q14, None, 0).sum(axis=1) + (net.bias_q8 << 6)
    assert max(up.max(), -down.min()) < 2**29
    straight = 320 * np.abs(net.straight_q14).sum() * 2
    assert (np.maximum(up, 0) // 128 * np.abs(net.out_q8)).sum() + straight < 2**29


def test_spectrum_against_a_float_reference():
    """Log power within a quarter octave of a float transform's, down to 24 dB below the largest."""
    ppg, _ = runner(8, 5)
    x = mirror.normalise(np.rint(ppg[::4, :1].T[:, :200]).astype(int))
    exact = np.abs(np.fft.rfft(x[0] * np.sin(np.pi * np.arange(1, 201) / 201) ** 2, 1024)) ** 2
    want = 16 * np.log2(exact[: mirror.LAST] + 1e-9)
    want = want - want[mirror.BAND].max() + 160
    strong = want > 160 - 16 * 8
    strong[0] = False
    assert np.abs(mirror.spectrum(x)[0] - want)[strong].max() <= 4
