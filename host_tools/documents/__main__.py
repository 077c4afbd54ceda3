"""`python -m host_tools.documents` makes what follows from code, figures and tests; `--check` compares."""

from __future__ import annotations

import sys
from pathlib import Path

from host_tools.bench import ledger
from host_tools.documents import regions, third_party, trace
from host_tools.errors import UserError
from host_tools.paths import ROOT


def made(*, check: bool = False) -> dict[Path, str]:
    """Page to what must stand in it."""
    pages = {page: regions.filled(page.read_text()) for page in regions.documents()}
    pages[trace.PAGE] = trace.page()
    pages[ledger.PAGE] = ledger.page()
    before = third_party.PAGE.read_text() if third_party.PAGE.exists() else ""
    pages[third_party.PAGE] = third_party.page(before, keep_versions=check)
    return pages


def stale() -> list[str]:
    """Documents that are out of step."""
    return [
        page.relative_to(ROOT).as_posix()
        for page, text in made(check=True).items()
        if not page.exists() or page.read_text() != text
    ]


def main(arguments: list[str]) -> int:
    """Write the documents, or with --check compare them; return the exit status."""
    try:
        if arguments == ["--check"]:
            wrong = stale()
            for name in wrong:
                print(f"{name} is out of step: run python -m host_tools.documents", file=sys.stderr)
            return 1 if wrong else 0
        for page, text in made().items():
            page.write_text(text)
    except UserError as e:
        print(f"{e.sentence}\n  hint: {e.hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
