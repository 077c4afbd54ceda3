"""Replay's front end: times stay where they were, units are what records say, wrong input is told plainly."""

import numpy as np
import pytest

from host_tools.errors import UserError
from host_tools.replay import frontend, replay, rhythm_from_rr
from signal_models.synth.wearer import wearer
from vigil.core import records


@pytest.mark.parametrize("fs", [25, 64, 100, 125, 128, 173.61, 250, 300, 360, 500, 999.5, 1000])
def test_a_slow_sine_keeps_its_time_and_size(fs):
    t = np.arange(int(40 * fs)) / fs
    stream = frontend.ecg_stream(np.sin(2 * np.pi * 1.3 * t), fs)
    want = 1000 * np.sin(2 * np.pi * 1.3 * np.arange(len(stream.data)) / 250)
    assert abs(len(stream.data) / 250 - 40) < 2 / fs + 0.004
    assert np.abs(stream.data[250:-250, 0] - want[250:-250]).max() < 6


def test_half_an_hour_at_an_odd_rate_does_not_drift():
    fs = 173.61
    t = np.arange(int(1800 * fs)) / fs
    stream = frontend.ecg_stream(np.sin(2 * np.pi * 1.0 * t), fs)
    want = 1000 * np.sin(2 * np.pi * np.arange(len(stream.data)) / 250)
    assert np.abs(stream.data[-1000:-250, 0] - want[-1000:-250]).max() < 6


def test_a_large_dc_has_no_transient_at_the_ends():
    ppg = np.full((640, 2), 150_000.0)
    stream = frontend.ppg_stream(ppg, 64, ("red", "ir"), "counts")
    assert np.abs(stream.data - 150_000).max() <= 1


def test_columns_flags_and_ranges():
    x = np.full((400, 3), 100_000.0)
    x[100:150, 0] = 300_000
    stream = frontend.ppg_stream(x, 100, ("ir", "green", "green"), "counts")
    assert stream.columns == (records.IR, records.GREEN, records.GREEN)
    assert stream.data.max() == frontend.PPG_FULL_SCALE
    assert stream.flags[120] & records.SATURATED and not stream.flags[50] & records.SATURATED


def test_a_relative_pulse_spans_the_converter_and_says_so():
    t = np.arange(1250) / 125
    stream = frontend.ppg_stream(0.01 * np.sin(2 * np.pi * t), 125, ("ir",), "relative")
    assert 95_000 < stream.data.max() <= 100_000
    assert (stream.flags & records.RELATIVE).all()


def test_lost_samples_become_a_gap_or_a_lead_off():
    mv = np.zeros(1000)
    mv[400:500] = np.nan
    stream = frontend.ecg_stream(mv, 250)
    assert stream.flags[450] == records.LEAD_OFF and stream.flags[300] == 0
    counts = np.full((1000, 2), 1e5)
    counts[400:500] = np.nan
    blocks = frontend.interleave([frontend.ppg_stream(counts, 100, ("red", "ir"), "counts")])
    times = {b.t0_ms: b.flags for b in blocks}
    assert 4500 not in times and times[5000] & records.GAP and not times[5100] & records.GAP


@pytest.mark.parametrize("engine", ["cpython", "micropython"])
def test_lost_samples_of_any_source_and_length_are_gaps_to_the_chains(engine):
    made = wearer(24, 3)
    assert made.ecg is not None and made.ppg is not None and made.beats_s is not None
    rng = np.random.default_rng(3)
    ecg, ppg, accel = made.ecg.copy(), made.ppg.astype(float), rng.normal(0, 0.02, (1200, 3))
    ecg[2500:3000] = np.nan
    ppg[:150, 0], ppg[-100:] = np.nan, np.inf
    accel[600:700, 2] = np.nan
    for x in (ecg, ppg, accel):
        x[rng.integers(0, len(x) // 3, 20) * 3] = np.nan  # and drop-outs of a sample
    got = replay(ecg=ecg, ecg_fs=250, ppg=ppg, ppg_fs=100, accel=accel, accel_fs=50, engine=engine)
    assert not [t for t in got.ecg_beats_s if 10.1 < t < 12]
    kept = [t for t in made.beats_s if 4 < t < 9]
    assert all(np.abs(got.ecg_beats_s - t).min() < 0.05 for t in kept)
    rates = [r for r in got.of("pulse_rate") if not r.withheld]
    assert rates and all(r.t_start_s >= 1.5 for r in rates)
    assert all(np.isfinite(r.value) for r in got.readings if r.value is not None)


def test_sources_arrive_in_the_order_of_time():
    blocks = frontend.interleave(
        [frontend.ecg_stream(np.zeros(1000), 250), frontend.ppg_stream(np.ones((400, 2)), 100, ("red", "ir"), "counts")]
    )
    ends = [b.t0_ms + len(b.data) * b.period_us // 1000 for b in blocks]
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"ecg": np.zeros((100, 2)), "ecg_fs": 250}, "ecg has the shape"),
        ({"ecg": np.zeros(100)}, "no usable sample rate"),
        ({"ecg": np.zeros(100), "ecg_fs": -1}, "no usable sample rate"),
        ({"ecg": np.full(100, np.nan), "ecg_fs": 250}, "no finite sample"),
        ({"ecg": [], "ecg_fs": 250}, "holds 0 samples"),
        ({"ppg": np.zeros((100, 3)), "ppg_fs": 100}, "ppg has the shape"),
        ({"ppg": np.zeros((100, 1)), "ppg_fs": 100, "ppg_channels": ("blue",)}, "unknown PPG channel"),
        ({"ppg": np.zeros((100, 2)), "ppg_fs": 100, "ppg_unit": "volts"}, "unknown PPG unit"),
        ({"accel": np.zeros((100, 2)), "accel_fs": 50}, "accel has the shape"),
        ({"engine": "jython"}, "unknown engine"),
    ],
)
def test_wrong_input_is_one_sentence(arguments, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        replay(**arguments)
    assert error.value.hint


def test_the_last_value_is_held_for_beats_still_being_decided():
    stream = frontend.ecg_stream(np.linspace(0, 1, 1000), 250)
    blocks = frontend.interleave([stream])
    assert stream.duration_s == 4 and sum(len(b.data) for b in blocks) == 1250
    assert (blocks[-1].data == stream.data[-1]).all()


def test_no_signal_gives_nothing():
    result = replay(engine="cpython")
    assert result.readings == [] and len(result.ecg_beats_s) == 0


@pytest.mark.parametrize("engine", ["micropython", "micropython-bytecode"])
def test_rhythm_is_the_same_on_every_engine(engine):
    rng = np.random.default_rng(5)
    rr = np.concatenate([rng.normal(0.8, 0.02, 120), rng.uniform(0.4, 1.0, 150), [np.nan, 0.0, 70.0]])
    want = rhythm_from_rr(rr, engine="cpython")
    assert rhythm_from_rr(rr, engine=engine) == want
    assert len(want) == len(rr) and {label for _, label in want[30:60]} == {"sinus"} and want[200][1] == "af"
