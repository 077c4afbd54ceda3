"""The command `vigil`. Each command imports what it needs when it runs, so that `vigil --help` is quick."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from host_tools.ble.command import app as ble
from host_tools.errors import UserError
from host_tools.recordings import command as recordings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Vigil: an open wearable vital-signs monitor.",
)

app.add_typer(ble, name="ble")
recordings.add_to(app)

_AsJson = Annotated[bool, typer.Option("--json", help="for machines: JSON, no table")]


@app.command()
def run(
    recording: Annotated[Path | None, typer.Option(help="any recording; a synthetic wearer without")] = None,
    fs: recordings.Fs = None,
    column: recordings.Columns = None,
    unit: recordings.Units = None,
    speed: Annotated[float, typer.Option(help="device seconds a second, at most")] = 1.0,
    duration: Annotated[float | None, typer.Option(help="device seconds (60, or the recording's length)")] = None,
    as_json: _AsJson = False,
    state: Annotated[Path | None, typer.Option(help="folder to keep everything in (a temporary one without)")] = None,
    seed: Annotated[int, typer.Option(help="of the synthetic wearer")] = 1,
    engine: Annotated[str, typer.Option(help="viper or bytecode")] = "viper",
    ecg: Annotated[str, typer.Option(help="ECG front end: max30003 or ad8232")] = "max30003",
    profile: Annotated[str, typer.Option(help="full, or lean: what a plain ESP32 carries, in its memory")] = "full",
    without: Annotated[str | None, typer.Option(help="leave a part off the board: max30102, or the ECG's")] = None,
    port: Annotated[int, typer.Option(help="of the broker on loopback; 0 takes a free one", min=0, max=65535)] = 0,
) -> None:
    """Wear a virtual device: broker, gateway and firmware on this machine, then one summary line of JSON."""
    from host_tools.recordings.signals import options
    from host_tools.virtual import run as command

    raise typer.Exit(
        command.run(
            recording=recording,
            columns=options(fs, column, unit),
            speed=speed,
            duration_s=duration,
            as_json=as_json,
            state=state,
            seed=seed,
            engine=engine,
            port=port,
            ecg=ecg,
            profile=profile,
            without=without,
        )
    )


@app.command()
def gateway(
    state: Annotated[Path | None, typer.Option(help="state folder that holds gateway.toml")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML: broker, store, ca, certificate, key")] = None,
    show: Annotated[
        bool | None, typer.Option("--show/--no-show", help="print readings (default: at a terminal)")
    ] = None,
    as_json: _AsJson = False,
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


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="one sealed envelope, or several back to back")] = None,
    key: Annotated[Path | None, typer.Option(help="the device's public key: 32 bytes, or 64 hex digits")] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="state folder: its store knows the keys (and all that it holds is verified without FILE)"),
    ] = None,
    as_json: _AsJson = False,
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


@app.command()
def data(as_json: _AsJson = False) -> None:
    """Which recordings are known, which are here, and how to get the others."""
    from host_tools.datasets import data_sets, table

    sets = data_sets()
    if as_json:
        print(json.dumps(sets, indent=1))
    else:
        from rich.console import Console

        Console().print(table(sets))


@app.command()
def waveforms(
    state: Annotated[Path | None, typer.Option(help="folder of the gateway (your own, without)")] = None,
    device: Annotated[str | None, typer.Option(help="id of one device (all, without)")] = None,
    out: Annotated[Path | None, typer.Option(help="write the samples into this folder")] = None,
    form: Annotated[str, typer.Option("--format", help="csv or wfdb")] = "csv",
    as_json: _AsJson = False,
) -> None:
    """List the ECG and light that devices have sent around events, and write them as csv or WFDB records."""
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


waveform = typer.Typer(no_args_is_help=True, help="Ask a device for its ECG and light, by signed order.")
app.add_typer(waveform, name="waveform")


@waveform.command("start")
def waveform_start(
    device: Annotated[str, typer.Option(help="name or id of a device")],
    seconds: Annotated[int, typer.Option(help="for so long, at most an hour", min=1)] = 60,
    state: Annotated[Path | None, typer.Option(help="folder of the gateway (your own, without)")] = None,
    as_json: _AsJson = False,
) -> None:
    """Let a device send everything that it measures from now on, for so many seconds."""
    from host_tools.ingest.order_command import stream

    stream(device, seconds, state, as_json=as_json)


@waveform.command("stop")
def waveform_stop(
    device: Annotated[str, typer.Option(help="name or id of a device")],
    state: Annotated[Path | None, typer.Option(help="folder of the gateway (your own, without)")] = None,
    as_json: _AsJson = False,
) -> None:
    """Let a device send readings alone again."""
    from host_tools.ingest.order_command import stream

    stream(device, 0, state, as_json=as_json)


@waveform.command("status")
def waveform_status(
    device: Annotated[str, typer.Option(help="name or id of a device")],
    state: Annotated[Path | None, typer.Option(help="folder of the gateway (your own, without)")] = None,
    as_json: _AsJson = False,
) -> None:
    """Say whether a device has taken its last order."""
    from host_tools.ingest.order_command import status

    status(device, state, as_json=as_json)


@app.command()
def power(
    board: Annotated[str, typer.Option(help="a folder of boards/ with a board.toml")],
    profile: Annotated[str | None, typer.Option(help="lean or full; the board's own without")] = None,
    battery: Annotated[float, typer.Option(help="rated charge of the cell, mAh", min=1)] = 500,
    batch: Annotated[float | None, typer.Option(help="seconds of a batch (10)")] = None,
    burst: Annotated[int | None, typer.Option(help="batches a radio wake; 0: the radio stays on (default)")] = None,
    light_sleep: Annotated[bool, typer.Option("--light-sleep", help="asleep between FIFO reads")] = False,
    slow_clock: Annotated[bool, typer.Option("--slow-clock", help="the processor at 80 MHz")] = False,
    ecg: Annotated[str | None, typer.Option(help="max30003, ad8232 or none; the board's without")] = None,
    accelerometer: Annotated[bool | None, typer.Option("--accelerometer/--no-accelerometer")] = None,
    led_ma: Annotated[float | None, typer.Option(help="of each LED (7.2)")] = None,
    width_us: Annotated[int | None, typer.Option(help="LED pulses: 69, 118, 215 or 411")] = None,
    rate: Annotated[int | None, typer.Option(help="conversions a second (400, averaged by four)")] = None,
    regulator: Annotated[str | None, typer.Option(help="devkit or wearable")] = None,
    bench: Annotated[Path | None, typer.Option(help="what `vigil bench-board --json` wrote")] = None,
    sources: Annotated[bool, typer.Option("--sources", help="every figure and where it is from")] = False,
    as_json: _AsJson = False,
) -> None:
    """How long a battery lasts, where its charge goes, and what to change first."""
    from dataclasses import replace

    from host_tools.power import model

    given = {
        "batch_s": batch,
        "burst": burst,
        "ecg": ecg,
        "accelerometer": accelerometer,
        "led_ma": led_ma,
        "width_us": width_us,
        "rate_hz": rate,
        "regulator": regulator,
        "light_sleep": light_sleep or None,
        "slow_clock": slow_clock or None,
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if bench:
        chosen |= model.measured(bench)
    settings = replace(model.of_board(board, profile), **chosen)
    if as_json:
        print(json.dumps(model.as_json(settings, battery)))
        return
    from rich.console import Console

    from host_tools.power.table import show

    show(Console(), board, settings, battery, sources=sources)


@app.command()
def image(
    board: Annotated[str, typer.Option(help="a folder of boards/ with a board.toml")],
    out: Annotated[Path, typer.Option(help="folder for what is made")],
    profile: Annotated[str | None, typer.Option(help="lean or full; the board's own without")] = None,
    merge: Annotated[Path | None, typer.Option(help="MicroPython .bin: make one flashable file of both")] = None,
    sensors: Annotated[str | None, typer.Option(help="a,b: carry these of board.toml; without: all that fit")] = None,
    as_json: _AsJson = False,
) -> None:
    """Compile the firmware for a board into a file system image, with its manifest and bill of materials."""
    from host_tools.image import image as command

    made = command.write(board, out, profile, merge, sensors.split(",") if sensors else None)
    said = json.loads(made["manifest"].read_text())
    if as_json:
        print(json.dumps({what: str(path) for what, path in made.items()} | {"mpy_bytes": said["mpy_bytes"]}))
        return
    for what, path in made.items():
        print(f"{what}: {path}")
    print(f"{len(said['files'])} files, {said['file_bytes']} bytes, of which .mpy {said['mpy_bytes']}")
    if said["profile"] == "lean" and said["mpy_bytes"] > command.LEAN_MPY_BYTES:
        print(f"over the budget of the lean profile: {command.LEAN_MPY_BYTES} bytes of .mpy")
    for line in command.room(board, said):
        print(line)


@app.command("bench-board")
def bench_board(
    port: Annotated[str, typer.Option(help="a serial port, a pty, or socket://HOST:PORT")],
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures here, too")] = None,
    ledger: Annotated[Path | None, typer.Option(help="add them to this ledger, e.g. docs/performance.json")] = None,
) -> None:
    """Time each stage on a board that runs MicroPython, against the budgets; nothing is written to the board."""
    from rich.console import Console

    from host_tools.bench import board as command

    console = Console()
    with console.status("compiling for the board"):
        said = command.bench_board(port, lambda stage: console.log(stage.get("module") or stage["stage"]))
    console.print(command.table(said))
    if json_file is not None:
        try:
            json_file.write_text(json.dumps(said, indent=1) + "\n")
        except OSError as e:
            raise UserError(f"cannot write `{json_file}`", e.strerror or "") from None
    if ledger is not None:
        from host_tools.bench.ledger import add_board

        console.print(f"in {ledger} as {add_board(said, ledger)}", highlight=False)
    for line in said["wrong"]:
        console.print(f"[red]{line}")
    raise typer.Exit(1 if said["wrong"] else 0)


@app.command()
def validate(
    part: Annotated[
        str,
        typer.Argument(help="ecg, rhythm, beat_class, ppg, motion, spo2, resp, waveform or fixed-point (default: all)"),
    ] = "all",
    recording: Annotated[Path | None, typer.Option(help="one of your own: WFDB, EDF+, BDF+, csv or npz")] = None,
    reference: Annotated[Path | None, typer.Option(help="its annotated beats, or rates over time")] = None,
    fs: recordings.Fs = None,
    column: recordings.Columns = None,
    unit: recordings.Units = None,
    engine: Annotated[
        str, typer.Option(help="micropython, micropython-bytecode, cpython; ecg: mirror")
    ] = "micropython",
    records: Annotated[str, typer.Option(help="of the part's data set, e.g. 101,118 (default: all)")] = "",
    peers: Annotated[
        bool | None, typer.Option("--peers/--no-peers", help="open software beside (default: any)")
    ] = None,
    noise: Annotated[bool | None, typer.Option("--noise/--no-noise", help="ecg: stress test too (default)")] = None,
    compare: Annotated[Path | None, typer.Option(help="earlier JSON (default: what --out has)")] = None,
    fail_under: Annotated[bool, typer.Option("--fail-under", help="exit 1 when a target is missed")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="measure again what an earlier run has measured")] = False,
    out: Annotated[Path, typer.Option(help="folder for the report")] = Path("vigil-report"),
    as_json: _AsJson = False,
    jobs: Annotated[int | None, typer.Option(help="processes (default: one a core)", min=1)] = None,
) -> None:
    """Measure accuracy on every recording that is here, or on one of your own; JSON and one HTML page."""
    from host_tools.validate import command
    from host_tools.validate.parts import Options

    names = tuple(name for name in records.replace(" ", ",").split(",") if name)
    chosen = Options(engine, names, peers, noise)
    out_to = {"out": out, "as_json": as_json, "jobs": jobs, "anew": anew}
    from host_tools.recordings.signals import options

    own = {"recording": recording, "reference": reference, "columns": options(fs, column, unit)}
    document = command.validate(part, chosen, against=compare, **own, **out_to)
    missed = command.missed(document) if fail_under else []
    for sentence in missed:
        print(f"missed: {sentence}", file=sys.stderr)
    raise typer.Exit(command.MISSED if missed else 0)


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


_Port = Annotated[str | None, typer.Option(help="serial port, pty or socket://HOST:PORT; the only board's, without")]
_State = Annotated[Path | None, typer.Option(help="folder of the gateway (your own, without)")]


@app.command()
def provision(
    port: _Port = None,
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
    state: _State = None,
    as_json: _AsJson = False,
) -> None:
    """Give a flashed board its certificate and settings, test it, and make it known to the gateway."""
    from host_tools.bringup import commands

    commands.provision(
        port=port,
        wifi_ssid=wifi_ssid,
        wifi_key_file=wifi_key_file,
        open_wifi=open_wifi,
        host=host,
        port_number=port_number,
        name=name,
        leds=leds,
        allow_missing=allow_missing,
        bluetooth=bluetooth,
        radio_burst=radio_burst,
        state=state,
        as_json=as_json,
    )


@app.command()
def doctor(port: _Port = None, as_json: _AsJson = False) -> None:
    """Say in plain words what is wrong with a connected board; nothing on it stays changed."""
    from host_tools.bringup import commands

    raise typer.Exit(commands.doctor(port, as_json=as_json))


device = typer.Typer(no_args_is_help=True, help="The devices that the gateway knows.")
app.add_typer(device, name="device")
_Who = Annotated[str, typer.Argument(help="name, id, or the beginning of an id")]


@device.command("list")
def device_list(state: _State = None, as_json: _AsJson = False) -> None:
    """Every device: id, name, state, when it was last heard, when its certificate ends."""
    from host_tools.bringup import commands

    commands.device_list(state, as_json=as_json)


@device.command("show")
def device_show(who: _Who, state: _State = None, as_json: _AsJson = False) -> None:
    """Everything that is known of one device."""
    from host_tools.bringup import commands

    commands.device_show(who, state, as_json=as_json)


@device.command("revoke")
def device_revoke(
    who: _Who,
    state: _State = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: _AsJson = False,
) -> None:
    """Hear and believe nothing more from a device, for ever; one that is connected is thrown out."""
    from host_tools.bringup import commands

    commands.device_revoke(who, state, yes=yes, as_json=as_json)


@device.command("rotate")
def device_rotate(
    who: _Who,
    port: _Port = None,
    key: Annotated[bool, typer.Option("--key", help="a new identity, too; unsent readings are lost")] = False,
    state: _State = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: _AsJson = False,
) -> None:
    """Give a connected device a new certificate; the old one is refused from then on."""
    from host_tools.bringup import commands

    commands.device_rotate(who, port, new_key=key, state=state, yes=yes, as_json=as_json)


release = typer.Typer(no_args_is_help=True, help="New firmware for devices in the field: signed, offered, followed.")
app.add_typer(release, name="release")


@release.command("sign")
def release_sign(
    out: Annotated[Path, typer.Option(help="file for the release")],
    image: Annotated[Path | None, typer.Option(help="the .littlefs file that `vigil image` has made")] = None,
    micropython: Annotated[Path | None, typer.Option(help="instead: an application image of MicroPython")] = None,
    board: Annotated[str | None, typer.Option(help="for which board that one is")] = None,
    number: Annotated[int | None, typer.Option(help="above all before (minutes since 1970, without)")] = None,
    name: Annotated[str | None, typer.Option("--version", help="for people (the image's own, without)")] = None,
    expires: Annotated[int | None, typer.Option(help="days in which a device may take it (for ever, without)")] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="it brings devices your next release key")] = False,
    as_json: _AsJson = False,
) -> None:
    """Make a release of an image, or of MicroPython itself, signed with your release key."""
    from host_tools.updates import commands

    made_of = commands.material(image, micropython, board)
    commands.sign(made_of, out, number=number, version=name, expires_days=expires, rotate=rotate, as_json=as_json)


@release.command("push")
def release_push(
    file: Annotated[Path, typer.Argument(help="a release that `vigil release sign` has made")],
    device: Annotated[str | None, typer.Option(help="name, id, or the beginning of an id")] = None,
    cohort: Annotated[str | None, typer.Option(help="a group of devices; `all`: every device")] = None,
    percent: Annotated[float, typer.Option(help="share of them; the same ones first each time")] = 100,
    state: _State = None,
    as_json: _AsJson = False,
) -> None:
    """Offer a release; each device fetches it from the running gateway, tries it, and stays or goes back."""
    from host_tools.updates import commands

    commands.push(file, device=device, cohort=cohort, percent=percent, state=state, as_json=as_json)


@release.command("status")
def release_status(state: _State = None, as_json: _AsJson = False) -> None:
    """How the newest update of each device stands: offered, fetching, trial, confirmed, rolled back or refused, why."""
    from host_tools.updates import commands

    commands.status(state, as_json=as_json)


@release.command("cohort")
def release_cohort(
    name: Annotated[str, typer.Argument(help="of the cohort")],
    add: Annotated[list[str] | None, typer.Option(help="a device; may be given again")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="a device; may be given again")] = None,
    state: _State = None,
    as_json: _AsJson = False,
) -> None:
    """Show a cohort, or change who is in it."""
    from host_tools.updates import commands

    commands.cohort(name, add or [], remove or [], state, as_json=as_json)


@release.command("rotate")
def release_rotate(
    state: _State = None,
    yes: Annotated[bool, typer.Option("--yes", help="also where devices have not confirmed")] = False,
) -> None:
    """Sign with the next release key from now on, once every device has confirmed a release that brings it."""
    from host_tools.updates import commands

    commands.rotate(state, yes=yes)


@app.command()
def version() -> None:
    """The version of Vigil."""
    from importlib.metadata import version as installed

    print(f"vigil {installed('vigil-monitor')}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. What the user can mend is one sentence and a hint on stderr, never a traceback."""
    try:
        app(arguments)
    except UserError as e:
        print(f"vigil: {e.sentence}", file=sys.stderr)
        if e.hint:
            print(f"  hint: {e.hint}", file=sys.stderr)
        sys.exit(e.code)
    except BrokenPipeError:  # the reader of our output has left
        sys.stderr.close()
        sys.exit(141)


if __name__ == "__main__":
    main()
