"""provision, device and doctor at a terminal: questions, tables, JSON."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from host_tools.bringup import ports
from host_tools.errors import UserError
from host_tools.trust.home import PORT, Home
from host_tools.trust.registry import Device

_COLOURS = {"good": "green", "warning": "yellow", "failed": "red"}


def provision(
    *,
    port: str | None,
    wifi_ssid: str | None,
    wifi_key_file: Path | None,
    open_wifi: bool,
    host: str | None,
    port_number: int | None,
    name: str | None,
    leds: str | None,
    allow_missing: bool,
    bluetooth: bool,
    radio_burst: int | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """The command."""
    from host_tools.bringup import provision as work

    key = _wifi_key(wifi_ssid, wifi_key_file, open_wifi)
    wishes = work.Wishes(name, wifi_ssid, key, host, port_number, leds, allow_missing, bluetooth, radio_burst)
    wishes.check()
    port = port or ports.find()
    ports.check(port)
    with Home(state, make=True, port=port_number or PORT) as home:
        done = work.provision(
            port,
            wishes,
            home,
            ask=_yes if sys.stdin.isatty() else None,
            say=lambda words: print(words, file=sys.stderr),
            on_test=lambda lines: None if as_json else _print_test(lines),
        )
    if as_json:
        print(json.dumps(done))
        return
    print(f"{done['name']} is device {done['device']}; its certificate ends on {_day(done['certificate_end_ms'])}")
    if bluetooth:
        print("it speaks by Bluetooth; next: press its button, then vigil ble scan")
        return
    print(f"it will look for the gateway at {done['host']}:{done['port']}; next: vigil gateway")


def doctor(port: str | None, *, as_json: bool) -> int:
    """The command; returns the exit status: 1 where something is wrong."""
    from host_tools.bringup import doctor as work

    findings = work.diagnose(port)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        from rich.console import Console

        console = Console(highlight=False)
        for finding in findings:
            colour = {"wrong": "red", "odd": "yellow"}.get(finding.level, "green")
            console.print(f"[{colour}]{finding.level:5}[/] ", end="")
            console.print(finding.sentence, markup=False)
            if finding.hint:
                console.print(f"      hint: {finding.hint}", markup=False)
    return 1 if any(finding.level == "wrong" for finding in findings) else 0


def device_list(state: Path | None, *, as_json: bool) -> None:
    """The command."""
    with Home(state) as home:
        everyone = home.register.all()
    if as_json:
        print(json.dumps([_as_json(device) for device in everyone]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("device", "name", "state", "last seen", "certificate ends")
    for device in everyone:
        table.add_row(device.device, device.name, device.state, _ago(device.last_seen_ms), _end(device))
    Console().print(table)


def device_show(who: str, state: Path | None, *, as_json: bool) -> None:
    """The command."""
    with Home(state) as home:
        device = home.register.find(who)
    if as_json:
        print(json.dumps(_as_json(device)))
        return
    rows = {
        "device": device.device,
        "name": device.name,
        "state": device.state + (f" on {_day(device.revoked_ms)}" if device.revoked_ms else ""),
        "successor": device.successor,
        "board": device.board,
        "chip's number": device.hardware,
        "public key": device.public_key.hex(),
        "added": _day(device.added_ms),
        "last seen": _ago(device.last_seen_ms),
        "envelopes": str(device.envelopes),
        "certificate": device.certificate,
        "certificate ends": _end(device),
    }
    for what, value in rows.items():
        if value:
            print(f"{what:17} {value}")


def device_revoke(who: str, state: Path | None, *, yes: bool, as_json: bool) -> None:
    """The command."""
    with Home(state) as home:
        device = home.register.find(who)
        if device.state != "revoked":
            _agree(yes, f"Never hear {device.name} ({device.device}) again?", "nothing was revoked")
            home.register.revoke(device.device)
        device = home.register.find(device.device)
    print(json.dumps(_as_json(device)) if as_json else f"{device.name} ({device.device}) is revoked")


def device_rotate(who: str, port: str | None, *, new_key: bool, state: Path | None, yes: bool, as_json: bool) -> None:
    """The command."""
    from host_tools.bringup import provision as work

    with Home(state) as home:
        device = home.register.find(who)
        if new_key:
            _agree(yes, f"Give {device.name} a new identity? What it has not sent yet is lost.", "nothing was changed")
        port = port or ports.find()
        ports.check(port)
        done = work.rotate(port, device, home, new_key=new_key, say=lambda words: print(words, file=sys.stderr))
    if as_json:
        print(json.dumps(done))
        return
    print(f"{done['name']} is device {done['device']}; its certificate ends on {_day(done['certificate_end_ms'])}")


def _wifi_key(ssid: str | None, file: Path | None, open_wifi: bool) -> str | None:
    """The network's key: from a file, VIGIL_WIFI_KEY or a person; None: an open network, or no network is named."""
    if file is not None and open_wifi:
        raise UserError("an open network has no key", "leave out --open-wifi or --wifi-key-file")
    if file is not None:
        try:
            lines = file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise UserError(f"cannot read the key of the network from `{file}`", str(e)) from None
        if not lines or not lines[0]:
            raise UserError(f"`{file}` is empty", "its first line is the network's key")
        return lines[0]
    if ssid is None or open_wifi:
        return None
    key = os.environ.get("VIGIL_WIFI_KEY")
    if key is None and sys.stdin.isatty():
        key = getpass.getpass(f"key of the network {ssid}: ")
    if not key:
        raise UserError(
            f"the key of the network `{ssid}` is not given", "VIGIL_WIFI_KEY, --wifi-key-file or --open-wifi"
        )
    return key


def _agree(yes: bool, question: str, otherwise: str) -> None:
    if not yes and not (sys.stdin.isatty() and _yes(question)):
        raise UserError(otherwise, "say --yes to mean it")


def _yes(question: str) -> bool:
    import typer

    return typer.confirm(question)


def _print_test(lines) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("self-test", "", "")
    for line in lines:
        table.add_row(line.what, f"[{_COLOURS[line.result]}]{line.result}[/]", line.found)
    Console().print(table)


def _as_json(device: Device) -> dict:
    return asdict(device) | {"public_key": device.public_key.hex()}


def _day(time_ms: int) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(time_ms / 1000))


def _end(device: Device) -> str:
    if device.certificate_end_ms is None:
        return "none yet"
    days = (device.certificate_end_ms / 1000 - time.time()) // 86400
    note = " (ended: vigil device rotate)" if days < 0 else f" (in {days:.0f} days: rotate it)" if days < 60 else ""
    return _day(device.certificate_end_ms) + note


def _ago(time_ms: int | None) -> str:
    if time_ms is None:
        return "never"
    past_s = max(0.0, time.time() - time_ms / 1000)
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60)):
        if past_s >= 2 * seconds:
            return f"{past_s // seconds:.0f} {unit} ago"
    return f"{past_s:.0f} s ago"
