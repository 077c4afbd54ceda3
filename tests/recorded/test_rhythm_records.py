"""The rhythm on recorded hearts. Floors stand a little below what is measured; the aims are in ADRs 0010 and 0015."""

from host_tools.validate import beat_class
from host_tools.validate.rhythm import evaluate
from signal_models import datasets


def test_af_by_the_hour(recordings):
    recordings("afdb-rr")
    figures = evaluate(("afdb",)).figures
    assert figures["afdb_se_pct"] >= 97.4 and figures["afdb_sp_pct"] >= 98.3


def test_af_in_strips(recordings):
    recordings("cinc2017")
    figures = evaluate(("cinc2017",)).figures
    assert figures["cinc2017_se_pct"] >= 86 and figures["cinc2017_sp_pct"] >= 91.5
    assert figures["cinc2017_noisy_af_pct"] <= 20


def test_other_arrhythmias_are_not_af(recordings):
    recordings("mitdb")
    figures = evaluate(("mitdb",), records=("106", "119", "208")).figures  # the worst by intervals alone
    assert figures["mitdb_own_false_pct"] <= 0.7


def test_ventricular_beats(recordings):
    recordings("mitdb")
    names = ("109", "119", "208", "223")  # half of the ventricular beats, and a bundle branch block
    paths = [p for p in datasets.records("mitdb") if p.stem in names]
    gross = beat_class.total([beat_class.score(beat_class.read(p)) for p in paths])
    assert gross.se_pct >= 92 and gross.ppv_pct >= 94
