"""The gateway's own broker: it listens on the network and admits whom the register admits, at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from host_tools import paths
from host_tools.errors import UserError
from host_tools.ingest.broker import Broker
from host_tools.ingest.gateway import Config
from host_tools.ingest.store import Store
from host_tools.trust.pki import Authority
from host_tools.trust.registry import Register

_LOOK_S = 0.5


class Embedded:
    """A context: the broker of `config.listen` runs meanwhile, its state in `state`, and follows the register.

    Raises UserError on the way in when it cannot listen there. A broker that dies is started again.
    """

    def __init__(self, config: Config, state: Path, store: Store, log: Callable[..., None]):
        host, _, port = config.listen.rpartition(":")
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise UserError(f"`{config.listen}` is not where a broker could listen", 'listen = "0.0.0.0:8883"')
        keys = Path(config.ca).parent if config.ca else paths.keys_dir()
        self._broker = Broker(state / "broker", Authority(keys), host=host or "0.0.0.0", port=int(port))
        self._register = Register(store)
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="register", daemon=True)

    def __enter__(self) -> Embedded:
        self._broker.admit(self._register.admitted())
        self._broker.start()
        self._log("listening", address=f"{self._broker.host}:{self._broker.port}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._broker.stop()

    def _follow(self) -> None:
        admitted = self._register.admitted()
        while not self._stop.wait(_LOOK_S):
            try:
                now = self._register.admitted()
                self._broker.admit(now)
                if self._broker.pid is None:
                    self._log("broker_ended")
                    self._broker.start()
            except (DBAPIError, UserError) as e:  # locked, full, away: the next turn tries again
                self._log("register_unavailable", reason=str(e).splitlines()[0])
                continue
            for device in sorted(set(now) | set(admitted)):
                if now.get(device) != admitted.get(device):
                    self._log("admitted" if device in now else "shut_out", device=device)
            admitted = now
