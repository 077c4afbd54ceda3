"""A strip's road: sealed by the firmware's code, verified, stored, listed and written, sample for sample."""

import asyncio
import binascii
import copy
import json
from array import array

import numpy as np
import pytest
import wfdb
from stand_in import FastSigner

from host_tools import cli
from host_tools.errors import UserError
from host_tools.ingest.batch import Malformed, decode
from host_tools.ingest.gateway import CONFIG_NAME, Config
from host_tools.ingest.store import Store, sqlite_url
from host_tools.ingest.strips import strips, write
from host_tools.trust.verify import verify
from vigil.app.events import Events
from vigil.app.publish import Publisher
from vigil.core import records
from vigil.core.records import SampleBlock
from vigil.store.strips import Strips
from vigil.wire import batch, cbor, envelope

FS = {records.ECG: 250, records.PPG: 100}
RNG = np.random.default_rng(2)
ECG = np.clip(np.cumsum(RNG.integers(-40, 41, 60 * 250)), -30_000, 30_000)
LIGHT = 120_000 + np.cumsum(RNG.integers(-30, 31, (60 * 100, 2)), axis=0)


class Journal:
    """What a Publisher needs of a journal, and the sealed envelopes."""

    def __init__(self):
        self.signer = FastSigner(bytes(range(32)))
        self.sealed, self.kinds, self.gone = [], [], []

    def __len__(self):
        return 0

    next_seq = property(lambda self: len(self.sealed))
    oldest_seq = next_seq
    prev_digest = property(lambda self: envelope.digest(self.sealed[-1]) if self.sealed else bytes(32))

    def append(self, payload, kind):
        self.kinds.append(kind)
        self.sealed.append(envelope.seal(self.signer, payload))


class Board:
    """A clock that stands."""

    class clock:
        now = 0

        @classmethod
        def ms(cls):
            return cls.now

    class keystore:
        @staticmethod
        def set(name, value):
            pass


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store with one strip of each source around 30 s (a gap in the ECG at 25 s), and its folder."""
    folder = tmp_path_factory.mktemp("gateway")
    kept, journal = Strips(), Journal()
    events = Events(kept)
    publisher = Publisher(Board, None, journal, 1, 10**9, dict, lambda: None, None, events)
    for t_ms in range(0, 60_000, 100):
        for source, data in ((records.ECG, ECG), (records.PPG, LIGHT)):
            if source == records.ECG and 25_000 <= t_ms < 27_000:
                continue
            at = t_ms * FS[source] // 1000
            part = data[at : at + FS[source] // 10]
            block = SampleBlock(source, (0,) if source == records.ECG else (records.RED, records.IR), None)
            block.data = array("h" if source == records.ECG else "i", part.ravel().tolist())
            block.n, block.period_us, block.t0_ms = len(part), 1_000_000 // FS[source], t_ms
            block.flags = records.GAP if t_ms in (0, 27_000) else 0
            kept.push(block)
        if t_ms == 32_000:
            kept.trigger(records.WAVE_RUN, 30_000)
        if t_ms % 10_000 == 9_900:
            Board.clock.now = t_ms + 100
            with pytest.MonkeyPatch.context() as patch:  # MicroPython's own
                patch.setattr(asyncio, "sleep_ms", lambda _: asyncio.sleep(0), raising=False)
                asyncio.run(events.give_out(publisher, journal, Board.clock))
    store = Store(sqlite_url(folder / "vigil.db"))
    store.add_device(journal.signer.device_id, journal.signer.public_key)
    with store.transaction() as transaction:
        for sealed in journal.sealed:
            device = transaction.device(journal.signer.device_id)
            outcome = verify(sealed, topic_device=journal.signer.device_id, device=device)
            assert outcome.verdict == "accepted", outcome
            assert len(sealed) < 4096
            transaction.accept(journal.signer.device_id, sealed, outcome)
    assert set(journal.kinds) == {1}  # events
    some = dict.fromkeys(("ca", "certificate", "key"), folder / "x")
    Config.for_state(folder, broker="mqtts://localhost:1", **some).write(folder / CONFIG_NAME)
    yield store, folder
    store.close()


def test_a_strip_comes_back_sample_for_sample(stored):
    store, _ = stored
    ecg, light = strips(store)
    assert (ecg.why, ecg.event_ms, ecg.number) == ("ventricular run", 30_000, 1)
    for strip, data in ((ecg, ECG[:, None]), (light, LIGHT)):
        fs, samples = strip.samples()
        assert fs == FS[strip.source]
        first = strip.pieces[0].t_start_ms * FS[strip.source] // 1000
        assert strip.pieces[0].t_start_ms <= 10_000 < strip.pieces[0].t_start_ms + 1250
        assert 40_000 <= strip.pieces[-1].t_end_ms < 41_250
        known = ~np.isnan(samples[:, 0])
        assert np.array_equal(samples[known], data[first : first + len(samples)][known])
        assert known.mean() == pytest.approx(1 if strip is light else 28 / 30, abs=0.01)


def test_what_is_written_can_be_read(stored, tmp_path):
    store, _ = stored
    ecg, light = strips(store)
    lines = write(light, tmp_path, "csv").read_text().splitlines()
    assert lines[0] == "device_ms,red_counts,ir_counts"
    first = light.pieces[0].t_start_ms // 10
    assert lines[1] == f"{10 * first:.1f},{LIGHT[first, 0]},{LIGHT[first, 1]}"
    record = wfdb.rdrecord(str(write(ecg, tmp_path, "wfdb").with_suffix("")))
    assert (record.fs, record.sig_name, record.units) == (250, ["ECG"], ["mV"])
    samples = ecg.samples()[1] / 1000
    assert np.allclose(record.p_signal, samples, equal_nan=True, atol=1e-6)
    with pytest.raises(UserError, match="not a format"):
        write(ecg, tmp_path, "edf")


def test_command(stored, tmp_path, capsys):
    _, folder = stored
    with pytest.raises(SystemExit):
        cli.main(["waveform", "save", "--state", str(folder), "--out", str(tmp_path / "w"), "--json"])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["source"], one["why"]) for one in told] == [("ecg", "ventricular run"), ("ppg", "ventricular run")]
    assert len(list((tmp_path / "w").glob("*.csv"))) == 2
    with pytest.raises(SystemExit):
        cli.main(["waveform", "list", "--state", str(folder), "--json"])
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [one | {"file": ""} for one in told]


GOOD = [1, [0], 1, 1, 0, [[0, 4000, 0, bytes.fromhex("0000000005") + bytes(2)]]]


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ((0,), 0, "source"),
        ((1,), [], "number of columns"),
        ((1,), [0] * 5, "number of columns"),
        ((2,), 256, "cause"),
        ((3,), -1, "strip"),
        ((4,), 10**9, "event"),
        ((5,), [], "number of blocks"),
        ((5, 0), [0, 4000, 0], "a block must be an array of 4"),
        ((5, 0, 0), "soon", "start of a block"),
        ((5, 0, 1), 0, "period"),
        ((5, 0, 2), 256, "flags"),
        ((5, 0, 3), 7, "a block must be bytes"),
        ((5, 0, 3), bytes(6), "a block: 6 bytes"),
        ((5, 0, 3), bytes(2000), "a block: 2000 bytes"),
        ((5, 0, 3), bytes(6) + b"\1", "a block: check"),
    ],
)
def test_what_no_device_writes_is_refused(path, value, why):

    good = copy.deepcopy(GOOD)
    block = good[5][0][3][:-2]
    good[5][0][3] = block + binascii.crc_hqx(block, 0).to_bytes(2, "big")
    plain = {"boot": 1, "seq": 1, "prev_digest": bytes(32), "oldest_seq": 1, "t0_ms": 0, "readings": ()}
    value_of = cbor.decode(batch.encode(**plain))
    decode(cbor.encode(value_of | {7: [good]}))
    at = good
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(Malformed, match=why):
        decode(cbor.encode(value_of | {7: [good]}))


def test_a_minute_of_every_kind_is_one_envelope():
    """However late a batch is made, and times of each kind of its own: the worst."""
    rng = np.random.default_rng(1)
    kinds = [(kind, 2720, -1) for kind in (147842, 149530, 151562, 67108873, 67108874)]
    kinds += [(150456, 544, -1), (150488, 544, -2), (67108865, 512, 0), (67108866, 512, 0)]
    readings = [
        records.Reading(
            kind,
            int(rng.integers(700, 760)) if unit != 512 else 1,
            exp10,
            unit,
            int(rng.integers(60, 100)),
            *(t_ms - 8000 + int(rng.integers(-300, 300)), t_ms + int(rng.integers(-300, 300))),
            0,
        )
        for t_ms in range(3_600_000, 3_660_000, 2_000)
        for kind, unit, exp10 in kinds
    ]

    class Pipeline:
        def take(self):
            return readings

    journal = Journal()
    publisher = Publisher(Board, Pipeline(), journal, 1, 10**9, dict, lambda: None, None, Events(None))
    publisher.seal()
    assert len(journal.sealed) == 1 and publisher.lost_readings == 0
    assert len(journal.sealed[0]) < 2000, len(journal.sealed[0])
