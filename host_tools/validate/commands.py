"""`vigil validate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from host_tools import options

app = typer.Typer()


@app.command()
def validate(
    part: Annotated[
        str,
        typer.Argument(help="ecg, rhythm, beat_class, ppg, motion, spo2, resp, waveform or fixed-point (default: all)"),
    ] = "all",
    recording: Annotated[Path | None, typer.Option(help="one of your own: WFDB, EDF+, BDF+, csv or npz")] = None,
    reference: Annotated[Path | None, typer.Option(help="its annotated beats, or rates over time")] = None,
    fs: options.Fs = None,
    column: options.Columns = None,
    unit: options.Units = None,
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
    as_json: options.AsJson = False,
    jobs: Annotated[int | None, typer.Option(help="processes (default: one a core)", min=1)] = None,
) -> None:
    """Measure accuracy on every recording that is here, or on one of your own; JSON and one HTML page."""
    from host_tools.recordings import signals
    from host_tools.validate import terminal
    from host_tools.validate.parts import Options

    names = tuple(name for name in records.replace(" ", ",").split(",") if name)
    chosen = Options(engine, names, peers, noise)
    out_to = {"out": out, "as_json": as_json, "jobs": jobs, "anew": anew}
    own = {"recording": recording, "reference": reference, "columns": signals.options(fs, column, unit)}
    document = terminal.validate(part, chosen, against=compare, **own, **out_to)
    missed = terminal.missed(document) if fail_under else []
    for sentence in missed:
        print(f"missed: {sentence}", file=sys.stderr)
    raise typer.Exit(terminal.MISSED if missed else 0)
