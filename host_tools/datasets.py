"""`vigil data`: the data sets that Vigil knows, and what of them is on this machine."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

from host_tools.errors import UserError
from host_tools.paths import data_dir
from signal_models.datasets import KNOWN, records


def data_sets() -> list[dict]:
    """One dictionary a data set: its facts, `records` (how many are here) and `present`."""
    sets = []
    for name, known in KNOWN.items():
        try:
            count = len(records(name))
        except UserError:
            count = 0
        facts = {key: value for key, value in asdict(known).items() if key != "pattern"}
        sets.append({**facts, "present": count > 0, "records": count})
    return sets


def table(sets: list[dict]) -> Table:
    """The same for people; of what is absent, how to get it."""
    root = data_dir()
    where = f"recordings in {root}" if root else "no folder of recordings: name one with VIGIL_DATA"
    shown = Table(title=where, title_justify="left", show_lines=True)
    for column in ("data set", "what", "here", "licence", "how to get it"):
        shown.add_column(column, overflow="fold")
    for s in sets:
        here = f"{s['records']} records" if s["present"] else "no"
        how = "" if s["present"] else f"{s['how']} ({s['source']})"
        shown.add_row(s["name"], f"{s['title']}: {s['signals']}", here, s["licence"], how)
    return shown
