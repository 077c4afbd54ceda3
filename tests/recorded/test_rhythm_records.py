"""The rhythm rule on recorded hearts. Floors stand a little below what is measured; the aims are in ADR 0010."""

from host_tools.validate.rhythm import evaluate


def test_af_by_the_hour(recordings):
    recordings("afdb-rr")
    figures = evaluate(("afdb",)).figures
    assert figures["afdb_se_pct"] >= 97.4 and figures["afdb_sp_pct"] >= 98.3


def test_af_in_strips(recordings):
    recordings("cinc2017")
    figures = evaluate(("cinc2017",)).figures
    assert figures["cinc2017_by_quality_se_pct"] >= 84 and figures["cinc2017_by_quality_sp_pct"] >= 91
    assert figures["cinc2017_by_quality_noisy_af_pct"] <= 15


def test_other_arrhythmias_are_rarely_af(recordings):
    recordings("mitdb")
    assert evaluate(("mitdb",)).figures["mitdb_annotated_false_pct"] <= 3.5
