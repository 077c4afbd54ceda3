"""The gateway's own broker: it listens on the network and admits whom the register admits, at once.

Beside it, on loopback, stands who tells it in each handshake whether that certificate is admitted. Without (its port is
somebody else's, its certificate cannot be made) the broker serves all the same, and refuses a packet later.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from host_tools import paths
from host_tools.children import endpoint
from host_tools.errors import UserError
from host_tools.ingest.broker import Broker
from host_tools.ingest.gateway import Config
from host_tools.ingest.store import Store
from host_tools.trust.ocsp import Answers, Responder
from host_tools.trust.pki import Authority
from host_tools.trust.registry import Register

_LOOK_S = 0.5
_SAY_AGAIN_S = 3600  # a device that is refused comes again every two minutes


class Embedded:
    """A context: the broker of `config.listen` runs meanwhile, its state in `state`, and follows the register.

    Raises UserError on the way in when it cannot listen there. A broker that dies is started again.
    """

    def __init__(self, config: Config, state: Path, store: Store, log: Callable[..., None]):
        host, port = endpoint(config.listen, "broker", 'listen = "0.0.0.0:8883"')
        self._authority = Authority(Path(config.ca).parent if config.ca else paths.keys_dir())
        self._broker = Broker(state / "broker", self._authority, host=host or "0.0.0.0", port=port)
        self._responder_address = config.responder_url.removeprefix("http://")
        self._register = Register(store)
        self._admitted: dict[str, tuple[str, ...]] = {}
        self._log = log
        self._refused: queue.SimpleQueue[int] = queue.SimpleQueue()  # serial numbers of certificates
        self._said_s: dict[int, float] = {}
        self._stack = ExitStack()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="register", daemon=True)

    def __enter__(self) -> Embedded:
        self._admitted = self._register.admitted()
        self._broker.admit(self._admitted)
        try:
            if self._responder_address:
                answers = Answers(self._authority, self._broker.admits, self._refused.put)
                self._stack.enter_context(Responder(answers, self._responder_address))
                self._broker.asks_responder = True
        except UserError as e:
            self._log("responder_unavailable", reason=e.sentence)
        try:
            self._broker.start()
        except BaseException:
            self._stack.close()
            raise
        self._log("listening", address=f"{self._broker.host}:{self._broker.port}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._broker.stop()
        self._stack.close()

    def _follow(self) -> None:
        while not self._stop.wait(_LOOK_S):
            try:
                now = self._register.admitted()
                self._broker.admit(now)
                self._note_refused()
                if self._broker.pid is None:
                    self._log("broker_ended")
                    self._broker.start()
            except Exception as e:  # locked, full, away, or a bug: whatever it is, a revocation must still be heard of
                self._log("register_unavailable", reason=(str(e).splitlines() or [type(e).__name__])[0])
                continue
            for device in sorted(set(now) | set(self._admitted)):
                if now.get(device) != self._admitted.get(device):
                    self._log("admitted" if device in now else "shut_out", device=device)
            self._admitted = now

    def _note_refused(self) -> None:
        """Log and audit the certificates that were refused in a handshake, each once an hour."""
        while not self._refused.empty():
            serial, now_s = self._refused.get(), time.monotonic()
            if now_s < self._said_s.get(serial, -_SAY_AGAIN_S) + _SAY_AGAIN_S:
                continue
            device = self._register.note_refused(serial)
            self._said_s[serial] = now_s  # only now: a database that is away is asked at the next attempt
            self._log("refused_in_handshake", device=device, certificate=f"{serial:016x}")
