"""Updates end to end: the virtual device on its slots, the real broker, the gateway as a process of its own."""

import json
import os
import time

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stand_in import until

from boards.virtual.scenario import Scenario
from host_tools import board
from host_tools.ingest.broker import GATEWAY, Broker
from host_tools.ingest.gateway import CONFIG_NAME, Config
from host_tools.ingest.store import Store, envelopes
from host_tools.trust.pki import Authority
from host_tools.trust.registry import Register
from host_tools.updates.release import ReleaseFile, bundle, manifest, sign
from host_tools.updates.rollout import Pushes
from host_tools.virtual import device, interpreter
from host_tools.virtual.device import RESTART, VirtualWearer
from host_tools.virtual.run import GatewayProcess
from signal_models.synth.wearer import wearer
from vigil.ota.release import Release

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()


def release(number, tmp_path, *, worn="full", key=KEY, changed=None, **more):
    """What the device carries, with modules `changed` (source by path)."""
    files = device.slot_files(worn)
    if changed:
        out = tmp_path / f"changed-{number}"
        interpreter.compile_sources(out, changed, march=None)
        files |= {file.relative_to(out).as_posix(): file.read_bytes() for file in out.rglob("*.mpy")}
    about = {"version": f"0.{number}", "model": "virtual", "profile": worn} | more
    payload = manifest(number=number, files=files, **about)
    return ReleaseFile(sign(payload, key), bundle(files), Release(payload))


def ward_log(ward):
    return ward.gateway.log_path.read_text()[-2000:]


class Ward:
    """Broker, gateway and one device; what is pushed is followed through the device's restarts."""

    def __init__(self, state, worn="full"):
        authority = Authority(state / "pki")
        self.broker = Broker(state / "broker", authority)
        self.broker.start()
        certificate, key = authority.client(GATEWAY)
        config = Config.for_state(state, broker=self.broker.url, ca=authority.ca_path, certificate=certificate, key=key)
        config.write(state / CONFIG_NAME)
        self.store = Store(config.store)
        self.pushes = Pushes(self.store)
        self.gateway = GatewayProcess(state)
        self.gateway.start()
        self.gateway.wait_until_connected()
        self.wearer = VirtualWearer(
            state / "wearer", Scenario(wearer(600.0)), speed=20, duration_s=None, slots=True, profile=worn
        )
        self.device = self.wearer.provision(
            host=self.broker.host,
            port=self.broker.port,
            server_name=self.broker.server_name,
            ca_der=authority.ca_der,
            issue=self._admit,
        )
        (self.wearer.state / "nvs" / "release.key").write_bytes(PUBLIC)
        self.restarts = 0

    def _admit(self, public_key, device_id):
        self.store.add_device(device_id, public_key)
        self.broker.add_device(device_id)
        return self.broker.authority.device(device_id)

    def push(self, made):
        register = Register(self.store)
        assert self.pushes.push(made, register.all())

    def follow(self, state, timeout_s=90):
        """Start the device again as often as it asks for it; return the push when it is in `state`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            (push,) = self.pushes.all()
            if push.state == state:
                return push
            if self.wearer.wait(0.1):
                assert self.wearer.status == RESTART, self.wearer.log_path.read_text()[-3000:]
                self.restarts += 1
                self.wearer.start()
        raise AssertionError(
            f"{push}\n{self.wearer.log_path.read_text()[-3000:]}\n{self.gateway.log_path.read_text()[-2000:]}"
        )

    def newest_status(self):
        """What the device's newest sealed status says."""
        with self.store.engine.connect() as connection:
            query = sa.select(envelopes.c.status).where(envelopes.c.status.is_not(None))
            said = connection.scalars(query.order_by(envelopes.c.seq.desc())).first()
        return {int(key): value for key, value in json.loads(said or "{}").items()}

    def drain(self):
        """Until what is stored has no hole: a device that is switched off has sealed and not sent a few at most."""
        until(lambda: (found := self.store.sequences(self.device)) == list(range(1, len(found) + 1)), 20)

    def close(self):
        self.wearer.stop()
        self.gateway.stop()
        self.broker.stop()
        self.store.close()


@pytest.fixture
def ward(tmp_path):
    made = Ward(tmp_path)
    yield made
    made.close()


DEAF = """
import asyncio

async def _deaf(self):
    while True:
        await asyncio.sleep_ms(1000)

Acquisition.run = _deaf
"""


def test_two_bad_releases_are_rolled_back_and_a_good_one_stays(ward, tmp_path):
    """The same device throughout; the host commits all that it seals."""
    wearer = ward.wearer
    wearer.start()
    ward.push(release(5, tmp_path, changed={"vigil/app/main.py": "raise ValueError('bad')\n"}))
    assert ward.follow("rolled back").why == "no start came to its end"
    assert ward.restarts == 4  # three starts of a trial, and back

    deaf = board.profile("full").program((), {})["vigil/app/acquire.py"] + DEAF
    ward.push(release(6, tmp_path, changed={"vigil/app/acquire.py": deaf}))
    assert ward.follow("rolled back").why == "a sensor that answered before does not"
    until(lambda: {13: 0, 14: 6, 15: 18}.items() <= ward.newest_status().items(), 20)  # sealed, not only said

    following = Ed25519PrivateKey.generate()
    good = release(7, tmp_path, next_key=following.public_key().public_bytes_raw())
    ward.push(good)
    push = ward.follow("confirmed")
    assert (push.number, push.percent) == (7, 100)
    assert (wearer.state / "b" / "release").read_bytes() == good.manifest.payload
    assert (wearer.state / "nvs" / "release.floor").read_bytes() == b"7"

    ward.push(release(8, tmp_path))  # by the key that this device pinned until now
    assert ward.follow("refused").why == "bad signature"
    assert wearer.log_path.read_text().count("is confirmed") == 1

    ward.drain()
    stored = ward.store.sequences(ward.device)
    assert stored == list(range(1, len(stored) + 1)), "a reading was lost"
    counts = ward.store.counts()
    assert counts["rejected"] == 0 and counts["verified"] == len(stored) > 8
    reasons = [line.reason for line in ward.store.audit_lines()]
    assert reasons.count("update rolled back") == 2 and reasons.count("update confirmed") == 1


@pytest.mark.skipif("VIGIL_LEAN_UPDATE" not in os.environ, reason="a minute long: VIGIL_LEAN_UPDATE=1 runs it")
def test_a_device_that_cannot_measure_and_fetch_at_once_rests_its_sensors(tmp_path, monkeypatch):
    """With 172 KB of heap (words of 64 bits) a lean device cannot fetch an offer beside its chains."""
    monkeypatch.setitem(device.HEAPS_KB, "lean", 172)
    ward = Ward(tmp_path, worn="lean")
    try:
        ward.wearer.start()
        ward.push(release(7, tmp_path, worn="lean"))
        ward.follow("confirmed")
        log = ward.wearer.log_path.read_text()
        assert log.count("with the sensors asleep") == 1 and ward.restarts == 2
        ward.drain()
        assert ward.store.counts()["rejected"] == 0
    finally:
        ward.close()
