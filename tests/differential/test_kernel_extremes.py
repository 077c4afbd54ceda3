"""Kernels of motion and breath, each by itself, at the ends of what they are given: checked viper against mirrors."""

from array import array

import numpy as np
import pytest

from signal_models.design import motion as motion_design
from signal_models.design import resp as resp_design
from signal_models.fixed import motion as motion_mirror
from signal_models.fixed import resp as resp_mirror
from vigil.dsp import motion, resp
from vigil.dsp.coeffs.motion import ALONE, HEARD, STEP_Q8
from vigil.dsp.coeffs.resp import WEIGHTS_Q5
from vigil.estimators.motion_rate import MotionRate


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("shift", [11, 12])
def test_judge(alone, shift):
    rng = np.random.default_rng(1)
    spectra = [np.full(329, 160), np.zeros(329, int), rng.integers(0, 161, 329), 160 * rng.integers(0, 2, 329)]
    net = motion_design.network(alone=alone)
    for own, left, arm in [(spectra[i], spectra[i * j % 4], spectra[j]) for i in range(4) for j in range(3)]:
        score = array("i", [-5000] * motion.BINS)
        rows = [array("h", v.tolist()) for v in (own, left, arm)]
        motion.judge(*rows, ALONE if alone else HEARD, array("h", bytes(2 * motion.INPUTS)), score, shift)
        want = motion_mirror.judge(motion_mirror.inputs(own[None], left[None], arm[None]), net, shift)[0] - 5000
        assert score.tolist() == want.tolist()


def test_tracker_of_motion():
    """Scores from flat to 2**20 apart, in turn: the belief, its best bin and the value."""
    rng = np.random.default_rng(2)
    scale = rng.choice([0, 1, 30, 1000, 1 << 20], 60)
    scores = (scale[:, None] * rng.normal(size=(60, motion.BINS)).clip(-1, 1)).astype(int)
    scores[10:13] = scores[20:23] = 0
    scores[11, 0] = scores[12, 144] = scores[21, 144] = scores[22, 3] = 4000
    rate, got = MotionRate(), []
    for row in scores.tolist():
        rate._score[:] = array("i", row)
        rate._read(motion.follow(rate._belief, STEP_Q8, rate._score, rate._work))
        got.append((rate.bpm_x10, rate.sure_pct))
    bpm, sure = motion_mirror.track(scores)
    assert got == list(zip(bpm.tolist(), sure.tolist(), strict=True))


def test_cancelling_at_full_scale():
    """Taps that are alike, opposite, alternating and silent, and a pulse that is one of them."""
    t = np.arange(motion.SPAN)
    shapes = [np.full(208, 2047), np.full(208, -2047), 2047 * (-1) ** t, 2047 * (-1) ** (t // 4), 0 * t]
    for a, b, c in [(0, 0, 0), (0, 1, 2), (3, 4, 4)]:
        acc = np.stack([shapes[k] for k in (a, b, c)])
        for x in (acc[0, :200], -acc[1, 4:204], 2047 * (-1) ** (t[:200] // 7)):
            flat, gram, solved = array("h", acc.ravel().tolist()), array("i", bytes(900)), array("i", bytes(120))
            for tap in range(motion.TAPS):
                motion.products(flat, tap // 5 * motion.SPAN + tap % 5 * 2, flat, gram, motion.TAPS * tap, 18)
            pulse = array("h", x.tolist())
            motion.products(pulse, 0, flat, solved, 0, 8)
            motion.solve(gram, solved)
            motion.cancel(pulse, flat, solved)
            assert pulse.tolist() == motion_mirror.cancel(x[None], acc[None])[0].tolist()


def test_breath_scores_and_belief():
    """Spectra at their ends, scores to 2**14, beats that limit the rate to one bin, to some and not at all."""
    rng = np.random.default_rng(3)
    spectra = np.stack([rng.choice([0, 160], (7, 313)), rng.integers(0, 161, (7, 313)), np.full((7, 313), 160)] * 4)
    scores = []
    for views in spectra:
        score = array("h", bytes(2 * resp.BINS))
        for view, row in enumerate(views):
            resp.add_say(array("h", row.tolist()), WEIGHTS_Q5, view, score)
        scores.append(score)
    want = resp_mirror.score(spectra, resp_design.weights_q5())
    assert [s.tolist() for s in scores] == want.tolist()
    scores += [array("h", row.tolist()) for row in rng.integers(-(1 << 14), 1 << 14, (20, resp.BINS))]
    intervals = rng.choice([0, 6000, 700, 1200], len(scores)).tolist()
    belief, got = array("h", bytes(2 * resp.BINS)), []
    for score, interval in zip(scores, intervals, strict=True):
        top = max((512 << 7) // interval - resp.FIRST_BIN, 0) if interval else resp.BINS
        best = resp.follow(belief, score, top)
        here = int(score[best]) - int(np.sum(score[: min(top, 144) + 1], dtype=int)) // (min(top, 144) + 1)
        assert resp.evidence(score, best, top) == here
        got.append((belief.tolist(), -resp.rival(belief, best, 6)))
    follow = resp_mirror.follow(np.array([list(s) for s in scores]), intervals)
    margins = resp_mirror.read(follow)[1]
    assert got == list(zip(follow.tolist(), margins.tolist(), strict=True))
