"""The performance ledger: a run beside the last release, a board beside it, and files that are none."""

import io
import json

import pytest
from rich.console import Console

from host_tools.bench import ledger
from host_tools.errors import UserError


def record(us=10.0, size=1000):
    stage = {"stage": "ecg channel", "us_per_block": us, "worst_us": 20, "bytes_allocated_per_block": 0.0}
    told = [stage, {"stage": "seal", "us": 1234}, {"stage": "heap after stages", "free": 5, "used": 6}]
    return {
        "machine": "x86_64",
        "stages": {"viper": told, "cpython": told},
        "mpy_bytes": {"xtensawin": {"vigil.dsp.ecg": size, "vigil.core": 100}},
        "native_bytes": {"vigil.dsp.ecg": 300},
    }


def test_a_release_is_what_the_next_run_is_seen_beside(tmp_path):
    file = tmp_path / "ledger.json"
    held = ledger.read(file)
    table, grown = ledger.beside(ledger.entry(record()), held)
    assert grown == []
    held["releases"]["0.1.0"] = ledger.entry(record())
    ledger.write(held, file)
    table, grown = ledger.beside(ledger.entry(record(us=15.0, size=1100)), ledger.read(file))
    assert grown == ["xtensawin vigil.dsp.ecg: 1000 to 1100 bytes of .mpy"]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table)
    said = console.export_text()
    assert "beside 0.1.0" in said and "1.50" in said and "1.091" in said


def test_the_quickest_run_of_a_stage_counts():
    slow, quick = record(us=15.0)["stages"]["viper"], record()["stages"]["viper"]
    assert ledger.best([slow, quick]) == quick


def test_a_board_stands_in_the_same_ledger(tmp_path):
    said = {"board": {"machine": "Board with ESP32", "platform": "esp32", "version": "1.29.0", "hz": 240_000_000},
            "stages": record()["stages"]["viper"]}  # fmt: skip
    assert ledger.add_board(said, tmp_path / "l.json") == "Board with ESP32"
    held = ledger.read(tmp_path / "l.json")
    held["releases"]["0.1.0"] = ledger.entry(record())
    page = ledger.page(held)
    assert "| ecg channel | 10 (20) | 10 (20) | 0 |" in page and "xtensawin 1100; native code 300" in page
    assert "**Board with ESP32**, MicroPython 1.29.0, 240 MHz" in page and "| seal one batch | 1234 | |" in page


@pytest.mark.parametrize("content", ["not json", "[]", json.dumps({"schema": "another"})])
def test_what_is_no_ledger_is_left_alone(content, tmp_path):
    (tmp_path / "l.json").write_text(content)
    with pytest.raises(UserError, match="is no performance ledger"):
        ledger.add_board({"board": {"machine": "x"}}, tmp_path / "l.json")
    assert (tmp_path / "l.json").read_text() == content
