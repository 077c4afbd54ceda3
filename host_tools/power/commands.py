"""`vigil power`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from host_tools import options

app = typer.Typer()


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
    as_json: options.AsJson = False,
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
