"""docs/third-party.md: what is not ours, from pyproject.toml and the installed packages' own words."""

from __future__ import annotations

import re
import tomllib
from email.message import Message
from importlib import metadata

from host_tools.paths import ROOT

PAGE = ROOT / "docs" / "third-party.md"
_HEAD = """\
# Third-party software

Made by `python -m host_tools.documents` from `pyproject.toml` and from what the installed packages say of
themselves. Nothing of it is copied into the repository, and nothing of it runs on the device: there is MicroPython
alone (MIT), 1.26 or later, which you flash yourself. Known anomalies are those of each package's own tracker; where
one touched Vigil, the bound or a comment in `pyproject.toml` says so.

"""
_LICENCES = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "BSD License": "BSD",
    "OSI Approved": "",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache-2.0 license": "Apache-2.0",
}


def requirements() -> dict[str, list[tuple[str, str]]]:
    """Group (base, or the extra's name) to (package, bound)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"base": project["dependencies"], **project["optional-dependencies"]}
    found = {}
    for group, lines in groups.items():
        rows = []
        for line in lines:
            match = re.match(r"([A-Za-z0-9_.\-]+)(?:\[[^\]]*\])?\s*([^;]*)", line)
            if match and match[1] != project["name"]:
                rows.append((match[1], match[2].strip()))
        if rows:
            found[group] = sorted(rows, key=lambda row: row[0].lower())
    return found


def licence(name: str) -> str | None:
    """A package's licence in a word or two; None when it is not installed."""
    try:
        about: Message = metadata.metadata(name)  # type: ignore[assignment]
    except metadata.PackageNotFoundError:
        return None
    said = about.get("License-Expression") or ""
    if not said:
        classified = [c.rsplit(" :: ", 1)[1] for c in about.get_all("Classifier") or [] if c.startswith("License")]
        said = (
            next((c for c in classified if _LICENCES.get(c, c)), "") or (about.get("License") or "").splitlines()[0:1]
        )
        said = said if isinstance(said, str) else (said[0] if said else "")
    return _LICENCES.get(said, said)[:60] or "see the package"


def uses() -> dict[str, str]:
    """Package to the comment that stands beside it in pyproject.toml."""
    found = re.findall(
        r'^\s*"([A-Za-z0-9_.\-]+)[^"]*",\s*#\s*(.+)$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    return {name: why.strip() for name, why in found}


def page(before: str = "", *, keep_versions: bool = False) -> str:
    """The page as it must be. before: the page there is, for packages that are not installed here.

    keep_versions: its versions, too, so that a newer package alone does not put the page out of step.
    """
    known = {
        row[0]: row for row in re.findall(r"^\| (\S+) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", before, re.MULTILINE)
    }
    why = uses()
    lines = [_HEAD]
    for group, rows in requirements().items():
        title = "Always" if group == "base" else f"With `vigil-monitor[{group}]`"
        lines.append(f"## {title}\n\n| package | accepted | tested with | licence | for |\n|---|---|---|---|---|\n")
        for name, bound in rows:
            old = known.get(name, ("", "", "not installed here", "see the package", ""))
            try:
                version = old[2] if keep_versions and name in known else metadata.version(name)
            except metadata.PackageNotFoundError:
                version = old[2]
            said = old[3] if keep_versions and name in known else licence(name) or old[3]
            lines.append(f"| {name} | {bound or 'any'} | {version} | {said} | {why.get(name, '')} |\n")
        lines.append("\n")
    return "".join(lines).rstrip() + "\n"
