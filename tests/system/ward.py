"""A ward of one: a home with its keys, a broker, a gateway in a thread, and a virtual device that is provisioned."""

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from host_tools.ingest.broker import GATEWAY, Broker
from host_tools.ingest.gateway import CONFIG_NAME, Config, Gateway
from host_tools.ingest.store import Store
from host_tools.sources.mqtt import MqttSource
from host_tools.trust.keys import SigningKeys
from host_tools.trust.pki import Authority
from host_tools.virtual.device import VirtualWearer


@dataclass
class Ward:
    """said: what the gateway logged, (name, fields)."""

    worn: VirtualWearer
    device: str
    store: Store
    state: Path
    source: MqttSource
    command_key: Ed25519PrivateKey
    said: list = field(default_factory=list)


@contextlib.contextmanager
def opened(folder, scenario, seconds, *, settings=(), silence_s=60, speed=20):
    """A ward whose device is to run for `seconds`, with `settings` in its keystore; VIGIL_HOME is folder/home."""
    keys = SigningKeys(folder / "home" / "keys")
    authority = Authority(folder / "home" / "keys")
    state = folder / "gateway"
    state.mkdir()
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker(state / "broker", authority))
        certificate, key = authority.client(GATEWAY)
        config = Config.for_state(state, broker=broker.url, ca=authority.ca_path, certificate=certificate, key=key)
        config.write(state / CONFIG_NAME)
        store = stack.enter_context(Store(config.store))
        worn = stack.enter_context(VirtualWearer(folder / "worn", scenario, speed=speed, duration_s=seconds))

        def admit(public_key, device):
            store.add_device(device, public_key)
            broker.add_device(device)
            return authority.device(device)

        device = worn.provision(
            host=broker.host, port=broker.port, server_name=broker.server_name, ca_der=authority.ca_der, issue=admit
        )
        for name, value in {"command.key": keys.public("command"), **dict(settings)}.items():
            (worn.state / "nvs" / name).write_bytes(value)
        source = MqttSource(config.broker, ca=authority.ca_path, certificate=certificate, key=key)
        ward = Ward(worn, device, store, state, source, keys.private("command"))
        gateway = Gateway(store, source, lambda name, **more: ward.said.append((name, more)), silence_s=silence_s)
        stop = threading.Event()
        thread = threading.Thread(target=gateway.run, args=(stop,))
        thread.start()
        try:
            yield ward
        finally:
            stop.set()
            thread.join()
