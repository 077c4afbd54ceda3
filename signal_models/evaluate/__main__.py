"""`python -m signal_models.evaluate PART [...]`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

from host_tools.errors import UserError


def main(argv: list[str]) -> int:
    """Run one part; exit status 2 with a sentence when there is no such part or its data are absent."""
    parts = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name != "__main__")
    if not argv or argv[0] not in parts:
        print(f"usage: python -m signal_models.evaluate {{{','.join(parts)}}} [options]", file=sys.stderr)
        return 2
    try:
        return importlib.import_module(f"signal_models.evaluate.{argv[0]}").main(argv[1:])
    except UserError as e:
        print(f"{e.sentence}{': ' if e.hint else ''}{e.hint}", file=sys.stderr)
        return e.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
