"""`vigil ble`: what a computer's own radio can do with a device, and with any standard monitor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from host_tools.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Devices in reach of this computer's Bluetooth.")
_AsJson = Annotated[bool, typer.Option("--json", help="for machines: JSON, one object a line")]
_Address = Annotated[str, typer.Argument(help="as `vigil ble scan` shows it")]
_State = Annotated[Path | None, typer.Option(help="the gateway's folder; your own without")]
_QUIET_S = 15.0  # without an envelope: the journal is empty (one is sealed each ten seconds)
_NEED = "pip install 'vigil-monitor[ble]'"


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` in a loop; what Bluetooth says of failures becomes a sentence."""
    from bleak.exc import BleakError

    try:
        return asyncio.run(work)
    except (BleakError, OSError, TimeoutError) as e:
        words = str(e) or "no answer in time"
        hint = "is Bluetooth on, the device in reach, and paired (vigil ble pair)?"
        raise UserError(f"Bluetooth: {words}", hint) from e


def need_bleak() -> None:
    """Raise UserError where bleak is not installed."""
    try:
        import bleak  # noqa: F401
    except ImportError:
        raise UserError("this installation cannot use Bluetooth", _NEED) from None


@app.command("scan")
def scan(
    seconds: Annotated[float, typer.Option(help="how long to listen", min=0.1)] = 5.0,
    everything: Annotated[bool, typer.Option("--all", help="every advertiser, not health monitors alone")] = False,
    as_json: _AsJson = False,
) -> None:
    """Which monitors advertise, Vigil's and others', the nearest first."""
    need_bleak()
    from host_tools.ble import link as ble_link

    found = _run(ble_link.scan(seconds, everything=everything))
    for one in found:
        if as_json:
            print(json.dumps({"address": one.address, "name": one.name, "rssi": one.rssi, "services": one.services}))
        else:
            print(f"{one.address}  {one.rssi:4d} dBm  {one.name or '-':16}  {' '.join(one.services)}")
    if not found and not as_json:
        print("no monitor advertises here: press its button, come nearer, or try --all")


@app.command("pair")
def pair(address: _Address) -> None:
    """Bond with a device whose button was pressed in the last minute; the system asks for the number it shows."""
    need_bleak()
    from host_tools.ble.link import BleLink

    async def go() -> str:
        async with BleLink(address, pair=True) as link:
            return link.device

    print(f"{address} is device {_run(go())}, bonded with this computer")


@app.command("inspect")
def inspect(
    address: _Address,
    seconds: Annotated[float, typer.Option(help="how long to listen", min=0.1)] = 10.0,
    as_json: _AsJson = False,
) -> None:
    """Print every reading of any standard monitor: heart rate, oximeter, thermometer, battery."""
    need_bleak()
    _run(listen(address, seconds, lambda what, value: _show(what, value, as_json)))


@app.command("watch")
def watch(address: _Address, as_json: _AsJson = False) -> None:
    """Live heart rate and saturation of a device, until Ctrl-C."""
    need_bleak()
    with contextlib.suppress(KeyboardInterrupt):
        _run(listen(address, None, lambda what, value: _show(what, value, as_json), ("2a37", "2a5f")))


@app.command("drain")
def drain(
    address: _Address,
    state: _State = None,
    quiet: Annotated[float, typer.Option(help="seconds without an envelope: it is empty", min=0.1)] = _QUIET_S,
    as_json: _AsJson = False,
) -> None:
    """Take all that a device keeps into the gateway's store: verified, committed, acknowledged."""
    need_bleak()
    from host_tools.sources.ble import BleSource
    from host_tools.trust.home import Home

    with Home(state) as home:
        events: list[dict] = []
        source = BleSource([address], on_event=lambda name, **fields: events.append({"event": name} | fields))
        taken = empty(source, home.store, quiet)
    if not taken["verified"] + taken["duplicates"] + taken["rejected"] and not any(
        event["event"] == "connected" for event in events
    ):
        reason = next((event.get("reason") for event in reversed(events)), "")
        raise UserError(f"no connection to {address}: {reason}", "in reach, and paired (vigil ble pair)?")
    if as_json:
        print(json.dumps(taken))
    else:
        print("verified {verified}, known before {duplicates}, rejected {rejected}".format(**taken))


def empty(source: Any, store: Any, quiet_s: float) -> dict[str, int]:
    """Serve `source` into `store` until nothing has come for quiet_s; return what was verified and so on."""
    from host_tools.ingest.gateway import Gateway

    before = store.counts()
    last = [time.monotonic()]

    def log(name: str, **_fields: Any) -> None:
        if name in ("committed", "rejected"):
            last[0] = time.monotonic()

    stop = threading.Event()
    worker = threading.Thread(target=Gateway(store, source, log).run, args=(stop,))
    worker.start()
    try:
        while worker.is_alive() and time.monotonic() - last[0] < quiet_s:
            time.sleep(0.1)
    finally:
        stop.set()
        worker.join()
    return {name: n - before.get(name, 0) for name, n in store.counts().items()}


async def listen(where: Any, seconds: float | None, say: Any, only: tuple[str, ...] = (), backend: Any = None) -> None:
    """Call say(what, value) for each value of the standard services of the monitor at `where`, decoded.

    seconds: for how long, None: until the connection ends. only: short UUIDs.
    """
    from bleak import BleakClient

    from host_tools.ble import gatt
    from host_tools.ble.link import short

    gone = asyncio.Event()
    options = {"backend": backend} if backend else {}

    def tell(code: int, data: bytes) -> None:
        try:
            say(code, gatt.DECODERS[code](data))
        except ValueError as e:
            say(code, {"malformed": str(e)})

    async with BleakClient(where, lambda _client: gone.set(), **options) as client:
        for service in client.services:
            for characteristic in service.characteristics:
                name = short(characteristic.uuid)
                code = int(name, 16) if len(name) == 4 else 0
                if code not in gatt.DECODERS or (only and name not in only):
                    continue
                if "read" in characteristic.properties:
                    with contextlib.suppress(Exception):  # it may ask for a bond; the others do not
                        tell(code, bytes(await client.read_gatt_char(characteristic)))
                if {"notify", "indicate"} & set(characteristic.properties):
                    await client.start_notify(characteristic, lambda _sender, data, c=code: tell(c, bytes(data)))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), seconds)


def _show(code: int, value: Any, as_json: bool) -> None:
    said = value.as_json() if hasattr(value, "as_json") else value
    if as_json:
        said = said if isinstance(said, dict) else {"value": str(said)}
        print(json.dumps({"characteristic": f"{code:04x}"} | said), flush=True)
    else:
        words = said.items() if isinstance(said, dict) else [("", said)]
        print(f"{code:04x}  " + "  ".join(f"{name} {word}".strip() for name, word in words), flush=True)
