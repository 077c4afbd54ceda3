"""Parts of a document that are made: between `<!--=KIND ARGUMENT-->` and `<!--/-->`; all else is written by hand.

<!--=code vigil.estimators.contact.PI_MIN_X1000 / 1000-->0.03<!--/-->     a constant of the firmware
<!--=figure ecg.se-->99.87 %<!--/-->                                      a measured figure of docs/figures.json
<!--=figures ecg-->...<!--/-->                                            a table of all whose name begins so
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

from host_tools.errors import UserError
from host_tools.paths import ROOT

FIGURES = ROOT / "docs" / "figures.json"
_REGION = re.compile(r"<!--=(\w+) ([^>]+?)-->(.*?)<!--/-->", re.DOTALL)
_CODE = re.compile(r"(vigil(?:\.\w+)+)\.(\w+)(?:\[(\d+)\])?((?: [*/] [\d.]+)*)")


def filled(text: str, figures: dict | None = None) -> str:
    """The document as it must be. Raises UserError for a region that says nothing."""
    known: dict = figures or json.loads(FIGURES.read_text())["figures"]

    def fill(match: re.Match[str]) -> str:
        kind, argument = match[1], match[2].strip()
        if kind == "code":
            inside = _code(argument)
        elif kind == "figure":
            inside = shown(_figure(known, argument))
        elif kind == "figures":
            inside = _table(known, argument)
        else:
            raise UserError(f"`{match[0][:60]}` is not a kind of region", "code, figure or figures")
        return f"<!--={kind} {argument}-->{inside}<!--/-->"

    return _REGION.sub(fill, text)


def shown(figure: dict) -> str:
    """Value with its digits and unit."""
    return f"{figure['value']:.{figure['digits']}f} {figure['unit']}".strip()


def _figure(figures: dict, name: str) -> dict:
    if name not in figures:
        raise UserError(f"there is no figure `{name}`", f"it belongs into {FIGURES.relative_to(ROOT)}")
    return figures[name]


def _code(argument: str) -> str:
    match = _CODE.fullmatch(argument)
    if match is None:
        raise UserError(f"`{argument}` names no constant", "e.g. vigil.estimators.contact.PI_MIN_X1000 / 1000")
    try:
        value = getattr(importlib.import_module(match[1]), match[2])
    except (ImportError, AttributeError):
        raise UserError(f"the code has no `{match[1]}.{match[2]}` any more", "mend the document") from None
    value = float(value[int(match[3])] if match[3] else value)
    for sign, number in re.findall(r"([*/]) ([\d.]+)", match[4]):
        value = value * float(number) if sign == "*" else value / float(number)
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"


def _table(figures: dict, prefix: str) -> str:
    chosen = [f for name, f in figures.items() if name.startswith(prefix + ".")]
    if not chosen:
        raise UserError(f"no figure begins with `{prefix}.`", f"see {FIGURES.relative_to(ROOT)}")
    rows = [f"| {f['what']} | {f['on']} | {shown(f)} | `{f['command']}` |" for f in chosen]
    return "\n".join(["", "| what | on | figure | printed by |", "|---|---|---|---|", *rows, ""])


def documents() -> list[Path]:
    """Pages with regions."""
    pages = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "algorithms").glob("*.md"))]
    return [page for page in pages if "<!--=" in page.read_text()]
