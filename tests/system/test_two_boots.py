"""The whole firmware on the virtual board over two starts: measured without a link, delivered with one."""

import cbor2
import pytest
from stand_in import Peer

from boards.virtual.scenario import Scenario
from host_tools.ingest.broker import GATEWAY, Broker
from host_tools.recordings import load
from host_tools.trust.pki import Authority
from host_tools.virtual.device import VirtualWearer
from vigil.wire import ack, envelope


@pytest.fixture
def scenario(recordings):
    return Scenario(load(recordings("bidmc") / "bidmc01"))


def _wearer(folder, scenario):
    return VirtualWearer(folder, scenario, speed=20, duration_s=32)


def test_what_was_sealed_before_provisioning_is_delivered_after_it(tmp_path, scenario):
    with _wearer(tmp_path / "wearer", scenario) as wearer:
        wearer.start()
        assert wearer.wait(60), wearer.log_path.read_text()
        first = wearer.end_report
        assert first["sealed"] == first["pending"] >= 3, wearer.log_path.read_text()
        assert "error config: link.port is not set: provision the device" in wearer.log_path.read_text()

    batches = []
    with (
        Broker(tmp_path / "broker", Authority(tmp_path / "pki")) as broker,
        _wearer(tmp_path / "wearer", scenario) as wearer,
    ):
        device = wearer.provision(
            host="127.0.0.1",
            port=broker.port,
            server_name=broker.server_name,
            ca_der=broker.authority.ca_der,
            issue=lambda _key, name: broker.authority.device(name),
        )
        broker.add_device(device)
        gateway = Peer(broker, tmp_path, GATEWAY)
        gateway.subscribe("v1/+/r")
        wearer.start()
        while not wearer.wait(0.05):
            for _, sealed in gateway.received(0.05):
                batches.append((sealed, cbor2.loads(cbor2.loads(sealed).value[2])))
                item = (batches[-1][1][2], envelope.digest(sealed))
                gateway.client.publish(f"v1/{device}/a", ack.encode([item]), 1)
        gateway.close()
        second = wearer.end_report
        log = wearer.log_path.read_text()
        assert second, log

    assert second["pending"] == second["dropped"] == second["resent"] == second["restarts"] == 0, log
    assert batches[0][1][2] > first["sealed"] - 1  # what is fresh goes first
    batches.sort(key=lambda item: item[1][2])
    assert [batch[2] for _, batch in batches] == list(range(1, first["sealed"] + second["sealed"] + 1))
    assert [batch[1] for _, batch in batches] == [1] * first["sealed"] + [2] * second["sealed"]
    before = bytes(32)
    for sealed, batch in batches:
        assert batch[3] == before
        before = envelope.digest(sealed)
    status = batches[0][1][8]
    assert status[0] > 10_000 and status[6] == status[7] == 0
