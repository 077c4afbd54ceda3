"""Draws the link's state table: `python -m host_tools.documents.session_diagram` writes docs/link-session.md."""

from __future__ import annotations

import sys

from host_tools.paths import ROOT
from vigil.link import session

PAGE = ROOT / "docs" / "link-session.md"
_EVENTS = ("start", "done", "failed", "timeout", "stop")  # in the order of their numbers
_HEAD = """\
# The link's states

Made by `python -m host_tools.documents.session_diagram` from the table in `firmware/vigil/link/session.py`. A number
is the longest stay in seconds; `online` is watched by keep-alive, `waiting` ends when the back-off says.

```mermaid
stateDiagram-v2
    [*] --> off
"""


def page() -> str:
    """The page as it must be."""
    lines = [_HEAD]
    for state, name in enumerate(session.STATE_NAMES):
        ways: dict[int, list[str]] = {}
        for event, event_name in enumerate(_EVENTS):
            following, _ = session.step(state, event, 0)
            if following != state:
                ways.setdefault(following, []).append(event_name)
        for following, events in ways.items():
            lines.append(f"    {name} --> {session.STATE_NAMES[following]}: {', '.join(events)}\n")
    for state, name in enumerate(session.STATE_NAMES):
        limits = {session.step(s, e, 0) for s in range(len(session.STATE_NAMES)) for e in range(len(_EVENTS))}
        limit = next((deadline for found, deadline in limits if found == state and deadline), None)
        if limit:
            lines.append(f"    {name}: {name} ({limit // 1000} s)\n")
    return "".join([*lines, "```\n"])


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it; return the exit status."""
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == page():
            return 0
        print(f"{PAGE} is not what the table says: run python -m host_tools.documents.session_diagram", file=sys.stderr)
        return 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
