"""`vigil bench-board`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from host_tools.errors import UserError

app = typer.Typer()


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
