"""Figures on a few MIT-BIH records, pinned loosely: `python -m host_tools.validate ecg` gives all of them."""

import pytest

from host_tools.validate.ecg import WINDOWS_S, evaluate_record, firmware_beats_s, mirror_beats_s, quantised
from signal_models.metrics.beats import BeatScore

pytestmark = pytest.mark.data


@pytest.mark.parametrize(
    ("record", "se", "ppv", "f1_50", "f1_25"),
    [
        ("119", 99.9, 99.9, 99.9, 99.9),  # bigeminy
        ("209", 99.9, 99.8, 99.8, 99.8),  # supraventricular ectopics
        ("104", 99.8, 99.7, 98.5, 98.5),  # paced
        ("203", 99.2, 97.5, 97.5, 96.5),  # fibrillation, noise, multiform ectopics
    ],
)
def test_record(recordings, record, se, ppv, f1_50, f1_25):
    at_150, at_50, at_25 = evaluate_record(recordings("mitdb") / record)
    assert at_150.se_pct >= se and at_150.ppv_pct >= ppv
    assert at_50.f1_pct >= f1_50 and at_25.f1_pct >= f1_25


def test_muscle_noise(recordings):
    folder = recordings("mitdb")
    recordings("nstdb")
    gross = [BeatScore() for _ in WINDOWS_S]
    for record in ("118", "119", "230"):
        scores = evaluate_record(folder / record, noise="ma", snr_db=6.0)
        gross = [a + b for a, b in zip(gross, scores, strict=True)]
    assert gross[0].f1_pct >= 98.5


def test_mirror_is_the_firmware(recordings):
    from signal_models.datasets import mitdb

    ecg = mitdb.load(recordings("mitdb") / "208").ecg
    assert ecg is not None
    x = quantised(ecg[: 60 * 360], 360)
    assert (firmware_beats_s(x) == mirror_beats_s(x)).all()
