"""Take measured figures from reports: `python -m host_tools.documents.figures REPORT.json...` rewrites
docs/figures.json.

A report is what `vigil validate` writes. Each figure says where it stands there: `from` is PART/KEY/KEY... below the
part's result; in a list KEY is the row's `name`, or FIELD=VALUE,FIELD=VALUE of it. `times` is what the value is
multiplied by, 1 without. A figure without `from` is printed by its command, and by no report.
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
    result = document["result"]
    if "parts" not in result:
        return {document["study"]: result}
    targets = result.get("targets", [])
    return {
        name: part["result"] | {"targets": [t for t in targets if t["part"] == name]}
        for name, part in result["parts"].items()
    }


def at(result: Any, path: str) -> Any:
    """The value at KEY/KEY...; None where there is none."""
    for key in path.split("/"):
        if isinstance(result, list):
            result = next((row for row in result if isinstance(row, dict) and _is(row, key)), None)
        else:
            result = result.get(key) if isinstance(result, dict) else None
    return result


def _is(row: dict, key: str) -> bool:
    """Whether a row of a list is the one that `key` means."""
    wanted = {name: value for name, _, value in (field.partition("=") for field in key.split(","))}
    return row.get("name") == key or all(_plain(row.get(name)) == value for name, value in wanted.items())


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def update(figures: dict, reports: list[dict]) -> list[str]:
    """Put the reports' values into `figures`; returns in words what has changed, and what a report does not have."""
    changed = []
    for document in reports:
        parts = results(document)
        for name, figure in figures.items():
            part, _, path = figure.get("from", "").partition("/")
            if part not in parts:
                continue
            value = at(parts[part], path)
            if not isinstance(value, (int, float)):
                changed.append(f"{name}: the report on {part} has no `{path}`")
                continue
            value = round(figure.get("times", 1) * float(value), figure["digits"])
            if value != figure["value"]:
                changed.append(f"{name}: {figure['value']} is now {value}")
                figure["value"] = value
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
