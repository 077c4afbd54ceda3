"""`vigil convert`, `plot`, `record` and `data`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from host_tools import options
from host_tools.errors import UserError

app = typer.Typer()


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="WFDB, EDF+, BDF+, csv or npz")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="NAME.hea, .edf, .bdf, .csv or .npz")],
    fs: options.Fs = None,
    column: options.Columns = None,
    unit: options.Units = None,
    force: Annotated[bool, typer.Option("--force", help="write over what is there")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Copy a recording into another format, bit for bit where that can hold it; what is lost is said."""
    from host_tools import recordings
    from host_tools.recordings import roles, signals

    chosen = signals.options(fs, column, unit)
    if target.exists() and not force:
        raise UserError(f"`{target}` is there already", "--force writes over it")
    file = recordings.read(source, chosen)
    roles.rename(file, chosen)
    lost = recordings.write(file, target)
    if as_json:
        print(json.dumps({"file": str(target), "signals": [c.name for c in file.channels], "lost": lost}))
        return
    print(f"{target}: {file.named()}; {file.duration_s:.1f} s, {len(file.marks)} annotations")
    for sentence in lost or ["nothing is lost"]:
        print(f"not in the copy: {sentence}" if lost else sentence)


@app.command()
def plot(
    file: Annotated[Path, typer.Argument(help="any recording")],
    out: Annotated[Path | None, typer.Option(help="picture: .png, .svg or .pdf (FILE.png, without)")] = None,
    start: Annotated[float, typer.Option(help="seconds from the beginning", min=0)] = 0.0,
    seconds: Annotated[float, typer.Option(help="of the strip, at most 60")] = 10.0,
    reference: Annotated[Path | None, typer.Option(help="annotated beats to mark")] = None,
    engine: Annotated[str, typer.Option(help="micropython, micropython-bytecode or cpython")] = "micropython",
    fs: options.Fs = None,
    column: options.Columns = None,
    unit: options.Units = None,
    as_json: options.AsJson = False,
) -> None:
    """Draw a strip on ECG paper (25 mm/s, 10 mm/mV), light and motion below, with the beats that the firmware finds."""
    from host_tools import recordings
    from host_tools.recordings import plot as drawing
    from host_tools.recordings import signals
    from host_tools.recordings.reference import attach

    chosen = signals.options(fs, column, unit)
    recording = recordings.load(file, chosen)
    if reference is not None:
        attach(recording, reference, chosen)
    path = out or Path(f"{recording.name}.png")
    said = drawing.plot(recording, path, start, seconds, engine)
    if as_json:
        print(json.dumps({"file": str(path)} | said))
        return
    print(f"{path}: {len(said['beats_s'])} beats, {len(said['pulses_s'])} pulses; {', '.join(said['readings'])}")


@app.command()
def record(
    out: Annotated[Path, typer.Option(help="folder for WFDB, csv and the readings")],
    port: Annotated[
        str | None, typer.Option(help="a board: serial port, pty or socket://HOST:PORT; without: the gateway's store")
    ] = None,
    seconds: Annotated[int | None, typer.Option(help="of a board (60); of the gateway: the newest only", min=1)] = None,
    device: Annotated[str | None, typer.Option(help="id of a device that the gateway knows (all, without)")] = None,
    state: options.State = None,
    as_json: options.AsJson = False,
) -> None:
    """Keep raw samples and derived readings: of a board on a port, or of what devices have sent to the gateway."""
    from host_tools.recordings import capture

    if port is not None and (device is not None or state is not None):
        raise UserError("--port is a board by itself", "leave out --device and --state")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UserError(f"cannot write to `{out}`", e.strerror or "") from e
    if port is not None:
        found = {"board": capture.from_board(port, seconds or 60)}
    else:
        from host_tools import paths
        from host_tools.ingest.gateway import CONFIG_NAME, Config
        from host_tools.ingest.store import Store

        with Store(Config.read((state or paths.gateway_dir()) / CONFIG_NAME).store) as store:
            found = capture.from_store(store, device, seconds)
    for name, one in found.items():
        files = capture.write(one, out, name)
        told = {source: round(s.duration_s, 1) for source, s in one.signals.items()}
        if as_json:
            said = {"files": [str(f) for f in files], "seconds": told, "lost_samples": one.lost}
            print(json.dumps(said | {"readings": len(one.readings)}))
            continue
        lost = sum(one.lost.values())
        length = ", ".join(f"{source} {s:g} s" for source, s in told.items())
        print(f"{name}: {length}; {len(one.readings)} readings" + (f"; {lost} samples lost" if lost else ""))
        for file in files:
            print(f"  {file}")


@app.command()
def data(as_json: options.AsJson = False) -> None:
    """Which recordings are known, which are here, and how to get the others."""
    from host_tools.datasets import data_sets, table

    sets = data_sets()
    if as_json:
        print(json.dumps(sets, indent=1))
    else:
        from rich.console import Console

        Console().print(table(sets))
