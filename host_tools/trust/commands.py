"""`vigil verify`, and `vigil device`: whose envelopes are believed."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from host_tools import options
from host_tools.errors import UserError

if TYPE_CHECKING:
    from host_tools.trust.registry import Device

app = typer.Typer()
_device = typer.Typer(no_args_is_help=True, help="The devices that the gateway knows.")
app.add_typer(_device, name="device")
_Who = Annotated[str, typer.Argument(help="name, id, or the beginning of an id")]


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="one sealed envelope, or several back to back")] = None,
    key: Annotated[Path | None, typer.Option(help="the device's public key: 32 bytes, or 64 hex digits")] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="state folder: its store knows the keys (and all that it holds is verified without FILE)"),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Say whether sealed envelopes are what a device signed, and show their readings."""
    from host_tools.trust.verify_file import verify_file, verify_state

    if file is not None and (key is None) == (state is None):
        raise UserError("a file needs --key or --state", "the device's public key, or the folder whose store knows it")
    if file is None and state is None:
        raise UserError("there is nothing to verify", "e.g. vigil verify envelope.cose --key device.pub")
    if file is not None:
        results = verify_file(file, key=key, state=state)
    else:
        assert state is not None
        results = verify_state(state)
    bad = 0
    for result in results:
        bad += not result.good
        print(json.dumps(result.as_json()) if as_json else result.as_text())
    raise typer.Exit(1 if bad else 0)


@_device.command("list")
def device_list(state: options.State = None, as_json: options.AsJson = False) -> None:
    """Every device: id, name, state, when it was last heard, when its certificate ends."""
    from host_tools.trust.home import Home

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


@_device.command("show")
def device_show(who: _Who, state: options.State = None, as_json: options.AsJson = False) -> None:
    """Everything that is known of one device."""
    from host_tools.trust.home import Home

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
        "refused in TLS": _ago(device.refused_ms) if device.refused_ms else None,
        "envelopes": str(device.envelopes),
        "certificate": device.certificate,
        "certificate ends": _end(device),
    }
    for what, value in rows.items():
        if value:
            print(f"{what:17} {value}")


@_device.command("revoke")
def device_revoke(
    who: _Who, state: options.State = None, yes: options.Yes = False, as_json: options.AsJson = False
) -> None:
    """Hear and believe nothing more from a device, for ever; one that is connected is thrown out."""
    from host_tools.trust.home import Home

    with Home(state) as home:
        device = home.register.find(who)
        if device.state != "revoked":
            _agree(yes, f"Never hear {device.name} ({device.device}) again?", "nothing was revoked")
            home.register.revoke(device.device)
        device = home.register.find(device.device)
    print(json.dumps(_as_json(device)) if as_json else f"{device.name} ({device.device}) is revoked")


@_device.command("rotate")
def device_rotate(
    who: _Who,
    port: options.Port = None,
    key: Annotated[bool, typer.Option("--key", help="a new identity, too; unsent readings are lost")] = False,
    state: options.State = None,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Give a connected device a new certificate; the old one is refused from then on."""
    from host_tools.bringup import ports, provision
    from host_tools.trust.home import Home

    with Home(state) as home:
        device = home.register.find(who)
        if key:
            _agree(yes, f"Give {device.name} a new identity? What it has not sent yet is lost.", "nothing was changed")
        port = port or ports.find()
        ports.check(port)
        done = provision.rotate(port, device, home, new_key=key, say=lambda words: print(words, file=sys.stderr))
    print(json.dumps(done) if as_json else provision.in_words(done))


def _agree(yes: bool, question: str, otherwise: str) -> None:
    if not yes and not (sys.stdin.isatty() and typer.confirm(question)):
        raise UserError(otherwise, "say --yes to mean it")


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
