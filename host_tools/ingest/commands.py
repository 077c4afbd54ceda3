"""`vigil gateway`, and `vigil waveform`: the ECG and light that devices send."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from host_tools import options
from host_tools.errors import UserError

if TYPE_CHECKING:
    from host_tools.ingest.orders import Order

app = typer.Typer()
_waveform = typer.Typer(no_args_is_help=True, help="ECG and light that devices have sent, or shall send.")
app.add_typer(_waveform, name="waveform")


@app.command()
def gateway(
    state: Annotated[Path | None, typer.Option(help="state folder that holds gateway.toml")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML: broker, store, ca, certificate, key")] = None,
    show: Annotated[
        bool | None, typer.Option("--show/--no-show", help="print readings (default: at a terminal)")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Verify, store and acknowledge envelopes from an MQTT broker until stopped (SIGTERM).

    Without --state and --config it is your own, which `vigil provision` has made, with a broker of its own.
    """
    from host_tools import paths
    from host_tools.ingest.gateway import CONFIG_NAME, Config, serve

    if state is None and config is None and (paths.gateway_dir() / CONFIG_NAME).exists():
        state = paths.gateway_dir()
    if (state is None) == (config is None):
        hint = "one of the two names its settings; without either it serves the devices that you have provisioned"
        raise UserError("the gateway needs --state or --config", hint)
    path = config or (state or Path()) / CONFIG_NAME
    readings = (sys.stdout.isatty() and not as_json) if show is None else show
    serve(Config.read(path), as_json=as_json, state=path.parent, show=readings)


_Device = Annotated[str, typer.Option(help="name or id of a device")]
_OneDevice = Annotated[str | None, typer.Option(help="id of one device (all, without)")]


@_waveform.command("list")
def waveform_list(state: options.State = None, device: _OneDevice = None, as_json: options.AsJson = False) -> None:
    """List the ECG and light that devices have sent."""
    _strips(state, device, None, "csv", as_json)


@_waveform.command("save")
def waveform_save(
    out: Annotated[Path, typer.Option(help="folder for the samples, a file a strip")],
    form: Annotated[str, typer.Option("--format", help="csv or wfdb")] = "csv",
    state: options.State = None,
    device: _OneDevice = None,
    as_json: options.AsJson = False,
) -> None:
    """Write the ECG and light that devices have sent, as csv or as WFDB records."""
    _strips(state, device, out, form, as_json)


def _strips(state: Path | None, device: str | None, out: Path | None, form: str, as_json: bool) -> None:
    from host_tools import paths
    from host_tools.ingest import strips
    from host_tools.ingest.gateway import CONFIG_NAME, Config
    from host_tools.ingest.store import Store

    with Store(Config.read((state or paths.gateway_dir()) / CONFIG_NAME).store) as store:
        for strip in strips.strips(store, device):
            written = str(strips.write(strip, out, form)) if out else ""
            start_ms = strip.pieces[0].t_start_ms + (strip.utc_offset_ms or 0)
            told = {"device": strip.device, "boot": strip.boot, "strip": strip.number, "why": strip.why}
            told |= {"source": strips.SOURCES.get(strip.source, strip.source), "start_ms": start_ms}
            told |= {"utc": strip.utc_offset_ms is not None, "seconds": strip.seconds, "file": written}
            if as_json:
                print(json.dumps(told))
            else:
                print(f"{strip.name}  {strip.seconds:6.1f} s  {strip.why}  {written}".rstrip())


@_waveform.command("start")
def waveform_start(
    device: _Device,
    seconds: Annotated[int, typer.Option(help="for so long, at most an hour", min=1)] = 60,
    state: options.State = None,
    as_json: options.AsJson = False,
) -> None:
    """Let a device send everything that it measures from now on, for so many seconds."""
    _order(device, seconds, state, as_json)


@_waveform.command("stop")
def waveform_stop(device: _Device, state: options.State = None, as_json: options.AsJson = False) -> None:
    """Let a device send readings alone again."""
    _order(device, 0, state, as_json)


@_waveform.command("status")
def waveform_status(device: _Device, state: options.State = None, as_json: options.AsJson = False) -> None:
    """Say whether a device has taken its last order."""
    from host_tools.ingest.orders import Orders
    from host_tools.trust.home import Home

    with Home(state) as home:
        known = home.register.find(device)
        order = Orders(home.store).get(known.device)
    if order is None:
        raise UserError(f"{known.name} was never given an order", "vigil waveform start --device NAME")
    _say(known.name, order, as_json)


def _order(who: str, seconds: int, state: Path | None, as_json: bool) -> None:
    """Order waveforms of a device for `seconds`, 0: no longer."""
    from host_tools.ingest.orders import Orders
    from host_tools.trust.home import Home

    with Home(state) as home:
        device = home.register.find(who)
        if device.state == "revoked":
            raise UserError(f"{device.name} is revoked", "nothing that it says is believed")
        if not home.signing.has("command"):
            raise UserError(f"there is no command key in `{home.signing.folder}`", "vigil provision makes it")
        order = Orders(home.store).stream(device.device, seconds, home.signing.private("command"))
    _say(device.name, order, as_json)


def _say(name: str, order: Order, as_json: bool) -> None:
    from host_tools.ingest.orders import OPEN

    if as_json:
        print(json.dumps(asdict(order)))
    elif order.state == OPEN:
        print(f"{name}: {order.what}; it hears that when the gateway next hears from it")
    else:
        print(f"{name}: {order.what}; {order.state}" + (f": {order.why}" if order.why else ""))
