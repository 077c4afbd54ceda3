"""The link on asyncio: does what the session's state says, over a TLS socket that proves both sides.

One reader (the session's own task) and any number of writers; every wait has a deadline; nothing blocks but the
name look-up (give an address where that matters) and the chip's own arithmetic during a handshake, step by step.
"""

import asyncio
import errno
import socket
import ssl

from micropython import const

from vigil.core.errors import LinkError
from vigil.core.log import INFO, WARN, log
from vigil.link import session as states
from vigil.link.handshake import Stepped
from vigil.link.mqtt import CONNACK, MESSAGE, OVERSIZE, REFUSALS, SUBACK, Mqtt

_KEEP_ALIVE_S = const(60)
_QUIET_MS = const(20_000)  # without a byte from the broker: ask; twice so long: it is gone
_SEND_MS = const(10_000)
_POLL_MS = const(200)
_BUFFER_BYTES = const(512)
_BREATH_MS = const(5)  # between two steps of a handshake: what is due gets its turn
_HUNG_UP = (32, errno.ECONNRESET, -0x7780)  # EPIPE, reset, MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE


def _reason(error) -> str:
    """Say in words why an attempt failed."""
    args = error.args
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and args:
        return str(args[1]) if len(args) > 1 else errno.errorcode.get(args[0], "error %s" % args[0])
    return str(error).strip().replace("\n", "; ") or type(error).__name__


class MqttClient:
    """Keeps one connection to the broker for as long as `run` runs.

    settings: app.config.LinkSettings. topics: bytes, subscribed at QoS 1 on each connection. on_message(topic,
    payload) is called for each message, on_change() whenever `free` may have grown or the link came or went.
    """

    def __init__(self, board, settings, client_id: str, topics, session, on_message, on_change):
        self.session = session
        self.failure = ""  # why the last attempt failed
        self._clock = board.clock
        self._wifi = board.wifi
        self._settings = settings
        self._client_id = client_id.encode()
        self._topics = topics
        self._on_message = on_message
        self._on_change = on_change
        self._context = None
        self._socket = None  # the plain one, for waiting: polling a TLS object costs a millisecond on some ports
        self._tls = None
        self._stepped = None
        self.relieve = lambda long=False: None  # called before each step of a handshake, long, and after the last
        self._mqtt = None
        self._lock = asyncio.Lock()
        self._buffer = bytearray(_BUFFER_BYTES)
        self._task = None
        self._reader = None
        self._stopping = False
        self._write_error = None
        self._events = []

    @property
    def free(self) -> int:
        """How many messages may be published now; 0 while the link is down."""
        return self._mqtt.free if self.session.state == states.ONLINE else 0

    async def publish(self, topic: bytes, payload: bytes) -> None:
        """Hand one message to the broker at QoS 1. Raises LinkError when the link is down or goes down."""
        if not self.free:
            raise LinkError("the link is not ready")
        mqtt = self._mqtt
        try:
            await self._send(mqtt.publish(topic, payload))
        except (OSError, LinkError, asyncio.TimeoutError) as e:
            if self._mqtt is mqtt and self._reader:  # still the connection that failed: the reader ends it
                self._write_error = e
                self._reader.cancel()
            raise LinkError(_reason(e))

    def stop(self) -> None:
        """Take leave of the broker; `run` then returns."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Connect and stay connected until `stop`."""
        self._task = asyncio.current_task()
        session = self.session
        event = states.STOP if self._stopping else states.START
        try:
            while True:
                before = session.state
                state = session.on(event, self._clock.ms())
                if before == states.ONLINE or state == states.ONLINE:
                    self._on_change()
                if state in (states.OFF, states.WAITING, states.RESETTING):
                    self._close()
                if state == states.OFF:
                    return
                event = await self._attempt(state, self._work(state))
        finally:
            self._close()
            session.state = states.OFF  # also where something unforeseen ended it: the next run begins anew
            self._task = None
            self._stopping = False

    async def _attempt(self, state: int, work) -> int:
        """Do the work of a state within its deadline; return how it ended."""
        limit_ms = self.session.remaining_ms(self._clock.ms())
        event = states.FAILED
        try:
            if limit_ms < 0 or state == states.WAITING:
                await work()
            else:
                await asyncio.wait_for_ms(work(), limit_ms)
            return states.DONE
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return states.STOP
        except asyncio.TimeoutError as e:
            event = states.TIMEOUT
            error = e
        except (OSError, ValueError, LinkError) as e:
            error = e
        if state != states.LEAVING:
            self.failure = states.STATE_NAMES[state] + ": " + _reason(error)
            if state == states.SECURING and isinstance(error, OSError) and error.args[0] in _HUNG_UP:
                self.failure += (
                    ", the broker ended the handshake: our certificate is revoked, expired or not its authority's"
                )
            log(WARN, "link", self.failure)
        return event

    def _work(self, state: int):
        """Return what is to be done in a state."""
        works = (None, self._joining, self._opening, self._securing, self._greeting, self._subscribing)
        return (works + (self._online, self._leaving, self._resetting, self._waiting))[state]

    async def _joining(self) -> None:
        wifi = self._wifi
        if not wifi.isconnected():
            wifi.connect()
            while not wifi.isconnected():
                await asyncio.sleep_ms(_POLL_MS)

    async def _resetting(self) -> None:
        self._wifi.power_cycle()

    async def _waiting(self) -> None:
        await asyncio.sleep_ms(max(0, self.session.remaining_ms(self._clock.ms())))

    async def _opening(self) -> None:
        found = socket.getaddrinfo(self._settings.host, self._settings.port, 0, socket.SOCK_STREAM)
        if not found:
            raise LinkError("no such host")
        self._socket = plain = socket.socket(found[0][0], found[0][1], found[0][2])
        plain.setblocking(False)
        try:
            plain.connect(found[0][-1])
        except OSError as e:
            if e.errno != errno.EINPROGRESS:
                raise
        await _wait_for(plain, True)

    async def _securing(self) -> None:
        settings = self._settings
        if self._context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.verify_mode = ssl.CERT_REQUIRED
            with open(settings.ca_path, "rb") as file:
                context.load_verify_locations(cadata=file.read())
            context.load_cert_chain(settings.cert_path, settings.key_path)
            self._context = context
        self._stepped = Stepped(self._socket)
        self._tls = self._context.wrap_socket(
            self._stepped, server_hostname=settings.server_name, do_handshake_on_connect=False
        )
        self._mqtt = Mqtt(3072)  # a full acknowledgement has 64 items of about 40 bytes
        self._events = []
        self._write_error = None
        await self._send(self._mqtt.connect(self._client_id, _KEEP_ALIVE_S))  # the handshake happens in here

    async def _greeting(self) -> None:
        code = (await self._expect(CONNACK))[1]
        if code:
            raise LinkError(REFUSALS[code])

    async def _subscribing(self) -> None:
        for topic in self._topics:
            await self._send(self._mqtt.subscribe(topic))
            if not (await self._expect(SUBACK))[1]:
                raise LinkError("the broker refused the subscription")

    async def _online(self) -> None:
        log(INFO, "link", "online")
        self.failure = ""
        self._reader = asyncio.create_task(self._read())
        try:
            await self._reader
        except asyncio.CancelledError:
            self._reader.cancel()
            if self._write_error is None:
                raise
            raise LinkError("cannot send: " + _reason(self._write_error))

    async def _read(self) -> None:
        asked = False
        while True:
            while self._events:
                await self._handle(self._events.pop(0))
            try:
                await asyncio.wait_for_ms(self._receive(), _QUIET_MS)
                asked = False
            except asyncio.TimeoutError:
                if asked or self._mqtt.in_flight:
                    raise LinkError("the broker is silent")
                asked = True
                await self._send(self._mqtt.ping())

    async def _handle(self, event) -> None:
        if event[0] == MESSAGE:
            self._on_message(event[1], event[2])
        elif event[0] == OVERSIZE:
            log(WARN, "link", "a message of %d bytes was not kept" % event[2])
        if event[0] in (MESSAGE, OVERSIZE) and event[3]:
            await self._send(self._mqtt.puback(event[3]))
        self._on_change()

    async def _leaving(self) -> None:
        await self._send(self._mqtt.disconnect())

    # Bytes

    async def _expect(self, kind: int):
        """Return the next event of `kind`, and keep what comes after it."""
        while True:
            while self._events:
                event = self._events.pop(0)
                if event[0] == kind:
                    return event
            await self._receive()

    async def _receive(self) -> None:
        while True:
            n = self._tls.readinto(self._buffer)  # first, because TLS may hold what the socket no longer shows
            if n is not None:
                break
            await _wait_for(self._socket, False)
        if n == 0:
            raise LinkError("closed by the broker")
        self._events = self._mqtt.receive(memoryview(self._buffer)[:n])

    async def _send(self, data: bytes) -> None:
        await self._lock.acquire()
        try:
            await asyncio.wait_for_ms(self._write(self._tls, memoryview(data)), _SEND_MS)
        finally:
            self._lock.release()

    async def _write(self, tls, data) -> None:
        while data:
            if tls is None or tls is not self._tls:  # closed meanwhile, and perhaps another is open already
                raise LinkError("the link is down")
            stepped = self._stepped
            if not stepped.secured:
                self.relieve(True)
            n = tls.write(data)
            if n is not None:
                if not stepped.secured:
                    stepped.secured = True
                    self.relieve()
                data = data[n:]
            elif stepped.paused:
                await asyncio.sleep_ms(_BREATH_MS)
            else:
                await _wait_for(self._socket, stepped.secured)  # a handshake waits for the other side's next flight

    def _close(self) -> None:
        ends = self._tls, self._socket
        self._tls = self._socket = self._mqtt = None
        for end in ends:
            try:
                if end:
                    end.close()
            except OSError:
                pass


def _wait_for(plain, writable: bool):  # a generator, which MicroPython can await
    """Wait until a socket can be written (or read), or has failed."""
    queue = asyncio.core._io_queue
    yield queue.queue_write(plain) if writable else queue.queue_read(plain)
