"""The units of the light's chain as `make bench` runs them: each answers right, and only readings take memory."""

from host_tools.bench import __main__ as bench
from host_tools.bench import units


def test_each_unit_answers_and_allocates_nothing_but_its_reading():
    told = bench.run("viper", program=units)
    assert bench.check_units("viper", told) == []
    assert {u["unit"] for u in told if u["bytes_allocated"]} <= {"respiration rate", "fusion"}
    told[0]["answer"] = 0
    assert bench.check_units("viper", told[1:] + told[:1]) and bench.check_units("viper", told[1:])
