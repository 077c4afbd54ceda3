"""What monitors are accepted by (IEC 60601-2-27), through the shipped chain: cases by name, what is read in the last
column.

The hearts are signal_models/synth/arrhythmia.py; the chain runs under MicroPython (viper), as on the chip. A heart rate
passes within 1 % or 1 /min, whichever is more.
"""

import numpy as np
import pytest

from host_tools.replay import replay_recording
from signal_models.metrics.beats import score
from signal_models.synth import arrhythmia as heart

S = 60.0  # seconds a case
FULL_S = 14.0  # the rule's 12 intervals are full by then at 60/min and more
RESPONSE_S = 11.0  # what a step of rate may take
REPORT_S = 2.0


def rng():
    return np.random.default_rng(60601)


def noisy(recording, **disturbance):
    return heart.disturbed(recording, rng(), **disturbance)


# fmt: off
READS = {  # name: (heart, from second, per minute)
    "15/min":                     (heart.steady(S, 15),                           20, 15),
    "20/min":                     (heart.steady(S, 20),                           16, 20),
    "30/min":                     (heart.steady(S, 30),                           12, 30),
    "45/min":                     (heart.steady(S, 45),                            8, 45),
    "60/min":                     (heart.steady(S, 60),                            8, 60),
    "80/min":                     (heart.steady(S, 80),                            6, 80),
    "120/min":                    (heart.steady(S, 120),                           6, 120),
    "180/min":                    (heart.steady(S, 180),                           6, 180),
    "240/min":                    (heart.steady(S, 240),                           6, 240),
    "300/min":                    (heart.steady(S, 300),                           6, 300),
    "300/min, low T":             (heart.steady(S, 300, t_wave_mv=0.1),            6, 300),
    "ventricular bigeminy":       (heart.bigeminy(S),                         FULL_S, 80),
    "slow alternating bigeminy":  (heart.alternating_bigeminy(S, 60),         FULL_S, 60),
    "rapid alternating bigeminy": (heart.alternating_bigeminy(S, 120),        FULL_S, 120),
    "bidirectional systoles":     (heart.bidirectional(S),                    FULL_S, 90),
    "T wave 0.4 mV":              (heart.steady(S, 80, t_wave_mv=0.4),             6, 80),
    "T wave 0.8 mV":              (heart.steady(S, 80, t_wave_mv=0.8),             6, 80),
    "T wave 1.2 mV":              (heart.steady(S, 80, t_wave_mv=1.2),             6, 80),
    "T wave 1.2 mV at 60/min":    (heart.steady(S, 60, t_wave_mv=1.2),             8, 60),
    "T wave 1.2 mV at 120/min":   (heart.steady(S, 120, t_wave_mv=1.2),            6, 120),
    "QRS 0.15 mV":                (heart.steady(S, 80, amplitude_mv=0.15),         6, 80),
    "QRS 5 mV":                   (heart.steady(S, 80, amplitude_mv=5),            6, 80),
    "QRS turned":                 (heart.steady(S, 80, amplitude_mv=-1),           6, 80),
    "paced, pulse 0.5 mV":        (heart.paced(S, 70, 0.5),                        8, 70),
    "paced, pulse 2 mV":          (heart.paced(S, 70, 2.0),                   FULL_S, 70),
    "paced, pulse -5 mV":         (heart.paced(S, 70, -5.0),                  FULL_S, 70),
    "mains 1 mV 50 Hz":           (noisy(heart.steady(S, 80), powerline_mv=1.0),   6, 80),
    "mains 1 mV 60 Hz":           (noisy(heart.steady(S, 80), powerline_mv=1.0, powerline_hz=60.0), 6, 80),
    "wander 2 mV":                (noisy(heart.steady(S, 80), wander_mv=2.0),      6, 80),
    "muscle 0.1 mV":              (noisy(heart.steady(S, 80), muscle_mv=0.1),      6, 80),
    "electrode motion 0.2 mV":    (noisy(heart.steady(S, 80), motion_mv=0.2),      6, 80),
    "electrode off for 5 s":      (heart.lead_off(heart.steady(S, 80), 20, 25),    6, 80),
    "amplifier at its rail, 5 s": (heart.saturated(heart.steady(S, 80), 20, 25),   6, 80),
}
BEATS = {  # name: heart whose every beat is found, and nothing else, within 50 ms
    "atrial fibrillation": heart.fibrillation(S, rng()),
    "rapid fibrillation":  heart.fibrillation(S, rng(), 140.0),
    "ventricular ectopy":  heart.ectopy(S, rng()),
    "frequent ectopy":     heart.ectopy(S, rng(), share=0.3),
    "pause of 3 s":        heart.pauses(S, rng()),
    "pause of 6 s":        heart.pauses(S, rng(), pauses_s=((20, 6),)),
    "bidirectional":       heart.bidirectional(S),
}
# fmt: on


# requirement: ECG-1
@pytest.mark.parametrize("name", READS)
def test_reads(name):
    recording, from_s, per_min = READS[name]
    readings = [r for r in replay_recording(recording).of("heart_rate") if r.t_end_s > from_s]
    shown = [r.value for r in readings if not r.withheld]
    assert len(shown) >= 0.75 * (S - from_s) / REPORT_S
    assert max(abs(v - per_min) for v in shown) <= max(1.0, 0.01 * per_min)


# requirement: ECG-2
@pytest.mark.parametrize("from_bpm,to_bpm", [(80, 120), (80, 40), (40, 80), (120, 80)])
def test_follows_a_step(from_bpm, to_bpm):
    at_s = 30.0
    readings = replay_recording(heart.step(S, from_bpm, to_bpm, at_s)).of("heart_rate")
    assert len(readings) == S / REPORT_S  # reading k is made at 2 (k + 1) s
    wrong = [k for k, r in enumerate(readings) if r.withheld or abs(r.value - to_bpm) > 0.01 * to_bpm + 0.5]
    assert REPORT_S * (wrong[-1] + 2) - at_s < RESPONSE_S


# requirement: ECG-5
@pytest.mark.parametrize("name", BEATS)
def test_finds_every_beat_and_no_other(name):
    recording = BEATS[name]
    s = score(recording.beats_s, replay_recording(recording).ecg_beats_s, 0.05, 5, S - 2)
    assert s.tp and s.fn == 0 and s.fp == 0


def read_around_asystole():
    """(time of the reading, reading): no beat between 19.3 s and 59.3 s."""
    recording = heart.pauses(S + 10, rng(), pauses_s=((20, 40),))
    return [(REPORT_S * (k + 1), r) for k, r in enumerate(replay_recording(recording).of("heart_rate"))]


# requirement: ECG-3
def test_asystole_is_not_read():
    assert all(r.withheld for t, r in read_around_asystole() if 26 <= t <= 58)


# requirement: ECG-3
def test_the_rate_before_asystole_does_not_come_back():
    assert all(r.withheld for t, r in read_around_asystole() if 58 < t <= 60)


def test_hearts_say_what_they_are():
    ectopic = heart.ectopy(S, rng(), share=0.2)
    assert 0.1 < ectopic.beat_labels.count("V") / len(ectopic.beats_s) < 0.3
    assert set(heart.bigeminy(S).beat_labels) == {"N", "V"} and set(heart.bidirectional(S).beat_labels) == {"V"}
    for bpm, recording in (
        (80, heart.bigeminy(S)),
        (60, heart.alternating_bigeminy(S, 60)),
        (90, heart.bidirectional(S)),
    ):
        assert len(recording.beat_labels) == len(recording.beats_s) == pytest.approx(bpm * S / 60, abs=1)
    af = np.diff(heart.fibrillation(600, rng()).beats_s)
    assert np.std(af) / np.mean(af) == pytest.approx(0.2, abs=0.03)
    assert abs(np.corrcoef(af[:-1], af[1:])[0, 1]) < 0.1
    assert np.array_equal(heart.fibrillation(9, rng()).ecg, heart.fibrillation(9, rng()).ecg)
