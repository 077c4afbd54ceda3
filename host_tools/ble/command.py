"""`vigil ble`: what a computer's own radio can do with a device, and with any standard monitor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict
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
    before = store.counts()
    last = [time.monotonic()]

    def log(name: str, **_fields: Any) -> None:
        if name in ("committed", "rejected"):
            last[0] = time.monotonic()

    with _gateway(source, store, log) as worker:
        while worker.is_alive() and time.monotonic() - last[0] < quiet_s:
            time.sleep(0.1)
    return {name: n - before.get(name, 0) for name, n in store.counts().items()}


@contextlib.contextmanager
def _gateway(source: Any, store: Any, log: Callable[..., None]) -> Iterator[threading.Thread]:
    """A gateway of `source` into `store`, in a thread of its own for as long as the context lasts."""
    from host_tools.ingest.gateway import Gateway

    stop = threading.Event()
    worker = threading.Thread(target=Gateway(store, source, log).run, args=(stop,))
    worker.start()
    try:
        yield worker
    finally:
        stop.set()
        worker.join()


@app.command("update")
def update(
    address: _Address,
    file: Annotated[Path, typer.Argument(help="a release that `vigil release sign` has made")],
    minutes: Annotated[float, typer.Option(help="how long it may take, the trial with it", min=0.1)] = 40.0,
    state: _State = None,
    as_json: _AsJson = False,
) -> None:
    """Install a release on a paired device, and stay until it has tried it; what it sends meanwhile is stored."""
    need_bleak()
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

        ended = install(lambda told: BleSource([address], on_event=told), home, made, say, 60 * minutes)
    if as_json:
        print(json.dumps(asdict(ended)))
    else:
        print(f"{ended.device} runs release {ended.number} ({ended.version})")


def install(make_source: Callable[..., Any], home: Any, made: Any, say: Callable[[Any], None], limit_s: float) -> Any:
    """Offer release `made` to the device that `make_source(on_event)` connects with; return its push once confirmed.

    say(push) is told how it goes. Raises UserError when the device refuses it or rolls it back, is not registered, is
    another board, or has not come to an end in limit_s.
    """
    from host_tools.updates.rollout import OPEN, Pushes

    connected: queue.SimpleQueue[str] = queue.SimpleQueue()
    failed = [""]

    def told(name: str, **fields: Any) -> None:
        if name == "connected":
            connected.put(fields["device"])
        failed[0] = fields.get("reason") or failed[0]

    pushes = Pushes(home.store)
    device = None
    until_s = time.monotonic() + limit_s
    with _gateway(make_source(told), home.store, lambda name, **fields: None) as worker:
        while worker.is_alive() and time.monotonic() < until_s:
            if device is None:
                with contextlib.suppress(queue.Empty):
                    device = home.register.find(connected.get(timeout=0.1))
                    if not pushes.push(made, [device]):
                        hint = f"it is a {device.board or 'device'}, {device.state}; this is for {made.manifest.model}"
                        raise UserError(f"{device.name} cannot take this release", hint)
                continue
            push = next(push for push in pushes.all() if push.device == device.device)
            say(push)
            if push.state == "confirmed":
                return push
            if push.state not in OPEN:
                raise UserError(
                    f"{device.name}: release {push.number} is {push.state}: {push.why}", "see docs/updates.md"
                )
            time.sleep(0.1)
    if device is None:
        raise UserError(f"no connection: {failed[0] or 'not in reach'}", "is it paired (vigil ble pair)?")
    raise UserError(f"{device.name} has not come to an end", "the same command goes on where this one stopped")


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
