"""Pulse rate and beats on a few BIDMC records, loaders of the other sets on one file each."""

import pytest

from host_tools.validate.ppg import measure, reference
from signal_models import datasets
from signal_models.metrics.agreement import agreement

pytestmark = pytest.mark.data


@pytest.mark.parametrize("name", ["bidmc01", "bidmc13", "bidmc49"])
def test_pulse_rate(recordings, name):
    recording = datasets.load(recordings("bidmc") / name)
    assert recording.ppg_channels == ("ir",) and recording.ppg_unit == "relative"
    assert set(recording.truth) == {"heart_rate", "pulse_rate", "spo2", "resp_rate"}
    series = measure(recording)
    result = agreement(series.bpm, reference(recording, "pulse_rate", series), series.rate_shown)
    assert result.mae <= 1.5 and result.coverage >= 0.95


@pytest.mark.parametrize("name, columns", [("oxiwear", 2), ("max30102", 2), ("ispc2015", 2), ("weda-fall", 0)])
def test_loaders(recordings, name, columns):
    recordings(name)
    loaded = [datasets.load(path) for path in datasets.records(name)[:3]]
    for recording in loaded:
        assert recording.meta["data set"] == name and recording.duration_s > 1
        assert (recording.ppg is not None and recording.ppg.shape[1] == columns) or recording.accel is not None
