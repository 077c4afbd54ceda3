"""`vigil doctor`: what is wrong with a connected board, in plain words, worst first. Nothing on it stays changed.

Each finding has a code for machines, a level (wrong: it cannot work so; odd: it works, look at it; fine), one sentence
and a hint. The order of the checks is the order in which a board comes to life: port, MicroPython, firmware, settings,
certificates, radio, sensors, memory, what it last complained of.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509

from host_tools.bringup import ports
from host_tools.bringup.on_board import OnBoard
from host_tools.errors import UserError
from host_tools.image.esp_image import OLDEST

WRONG, ODD, FINE = "wrong", "odd", "fine"
_HEAP_LEAST = 30_000
_FLASH_LEAST = 100_000
_FLASH_AGAIN = "vigil flash --board BOARD --firmware FILE, with the BOARD that is written on the module"
_PROVISION = "vigil provision --port PORT"
_NEEDED = ("link.host", "link.port", "link.server_name")
_FILES = ("ca.der", "client.der", "client.key")
_SOON_DAYS = 60


@dataclass(frozen=True)
class Finding:
    """One thing found."""

    code: str
    level: str
    sentence: str
    hint: str = ""


def diagnose(port: str | None) -> list[Finding]:
    """Look at the board at `port` (None: the only one). What cannot even be looked at is a finding, too."""
    try:
        port = port or ports.find()
        board = OnBoard(port)
    except UserError as e:
        return [Finding(_code(e.sentence), WRONG, e.sentence, e.hint)]
    with board:
        found = _firmware(board)
        if not any(f.level == WRONG for f in found):
            for check in (_settings, _certificates, _radio, _sensors, _resources):
                found += _tried(check, board)
        found += _tried(_history, board)
        found = list(dict.fromkeys(found))  # a cable that was pulled fails every check alike
    return sorted(found, key=lambda f: (WRONG, ODD, FINE).index(f.level))


def _code(sentence: str) -> str:
    for words, code in (
        ("no MicroPython answers", "no-micropython"),
        ("reads another version", "old-micropython"),
        ("the board stopped with", "stopped"),
    ):
        if words in sentence:
            return code
    return "port"


def _tried(check, board: OnBoard) -> list[Finding]:
    try:
        return check(board)
    except UserError as e:
        return [Finding("stopped", WRONG, e.sentence, e.hint)]


def _firmware(board: OnBoard) -> list[Finding]:
    about, said = board.about, board.said
    version = tuple(int(n) for n in about["version"].split(".")[:2])
    found = []
    if version < OLDEST:
        found.append(
            Finding(
                "old-micropython",
                WRONG,
                f"MicroPython {about['version']} is too old",
                "flash MicroPython 1.26 or later",
            )
        )
    if said["firmware"] is None:
        return [*found, Finding("no-firmware", WRONG, "there is MicroPython on the board, but no Vigil", _FLASH_AGAIN)]
    if said["wrong"]:
        chip = "incompatible .mpy" in said["wrong"] or "invalid pin" in said["wrong"]
        code, sentence = ("wrong-image", "the image is for another chip") if chip else ("no-start", "it does not start")
        return [*found, Finding(code, WRONG, f"{sentence}: {said['wrong']}", _FLASH_AGAIN)]
    chip = _chip(about["machine"])
    made_for = said["board"].partition("_GENERIC")[2].strip("_") or "plain"
    if chip and said["board"].startswith("ESP32_GENERIC") and chip != made_for:
        found.append(
            Finding("wrong-image", WRONG, f"the image is for {said['board']}, the chip is another", _FLASH_AGAIN)
        )
    words = f"Vigil {said['firmware']} for {said['board']} on MicroPython {about['version']}"
    return [*found, Finding("firmware", FINE, words)]


def _chip(machine: str) -> str | None:
    """S3, C3 or plain from what the port calls itself ("Generic ESP32S3 module with ESP32S3"); None: no ESP32."""
    last = machine.rpartition(" with ")[2].replace("-", "")
    return last.removeprefix("ESP32") or "plain" if last.startswith("ESP32") else None


def _settings(board: OnBoard) -> list[Finding]:
    held = board.call("settings")
    if not held["sign.seed"]:
        return [Finding("no-identity", WRONG, "the device has no key yet", _PROVISION)]
    missing = [name for name in _NEEDED if not held[name]]
    if missing:
        return [Finding("not-provisioned", WRONG, f"not provisioned: {', '.join(missing)} not set", _PROVISION)]
    if _speaks_bluetooth(held):
        found = [Finding("settings", FINE, "its link is Bluetooth")]
    else:
        where = ":".join(bytes.fromhex(held[name]).decode("ascii", "replace") for name in ("link.host", "link.port"))
        found = [Finding("settings", FINE, f"the gateway is looked for at {where}")]
    if held["prov.state"] and bytes.fromhex(held["prov.state"]) != b"done":
        found.append(Finding("half-provisioned", WRONG, "its provisioning was interrupted", _PROVISION))
    return found


def _speaks_bluetooth(held: dict) -> bool:
    return bytes.fromhex(held["link.kind"] or "") == b"ble"


def _certificates(board: OnBoard) -> list[Finding]:
    held = board.call("tls")
    missing = [name for name in _FILES if not held[name]]
    if missing:
        return [Finding("tls-missing", WRONG, f"TLS files are missing: {', '.join(missing)}", _PROVISION)]
    try:
        certificate = x509.load_der_x509_certificate(bytes.fromhex(held["client.der content"]))
        authority = x509.load_der_x509_certificate(bytes.fromhex(held["ca.der content"]))
        certificate.verify_directly_issued_by(authority)
    except Exception:  # whatever is wrong with the bytes, or the signature
        return [Finding("tls-damaged", WRONG, "its certificate is damaged or of another authority", _PROVISION)]
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    end = f"its certificate ends on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if left.days < 0:
        return [Finding("tls-expired", WRONG, end + ", in the past", "vigil device rotate NAME --port PORT")]
    if left.days < _SOON_DAYS:
        return [Finding("tls-ends", ODD, end, "vigil device rotate NAME --port PORT")]
    return [Finding("tls", FINE, end)]


def _radio(board: OnBoard) -> list[Finding]:
    held = board.call("settings")
    if _speaks_bluetooth(held):
        return []
    ssid = bytes.fromhex(held["wifi.ssid"] or "").decode("utf-8", "replace")
    if not ssid:
        level = WRONG if board.resets else FINE
        return [Finding("no-wifi", level, "no Wi-Fi network is set", "vigil provision --wifi-ssid NAME")]
    there = board.call("networks", ssid)
    if there is None:
        return []
    if not there:
        hint = "is it in range, and on 2.4 GHz? Else: vigil provision --wifi-ssid NAME"
        return [Finding("wifi-not-found", WRONG, f"the Wi-Fi network `{ssid}` is not found", hint)]
    return [Finding("wifi", FINE, f"the Wi-Fi network `{ssid}` is in range")]


def _sensors(board: OnBoard) -> list[Finding]:
    parts = board.call("parts")
    found = []
    for code, what, why in (("no-ppg", "MAX30102", parts["max30102"]), ("no-ecg", "ECG front end", parts["ecg"])):
        if why:
            hint = "power, ground and the wires of boards/<BOARD>/README.md; 3.3 V, not 5"
            found.append(Finding(code, ODD, f"no {what}: {why}", hint))
        else:
            found.append(Finding(what.lower().split()[0], FINE, f"{what} answers"))
    return found


def _resources(board: OnBoard) -> list[Finding]:
    heap, (kept, free) = board.call("memory"), board.call("flash")
    found = [
        Finding(
            "heap",
            ODD if heap < _HEAP_LEAST else FINE,
            f"{heap // 1024} KB of heap free",
            ""
            if heap >= _HEAP_LEAST
            else "an image of fewer sensors (vigil image), or MicroPython's variant with PSRAM",
        ),
        Finding(
            "flash",
            FINE if kept and free >= _FLASH_LEAST else WRONG,
            f"{free // 1024} KB of flash free",
            "" if free >= _FLASH_LEAST else "let it send what it keeps (vigil gateway); a larger flash keeps more",
        ),
    ]
    if not kept:
        found.append(Finding("flash-bad", WRONG, "the flash does not keep what is written", "use another board"))
    return found


def _history(board: OnBoard) -> list[Finding]:
    """What it complained of before it was interrupted, and its last crash."""
    found = []
    for area, words in sorted(board.about["recent"].items()):
        code, hint = "complaint", ""
        if area == "link" and "our certificate" in words:
            code = "refused"
            hint = "is it revoked? vigil device show NAME says so; else: vigil device rotate NAME --port PORT"
        elif area == "link":
            code, hint = "link", "an unreachable gateway: does `vigil gateway` run there?"
        found.append(Finding(code, ODD, f"its last complaint of {area}: {words}", hint))
    if board.said["fs"]:
        crash = board.call("crash")
        if crash:
            lines = crash.strip().splitlines()
            hint = "report it with what `vigil doctor --json` says"
            found.append(Finding("crash", ODD, f"its task {lines[0]} crashed: {lines[-1]}", hint))
    return found
