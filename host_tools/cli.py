"""The command `vigil`: what the packages declare in their `commands.py`, gathered.

A module of commands imports what its commands need when they run, so that `vigil --help` is quick.
"""

from __future__ import annotations

import sys

import typer

from host_tools.bench import commands as bench
from host_tools.ble import commands as ble
from host_tools.bringup import commands as bringup
from host_tools.errors import UserError
from host_tools.image import commands as image
from host_tools.ingest import commands as ingest
from host_tools.power import commands as power
from host_tools.recordings import commands as recordings
from host_tools.trust import commands as trust
from host_tools.updates import commands as updates
from host_tools.validate import commands as validate
from host_tools.virtual import commands as virtual

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Vigil: an open wearable vital-signs monitor.",
)

for package in (virtual, image, bringup, ingest, trust, updates, ble, recordings, validate, bench, power):
    app.add_typer(package.app)


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
