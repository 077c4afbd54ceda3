"""`vigil ble` and the gateway's radio source: from a device's journal to the store, and words for what goes wrong."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from typer.testing import CliRunner

from host_tools.ble import command as ble_command
from host_tools.ble import link as ble_link
from host_tools.cli import app
from host_tools.errors import UserError
from host_tools.eventlog import EventLog
from host_tools.ingest import gateway
from host_tools.ingest.store import Store, sqlite_url
from host_tools.sources.ble import BleSource
from tests.ble.bleak_bumble import client_of
from tests.ble.test_ble_drain import bonded, find
from tests.ble.worn_radio import Bare


def test_a_journal_is_emptied_into_the_store(tmp_path):
    """The source in its own thread, as the gateway and `vigil ble drain` run it; the air lives in its loop."""
    opened = []

    async def where():
        if not opened:
            worn = await Bare(tmp_path, fill=12).__aenter__()
            key, device = worn.key
            store.add_device(device, key)
            central = await bonded(worn)
            source._backend = client_of(central.device)
            opened.extend((worn, central))
        return await find(opened[1])

    events = []
    with Store(sqlite_url(tmp_path / "vigil.db")) as store:
        source = BleSource([where], on_event=lambda name, **fields: events.append(name), backoff_s=(0.05, 0.2))
        stop = source.stop

        def leave():
            asyncio.run_coroutine_threadsafe(opened[0].__aexit__(None, None, None), source._loop).result(10)
            stop()

        source.stop = leave
        taken = ble_command.empty(source, store, 12.0)
        assert taken == {"verified": 12, "duplicates": 0, "rejected": 0}
        assert re.search(r"LEFT 0 ", opened[0].log) and "connected" in events


def test_the_gateway_hears_by_radio_where_its_settings_say_so(tmp_path):
    config = gateway.Config(broker="ble://AA:BB:CC:DD:EE:01,AA:BB:CC:DD:EE:02", store="sqlite://")
    source = gateway._source(config, EventLog(as_json=True))
    assert isinstance(source, BleSource) and source._where == ["AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:02"]


def test_scan_and_watch_in_words_and_json(monkeypatch):
    async def scan(seconds, *, everything=False):
        return [ble_link.Found("AA:BB", "strap", -60, ("180d",))] if everything else []

    async def listen(address, seconds, say, only=(), backend=None):
        say(0x2A37, ble_command_value())

    monkeypatch.setattr(ble_link, "scan", scan)
    monkeypatch.setattr(ble_command, "listen", listen)
    run = CliRunner().invoke
    assert "no monitor advertises" in run(app, ["ble", "scan"]).output
    assert "AA:BB   -60 dBm  strap" in run(app, ["ble", "scan", "--all"]).output
    found = json.loads(run(app, ["ble", "scan", "--all", "--json"]).output)
    assert found == {"address": "AA:BB", "name": "strap", "rssi": -60, "services": ["180d"]}
    assert "2a37  bpm 61  contact True" in run(app, ["ble", "watch", "AA:BB"]).output
    said = json.loads(run(app, ["ble", "inspect", "AA:BB", "--json"]).output)
    assert said["bpm"] == 61 and said["characteristic"] == "2a37"


def ble_command_value():
    from host_tools.ble import gatt

    return gatt.HeartRate(61, True, None, (0.98,))


def test_wrong_uses(monkeypatch):
    async def no_radio():
        raise OSError("no adapter")

    with pytest.raises(UserError, match="no adapter"):
        ble_command._run(no_radio())

    async def too_late():
        raise TimeoutError

    with pytest.raises(UserError, match="no answer in time"):
        ble_command._run(too_late())
