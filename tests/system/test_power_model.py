"""The energy model: nothing is lost in it, more work never makes a battery last longer, and impossible settings are
refused in a sentence."""

import json
from dataclasses import replace

import pytest

from host_tools import cli
from host_tools.errors import UserError
from host_tools.power import model

PLAIN = model.Settings()
FRUGAL = replace(PLAIN, burst=6, light_sleep=True, regulator="wearable")
SETTINGS = [
    PLAIN,
    FRUGAL,
    replace(FRUGAL, chip="esp32s3", duty=0.15),
    replace(PLAIN, chip="esp32c3", ecg="ad8232", slow_clock=True),
    replace(PLAIN, ecg="none", light=False, burst=30),
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_shares_of_time_and_charge_add_up(settings):
    found = model.budget(settings)
    for shares in (found.processor, found.radio):
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) >= 0
    assert found.total_ma == pytest.approx(sum(part.ma for part in found.parts))
    assert min(part.ma for part in found.parts) >= 0
    assert found.hours(500) * found.total_ma == pytest.approx(500 * model.USABLE)
    chip = model.CHIPS[settings.chip]
    assert found.total_ma > chip["sleep"].value


@pytest.mark.parametrize("settings", SETTINGS[:3])
@pytest.mark.parametrize(
    "more",
    [
        {"duty": 0.4},
        {"seal_s": 0.9},
        {"batch_s": 5.0},
        {"led_ma": 30.0},
        {"rate_hz": 800},
        {"accelerometer": True},
        {"gauge": True},
        {"regulator": "devkit"},
    ],
)
def test_more_of_anything_never_lasts_longer(settings, more):
    assert model.budget(replace(settings, **more)).total_ma >= model.budget(settings).total_ma - 1e-9


def test_rarer_bursts_last_longer():
    hours = [model.budget(replace(FRUGAL, burst=n)).hours(500) for n in (1, 2, 6, 30, 180)]
    assert hours == sorted(hours)
    assert model.budget(FRUGAL).hours(500) > 3 * model.budget(PLAIN).hours(500)


def test_a_pulse_of_light_costs_current_times_duty():
    led = {part.name: part.ma for part in model.budget(PLAIN).parts}["LEDs"]
    assert led == pytest.approx(2 * 7.2 * 400 * 411e-6)


def test_changes_are_sorted_and_true():
    for words, gained in model.changes(PLAIN, 500):
        if words == "half the LED current":
            other = model.budget(replace(PLAIN, led_ma=3.6)).hours(500) - model.budget(PLAIN).hours(500)
            assert gained == pytest.approx(other)
    gains = [gained for _, gained in model.changes(PLAIN, 500)]
    assert gains == sorted(gains, reverse=True)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"chip": "esp8266"}, "nothing is known"),
        ({"regulator": "none"}, "unknown regulator"),
        ({"ecg": "ads1292"}, "unknown ECG front end"),
        ({"burst": -1}, "out of range"),
        ({"led_ma": 60.0}, "LEDs cannot"),
        ({"rate_hz": 3200}, "do not fit"),
        ({"light_sleep": True, "burst": 6, "ecg": "ad8232"}, "no light sleep"),
        ({"light_sleep": True}, "radio off"),
        ({"duty": 0.999}, "more to do"),
    ],
)
def test_impossible_settings_are_refused(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        model.budget(replace(PLAIN, **wrong))


def test_every_figure_has_a_source():
    for settings in SETTINGS:
        for name, figure in model.sources(settings):
            assert len(figure.source) > 10, name


def test_command(capsys, tmp_path):
    bench = tmp_path / "bench.json"
    stages = [{"stage": "ecg channel", "us_per_block": 5000, "block_us": 100_000}, {"stage": "seal", "us": 90_000}]
    bench.write_text(json.dumps({"stages": stages}))
    arguments = ["power", "--board", "ESP32_GENERIC", "--battery", "1000", "--bench", str(bench), "--json"]
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert not end.value.code
    said = json.loads(capsys.readouterr().out)
    assert said["settings"]["duty"] == 0.05
    assert said["settings"]["seal_s"] == 0.09
    assert said["hours"] == pytest.approx(1000 * model.USABLE / said["total_ma"], rel=1e-3)
    with pytest.raises(SystemExit):
        cli.main(["power", "--board", "ESP32_GENERIC_S3", "--burst", "6", "--light-sleep", "--sources"])
    shown = capsys.readouterr().out
    assert "change first" in shown
    assert "█" in shown
