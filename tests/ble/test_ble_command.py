"""`vigil ble` and the gateway's radio source: from a device's journal to the store, and words for what goes wrong."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from host_tools.ble import link as ble_link
from host_tools.ble import visit
from host_tools.cli import app
from host_tools.errors import UserError
from host_tools.eventlog import EventLog
from host_tools.ingest import gateway
from host_tools.ingest.store import Store, sqlite_url
from host_tools.sources.ble import BleSource
from host_tools.sources.mqtt import Message
from host_tools.trust.home import Home
from host_tools.trust.keys import nobody
from host_tools.updates.release import ReleaseFile, bundle, manifest, sign
from tests.ble.bleak_bumble import client_of
from tests.ble.test_ble_drain import bonded, find
from tests.ble.worn_radio import Bare
from vigil.crypto.signer import Signer, device_id
from vigil.ota.release import Release
from vigil.wire import cbor, update
from vigil.wire.update import CONFIRMED, REFUSED, ROLLED_BACK


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

    source: BleSource
    with Store(sqlite_url(tmp_path / "vigil.db")) as store:

        def made(told):
            nonlocal source
            source = BleSource([where], on_event=told, backoff_s=(0.05, 0.2))
            stop = source.stop

            def leave():
                asyncio.run_coroutine_threadsafe(opened[0].__aexit__(None, None, None), source._loop).result(30)
                stop()

            source.stop = leave
            return source

        taken = visit.empty(made, store, 8.0, 120.0)
        assert taken == {"verified": 12, "duplicates": 0, "rejected": 0}
        assert re.search(r"LEFT 0 ", opened[0].log)


def test_nobody_in_reach(tmp_path):
    async def nowhere():
        return None

    with Store(sqlite_url(tmp_path / "vigil.db")) as store, pytest.raises(UserError, match="not in reach"):
        visit.empty(lambda told: BleSource([nowhere], on_event=told), store, 1.0, 0.3)


def test_the_gateway_hears_by_radio_where_its_settings_say_so(tmp_path):
    config = gateway.Config(broker="ble://AA:BB:CC:DD:EE:01,AA:BB:CC:DD:EE:02", store="sqlite://")
    source = gateway._source(config, EventLog(as_json=True))
    assert isinstance(source, BleSource) and source._where == ["AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:02"]


def test_scan_and_watch_in_words_and_json(monkeypatch):
    async def scan(seconds, *, everything=False):
        return [ble_link.Found("AA:BB", "strap", -60, ("180d",))] if everything else []

    async def listen(address, seconds, say, only=(), backend=None):
        say(0x2A37, heart_rate())

    monkeypatch.setattr(ble_link, "scan", scan)
    monkeypatch.setattr(visit, "listen", listen)
    run = CliRunner().invoke
    assert "no monitor advertises" in run(app, ["ble", "scan"]).output
    assert "AA:BB   -60 dBm  strap" in run(app, ["ble", "scan", "--all"]).output
    found = json.loads(run(app, ["ble", "scan", "--all", "--json"]).output)
    assert found == {"address": "AA:BB", "name": "strap", "rssi": -60, "services": ["180d"]}
    assert "2a37  bpm 61  contact True" in run(app, ["ble", "watch", "AA:BB"]).output
    said = json.loads(run(app, ["ble", "inspect", "AA:BB", "--json"]).output)
    assert said["bpm"] == 61 and said["characteristic"] == "2a37"


def heart_rate():
    from host_tools.ble import gatt

    return gatt.HeartRate(61, True, None, (0.98,))


class Radio:
    """A source whose one device fetches what it is offered, and then tells how it ended; it may first lose a piece."""

    def __init__(self, told, device, state, why=0):
        self.told, self.device, self.end = told, device, (state, why)
        self.messages = []
        self.fetched = b""
        self.lost = False

    def start(self):
        self.told("disconnected", reason="not in reach")
        self.told("connected", device=self.device)
        self.say(update.tell(0, 0, 0))  # it is heard, and says nothing of use

    def stop(self):
        pass

    def take(self, limit, timeout_s):
        time.sleep(0.01)
        taken, self.messages = self.messages, []
        return taken

    def say(self, payload):
        self.messages.append(Message(self.device, payload, 1, 1, update=True))

    def offer(self, made):
        self.made = made
        self.say(update.want(made.number, 0, 2048))

    def ask_device(self, device, payload):
        piece = cbor.decode(payload)
        if not self.lost:
            self.lost = True
        elif piece[3] == len(self.fetched):
            self.fetched += piece[4]
        if len(self.fetched) == len(self.made.bundle):
            self.say(update.tell(self.made.number, *self.end))
        else:
            self.say(update.want(self.made.number, len(self.fetched), 2048))


@pytest.mark.parametrize(
    ("state", "why", "says"), ((CONFIRMED, 0, ""), (REFUSED, 7, "not newer"), (ROLLED_BACK, 19, "a task crashed"))
)
def test_a_release_is_installed(tmp_path, monkeypatch, state, why, says):
    monkeypatch.setenv("VIGIL_HOME", str(tmp_path / "home"))
    files = {"vigil/core/log.mpy": b"M\x06\x00\x1f" + bytes(9000)}
    key = Signer(bytes(32)).public_key
    with Home(tmp_path, make=True, passphrase=nobody) as home:
        home.register.begin(
            device_id(key), key, name="Anna", board="virtual", hardware="", certificate="urn:1", end_ms=1
        )
        home.register.finish(device_id(key))
        signing = Ed25519PrivateKey.generate()
        payload = manifest(number=9, version="2", model="virtual", profile="lean-ble", files=files)
        made = ReleaseFile(sign(payload, signing), bundle(files), Release(payload))
        seen, radios = [], []

        def radio(told):
            radios.append(Radio(told, device_id(key), state, why))
            return radios[0]

        def say(push):
            if push.state == "offered" and not radios[0].fetched:
                radios[0].offer(made)
            seen.append(push.percent)

        if says:
            with pytest.raises(UserError, match=says):
                visit.install(radio, home, made, say, 20)
        else:
            assert visit.install(radio, home, made, say, 20).state == "confirmed"
        assert radios[0].fetched == made.bundle and seen == sorted(seen)


def test_wrong_uses(monkeypatch):
    async def no_radio():
        raise OSError("no adapter")

    with pytest.raises(UserError, match="no adapter"):
        visit.run(no_radio())

    async def no_service():
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(UserError, match="no service of this system answers"):
        visit.run(no_service())

    async def too_late():
        raise TimeoutError

    with pytest.raises(UserError, match="no answer in time"):
        visit.run(too_late())
