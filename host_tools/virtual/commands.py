"""`vigil run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from host_tools import options

app = typer.Typer()


@app.command()
def run(
    recording: Annotated[Path | None, typer.Option(help="any recording; a synthetic wearer without")] = None,
    fs: options.Fs = None,
    column: options.Columns = None,
    unit: options.Units = None,
    speed: Annotated[float, typer.Option(help="device seconds a second, at most")] = 1.0,
    duration: Annotated[float | None, typer.Option(help="device seconds (60, or the recording's length)")] = None,
    as_json: options.AsJson = False,
    state: Annotated[Path | None, typer.Option(help="folder to keep everything in (a temporary one without)")] = None,
    seed: Annotated[int, typer.Option(help="of the synthetic wearer")] = 1,
    engine: Annotated[str, typer.Option(help="viper or bytecode")] = "viper",
    ecg: Annotated[str, typer.Option(help="ECG front end: max30003 or ad8232")] = "max30003",
    profile: Annotated[str, typer.Option(help="full, or lean: what a plain ESP32 carries, in its memory")] = "full",
    without: Annotated[str | None, typer.Option(help="leave a part off the board: max30102, or the ECG's")] = None,
    port: Annotated[int, typer.Option(help="of the broker on loopback; 0 takes a free one", min=0, max=65535)] = 0,
) -> None:
    """Wear a virtual device: broker, gateway and firmware on this machine, then one summary line of JSON."""
    from host_tools.recordings import signals
    from host_tools.virtual import run as command

    raise typer.Exit(
        command.run(
            recording=recording,
            columns=signals.options(fs, column, unit),
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
