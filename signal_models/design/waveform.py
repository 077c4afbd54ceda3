"""The waveform codec's predictors: what a sample's step is, given the six steps before it.

Three are polynomials of order 1 to 3, as in any lossless audio codec; the others are the centres of clusters of linear
predictors of 1 s of ECG and 1.25 s of light, each cluster's autocorrelations averaged after division by what its
prediction leaves (the Itakura distance), so that a block finds one near its own optimum without carrying coefficients.
`python -m host_tools.validate.waveform_fit` makes them, and says what they are worth on records left out.
"""

from __future__ import annotations

import numpy as np

from signal_models.design import Table

TAPS = 6
PREDICTORS_Q8 = (
    (0, 0, 0, 0, 0, 0),
    (256, 0, 0, 0, 0, 0),
    (512, -256, 0, 0, 0, 0),
    (-169, -106, -62, -33, -13, -2),
    (17, 102, 81, 25, -20, -35),
    (228, -152, 56, -36, -4, -2),
    (263, -122, 111, -6, -10, -43),
    (488, -560, 308, -10, -110, 74),
    (340, -181, 9, -42, 59, -40),
    (596, -738, 581, -260, 10, 26),
    (367, -268, 100, 6, -53, 11),
    (359, -196, 59, -21, -5, -5),
    (416, -279, 9, 49, -7, -24),
    (564, -536, 216, 84, -172, 71),
    (293, -67, -31, -14, -9, -1),
    (343, -45, -30, -33, -5, 8),
)


def predictors_q8() -> np.ndarray:
    """(16, 6): weights of the newest step first, 1/256; absolute values of each add up to at most 2847."""
    table = np.array(PREDICTORS_Q8, np.int64)
    assert np.abs(table).sum(axis=1).max() <= 2847  # * 753,663, the largest step, + 128 < 2**31
    return table


def tables() -> list[Table]:
    """The table of firmware/vigil/dsp/coeffs/waveform.py."""
    return [Table("PREDICTORS_Q8", predictors_q8().ravel(), "16 predictors x 6 steps, newest first")]
