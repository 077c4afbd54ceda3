"""The report as one HTML file: no script, no font, no picture from elsewhere; light, dark and narrow screens."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from host_tools.validate.study import Section

_STYLE = """
:root{color-scheme:light dark;--page:#fff;--panel:#f6f7f9;--ink:#1b1f24;--soft:#5b6470;--edge:#d9dee5;--good:#137333;
--bad:#b3261e;--c0:#0b57d0;--c1:#b3261e;--c2:#137333;--c3:#8430ce;--c4:#b06000;--c5:#00838f;--c6:#ad1457;--rest:#a9b1bc;
--paper:#fff8f6;--fine:#f6d5cf;--bold:#e9aaa0;--trace:#1b1f24;--found:#0b57d0;--missed:#b3261e;--false:#b06000;
--withheld:#5b647022}
@media (prefers-color-scheme:dark){:root{--page:#14171b;--panel:#1d2127;--ink:#e6e9ee;--soft:#a0a9b5;--edge:#343b45;
--good:#6dd58c;--bad:#f2908a;--c0:#8ab4f8;--c1:#f2908a;--c2:#6dd58c;--c3:#cf9ffb;--c4:#fdb74f;--c5:#4fd0dc;--c6:#f48fb1;
--rest:#66707d;--paper:#1b1717;--fine:#33211f;--bold:#56302c;--trace:#e6e9ee;--found:#8ab4f8;--missed:#f2908a;
--false:#fdb74f;--withheld:#a0a9b530}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.7rem;line-height:1.2;margin:.2em 0}h2{font-size:1.25rem;margin:2.2em 0 .3em}
h2.part{font-size:1.5rem;line-height:1.25;margin-top:3em;padding-top:.8em;border-top:3px solid var(--edge)}
nav{display:flex;flex-wrap:wrap;gap:.4em;margin:1em 0}
nav a{padding:.3em .8em;background:var(--panel);border:1px solid var(--edge);border-radius:1em;color:var(--ink);
text-decoration:none;font-size:.9rem}
h3{font-size:1rem;margin:1.4em 0 .3em}
p{margin:.4em 0;max-width:75ch}.note,figcaption,footer,.made{color:var(--soft);font-size:.9rem}
.wide{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:separate;border-spacing:0;font-size:.9rem;font-variant-numeric:tabular-nums;margin:.6em 0}
th,td{padding:.3em .7em;text-align:right;border-bottom:1px solid var(--edge);white-space:nowrap}
th{color:var(--soft);font-weight:600;vertical-align:bottom}
th.group{color:var(--ink);padding-top:1em;font-weight:650}
th.text{text-align:left}th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--page)}
td.text{text-align:left;white-space:normal;min-width:min(16em,55vw)}
@media (max-width:600px){td:first-child{white-space:normal;min-width:8em}th,td{padding:.3em .5em}}
tr.ours td{font-weight:650;background:var(--panel)}
.outcome{border-left:4px solid var(--bad);background:var(--panel);padding:.5em 1em;margin:.8em 0}
.outcome.met{border-color:var(--good)}.outcome ul{margin:.4em 0;padding-left:1.2em}.outcome li{margin:.2em 0}
.outcome li b{color:var(--bad);white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}
.grid-of-charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px}
figure{margin:.8em 0}
svg.chart{width:100%;height:auto;max-width:640px;background:var(--panel);border-radius:6px;display:block}
svg text{fill:var(--soft);font:16px system-ui,sans-serif}
svg polyline{fill:none;stroke-linejoin:round}svg .grid{stroke:var(--edge)}svg .axis{stroke:var(--soft)}
svg .span{fill:var(--withheld)}
svg.strip{width:100%;height:auto;background:var(--paper);display:block}
svg .fine{stroke:var(--fine);stroke-width:.6;fill:none}svg .bold{stroke:var(--bold);stroke-width:.9;fill:none}
svg .trace{stroke:var(--trace);stroke-width:1.5}svg .found{fill:var(--found)}svg .withheld{fill:var(--withheld)}
svg path.missed{fill:var(--missed);stroke:var(--missed);stroke-width:1.2;stroke-dasharray:4 4}
svg path.false{stroke:var(--false);stroke-width:3.4;fill:none}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2em 1.2em;padding:0;margin:.5em 0;font-size:.9rem}
.legend i{display:inline-block;width:1.4em;height:.3em;margin-right:.5em;vertical-align:middle;border-radius:2px}
.legend b{margin-right:.4em}
"""


def page(document: dict, sections: Sequence[Section]) -> str:
    """The whole file."""
    made = document["made"]
    machine = made["machine"]
    commit = f", commit {made['commit']}" if made["commit"] else ""
    body = "".join(_section(s) for s in sections)
    parts = [s for s in sections if s.part]
    links = "".join(f'<a href="#{escape(s.part)}">{escape(s.part)}</a>' for s in parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(document['title'])}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(document['title'])}</h1>"
        f'<p class="made">Vigil {escape(made["vigil"])}{escape(commit)}; {escape(when(made["utc"]))}; '
        f"{made['seconds']:g} s on {escape(machine['processor'] or machine['system'])}, {machine['cores']} cores</p>"
        + (f"<nav>{links}</nav>" if parts else "")
        + f"{body}"
        f"<footer><p>Made by <code>{escape(made['command'])}</code> with Python {escape(machine['python'])}, numpy "
        f"{escape(machine['numpy'])}, scipy {escape(machine['scipy'])}. The same figures as JSON: "
        f"<code>{escape(document['study'])}.json</code>. Vigil is not a medical device.</p></footer>"
        "</main></body></html>\n"
    )


def when(utc: str) -> str:
    """An ISO time for people."""
    return f"{utc[:16].replace('T', ' ')} UTC"


def _section(s: Section) -> str:
    note = f'<p class="note">{escape(s.note)}</p>' if s.note else ""
    head = f'<h2 class="part" id="{escape(s.part)}">' if s.part else "<h2>"
    return f"<section>{head}{escape(s.heading)}</h2>{note}{s.html}</section>"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], ours: Sequence[int] = ()) -> str:
    """A table that scrolls sideways on narrow screens. ours: rows to set apart.

    Cells: text, or Html as it is; a row may be one Group instead. A column without any value is
    left out.
    """
    whole = [row for row in rows if len(row) == len(columns)]
    empty = [i for i in range(1, len(columns)) if whole and all(row[i] in (None, "–") for row in whole)]
    if empty:
        keep = [i for i in range(len(columns)) if i not in empty]
        cut = [[row[i] for i in keep] if len(row) == len(columns) else row for row in rows]
        return table([columns[i] for i in keep], cut, ours)
    prose = [any(isinstance(row[i], Prose) for row in whole) for i in range(len(columns))]
    head = "".join(
        f"<th{' class=text' if text else ''}>{escape(c)}</th>" for c, text in zip(columns, prose, strict=True)
    )
    body = "".join(
        f"<tr{' class=ours' if i in ours else ''}>" + "".join(_cell(c, len(columns)) for c in row) + "</tr>"
        for i, row in enumerate(rows)
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


class Html(str):
    """Text that is markup already."""


class Group(str):
    """What the rows below it have in common."""


class Prose(str):
    """Text of a cell that may wrap."""


def _cell(value: object, columns: int) -> str:
    if isinstance(value, Group):
        return f'<th class="group" colspan="{columns}">{escape(value)}</th>'
    if isinstance(value, Html):
        return f"<td>{value}</td>"
    if isinstance(value, Prose):
        return f'<td class="text">{escape(value)}</td>'
    return f"<td>{escape('–' if value is None else str(value))}</td>"


def summary(result: dict, note: str, also: str = "") -> Section:
    """The answer of any study: its targets, and what was left out. also: a sentence more."""
    html = _outcome(result["targets"], result.get("judged")) + targets_table(result["targets"])
    html += f"<p>{escape(also)}</p>" if also else ""
    html += "".join(f'<p class="note">{escape(s[0].upper() + s[1:])}.</p>' for s in result["left_out"])
    return Section("Summary", html, note)


def _outcome(targets: Sequence[dict], of: int | None) -> str:
    """Which targets are missed, and by how much, before anything else. of: how many are judged, the unshown too."""
    judged = [t for t in targets if t["met"] is not None]
    of = of or len(judged)
    missed = [t for t in judged if not t["met"]]
    if not of:
        return ""
    if not missed:
        said = f"All {of} targets are met." if of > 1 else "The target is met."
        return f'<div class="outcome met"><p><b>{said}</b></p></div>'
    rows = "".join(
        f"<li>{escape(t['part'] + ': ' if t.get('part') else '')}{escape(t['name'])}: <b>{escape(miss(t))}</b> "
        f'<span class="note">({number(t["value"])}, asked {escape(limit(t) or "")}{_chance(t)})</span></li>'
        for t in missed
    )
    return f'<div class="outcome"><p><b>{len(missed)} of {of} targets missed</b></p><ul>{rows}</ul></div>'


def miss(target: dict) -> str:
    """By how much a figure misses what is asked of it."""
    if target["value"] is None:
        return "there is none"
    by = abs(target["value"] - target["limit"])
    unit = "points" if target["unit"] == "%" else target["unit"]
    return f"{by:.2g} {unit} too {'low' if target['least'] else 'high'}"


def _chance(target: dict) -> str:
    ends = target["interval"]
    return "; its 95 % interval reaches that" if ends and ends[0] <= target["limit"] <= ends[1] else ""


def targets_table(targets: Sequence[dict]) -> str:
    """Figures (study.judged) beside what is asked of them, what they may be by chance, and the best peer."""
    if not targets:
        return "<p>No target is for these data.</p>"
    with_peers = any(t.get("peer") for t in targets)
    rows: list[Sequence[object]] = []
    part = ""
    for t in targets:
        if t.get("part", "") != part:
            part = t["part"]
            rows.append([Group(part)])
        row = [t["name"], _value(t), limit(t), span(t["interval"])]
        if with_peers:
            row.append(_peer(t))
        rows.append(row)
    return table(["Figure", "Vigil", "Target", "95 % interval", *(["Best peer"] if with_peers else [])], rows)


def _value(target: dict) -> Html:
    said = escape(f"{number(target['value'])} {target['unit']}")
    if target["met"] is None:
        return Html(said)
    return Html(f"{said}<br>{verdict(target['met'], no='' if target['met'] else escape(miss(target)))}")


def _peer(target: dict) -> Html | None:
    if not target.get("peer"):
        return None
    said = escape(f"{number(target['peer_value'])} {target['unit']}, {target['peer']}")
    return Html(f"{said}<br>{verdict(target['ahead'], 'Vigil is ahead', 'Vigil is behind')}")


def limit(target: dict) -> str | None:
    """What is asked of a figure; None when it is only followed."""
    if target["limit"] is None:
        return None
    return f"{'≥' if target['least'] else '≤'} {target['limit']:g} {target['unit']}"


def span(ends: Sequence[float] | None) -> str | None:
    """From and to."""
    return f"{number(ends[0])} … {number(ends[1])}" if ends else None


def number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A figure with so many digits after the point; a dash where there is none."""
    return "–" if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def verdict(good: bool | None, yes: str = "met", no: str = "not met") -> Html:
    """A word in green or red; a dash for None."""
    if good is None:
        return Html("–")
    return Html(f'<span class="{"good" if good else "bad"}">{yes if good else no}</span>')
