"""Options of the command line that several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="for machines: JSON")]
State = Annotated[Path | None, typer.Option(help="folder of the gateway (your own, without)")]
Port = Annotated[str | None, typer.Option(help="serial port, pty or socket://HOST:PORT; the only board's, without")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]

# what a recording does not say of itself
Fs = Annotated[float | None, typer.Option("--fs", help="sample rate in Hz, where the file does not say it")]
Columns = Annotated[list[str] | None, typer.Option("--column", help="ROLE=NAME or number, e.g. ecg=Lead_II; again")]
Units = Annotated[list[str] | None, typer.Option("--unit", help="ROLE=UNIT, e.g. ecg=uV or t=ms; again")]
