"""`python -m host_tools.validate PART [...]`: the figures of one part as plain lines, in seconds."""

from __future__ import annotations

import importlib
import sys

from host_tools.errors import UserError

PARTS = (
    "ecg",
    "ecg_folds",
    "ecg_engines",
    "rhythm",
    "beat_class",
    "ppg",
    "motion",
    "resp",
    "waveform",
    "fixed_point",
)  # modules here with `main(argv)`


def main(argv: list[str]) -> int:
    """Run one part; exit status 2 with a sentence when there is no such part or its data are absent."""
    if not argv or argv[0] not in PARTS:
        print(f"usage: python -m host_tools.validate {{{','.join(PARTS)}}} [options]", file=sys.stderr)
        return 2
    try:
        return importlib.import_module(f"host_tools.validate.{argv[0]}").main(argv[1:])
    except UserError as e:
        print(f"{e.sentence}{': ' if e.hint else ''}{e.hint}", file=sys.stderr)
        return e.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
