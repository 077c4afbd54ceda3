"""What a run says beside an earlier one: better, worse, or within noise, figure by figure.

A figure is the sum of one number a record over the sum of another. Both runs' records are drawn together, with
replacement (paired bootstrap, seeded): where 95 of 100 draws leave the change on one side of zero, it is better or
worse; else it is within noise, which is what other wearers would bring. Records that only one run has are left out, and
counted. `compared` of the document:

    with     {utc, commit, vigil} of the earlier run
    figures  [{part, name, unit, old, new, change: over the common records, interval of it or null, records: common,
             apart: of one run only, verdict: better, worse, within noise, same, new, gone}]
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from host_tools.errors import UserError
from host_tools.validate.page import number, span, table, verdict, when
from host_tools.validate.study import SCHEMA, Section, drawn

SAME = 1e-9


def load(path: Path) -> dict:
    """An earlier document. Raises UserError when it is none, or of another schema."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise UserError(f"`{path}` cannot be compared with: {e}", "name a JSON file that `vigil validate` wrote") from e
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise UserError(
            f"`{path}` is no document of schema {SCHEMA} (but {schema})", "run `vigil validate` to make one"
        )
    return document


def compare(old: dict, new: dict) -> dict:
    """See the module's docstring. Both: documents; only the parts that both have are looked at."""
    before, now = _figures(old), _figures(new)
    parts = {part for part, _ in before} & {part for part, _ in now}
    keys = [k for k in {**now, **before} if k[0] in parts]
    return {
        "with": {k: old["made"][k] for k in ("utc", "commit", "vigil")},
        "figures": [_beside(part, name, before.get((part, name)), now.get((part, name))) for part, name in keys],
    }


def _figures(document: dict) -> dict[tuple[str, str], dict]:
    return {(t.get("part", document["study"]), t["name"]): t for t in document["result"].get("targets", [])}


def _beside(part: str, name: str, old: dict | None, new: dict | None) -> dict:
    known = new or old
    assert known is not None
    row = {"part": part, "name": name, "unit": known["unit"], "old": old and old["value"], "new": new and new["value"]}
    row |= {"change": None, "interval": None, "records": 0, "apart": 0}
    if old is None or new is None:
        return row | {"verdict": "new" if old is None else "gone"}
    common = [r for r in new["records"] if r in old["records"]]
    row["records"] = len(common)
    row["apart"] = len(new["records"]) + len(old["records"]) - 2 * len(common)
    better = (lambda change: change > 0) if new["least"] else (lambda change: change < 0)
    if not common:
        if old["value"] is None or new["value"] is None:
            return row | {"verdict": "same" if old["value"] == new["value"] else "within noise"}
        row["change"] = change = new["value"] - old["value"]  # one input, no chance in it: any change is one
        return row | {"verdict": "same" if abs(change) < SAME else "better" if better(change) else "worse"}
    shares = [np.array([t["records"][r] for r in common], float) for t in (old, new)]
    row["change"] = float(_value(shares[1], new["root"]) - _value(shares[0], new["root"]))
    if np.allclose(*shares, rtol=0, atol=SAME):
        return row | {"verdict": "same"}
    draws = drawn(shares[1], new["root"]) - drawn(shares[0], new["root"])
    draws = draws[np.isfinite(draws)]
    if len(common) < 3 or not len(draws):
        return row | {"verdict": "within noise"}
    low, high = (float(v) for v in np.percentile(draws, (2.5, 97.5)))
    row["interval"] = [low, high]
    sure = low > 0 or high < 0
    return row | {"verdict": ("better" if better(row["change"]) else "worse") if sure else "within noise"}


def _value(shares: np.ndarray, root: bool) -> float:
    above, below = shares.sum(axis=0)
    ratio = above / below if below else float("nan")
    return float(np.sqrt(max(ratio, 0))) if root else float(ratio)


def changed(compared: dict) -> list[dict]:
    """Its figures that are not the same, the surest first."""
    order = ("worse", "better", "within noise", "new", "gone")
    rows = [f for f in compared["figures"] if f["verdict"] != "same"]
    return sorted(rows, key=lambda f: order.index(f["verdict"]))


def section(compared: dict) -> Section:
    """Of the report."""
    rows = [
        [
            f"{f['part']}: {f['name']}",
            number(f["old"], 3),
            number(f["new"], 3),
            number(f["change"], 3, sign=True),
            span(f["interval"]),
            f["records"] or None,
            {"better": verdict(True, "better"), "worse": verdict(False, no="worse")}.get(f["verdict"], f["verdict"]),
        ]
        for f in changed(compared)
    ]
    same = sum(f["verdict"] == "same" for f in compared["figures"])
    heads = ["Figure", "before", "now", "change", "95 % interval", "records", ""]
    html = table(heads, rows) if rows else ""
    before = compared["with"]
    return Section(
        "Beside the previous run",
        html + f"<p>{same} of {len(compared['figures'])} figures are the same to the last digit.</p>",
        f"The previous run: {when(before['utc'])}, Vigil {before['vigil']}, commit {before['commit'] or 'unknown'}. "
        "The interval is of the change, over draws of the common records: where it holds zero, "
        "the change is within noise.",
    )
