"""Take measured figures from reports: `python -m host_tools.documents.figures REPORT.json...` rewrites
docs/figures.json.

A report is what `vigil validate` writes. Each figure says where it stands there: `from` is PART/KEY/KEY... below the
part's result.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from host_tools.documents.regions import FIGURES
from host_tools.errors import UserError


def results(document: dict) -> dict[str, dict]:
    """Part to result, of a report of one part or of all."""
    if "parts" in document["result"]:
        return {name: part["result"] for name, part in document["result"]["parts"].items()}
    return {document["study"]: document["result"]}


def at(result: Any, path: str) -> Any:
    """The value at KEY/KEY...; None where there is none."""
    for key in path.split("/"):
        if isinstance(result, list):
            result = next((row for row in result if isinstance(row, dict) and row.get("name") == key), None)
        else:
            result = result.get(key) if isinstance(result, dict) else None
    return result


def update(figures: dict, reports: list[dict]) -> list[str]:
    """Put the reports' values into `figures`; returns what has changed, in words."""
    changed = []
    for document in reports:
        parts = results(document)
        for name, figure in figures.items():
            part, _, path = figure.get("from", "").partition("/")
            value = at(parts.get(part), path) if path else None
            if isinstance(value, (int, float)) and round(value, figure["digits"]) != figure["value"]:
                changed.append(f"{name}: {figure['value']} is now {round(value, figure['digits'])}")
                figure["value"] = round(float(value), figure["digits"])
    return changed


def main(arguments: list[str]) -> int:
    """Rewrite the file; return the exit status."""
    if not arguments:
        raise UserError("no report is named", "python -m host_tools.documents.figures build/validate/all.json")
    held = json.loads(FIGURES.read_text())
    changed = update(held["figures"], [json.loads(Path(name).read_text()) for name in arguments])
    FIGURES.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n")
    print("\n".join(changed) or "every figure is as it was")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
