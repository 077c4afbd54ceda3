"""The radio in bursts, end to end: nothing is lost, and what is urgent comes at once."""

from ward import opened

from boards.virtual.scenario import Scenario
from host_tools.ingest.silence import Silence
from signal_models.synth.wearer import wearer


def worn(tmp_path, seconds, batches, **more):
    """Wear a device whose bursts have so many batches; return its report, and how many envelopes came at a time."""
    scenario = Scenario(wearer(seconds + 30.0, **more))
    with opened(tmp_path, scenario, seconds, settings={"radio.burst": b"%d" % batches}) as ward:
        ward.worn.start()
        assert ward.worn.wait(120), ward.worn.log_path.read_text()
        report = ward.worn.end_report
        assert report, ward.worn.log_path.read_text()
        stored = ward.store.sequences(ward.device)
    assert report["pending"] == report["dropped"] == report["lost_readings"] == report["restarts"] == 0
    assert stored == list(range(1, report["sealed"] + 1))
    return report, [more["envelopes"] for name, more in ward.said if name == "committed" and more["envelopes"]]


def test_bursts_lose_nothing(tmp_path):
    report, _ = worn(tmp_path, 112, 3, spo2_pct=(95.0, 99.0))
    assert 4 <= report["connects"] <= 6, report  # at once, each 30 s, at the end


def test_a_vital_sign_in_the_red_keeps_the_radio_on(tmp_path):
    report, came = worn(tmp_path, 62, 30, spo2_pct=(80.0, 84.0))
    assert report["connects"] <= 4 and len(came) >= 3, (report, came)  # else they came together at the end


def test_an_announced_pause_is_not_silence():
    silence = Silence(60)
    silence.heard(["a", "b"], 0)
    silence.rests("a", 300)
    assert silence.fallen(350) == [("b", 350)] and silence.fallen(361) == [("a", 361)]
    silence.heard(["a"], 400)
    silence.rests("a", 0)  # always on again
    assert silence.fallen(461) == [("a", 61)]
