"""`vigil ble`: what a computer's own radio can do with a device, and with any standard monitor."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from host_tools import options

app = typer.Typer()
_ble = typer.Typer(no_args_is_help=True, help="Devices in reach of this computer's Bluetooth.")
app.add_typer(_ble, name="ble")
_Lines = Annotated[bool, typer.Option("--json", help="for machines: JSON, one object a line")]
_Address = Annotated[str, typer.Argument(help="as `vigil ble scan` shows it")]
_QUIET_S = 15.0  # without an envelope: the journal is empty (one is sealed each ten seconds)


@_ble.command("scan")
def scan(
    seconds: Annotated[float, typer.Option(help="how long to listen", min=0.1)] = 5.0,
    everything: Annotated[bool, typer.Option("--all", help="every advertiser, not health monitors alone")] = False,
    as_json: _Lines = False,
) -> None:
    """Which monitors advertise, Vigil's and others', the nearest first."""
    from host_tools.ble import visit

    visit.need_bleak()
    from host_tools.ble import link as ble_link

    found = visit.run(ble_link.scan(seconds, everything=everything))
    for one in found:
        if as_json:
            print(json.dumps({"address": one.address, "name": one.name, "rssi": one.rssi, "services": one.services}))
        else:
            print(f"{one.address}  {one.rssi:4d} dBm  {one.name or '-':16}  {' '.join(one.services)}")
    if not found and not as_json:
        print("no monitor advertises here: press its button, come nearer, or try --all")


@_ble.command("pair")
def pair(address: _Address) -> None:
    """Bond with a device whose button was pressed in the last minute; the system asks for the number it shows."""
    from host_tools.ble import visit

    visit.need_bleak()
    from host_tools.ble.link import BleLink

    async def go() -> str:
        async with BleLink(address, pair=True) as link:
            return link.device

    print(f"{address} is device {visit.run(go())}, bonded with this computer")


@_ble.command("inspect")
def inspect(
    address: _Address,
    seconds: Annotated[float, typer.Option(help="how long to listen", min=0.1)] = 10.0,
    as_json: _Lines = False,
) -> None:
    """Print every reading of any standard monitor: heart rate, oximeter, thermometer, battery."""
    from host_tools.ble import visit

    visit.need_bleak()
    visit.run(visit.listen(address, seconds, lambda what, value: _show(what, value, as_json)))


@_ble.command("watch")
def watch(address: _Address, as_json: _Lines = False) -> None:
    """Live heart rate and saturation of a device, until Ctrl-C."""
    from host_tools.ble import visit

    visit.need_bleak()
    with contextlib.suppress(KeyboardInterrupt):
        visit.run(visit.listen(address, None, lambda what, value: _show(what, value, as_json), ("2a37", "2a5f")))


@_ble.command("page")
def page(
    port: Annotated[int, typer.Option(help="on loopback; 0 takes a free one", min=0, max=65535)] = 8370,
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="show it in the browser")] = True,
) -> None:
    """A page for a browser with Bluetooth: heart rate, saturation and contact of any sensor, live. Until Ctrl-C."""
    import webbrowser

    from host_tools.ble import live_page

    with live_page.server(port) as server, contextlib.suppress(KeyboardInterrupt):
        where = f"http://127.0.0.1:{server.server_address[1]}/"
        print(f"{where}  (or open {live_page.PAGE})", flush=True)
        if open_it:
            webbrowser.open(where)
        server.serve_forever()


@_ble.command("drain")
def drain(
    address: _Address,
    state: options.State = None,
    quiet: Annotated[float, typer.Option(help="seconds without an envelope: it is empty", min=0.1)] = _QUIET_S,
    as_json: _Lines = False,
) -> None:
    """Take all that a device keeps into the gateway's store: verified, committed, acknowledged."""
    from host_tools.ble import visit

    visit.need_bleak()
    from host_tools.sources.ble import BleSource
    from host_tools.trust.home import Home

    with Home(state) as home:
        taken = visit.empty(lambda told: BleSource([address], on_event=told), home.store, quiet)
    if as_json:
        print(json.dumps(taken))
    else:
        print("verified {verified}, known before {duplicates}, rejected {rejected}".format(**taken))


@_ble.command("update")
def update(
    address: _Address,
    file: Annotated[Path, typer.Argument(help="a release that `vigil release sign` has made")],
    minutes: Annotated[float, typer.Option(help="how long it may take, the trial with it", min=0.1)] = 40.0,
    state: options.State = None,
    as_json: _Lines = False,
) -> None:
    """Install a release on a paired device, and stay until it has tried it; what it sends meanwhile is stored."""
    from host_tools.ble import visit

    visit.need_bleak()
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from host_tools.sources.ble import BleSource
    from host_tools.trust.home import Home
    from host_tools.updates import release

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Home(state) as home, Progress(*columns, transient=True, disable=as_json) as progress:
        made = release.read(file, home.signing.public("release"))
        task = progress.add_task("connecting", total=100)

        def say(push: Any) -> None:
            progress.update(task, description=push.state, completed=push.percent)

        ended = visit.install(lambda told: BleSource([address], on_event=told), home, made, say, 60 * minutes)
    if as_json:
        print(json.dumps(asdict(ended)))
    else:
        print(f"{ended.device} runs release {ended.number} ({ended.version})")


def _show(code: int, value: Any, as_json: bool) -> None:
    said = value.as_json() if hasattr(value, "as_json") else value
    if as_json:
        said = said if isinstance(said, dict) else {"value": str(said)}
        print(json.dumps({"characteristic": f"{code:04x}"} | said), flush=True)
    else:
        words = said.items() if isinstance(said, dict) else [("", said)]
        print(f"{code:04x}  " + "  ".join(f"{name} {word}".strip() for name, word in words), flush=True)
