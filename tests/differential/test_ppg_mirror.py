"""The PPG chain against its int64 mirror: beats and every second's figures, bit for bit."""

from array import array

import numpy as np
import pytest

from signal_models.fixed import ppg as mirror
from signal_models.synth.ppg import ppg, regular_beats
from vigil.core.records import GREEN, IR, PPG, PRESENT, RED, RELATIVE, SampleBlock
from vigil.estimators.ppg_channel import PpgChannel


def firmware(counts, columns, cuts, *, relative=False):
    """Onsets and the figures after each second, from blocks of the lengths `cuts` (taken in turn)."""
    onsets, ticks = [], []
    channel = PpgChannel(lambda b: onsets.append((b.index << 8) + b.frac_q8))
    evaluate = channel._evaluate

    def watch(age):
        evaluate(age)
        p, s = channel.pulse, channel.spo2
        rate = (p.bpm_x10 or -1, p.quality_pct, p.clarity_q10, p.period_q8)
        sure = age > 0 and s.reason == PRESENT
        ticks.append((age, *rate, channel._pi_x1000, s.r_q12, s.spo2_x10 or -1, sure, channel.contact.state))

    channel._evaluate = watch
    at = i = 0
    while at < len(counts):
        n = min(cuts[i % len(cuts)], len(counts) - at)
        data = array("i", np.asarray(counts[at : at + n], np.int32).ravel().tolist())
        flags = RELATIVE if relative else 0
        channel.push(SampleBlock(PPG, columns, data, t0_ms=at * 10, period_us=10000, n=n, flags=flags))
        at += n
        i += 1
    return onsets, ticks


def agree(counts, columns, cuts, *, relative=False):
    pulse = columns.index(IR) if IR in columns else 0
    red, ir = (columns.index(c) if c in columns else -1 for c in (RED, IR))
    want = mirror.run(counts, pulse=pulse, red=red, ir=ir, relative=relative)
    onsets, ticks = firmware(counts, columns, cuts, relative=relative)
    figures = [
        (t.age, *rate, t.pi_x1000, t.r_q12, t.spo2_x10, t.spo2_sure, t.contact)
        for t in want.ticks
        for rate in [(t.bpm_x10, t.quality_pct, t.clarity_q10, t.period_q8)]
    ]
    assert ticks == figures
    assert onsets == want.onsets_q8
    return want


def made(seed, seconds, rate=75, **options):
    rng = np.random.default_rng(seed)
    return ppg(seconds, rng, regular_beats(seconds, rate), **options).counts


# requirement: SIG-1
@pytest.mark.parametrize("cuts", [(64,), (1, 2, 3, 5, 7, 64)])
def test_two_columns(cuts):
    want = agree(made(1, 16), (RED, IR), cuts)
    assert len(want.onsets_q8) > 12 and want.ticks[-1].spo2_x10 > 900


def test_noise_motion_and_a_lost_finger():
    agree(made(2, 26, rate=110, motion=1.0, snr_db=6, off_s=[(9, 4)]), (RED, IR), (50,))


def test_swapped_columns_and_three():
    counts = made(3, 8)
    agree(counts[:, ::-1], (IR, RED), (33,))
    agree(np.column_stack([counts, counts[:, 0]]), (RED, IR, GREEN), (17,))


def test_one_relative_column():
    counts = made(4, 14, rate=140)[:, :1].astype(int)
    x = counts - counts.mean(axis=0).astype(int)
    agree(-x * 40, (IR,), (10,), relative=True)


# requirement: SIG-2
def test_extremes_do_not_overflow():
    rng = np.random.default_rng(5)
    square = np.where((np.arange(900) // 37 % 2)[:, None] == 1, 0x3FFFF, [[90_000, 20_000]]).astype(np.int64)
    agree(square, (RED, IR), (64,))
    agree(rng.integers(0, 0x40000, (900, 2)), (RED, IR), (64,))
    agree(rng.choice([-100_000, 100_000], (900, 1)), (IR,), (64,), relative=True)
    swing = (200_000 + 60_000 * np.sign(np.sin(np.arange(1200) / 9))).astype(np.int64)
    agree(np.column_stack([swing, swing]), (RED, IR), (64,))
