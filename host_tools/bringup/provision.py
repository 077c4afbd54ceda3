"""`vigil provision`: from a flashed board to a device that its gateway knows.

The order is what makes an interruption harmless:

1. Everything that the host alone can check or ask for: options, passphrases, keys, database.
2. The board answers, runs this firmware for this chip, and proves with a fresh nonce that it holds its private key.
3. Its self-test; what is broken ends it here. Nothing but the key of a new board was written so far.
4. The register admits the new certificate beside the old one (`pending`).
5. Settings into the keystore and TLS files beside the old ones, each read back.
6. One step puts the new files in the place of the old; the register then admits only the new certificate.

A failure before 6 takes 4 back. After it, both certificates stay admitted until the command is run again.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from host_tools.bringup.on_board import OnBoard
from host_tools.errors import UserError
from host_tools.trust import keys as key_files
from host_tools.trust.home import Home, own_address
from host_tools.trust.pki import SERVER_NAME, certificate_end_ms, certificate_name
from host_tools.trust.registry import NAME, Device
from host_tools.trust.verify import check_proof
from vigil.crypto.signer import device_id

FAILED, WARNING, GOOD = "failed", "warning", "good"
AGAIN = "run vigil provision again: it takes up where it stopped"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_PROOF_S = 60
_LIT = 500  # counts of 262,144 that an LED adds to its column, at least; an open sensor on a desk shows thousands
_HEAP_LEAST = 30_000
_FLASH_LEAST = 100_000
_CLOCK_S = 1.5
_CLOCK_PPM = 30_000  # what can be told over a serial line in that time

Say = Callable[[str], None]
Ask = Callable[[str], bool]


@dataclass(frozen=True)
class Wishes:
    """What the device shall be told. None: as it is, or the usual. leds: "normal" or "swapped", None: find out."""

    name: str | None = None
    wifi_ssid: str | None = None
    wifi_key: str | None = None
    host: str | None = None
    port: int | None = None
    leds: str | None = None
    allow_missing: bool = False
    bluetooth: bool = False  # instead of Wi-Fi
    radio_burst: int | None = None  # batches; 0: the radio is always on

    def check(self) -> None:
        """Raise UserError for a wish that no device could have."""
        if self.name is not None and not NAME.fullmatch(self.name):
            raise UserError(f"`{self.name}` is not a name", "up to 40 letters, digits, blanks, dots and dashes")
        if self.name is not None and re.fullmatch(r"[0-9a-f]{16}", self.name):
            raise UserError(f"`{self.name}` looks like a device id", "choose a name that people can tell from one")
        if self.wifi_ssid is not None and not 1 <= len(self.wifi_ssid.encode()) <= 32:
            raise UserError("a Wi-Fi network's name has 1 to 32 bytes", "is --wifi-ssid right?")
        if self.wifi_key is not None and self.wifi_ssid is None:
            raise UserError("there is a Wi-Fi key and no network to use it for", "name the network with --wifi-ssid")
        if self.wifi_key and not 8 <= len(self.wifi_key.encode()) <= 63:
            raise UserError("a Wi-Fi key has 8 to 63 characters", "is it the key of this network? An open one has none")
        if self.host is not None and not _HOST.fullmatch(self.host):
            raise UserError(f"`{self.host}` is not the name or address of a machine", "e.g. 192.168.1.20")
        if self.wifi_ssid is not None:
            _check_reachable(self.host)
        if self.port is not None and not 0 < self.port < 65536:
            raise UserError(f"{self.port} is not a port", "a number from 1 to 65535")
        if self.radio_burst is not None and not 0 <= self.radio_burst <= 60:
            raise UserError(f"{self.radio_burst} batches are no burst of the radio", "1 to 60, or 0: always on")
        if self.leds not in (None, "normal", "swapped"):
            raise UserError(f"`{self.leds}` is not an order of LEDs", "normal or swapped")


def _check_reachable(host: str | None) -> None:
    if host in ("localhost", "127.0.0.1", "0.0.0.0"):
        raise UserError(f"a device on the network cannot reach `{host}`", "name this machine's own address")


@dataclass(frozen=True)
class Line:
    """One line of the self-test's table: what was tested, how it went (good, warning, failed), what was found."""

    what: str
    result: str
    found: str


class Refused(UserError):
    """The board is not believed; `reason` is the named rejection."""

    def __init__(self, reason: str, sentence: str, hint: str):
        super().__init__(f"{reason}: {sentence}", hint)
        self.reason = reason


def proven(board: OnBoard, nonce: bytes | None = None) -> tuple[str, bytes]:
    """Device id and public key of a board that has proved, for a fresh nonce, that it holds the private key.

    Raises Refused: `no proof of possession` for a proof of other bytes, another key or none.
    """
    nonce = nonce or secrets.token_bytes(32)
    answer = board.call("prove", nonce.hex(), timeout_s=_PROOF_S)
    try:
        public_key, signature = bytes.fromhex(answer["key"]), bytes.fromhex(answer["signature"])
    except (KeyError, TypeError, ValueError):
        public_key = signature = b""
    if not check_proof(public_key, nonce, signature):
        raise Refused(
            "no proof of possession",
            f"the board on {board.port} does not sign this nonce with the key that it shows",
            "do not use this device; flash it anew with --forget-identity",
        )
    return device_id(public_key), public_key


def ready(board: OnBoard) -> None:
    """Raise UserError when the board does not run a firmware that can be provisioned."""
    said = board.said
    if said["firmware"] is None:
        raise UserError(f"there is no Vigil on the board at {board.port}", "vigil flash --board BOARD --firmware FILE")
    if said["wrong"]:
        raise UserError(
            f"the firmware on {board.port} does not start: {said['wrong']}",
            "was it made for this board? vigil doctor says more; else flash it again",
        )


def self_test(board: OnBoard, wishes: Wishes, ask: Ask | None) -> tuple[list[Line], int | None]:
    """The table, and how red and infrared are exchanged (`ppg.swap`: 0 not, 1 the LEDs, 2 the FIFO's columns; None:
    nobody could tell). ask: a person at the sensor.
    """
    lines = [Line("firmware", GOOD, f"{board.said['firmware']} for {board.said['board']}")]
    start_s, start_ms = time.monotonic(), board.call("ticks")
    generator = board.call("random")
    lines.append(Line("random generator", GOOD if generator else FAILED, "draws differ" if generator else "it repeats"))
    kept, free = board.call("flash")
    small = " (little)" if free < _FLASH_LEAST else ""
    lines.append(
        Line(
            "flash",
            FAILED if not kept else WARNING if small else GOOD,
            f"{free // 1024} KB free{small}" if kept else "it does not keep what is written",
        )
    )
    found = board.call("parts")
    missing = WARNING if wishes.allow_missing or not (found["max30102"] and found["ecg"]) else FAILED
    addresses = ", ".join(f"0x{address:02x}" for address in found["i2c"]) or "none"
    lines.append(
        Line(
            "MAX30102", missing if found["max30102"] else GOOD, found["max30102"] or f"answers; on the bus: {addresses}"
        )
    )
    swapped = None
    if not found["max30102"]:
        line, swapped = light(board, wishes, ask)
        lines.append(line)
    lines.append(Line("ECG", missing if found["ecg"] else GOOD, found["ecg"] or f"{found['ecg_part']} answers"))
    heap = board.call("memory")
    lines.append(Line("memory", GOOD if heap >= _HEAP_LEAST else FAILED, f"{heap // 1024} KB of heap free"))
    time.sleep(max(0.0, start_s + _CLOCK_S - time.monotonic()))
    ticked_ms, passed_ms = board.call("ticks") - start_ms, 1000 * (time.monotonic() - start_s)
    ppm = round(1e6 * (ticked_ms - passed_ms) / passed_ms)
    lines.append(Line("clock", GOOD if abs(ppm) <= _CLOCK_PPM else FAILED, f"{ppm:+d} ppm against this machine"))
    return lines, swapped


def light(board: OnBoard, wishes: Wishes, ask: Ask | None) -> tuple[Line, int | None]:
    """Which LED lights which column, one at a time; whether the first glows red, only a person can see."""
    dark, first, second = board.call("light")
    lit = [[level[i] - dark[i] > _LIT for i in (0, 1)] for level in (first, second)]
    if lit == [[False, False], [False, False]]:
        return Line("LEDs", WARNING, "no light comes back: cover the sensor with a finger"), None
    if lit == [[False, True], [True, False]]:
        return Line("LEDs", GOOD, "exchanged in the part's FIFO; noted on the device"), 2
    if lit != [[True, False], [False, True]]:
        dead = " and ".join(name for name, row in zip(("first", "second"), lit, strict=True) if not any(row))
        return Line("LEDs", FAILED, f"the {dead} LED is dark" if dead else "each LED is seen in both columns"), None
    if wishes.leds is not None:
        return Line("LEDs", GOOD, f"{wishes.leds}, as you say"), int(wishes.leds == "swapped")
    if ask is None:
        return Line("LEDs", GOOD, "each in its own column; their colour was not looked at (--leds)"), None
    board.call("glow", True)
    red = _ask_meanwhile(board, ask, "One LED of the sensor is on. Does it glow red?")
    board.call("glow", False)
    found = "red and infrared" if red else "exchanged on this board; noted on the device"
    return Line("LEDs", GOOD, found), int(not red)


def _ask_meanwhile(board: OnBoard, ask: Ask, question: str) -> bool:
    """People may take longer than a watchdog."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, question)
        while not answer.done():
            board.call("feed")
            time.sleep(0.2)
        return answer.result()


def provision(
    port: str,
    wishes: Wishes,
    home: Home,
    *,
    ask: Ask | None = None,
    say: Say = print,
    on_test: Callable[[list[Line]], None] = lambda lines: None,
    soft_reset: bool | None = None,
) -> dict[str, Any]:
    """Provision the board at `port`; return what it is now. on_test is given the self-test's table.

    Raises UserError; nothing is half done then (see the module), or the sentence says what is.
    """
    wishes.check()
    home.authority.open()
    pinned = {f"{purpose}.key": home.signing.public(purpose) for purpose in key_files.PURPOSES}
    with OnBoard(port, soft_reset=soft_reset) as board:
        ready(board)
        before = board.call("settings")
        settings = _settings(board, wishes, before, home)
        say("asking for proof of its key")
        device, public_key = proven(board)
        known = next((d for d in home.register.all() if d.device == device), None)
        name = wishes.name or (known.name if known else f"vigil-{device[:6]}")
        home.register.check(device, public_key, name, board.about["hardware"])
        say("testing it")
        lines, swapped = self_test(board, wishes, ask)
        on_test(lines)
        failed = [line for line in lines if line.result == FAILED]
        if failed:
            raise UserError(
                f"the self-test failed: {failed[0].what}, {failed[0].found}",
                "mend that first; a board without its sensors is provisioned with --allow-missing",
            )
        if swapped is not None:
            settings["ppg.swap"] = b"%d" % swapped
        end_ms = _install(board, home, device, public_key, name, settings | pinned, say)
    return {
        "device": device,
        "name": name,
        "board": board.said["board"],
        "public_key": public_key.hex(),
        "host": settings["link.host"].decode(),
        "port": int(settings["link.port"]),
        "certificate_end_ms": end_ms,
        "again": known is not None,
        "self_test": [vars(line) for line in lines],
    }


def _settings(board: OnBoard, wishes: Wishes, before: dict, home: Home) -> dict[str, bytes]:
    """What is written to the keystore: what is wished for, what the device has, or the usual."""
    ssid = wishes.wifi_ssid
    if ssid is None and not before["wifi.ssid"] and not wishes.bluetooth and board.resets:  # a PC is on the network
        raise UserError("the device does not know a Wi-Fi network", "name it with --wifi-ssid, or say --bluetooth")
    had = {name: bytes.fromhex(before[name] or "").decode("ascii", "replace") for name in ("link.host", "link.port")}
    host = wishes.host or had["link.host"] or own_address()
    if board.resets and not wishes.bluetooth:  # a chip, and not a process on this machine
        _check_reachable(host)
    port = str(wishes.port or had["link.port"] or home.config.listen.rpartition(":")[2] or 8883)
    settings = {"link.host": host, "link.port": port, "link.server_name": SERVER_NAME}
    settings["link.client"] = secrets.token_urlsafe(16)  # 22 characters; MQTT 3.1.1 lets a server refuse 24
    settings["link.kind"] = "ble" if wishes.bluetooth else "mqtt"
    if wishes.radio_burst is not None:
        settings["radio.burst"] = str(wishes.radio_burst)
    if ssid is not None:
        settings |= {"wifi.ssid": ssid, "wifi.key": wishes.wifi_key or ""}
    return {name: value.encode() for name, value in settings.items()}


def _install(
    board: OnBoard, home: Home, device: str, public_key: bytes, name: str, settings: dict[str, bytes], say: Say
) -> int:
    """Steps 4 to 6; returns the certificate's end."""
    certificate, key = home.authority.device(device)
    end_ms = certificate_end_ms(certificate)
    home.register.begin(
        device,
        public_key,
        name=name,
        board=board.said["board"],
        hardware=board.about["hardware"],
        certificate=certificate_name(certificate),
        end_ms=end_ms,
    )
    try:
        say("writing settings and certificates")
        files = {"ca.der": home.authority.ca_der, "client.der": certificate, "client.key": key}
        for setting, value in {"prov.state": b"open", **settings}.items():
            if not board.call("put", setting, value.hex()):
                raise UserError(f"the board does not keep the setting {setting}", "its NVS is full or worn out")
        digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        board.call("stage")
        for file, content in files.items():
            if board.call("stage_file", file, content.hex()) != digests[file]:
                raise UserError(f"the board does not keep the file {file}", "its flash is full or worn out")
    except BaseException:
        home.register.withdraw(device)
        raise
    try:
        held = board.call("switch")
        if any(held[file] != digest for file, digest in digests.items()):
            raise UserError("the TLS files on the board are not what was written", AGAIN)
        board.call("put", "prov.state", b"done".hex())
    except UserError as e:
        raise UserError(f"{e.sentence}, and the board may hold its new certificate or the one before", AGAIN, 3) from e
    home.register.finish(device)
    return end_ms


def rotate(port: str, who: Device, home: Home, *, new_key: bool = False, say: Say = print) -> dict[str, Any]:
    """Give a device a new certificate, or with new_key a new identity; the old one is refused from then on.

    What the device has not sent yet is lost with its old identity: nobody could sign it any more. The old identity is
    revoked before it is forgotten: whoever is interrupted there says the same again, and no identity is left that
    nobody holds and everybody believes.
    """
    home.authority.open()
    with OnBoard(port) as board:
        ready(board)
        device, public_key = proven(board)
        if device != who.device:
            known = any(other.device == device and other.state == "active" for other in home.register.all())
            hint = "" if known else "; if its new identity was interrupted: vigil provision --port PORT --name NAME"
            raise UserError(f"the board on {port} is device {device}, not {who.device}", f"plug in the right one{hint}")
        if who.state == "revoked" and not new_key:
            raise UserError(f"device {device} was revoked", "it can only get a new identity: add --key")
        before = board.call("settings")
        if not before["link.host"]:
            raise UserError(f"device {device} was never provisioned", f"vigil provision --port {port}")
        name = who.name
        if new_key:
            home.register.revoke(who.device)
            say("making a new key on the board")
            if not board.call("forget_identity"):
                raise UserError("the board does not keep its new key", "its NVS is full or worn out", 3)
            device, public_key = proven(board)
            home.register.revoke(who.device, successor=device)
        settings = {"link.client": secrets.token_urlsafe(16).encode()}
        end_ms = _install(board, home, device, public_key, name, settings, say)
    return {"device": device, "name": name, "before": who.device, "certificate_end_ms": end_ms}


def in_words(done: dict[str, Any]) -> str:
    """What provision() and rotate() return, as a sentence."""
    end = time.strftime("%Y-%m-%d", time.localtime(done["certificate_end_ms"] / 1000))
    return f"{done['name']} is device {done['device']}; its certificate ends on {end}"
