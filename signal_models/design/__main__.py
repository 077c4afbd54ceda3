"""`python -m signal_models.design [--check]`: write the firmware's coefficient files, or say which are stale."""

from __future__ import annotations

import argparse
import sys

from signal_models.design import COMMAND, DESIGNS, FOLDER, stale, write


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 when the files are right, 1 when `--check` finds one that is not."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    if parser.parse_args(argv).check:
        names = stale()
        for name in names:
            print(f"{FOLDER / name}.py is not what signal_models/design/{name}.py makes: run `{COMMAND}`")
        return 1 if names else 0
    for path in write():
        print(f"wrote {path}")
    print(f"{len(DESIGNS)} coefficient file(s) up to date", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
