"""The summary line from rows whose errors are known beforehand."""

from types import SimpleNamespace

import numpy as np

from host_tools.virtual.summary import missing_sensors, summarise
from signal_models.recording import Recording
from vigil.core import records


def row(kind, mantissa, exp10=-1, absent=records.PRESENT, t_end_ms=10_000):
    return SimpleNamespace(
        kind=kind, mantissa=mantissa, exp10=exp10, absent_reason=absent, t_start_ms=t_end_ms - 8000, t_end_ms=t_end_ms
    )


def recording(**more):
    t_s = np.arange(0, 60.0)
    truth = {
        "heart_rate": (t_s, np.full(60, 70.0)),
        "pulse_rate": (t_s, np.where(t_s < 30, 70.0, np.nan)),
        "spo2": (t_s, np.full(60, 97.0)),
    }
    return Recording("made up", truth=truth, **more)


ROWS = [
    row(records.HEART_RATE, 710),
    row(records.HEART_RATE, 680),
    row(records.HEART_RATE, None, absent=records.POOR_SIGNAL),
    row(records.PULSE_RATE, 730),
    row(records.PULSE_RATE, 900, t_end_ms=55_000),  # no reference there: not judged
    row(records.SPO2, 960),
    row(records.SPO2, 1000),
    row(0x4000099, 1),
]
COUNTS = {"verified": 9, "rejected": 1, "duplicates": 2}


def test_errors_coverage_and_counts():
    line = summarise(ROWS, recording(), COUNTS, {"sealed": 12, "pending": 3, "heap_free": 5}, seconds=1.5)
    assert {name: line[name] for name in ("sealed", "verified", "rejected", "duplicates", "lost", "seconds")} == {
        "sealed": 12,
        "verified": 9,
        "rejected": 1,
        "duplicates": 2,
        "lost": 3,
        "seconds": 1.5,
    }
    assert line["heart_rate_mae_bpm"] == 1.5
    assert line["pulse_rate_mae_bpm"] == 3.0
    assert line["spo2_arms_pct"] == 2.236  # sqrt((1 + 9) / 2)
    assert line["coverage_pct"]["heart_rate"] == 66.7
    assert line["coverage_pct"]["kind 67109017"] == 100.0
    assert line["device"] == {"pending": 3, "heap_free": 5}


def test_what_has_no_reference_is_null():
    line = summarise(ROWS, Recording("unknown truth"), COUNTS, {"sealed": 9})
    assert line["heart_rate_mae_bpm"] is line["pulse_rate_mae_bpm"] is line["spo2_arms_pct"] is None


def test_simulated_colour_says_nothing_about_spo2():
    for more in ({"ppg_unit": "relative", "ppg_channels": ("ir",)}, {"ppg_channels": ("green",)}):
        assert summarise(ROWS, recording(**more), COUNTS, {"sealed": 9})["spo2_arms_pct"] is None


def test_nothing_at_all():
    line = summarise([], recording(), dict.fromkeys(COUNTS, 0), {"sealed": 0})
    assert line["lost"] == 0 and line["coverage_pct"] == {} and line["heart_rate_mae_bpm"] is None


def test_a_sensor_that_never_answered_is_missing_only_if_there_was_something_to_measure():
    silent = [row(records.PULSE_RATE, None, absent=records.NO_SENSOR), row(records.HEART_RATE, 700)]
    both = {"ecg": np.zeros(10), "ecg_fs": 250.0, "ppg": np.zeros((10, 2)), "ppg_fs": 100.0}
    assert missing_sensors(silent, recording(**both)) == ["pulse oximeter"]
    assert missing_sensors(ROWS, recording(**both)) == []
    assert missing_sensors(silent, recording(ecg=np.zeros(10), ecg_fs=250.0)) == []
