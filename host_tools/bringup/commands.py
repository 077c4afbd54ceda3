"""`vigil flash`, `provision` and `doctor`: from a bare board to a device that works."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from host_tools import options
from host_tools.errors import UserError

app = typer.Typer()
_COLOURS = {"good": "green", "warning": "yellow", "failed": "red"}


@app.command()
def flash(
    board: Annotated[str, typer.Option(help="a folder of boards/ with a board.toml")],
    firmware: Annotated[Path, typer.Option(help="MicroPython .bin for this board")],
    port: Annotated[str | None, typer.Option(help="the only one with a board on it, without")] = None,
    image: Annotated[Path | None, typer.Option(help="made by `vigil image`; made now, without")] = None,
    profile: Annotated[str | None, typer.Option(help="of the image that is made now")] = None,
    baud: Annotated[int, typer.Option(help="falls back to 115200", min=1200, max=4_000_000)] = 460800,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before writing")] = False,
    allow_unknown: Annotated[bool, typer.Option("--allow-unknown", help="trust a firmware of unknown hash")] = False,
    forget_identity: Annotated[bool, typer.Option("--forget-identity", help="erase key and settings, too")] = False,
    no_reset: Annotated[bool, typer.Option("--no-reset", help="the chip is in its loader already")] = False,
    no_stub: Annotated[bool, typer.Option("--no-stub", help="talk to the chip's ROM only (slow)")] = False,
) -> None:
    """Put MicroPython and Vigil on a board, verified; its identity stays unless it is to be forgotten."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from host_tools.board import load
    from host_tools.bringup import flash as command

    columns = (TextColumn("writing"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=1.0, visible=False)

        def ask(question: str) -> bool:
            progress.stop()
            agreed = typer.confirm(question)
            progress.start()
            return agreed

        done = command.flash(
            load(board),
            firmware,
            port,
            image_path=image,
            profile=profile,
            baud=baud,
            no_reset=no_reset,
            stub=not no_stub,
            allow_unknown=allow_unknown,
            forget_identity=forget_identity,
            ask=ask if sys.stdin.isatty() else None,
            agreed=yes,
            say=progress.console.print,
            on_progress=lambda share: progress.update(task, completed=share, visible=True),
        )
    slow = "" if done["baud"] == baud else f", at {done['baud']} baud because {baud} failed"
    print(f"written and verified: {len(done['regions'])} regions on {done['port']}{slow}")
    print("next: press the board's reset button if it does not start by itself")


@app.command()
def provision(
    port: options.Port = None,
    wifi_ssid: Annotated[
        str | None, typer.Option(help="network to join; its key is asked for, or VIGIL_WIFI_KEY")
    ] = None,
    wifi_key_file: Annotated[Path | None, typer.Option(help="file with the network's key in its first line")] = None,
    open_wifi: Annotated[bool, typer.Option("--open-wifi", help="the network has no key")] = False,
    host: Annotated[str | None, typer.Option(help="where the device finds the gateway (this machine, without)")] = None,
    port_number: Annotated[int | None, typer.Option(help="of the gateway's broker (8883)")] = None,
    name: Annotated[str | None, typer.Option(help="of the device, for people")] = None,
    leds: Annotated[str | None, typer.Option(help="normal or swapped: skips the question")] = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="a board without sensors is fine")] = False,
    bluetooth: Annotated[bool, typer.Option("--bluetooth", help="its link is Bluetooth instead of Wi-Fi")] = False,
    radio_burst: Annotated[int | None, typer.Option(help="batches a wake of the radio; 0: always on")] = None,
    state: options.State = None,
    as_json: options.AsJson = False,
) -> None:
    """Give a flashed board its certificate and settings, test it, and make it known to the gateway."""
    from host_tools.bringup import ports
    from host_tools.bringup import provision as work
    from host_tools.trust.home import PORT, Home

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
            ask=typer.confirm if sys.stdin.isatty() else None,
            say=lambda words: print(words, file=sys.stderr),
            on_test=lambda lines: None if as_json else _print_test(lines),
        )
    if as_json:
        print(json.dumps(done))
        return
    print(work.in_words(done))
    if bluetooth:
        print("it speaks by Bluetooth; next: press its button, then vigil ble scan")
        return
    print(f"it will look for the gateway at {done['host']}:{done['port']}; next: vigil gateway")


@app.command()
def doctor(port: options.Port = None, as_json: options.AsJson = False) -> None:
    """Say in plain words what is wrong with a connected board; nothing on it stays changed."""
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
            console.print(finding.sentence, markup=False, soft_wrap=True)
            if finding.hint:
                console.print(f"      hint: {finding.hint}", markup=False, soft_wrap=True)
    raise typer.Exit(1 if any(finding.level == "wrong" for finding in findings) else 0)


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
        from getpass import getpass

        key = getpass(f"key of the network {ssid}: ")
    if not key:
        raise UserError(
            f"the key of the network `{ssid}` is not given", "VIGIL_WIFI_KEY, --wifi-key-file or --open-wifi"
        )
    return key


def _print_test(lines) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("self-test", "", "")
    for line in lines:
        table.add_row(line.what, f"[{_COLOURS[line.result]}]{line.result}[/]", line.found)
    Console().print(table)
