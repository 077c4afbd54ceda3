"""The numbers of the respiration rate: how much each view's spectrum counts, and how a rate of breathing moves.

A spectrum has 16 steps an octave of power and a range of 160 below its largest value. A view's say on a rate is the
weighted sum of its spectrum there, at the double and at the half; fitted as a conditional logit on BIDMC with a quarter
of its strength (windows of 32 s every 2 s say much the same thing again) by host_tools.validate.resp_fit, which also
tells what the weights are worth on recordings that they were not fitted to. No rate is preferred over another.
"""

from __future__ import annotations

import numpy as np

from signal_models.design import Table
from signal_models.design.resp_weights import WEIGHTS_Q5

SLOT_S = 0.32
WINDOW = 100  # slots: 32 s
FIRST_BIN, BINS = 11, 145  # of 0.3662 breaths a minute: 4.03 .. 56.8
BIN_PER_MIN = 60 / SLOT_S / 512
VIEWS = ("intensity", "peak", "foot", "amplitude", "interval", "r height", "rr")
STEP, JUMP = 64, 640  # what it costs the belief to move by a bin, or to any other: 1/64 of a natural logarithm


def weights_q5() -> np.ndarray:
    """(views, 3): of the spectrum at the rate, at its double and at its half, 1/32 of 1/64 of a natural logarithm."""
    return np.array(WEIGHTS_Q5, np.int64)


def tables() -> list[Table]:
    """The tables of firmware/vigil/dsp/coeffs/resp.py."""
    return [Table("WEIGHTS_Q5", weights_q5().ravel(), "7 views x (at the rate, at its double, at its half)")]
