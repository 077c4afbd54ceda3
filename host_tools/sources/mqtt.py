"""Envelopes from any MQTT 3.1.1 broker, over mutual TLS, each acknowledged by hand.

The session is persistent and every message QoS 1: what the gateway has not acknowledged comes again. paho runs
the connection in a thread of its own and reconnects with back-off; the gateway takes messages from a queue that
the broker's own limit of unacknowledged messages bounds.
"""

from __future__ import annotations

import queue
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from host_tools.errors import UserError
from host_tools.sources import take

ENVELOPES = "v1/+/r"
UPDATES = "v1/+/u"  # what devices ask and say about updates: at QoS 0, since they ask again
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_KEEPALIVE_S = 15
_BACKOFF_S = (1, 8)
_INFLIGHT = 1000  # acknowledgements to devices under way at a time


@dataclass(frozen=True)
class Message:
    """One envelope, or where `update` is set what a device says about its update, as it came.

    connection and mid identify an envelope towards the broker.
    """

    device: str  # as the topic claims
    payload: bytes
    connection: int
    mid: int
    redelivered: bool = False  # the broker says that it has delivered this before
    update: bool = False


class MqttSource:
    """Messages of all devices from the broker at `url` (mqtts://host:port).

    on_event(name, **fields) is told of `connected` and `disconnected`. Raises UserError for an unusable URL or
    certificate; an absent broker is not an error, it is waited for.
    """

    def __init__(
        self,
        url: str,
        *,
        ca: Path | None,
        certificate: Path | None,
        key: Path | None,
        client_id: str = "gateway",
        on_event: Callable[..., None] = lambda name, **fields: None,
    ):
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in _PORTS or not parts.hostname or port == -1:
            raise UserError(f"`{url}` is not the URL of a broker", "e.g. mqtts://broker.example:8883")
        self._host, self._port = parts.hostname, port or _PORTS[parts.scheme]
        self._event = on_event
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._connection = 0  # counts connections: a mid is meaningless in any other
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False, manual_ack=True
        )
        if parts.scheme == "mqtts":
            self._client.tls_set_context(_context(ca, certificate, key))
        self._client.reconnect_delay_set(*_BACKOFF_S)
        self._client.max_inflight_messages_set(_INFLIGHT)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in the background, again and again until it succeeds."""
        self._client.connect_async(self._host, self._port, _KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Leave the broker; what is unacknowledged comes again at the next start."""
        self._client.disconnect()
        self._client.loop_stop()

    def take(self, limit: int, timeout_s: float) -> list[Message]:
        """Up to `limit` waiting messages; waits timeout_s for the first, may return none."""
        return take(self._messages, limit, timeout_s)

    def acknowledge_to_device(self, device: str, payload: bytes) -> None:
        """Tell a device what is committed. Lost when the broker is away: the device asks again by resending."""
        self._client.publish(f"v1/{device}/a", payload, qos=1)

    def ask_device(self, device: str, payload: bytes) -> None:
        """Send a device a request. Lost when either is away: the gateway asks again."""
        self._client.publish(f"v1/{device}/c", payload, qos=1)

    def done(self, message: Message) -> None:
        """Tell the broker that it need not deliver this message again."""
        if message.connection == self._connection:
            self._client.ack(message.mid, 1)

    def _on_connect(self, _client, _userdata, _flags, reason, _properties) -> None:
        if reason.is_failure:
            self._event("refused", reason=str(reason))
            return
        self._connection += 1
        self._client.subscribe([(ENVELOPES, 1), (UPDATES, 0)])
        self._event("connected", broker=f"{self._host}:{self._port}")

    def _on_disconnect(self, _client, _userdata, _flags, reason, _properties) -> None:
        self._event("disconnected", reason=str(reason))

    def _on_message(self, _client, _userdata, message: mqtt.MQTTMessage) -> None:
        _, device, kind = message.topic.split("/")
        came = (bytes(message.payload), self._connection, message.mid, message.dup)
        self._messages.put(Message(device, *came, update=kind == "u"))


def _context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    for path in (ca, certificate, key):
        if path is not None and not path.is_file():
            raise UserError(f"there is no file `{path}`", "name the authority, certificate and key as PEM files")
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate and key:
            context.load_cert_chain(str(certificate), str(key))
    except (ssl.SSLError, OSError) as e:
        raise UserError(f"cannot use the certificate files: {e.strerror or e}", "they must be PEM and match") from e
    return context
