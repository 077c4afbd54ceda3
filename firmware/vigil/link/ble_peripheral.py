"""The device as a Bluetooth peripheral, on the documented API of MicroPython's bluetooth.BLE.

What NimBLE does: the air, pairing, encryption, resolvable addresses, and refusing reads and writes of what is marked
encrypted and authenticated. What it does not, and this module does: notify only who is authenticated (the API tells
no subscription, and lets anybody subscribe), accept pairing only in a window that the wearer opened, keep the keys,
and cut connections that do not become what they should.

Handlers run at once, on the chip in the stack's own task: they note, answer the stack and wake `run`. Nothing depends
on that waking: `run` looks at all of it each 100 ms, since an Event may be set there just when nobody can hear it.
"""

import asyncio
import errno
import struct

from micropython import const

from vigil.core.errors import LinkError, StoreError
from vigil.core.log import INFO, WARN, log
from vigil.link import ble_stream

_CONNECT = const(1)  # events
_DISCONNECT = const(2)
_WRITE = const(3)
_INDICATED = const(20)
_MTU = const(21)
_ENCRYPTED = const(28)
_GET_SECRET = const(29)
_SET_SECRET = const(30)
_PASSKEY = const(31)

_DISPLAY = const(3)  # actions of a pairing
_COMPARE = const(4)

_READ = const(0x0002)  # flags of a characteristic
_WRITES = const(0x0008)
_NOTIFY = const(0x0010)
_INDICATE = const(0x0020)
_SECURE_READ = const(0x0602)  # read, encrypted, authenticated
_SECURE_WRITE = const(0x3008)

OPEN = const(1)  # messages on the downlink: [OPEN, version], [CONFIRM, u16], [ACK, CBOR], [PART, fragment]
CONFIRM = const(2)
ACK = const(3)
PART = const(4)
COMMAND = const(1)  # of the control point: [COMMAND, CBOR], [SET, name, 0, value], [FORGET]
SET = const(2)
FORGET = const(3)
DONE = const(0)  # its answers: [what was asked, DONE | UNKNOWN | REFUSED]
UNKNOWN = const(1)
BAD = const(2)
_VERSION = const(1)

_BASE = "-7d0e-4c3b-9a51-2f6e8b1c4d70"  # of our UUIDs
_SERVICE = "b3a90000" + _BASE
_STREAM = "b3a90001" + _BASE  # notify: fragments
_DOWN = "b3a90002" + _BASE  # write: what the host says about them
_CONTROL = "b3a90003" + _BASE  # write, indicate
_ABOUT = "b3a90004" + _BASE  # read: version, device id

_MTU_BYTES = const(247)
_LONGEST_WRITE = const(512)
_INBOX = const(16)  # messages
_MOST = const(2112)  # bytes of a command in fragments: a piece of an update
_CENTRALS = const(2)
_FAST_US = const(100_000)
_SLOW_US = const(1_000_000)
_FAST_MS = const(30_000)  # of fast advertising after a start, a disconnection, a press of the button
_WINDOW_MS = const(60_000)
_FIRST_WINDOW_MS = const(120_000)  # after a power-on, on a board without a button
_GRACE_MS = const(20_000)  # for a connection to become encrypted
_PAIR_MS = const(45_000)  # while it pairs in the window
_TRIES = const(3)  # passkeys a window
_HOLD_MS = const(8_000)  # of the button: forget all
_TICK_MS = const(100)
_FULL_MS = const(15)  # between tries while the stack has no buffer
_STUCK_MS = const(10_000)
_POWER_ON = ("power-on", "pwron")


class _Central:
    """One connection."""

    def __init__(self, now_ms):
        self.mtu = 23
        self.trusted = False  # encrypted with keys that a passkey or comparison has authenticated
        self.until_ms = now_ms + _GRACE_MS  # to become so
        self.asked = False
        self.pairing = False
        self.bad = False


class BlePeripheral:
    """Serves up to two centrals while `run` runs; the stream of envelopes goes to who opened it last.

    board: with ble, ble_uuid, clock, random, reset_cause and, where fitted, a pin "pair". bonds: store.bonds.Bonds.
    vitals: link.ble_vitals.Vitals. about: (model, revision, device id). on_message(kind, payload) is called for what
    centrals send: kind ACK or COMMAND of a trusted one. on_setting(name, value) -> whether it was taken. on_change()
    whenever `free` may have changed. show(text) lets the wearer see a number. compare: both sides show one and the
    wearer presses the button, instead of a passkey that the wearer types into the phone. now() -> Date Time or None.
    battery: app.battery.Battery, None without.

    It is what app.uplink takes for a client: session.connects, free, publish.
    """

    def __init__(
        self,
        board,
        bonds,
        vitals,
        about,
        on_message,
        on_setting,
        on_change,
        show,
        compare=False,
        now=None,
        battery=None,
    ):
        self.session = self
        self.connects = 0  # times the stream was opened
        self.full = 0  # notifications that found the stack's buffers full
        self.refused = 0  # connections that were cut for want of trust
        self._board = board
        self._ble = board.ble
        self._clock = board.clock
        self._bonds = bonds
        self._vitals = vitals
        self._about = about
        self._on_message = on_message
        self._on_setting = on_setting
        self._on_change = on_change
        self._show = show
        self._now = now
        self._battery = battery
        try:
            self._button = board.pin("pair")
        except ValueError:
            self._button = None
        self._compare = compare and self._button is not None
        self._centrals = {}
        self._sender = ble_stream.Sender()
        self._receiver = None
        self._lock = asyncio.Lock()
        self._event = asyncio.Event()  # something for run
        self._moved = asyncio.Event()  # something for publish
        self._inbox = []
        self._owner = None  # connection that has the stream
        self._opening = 0  # counts them: a message belongs to one
        self._open_until_ms = 0  # the window for pairing
        self._tries = 0
        self._confirming = None  # (connection, until_ms) of a comparison
        self._pressed_ms = -1
        self._fast_until_ms = 0
        self._advertised = None  # (window open, fast) while it advertises
        self._stopping = False

    # What the uplink uses

    @property
    def free(self) -> int:
        """Places for messages: none while nobody has opened the stream. They wait in publish for their turn."""
        return 8 if self._owner is not None else 0

    async def publish(self, topic: bytes, payload: bytes) -> None:
        """Send a message of `topic` (its last letter tells the kind) to who has the stream. Raises LinkError."""
        await self._lock.acquire()
        try:
            await self._send(ble_stream.UPDATE if topic[-1:] == b"u" else ble_stream.ENVELOPE, payload)
        finally:
            self._lock.release()

    async def _send(self, kind: int, payload: bytes) -> None:
        sender = self._sender
        opening = self._opening
        if self._owner is None:
            raise LinkError("nobody listens")
        sender.load(kind, payload)
        moved_ms = self._clock.ms()
        while not sender.done:
            self._moved.clear()
            fragment = sender.next()
            if fragment is not None and self._notify(self._owner, self._stream, fragment):
                sender.sent()
                moved_ms = self._clock.ms()
                continue
            if self._clock.ms() - moved_ms > _STUCK_MS:
                self._cut(self._owner)
                raise LinkError("the receiver does not move")
            try:  # a confirmation, or a buffer
                await asyncio.wait_for_ms(self._moved.wait(), _TICK_MS if fragment is None else _FULL_MS)
            except asyncio.TimeoutError:
                pass
            if self._owner is None or opening != self._opening:
                raise LinkError("the receiver is gone")

    def stop(self) -> None:
        """Disconnect all and turn the radio off; `run` then returns."""
        self._stopping = True
        self._event.set()

    async def run(self) -> None:
        """Be a peripheral until `stop`."""
        ble = self._ble
        ble.irq(self._on_event)  # before the radio is on: NimBLE loads its identity key then
        ble.active(True)
        try:
            try:
                ble.config(addr_mode=2)  # resolvable private addresses
            except (OSError, ValueError):
                log(WARN, "ble", "this stack has no private addresses: the device can be followed")
            ble.config(gap_name="Vigil", mtu=_MTU_BYTES, bond=True, mitm=True, le_secure=True)
            ble.config(io=1 if self._compare else 0)
            self._register()
            now_ms = self._clock.ms()
            self._fast_until_ms = now_ms + _FAST_MS
            if self._button is None and self._board.reset_cause() in _POWER_ON:
                self._open_window(_FIRST_WINDOW_MS)
            heard_ms = now_ms
            while not self._stopping:
                try:
                    await asyncio.wait_for_ms(self._event.wait(), _TICK_MS)
                except asyncio.TimeoutError:
                    pass
                self._event.clear()
                now_ms = self._clock.ms()
                while self._inbox:
                    self._hear(*self._inbox.pop(0))
                if self._button is not None:
                    self._look(now_ms)
                self._judge(now_ms)
                self._advertise(now_ms)
                if self._bonds.dirty:
                    self._save()
                if now_ms - heard_ms >= 1000:
                    heard_ms = now_ms
                    self._tell()
        finally:
            self._owner = None
            for conn in list(self._centrals):
                self._cut(conn)
            self._centrals.clear()
            ble.active(False)
            self._advertised = None
            self._on_change()

    # Services

    def _register(self) -> None:
        u = self._board.ble_uuid
        model, revision, device_id = self._about
        heart = (u(0x180D), ((u(0x2A37), _NOTIFY), (u(0x2A38), _READ)))
        plx = (u(0x1822), ((u(0x2A5F), _NOTIFY), (u(0x2A5E), _INDICATE), (u(0x2A60), _SECURE_READ)))
        device = (u(0x180A), ((u(0x2A29), _READ), (u(0x2A24), _READ), (u(0x2A26), _READ)))
        time = (u(0x1805), ((u(0x2A2B), _SECURE_READ),))
        vigil = (
            u(_SERVICE),
            (
                (u(_STREAM), _NOTIFY),
                (u(_DOWN), _SECURE_WRITE),
                (u(_CONTROL), _SECURE_WRITE | _INDICATE),
                (u(_ABOUT), _SECURE_READ),
            ),
        )
        services = [heart, plx, device, time, vigil]
        battery = self._battery
        if battery and battery.mv is None:
            battery.look()
        if battery and battery.mv is not None:
            services.append((u(0x180F), ((u(0x2A19), _READ | _NOTIFY),)))
        handles = self._ble.gatts_register_services(services)
        (self._heart, location), (self._plx, self._spot, features) = handles[:2]
        (self._time,), (self._stream, self._down, self._control, about) = handles[3:5]
        self._charge = handles[5][0] if len(services) > 5 else None
        self._level = None
        write = self._ble.gatts_write
        write(location, bytes((self._vitals.LOCATION,)))
        write(features, self._vitals.features())
        for handle, text in zip(handles[2], ("Vigil", model, revision)):
            write(handle, text.encode())
        write(self._time, bytes(10))
        write(about, bytes((_VERSION,)) + device_id.encode())
        for handle in (self._down, self._control):
            self._ble.gatts_set_buffer(handle, _LONGEST_WRITE)

    def _tell(self) -> None:
        """Notify what is new to everybody who may know it."""
        trusted = [conn for conn, central in self._centrals.items() if central.trusted]
        now = self._now() if self._now else None
        if now:
            self._ble.gatts_write(self._time, now + bytes(3))
        vitals = self._vitals
        if self._charge is not None:
            level = bytes((min(100, (self._battery.charge + 5) // 10),))
            if level != self._level:
                self._level = level
                self._ble.gatts_write(self._charge, level)
                for conn in trusted:
                    self._notify(conn, self._charge, level)
        if vitals.new_heart:
            value = vitals.heart_rate()
            for conn in trusted:
                self._notify(conn, self._heart, value)
        if vitals.new_plx:
            value = vitals.plx()
            for conn in trusted:
                self._notify(conn, self._plx, value)
        if vitals.spots:
            vitals.spots = 0
            self._ble.gatts_write(self._spot, vitals.spot(now))
            for conn in trusted:
                self._indicate(conn, self._spot)

    def _notify(self, conn, handle: int, value) -> bool:
        """Hand a notification to the stack. False: it has no buffer, or the connection ends."""
        try:
            self._ble.gatts_notify(conn, handle, value)
            return True
        except OSError as e:
            if e.errno == errno.ENOMEM:
                self.full += 1
            return False

    def _indicate(self, conn, handle: int) -> None:
        try:
            self._ble.gatts_indicate(conn, handle)
        except OSError:
            pass  # the connection ends

    # Events of the stack

    def _on_event(self, event: int, data):
        if event == _GET_SECRET:
            kind, index, key = data
            return self._bonds.get(kind, index, bytes(key) if key is not None else None)
        if event == _SET_SECRET:
            kind, key, value = data
            key = bytes(key)
            value = bytes(value) if value is not None else None
            self._bonds.accepts = self._window and (value is None or any([c.pairing for c in self._centrals.values()]))
            self._event.set()
            return self._bonds.set(kind, key, value)
        central = self._centrals.get(data[0])
        if event == _CONNECT:
            self._centrals[data[0]] = _Central(self._clock.ms())
            self._advertised = None  # the stack stops it
        elif central is None:
            return None
        elif event == _DISCONNECT:
            del self._centrals[data[0]]
            self._bonds.unhide()
            if self._owner == data[0]:
                self._give(None)
            if self._confirming and self._confirming[0] == data[0]:
                self._confirming = None
            self._fast_until_ms = self._clock.ms() + _FAST_MS
        elif event == _MTU:
            central.mtu = data[1]
        elif event == _WRITE:
            self._written(central, *data)
        elif event == _ENCRYPTED:
            _, encrypted, authenticated, _, _ = data
            central.trusted = bool(encrypted and authenticated)
            central.bad = not central.trusted
            central.pairing = central.pairing and central.trusted  # its keys may come after this
        elif event == _PASSKEY:
            self._pair(central, *data)
        self._event.set()
        return None

    def _written(self, central, conn: int, handle: int) -> None:
        value = self._ble.gatts_read(handle)
        if not central.trusted or not value:  # the stack has refused the write already: this is for a stack that errs
            return
        if handle == self._down and value[0] == CONFIRM:
            if conn == self._owner and len(value) == 3:
                self._sender.confirm(value[1] | value[2] << 8)
                self._moved.set()
        elif handle == self._down and value[0] == OPEN:
            if len(value) == 2 and value[1] == _VERSION:
                self._sender.open(central.mtu)
                self._give(conn)
        elif len(self._inbox) < _INBOX:  # else: it is asked or said again
            self._inbox.append((conn, handle, bytes(value)))

    def _give(self, conn) -> None:
        """Let `conn` have the stream (None: nobody)."""
        self._owner = conn
        self._receiver = None if conn is None else ble_stream.Receiver(_MOST)
        self._opening += 1
        if conn is not None:
            self.connects += 1
        self._moved.set()
        self._on_change()

    def _pair(self, central, conn: int, action: int, number: int) -> None:
        """The stack asks for a number, or shows one."""
        if not self._window or self._tries >= _TRIES or (action == _COMPARE and not self._compare):
            central.bad = True
            return
        self._tries += 1
        central.pairing = True
        central.until_ms = self._clock.ms() + _PAIR_MS
        if action == _COMPARE:
            self._confirming = conn, central.until_ms
            self._show("%06d" % number)
        elif action == _DISPLAY:
            number = struct.unpack("<I", self._board.random(4))[0] % 1_000_000  # uneven by 1 in 4295
            self._show("%06d" % number)
            self._passkey(conn, action, number)
        else:
            central.bad = True

    def _passkey(self, conn, action: int, number: int) -> None:
        try:
            self._ble.gap_passkey(conn, action, number)
        except OSError:
            pass  # the connection ends

    # The wearer

    @property
    def _window(self) -> bool:
        return self._clock.ms() < self._open_until_ms

    def _open_window(self, for_ms: int) -> None:
        self._open_until_ms = self._clock.ms() + for_ms
        self._fast_until_ms = max(self._fast_until_ms, self._clock.ms() + _FAST_MS)
        self._tries = 0
        self._event.set()
        log(INFO, "ble", "pairing is open for %d s" % (for_ms // 1000))

    def _look(self, now_ms: int) -> None:
        """A press opens the window, or says yes to a comparison; held for eight seconds it forgets all bonds."""
        down = not self._button.value()
        if down and self._pressed_ms < 0:
            self._pressed_ms = now_ms
        elif self._pressed_ms >= 0:
            held_ms = now_ms - self._pressed_ms
            if held_ms >= _HOLD_MS and held_ms < _HOLD_MS << 8:
                self.forget()
                self._pressed_ms = now_ms - (_HOLD_MS << 8)  # once a press
            if not down:
                self._pressed_ms = -1
                if held_ms >= _HOLD_MS:
                    return
                if self._confirming:
                    conn, _ = self._confirming
                    self._confirming = None
                    self._passkey(conn, _COMPARE, 1)
                else:
                    self._open_window(_WINDOW_MS)

    def forget(self) -> None:
        """Forget all bonds and disconnect."""
        log(INFO, "ble", "all bonds are forgotten")
        self._bonds.forget_all()
        self._save()
        for central in self._centrals.values():
            central.bad = True

    # Order

    def _judge(self, now_ms: int) -> None:
        """Ask for encryption; cut who does not come to it, or pairs without the wearer."""
        for conn, central in list(self._centrals.items()):
            if not central.asked:
                central.asked = True
                try:
                    self._ble.gap_pair(conn)  # a bonded central encrypts, another one asks its user
                except OSError:
                    pass  # it is gone, or encrypts already
            if central.bad or (not central.trusted and now_ms > central.until_ms):
                self.refused += 1
                self._cut(conn)
        if self._confirming and now_ms > self._confirming[1]:
            conn, _ = self._confirming
            self._confirming = None
            self._passkey(conn, _COMPARE, 0)

    def _cut(self, conn) -> None:
        central = self._centrals.get(conn)
        if central:
            central.trusted = central.bad = False
            central.until_ms = self._clock.ms() + _GRACE_MS
        try:
            self._ble.gap_disconnect(conn)
        except OSError:
            pass

    def _advertise(self, now_ms: int) -> None:
        """Say that there is a sensor, and nothing about who wears it; a name only while pairing is open."""
        if len(self._centrals) >= _CENTRALS:
            return
        state = self._window, self._window or now_ms < self._fast_until_ms
        if state == self._advertised:
            return
        data = b"\x02\x01" + (b"\x06" if state[0] else b"\x04") + b"\x05\x03\x0d\x18\x22\x18"
        response = b"\x05\x12\x50\x00\x90\x01"  # connection interval that suits the battery: 100..500 ms
        if state[0]:
            response += b"\x06\x09Vigil"
        try:
            self._ble.gap_advertise(_FAST_US if state[1] else _SLOW_US, data, resp_data=response)
            self._advertised = state
        except OSError:
            pass  # a connection is just being made; again at the next turn

    def _save(self) -> None:
        try:
            self._bonds.save()
        except StoreError as e:
            self._bonds.dirty = False  # tried again with the next change; until then they hold in memory
            log(WARN, "ble", str(e))

    # What centrals say

    def _hear(self, conn: int, handle: int, value: bytes) -> None:
        if handle == self._down:
            if conn != self._owner:
                return
            if value[0] == ACK:
                self._on_message(ACK, value[1:])
            elif value[0] == PART:
                whole = self._receiver.take(memoryview(value)[1:])
                if whole and whole[0] == ble_stream.COMMAND:
                    self._on_message(COMMAND, whole[1])
            return
        if handle != self._control:
            return
        status = DONE
        if value[0] == COMMAND:
            self._on_message(COMMAND, value[1:])
        elif value[0] == SET:
            name, nul, setting = value[1:].partition(b"\0")
            if not nul or not self._on_setting(name, setting):
                status = BAD
        elif value[0] == FORGET:
            self.forget()
        else:
            status = UNKNOWN
        self._ble.gatts_write(self._control, bytes((value[0], status)))
        self._indicate(conn, self._control)
