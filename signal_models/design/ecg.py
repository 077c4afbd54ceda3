"""The filters of the ECG chain, 250 Hz.

QRS view: band-pass 8-20 Hz, where the QRS complex has most energy against P and T waves, wander and muscle.
Wide view: low-pass 34 Hz that also quiets 50 and 60 Hz; with the mean of 41 samples (164 ms) taken off it is the
signal in which the R peak is placed. Both are linear phase: their delay is the same for every shape of beat.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import firls, firwin

from signal_models.design import Table, quantise

FS_HZ = 250
QRS_TAPS, WIDE_TAPS = 61, 31
MEAN_N = 41  # samples of the mean that the wide view takes off


def qrs_band() -> np.ndarray:
    """Band-pass 8-20 Hz, 61 taps (delay 30 samples), unquantised."""
    return np.asarray(firwin(QRS_TAPS, [8, 20], fs=FS_HZ, pass_zero=False))


def wide_low_pass() -> np.ndarray:
    """Low-pass to 34 Hz, 31 taps (delay 15 samples), with the stop band weighted at 50 and 60 Hz, unquantised."""
    bands = [0, 32, 48, 62, 62.5, 125]
    taps = np.asarray(firls(WIDE_TAPS, bands, [1, 1, 0, 0, 0, 0], weight=[1, 8, 1], fs=FS_HZ))
    return taps / taps.sum()


def tables() -> list[Table]:
    """Halves of the symmetric impulse responses, centre last."""
    qrs = quantise(qrs_band(), 15, total=0)
    wide = quantise(wide_low_pass(), 15, total=1 << 15)
    for taps in (qrs, wide):
        assert np.array_equal(taps, taps[::-1])
        assert np.abs(taps).sum() <= 65534 and np.abs(taps).max() <= 16383  # int32 holds the sum and each product
    return [
        Table("QRS_Q15", qrs[: QRS_TAPS // 2 + 1], f"band-pass 8-20 Hz, {QRS_TAPS} taps, first half and centre"),
        Table("WIDE_Q15", wide[: WIDE_TAPS // 2 + 1], f"low-pass 34 Hz, {WIDE_TAPS} taps, first half and centre"),
    ]
