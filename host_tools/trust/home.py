"""The user's own Vigil, shared by provision, device and gateway: an authority, signing keys, a register, a gateway."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager
from pathlib import Path

from host_tools import paths
from host_tools.errors import UserError
from host_tools.ingest.broker import GATEWAY
from host_tools.ingest.gateway import CONFIG_NAME, Config
from host_tools.ingest.store import Store
from host_tools.trust.keys import Passphrase, SigningKeys, from_user, private_folder
from host_tools.trust.pki import Authority
from host_tools.trust.registry import Register

PORT = 8883  # MQTT over TLS, as registered with IANA


class Home(AbstractContextManager):
    """Opened as a context. make: create what is not there yet; else a UserError says that nothing was provisioned.

    port: where its broker shall listen, when it is made. authority, signing (keys that devices pin), store, register,
    config (the gateway's), state (its folder).
    """

    def __init__(
        self, state: Path | None = None, *, make: bool = False, port: int = PORT, passphrase: Passphrase = from_user
    ):
        self.state = state or paths.gateway_dir()
        self.config_path = self.state / CONFIG_NAME
        if not make and not self.config_path.exists():
            raise UserError(
                f"no device is provisioned: there is no `{self.config_path}`", "vigil provision --port PORT"
            )
        keys = paths.keys_dir()
        self.authority = Authority(keys, passphrase)
        self.signing = SigningKeys(keys, passphrase)
        if not self.config_path.exists():
            self._make(port)
        self.config = Config.read(self.config_path)
        self.authority.responder_url = self.config.responder_url
        self.store = Store(self.config.store)
        self.register = Register(self.store)

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def _make(self, port: int) -> None:
        """Everything that the gateway needs afterwards without the authority's key."""
        private_folder(self.state)
        self.authority.open()
        self.authority.server()
        self.authority.responder()
        certificate, key = self.authority.client(GATEWAY)
        config = Config.for_state(
            self.state.absolute(),
            broker=f"mqtts://localhost:{port}",
            ca=self.authority.ca_path,
            certificate=certificate,
            key=key,
            listen=f"0.0.0.0:{port}",
            responder=f"127.0.0.1:{port + 1}",
        )
        config.write(self.config_path)


def own_address() -> str:
    """The address by which the network knows this machine. Raises UserError when there is none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # for documentation (RFC 5737): sends nothing, tells the interface
            return probe.getsockname()[0]
    except OSError:
        raise UserError(
            "this machine has no network address that a device could reach", "name one with --host"
        ) from None
