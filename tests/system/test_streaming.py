"""Orders end to end: the command line signs, the gateway hands out, the device obeys its owner and nobody else."""

import json
import time

import numpy as np
import pytest
import sqlalchemy as sa
import wfdb
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stand_in import until
from ward import opened

from boards.virtual.devices.max17048 import Cell
from boards.virtual.devices.max30003 import Max30003
from boards.virtual.devices.max30102 import Max30102
from boards.virtual.scenario import Scenario
from host_tools import cli
from host_tools.errors import UserError
from host_tools.ingest.orders import Orders, message, sign
from host_tools.ingest.store import Store, envelopes
from host_tools.ingest.strips import strips
from signal_models.synth.wearer import wearer


@pytest.fixture
def sampled(monkeypatch):
    """What the device has read out of its sensors: codes of the ECG, bytes of the light."""
    ecg, light = [], bytearray()
    pop, fifo_bytes = Max30003._pop, Max30102._fifo_bytes

    def ecg_pop(part):
        if part._fifo:
            ecg.append(part._fifo[0][1])
        return pop(part)

    def light_bytes(part, n):
        light.extend(found := fifo_bytes(part, n))
        return found

    monkeypatch.setattr(Max30003, "_pop", ecg_pop)
    monkeypatch.setattr(Max30102, "_fifo_bytes", light_bytes)
    return ecg, light


@pytest.fixture
def ward(tmp_path, monkeypatch, sampled):
    monkeypatch.setenv("VIGIL_HOME", str(tmp_path / "home"))
    with opened(tmp_path, Scenario(wearer(120.0), cell=lambda: Cell(500, 80.0)), 90) as ward:
        yield ward


def recorded(ward, capsys, out):
    """`vigil record` of what the gateway has stored: source to what its WFDB record says, which the csv says, too."""
    cli.app(["record", "--state", str(ward.state), "--device", ward.device, "--out", str(out), "--json"],
            standalone_mode=False)  # fmt: skip
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(n == 0 for one in told for n in one["lost_samples"].values())
    assert sum(one["readings"] for one in told) > 10
    found = {}
    for header in sorted(out.glob("*.hea")):
        record = wfdb.rdrecord(str(header.with_suffix("")), physical=False)
        rows = np.genfromtxt(header.with_suffix(".csv"), delimiter=",", skip_header=1)
        columns = rows[-record.sig_len :, -record.n_sig :]  # below the heads, behind the time
        assert np.array_equal(np.round(columns * record.adc_gain), record.d_signal)
        found[header.stem.rpartition("-")[2]] = record
    return found


def is_part(of, what):
    """Whether the rows of `what` stand in `of`, in one piece."""
    of, what = (np.ascontiguousarray(rows, "<i4") for rows in (of, what))
    at = of.tobytes().find(what.tobytes())
    return at >= 0 and at % (of.itemsize * (of.shape[1] if of.ndim > 1 else 1)) == 0


def bit_for_bit(sampled, found):
    """The records are what the sensors had sampled: by the data sheets' scales, written here again."""
    ecg = np.array(sampled[0]) * 3125 // 8192  # microvolts at a gain of 20
    assert found["ecg"].adc_gain == [1000] and found["ecg"].fs == 250 and found["ecg"].units == ["mV"]
    assert is_part(np.clip(ecg, -32768, 32767), found["ecg"].d_signal[:, 0])
    light = np.frombuffer(bytes(sampled[1]), np.uint8).reshape(-1, 2, 3).astype(int)  # red, infrared; 18 bits each
    assert found["ppg"].fs == 100 and found["ppg"].sig_name == ["RED", "IR"]
    assert is_part((light @ (65536, 256, 1)) & 0x3FFFF, found["ppg"].d_signal)


def test_a_stream_is_ordered_and_ends_and_forged_orders_are_refused_by_name(ward, sampled, capsys, tmp_path):
    worn, store, state, key, device = ward.worn, ward.store, ward.state, ward.command_key, ward.device
    cli.app(["waveform", "start", "--device", device, "--seconds", "20", "--state", str(state)], standalone_mode=False)
    assert "it hears that when" in capsys.readouterr().out
    orders = Orders(store)
    number = orders.get(device).number
    worn.start()
    until(lambda: orders.get(device).state == "taken", 30)
    log = worn.log_path.read_text
    for reason, forged in (
        (4, sign(device, number, 1, 3600, key)),
        (2, sign(device, number + 1, 1, 3600, Ed25519PrivateKey.generate())),
        (3, sign("00" * 8, number + 1, 1, 3600, key)),
    ):
        ward.source.ask_device(device, message(forged))
        until(lambda: f"order: refused, reason {reason}" in log(), 20)  # noqa: B023  it is called here
    until(lambda: worn.wait(0.1), 60)
    assert worn.end_report["pending"] == worn.end_report["restarts"] == 0, log()
    streams = [strip for strip in strips(store, device) if strip.cause == 0]
    assert {strip.source for strip in streams} == {1, 2}
    for strip in streams:
        assert 15 <= strip.seconds <= 24 and len(strip.samples()[1])  # for so long, and no longer
    with store.engine.connect() as connection:
        said = [json.loads(text) for text in connection.scalars(sa.select(envelopes.c.status).order_by("seq")) if text]
    assert "5" in said[0]  # why it started
    # Heap, queue, losses, dropped, battery, crashes, connections, seal, rates of ECG and light, damage, flash, radio,
    # battery again, the order.
    assert {int(key) for key in said[-1]} >= {0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 18, 19, 25, 27}, said[-1]
    assert 3000 < said[-1]["4"] < 4300 and said[-1]["19"] == -60 and said[-1]["27"] == number
    cli.app(["waveform", "status", "--device", device, "--state", str(state), "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) | {"number": 0} == {
        "device": device,
        "number": 0,
        "what": "waveforms for 20 s",
        "state": "taken",
        "why": "",
    }
    assert not any(name == "update_malformed" for name, _ in ward.said)
    bit_for_bit(sampled, recorded(ward, capsys, tmp_path / "recorded"))


def test_an_order_that_waits_too_long_is_given_to_nobody(tmp_path):
    from host_tools.ingest import orders

    class Asked:
        messages = 0

        def ask_device(self, device, payload):
            self.messages += 1

    with Store(f"sqlite:///{tmp_path / 's.db'}") as store:
        store.add_device("00" * 8, bytes(32))
        made = Orders(store).stream("00" * 8, 10, Ed25519PrivateKey.generate())
        giving = orders.Giving(store, Asked(), lambda *_, **__: None)
        giving.heard(["00" * 8], {})
        assert giving._source.messages == 1
        giving.heard(["00" * 8], {})
        assert giving._source.messages == 1  # an answer may be on its way
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(orders, "now_ms", lambda: 1000 * (time.time() + 1000).__int__())
            giving.heard(["00" * 8], {})
        assert (again := Orders(store).get("00" * 8)) and again.number == made.number and again.state == "expired"


@pytest.mark.parametrize("seconds", [-1, 3601])
def test_what_no_order_may_ask_for(tmp_path, seconds):
    with Store(f"sqlite:///{tmp_path / 's.db'}") as store, pytest.raises(UserError, match="one order may ask for"):
        Orders(store).stream("00" * 8, seconds, Ed25519PrivateKey.generate())


def test_reasons_are_those_of_the_device():
    """The host's tables, against the numbers in the firmware's source."""
    from host_tools.ingest import orders as host
    from vigil.app import orders as device
    from vigil.wire import signed

    names = ("MALFORMED", "BAD_SIGNATURE", "OTHER_DEVICE", "REPLAYED", "EXPIRED", "UNKNOWN", "LOW_BATTERY")
    assert [getattr(signed, name, None) or getattr(device, name) for name in names] == list(host.REASONS)
    assert host.PROTECTED == device.PROTECTED and (host.STREAM, host.MOST_S) == (device.STREAM, device.MOST_S)
    assert (host.VALID_S, 1000 * host._EPOCH_S, host._LAST) == (device._VALID_S, device._EPOCH_MS, device._LAST)
