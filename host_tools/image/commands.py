"""`vigil image`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from host_tools import options

app = typer.Typer()


@app.command()
def image(
    board: Annotated[str, typer.Option(help="a folder of boards/ with a board.toml")],
    out: Annotated[Path, typer.Option(help="folder for what is made")],
    profile: Annotated[str | None, typer.Option(help="lean or full; the board's own without")] = None,
    merge: Annotated[Path | None, typer.Option(help="MicroPython .bin: make one flashable file of both")] = None,
    sensors: Annotated[str | None, typer.Option(help="a,b: carry these of board.toml; without: all that fit")] = None,
    as_json: options.AsJson = False,
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
