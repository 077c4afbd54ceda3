"""Draws the result of a study of a vital sign (host_tools.validate.vitals describes it)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from host_tools.validate.page import number, summary, table
from host_tools.validate.plots import Line, chart, legend, ticks
from host_tools.validate.study import Section

_W, _H, _LEFT, _RIGHT, _TOP, _BOTTOM = 520, 320, 62, 20, 14, 50


def sections(result: dict) -> list[Section]:
    """Parts of the report, the answer first."""
    parts = [
        _summary(result),
        _groups(result),
        _curves(result),
        _bland_altman(result),
        _calibration(result),
    ]
    if result["tracks"]:
        parts.append(_tracks(result))
    if result["records"]:
        parts.append(_records(result))
    return parts


def _summary(result: dict) -> Section:
    sets = "; ".join(f"{name}: {len(records)}" for name, records in result["data"].items())
    return summary(result, f"Cases by data set: {sets}. Engine: {result['engine']}.")


def _groups(result: dict) -> Section:
    unit = result["unit"]
    heads = [
        "Measured",
        "readings due",
        "shown %",
        f"MAE {unit}",
        f"bias {unit}",
        f"Arms {unit}",
        "limits of agreement",
    ]
    heads += ["worst", "within 5 %", "MAE of records, all shown"]
    rows = []
    for name, g in result["groups"].items():
        a = g["agreement"]
        coverage = None if a["coverage"] is None else 100 * a["coverage"]
        rows.append(
            [
                name,
                a["n"],
                number(coverage, 1),
                number(a["mae"]),
                number(a["bias"], sign=True),
                number(a["arms"]),
                f"{number(a['low'])} … {number(a['high'])}",
                number(a["worst"], 1),
                number(g["within_5_pct"], 1),
                number(g["mae_of_records"]),
            ]
        )
    ours = [i for i, g in enumerate(result["groups"].values()) if g["ours"]]
    if len(ours) == len(rows):
        ours = []  # nothing to set them apart from
    return Section(
        "All figures",
        table(heads, rows, ours),
        "Errors are of what is shown, but for the last column, which counts every best guess. Peers withhold nothing; "
        "they hear the whole record at once, Vigil hears it sample by sample.",
    )


def _curves(result: dict) -> Section:
    ours = [(n, g) for n, g in result["groups"].items() if g["ours"]]
    lines = [
        Line(n, [100 * float(c) for c in g["curve"]], list(g["curve"].values()), i)
        for i, (n, g) in enumerate(ours)
        if any(v is not None for v in g["curve"].values())
    ]
    html = chart(
        lines,
        "share of readings shown, best quality first, %",
        f"mean absolute error, {result['unit']}",
    )
    return Section(
        "Error against coverage",
        f"<figure>{html}{legend(lines)}</figure>",
        "The quality of a reading should tell its error: the fewer are shown, the smaller it must be.",
    )


def _bland_altman(result: dict) -> Section:
    figures = [
        f"<figure><figcaption>{escape(n)}</figcaption>{_scatter(g, result['unit'])}</figure>"
        for n, g in result["groups"].items()
        if g["bland_altman"]
    ]
    return Section(
        "Bland-Altman",
        f'<div class="grid-of-charts">{"".join(figures)}</div>',
        "Difference of measured and reference over their mean, of readings that are shown; lines: bias and limits of "
        "agreement (1.96 standard deviations).",
    )


def _scatter(group: dict, unit: str) -> str:
    points: Sequence[Sequence[float]] = group["bland_altman"]
    a = group["agreement"]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x0, x1 = min(xs) - 1, max(xs) + 1
    y0, y1 = min(*ys, a["low"]) - 0.5, max(*ys, a["high"]) + 0.5

    def at_x(x: float) -> float:
        return _LEFT + (x - x0) / (x1 - x0) * (_W - _LEFT - _RIGHT)

    def at_y(y: float) -> float:
        return _TOP + (y1 - y) / (y1 - y0) * (_H - _TOP - _BOTTOM)

    out = [f'<svg class="chart" viewBox="0 0 {_W} {_H}" role="img" aria-label="Bland-Altman plot">']
    for y in ticks(y0, y1):
        out.append(f'<line class="grid" x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}"/>')
        out.append(f'<text x="{_LEFT - 7}" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in ticks(x0, x1):
        out.append(f'<text x="{at_x(x):.1f}" y="{_H - _BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    colour = "var(--c0)" if group["ours"] else "var(--rest)"
    out.append(f'<g style="fill:{colour};fill-opacity:.35">')
    out += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="2"/>' for x, y in points]
    out.append("</g>")
    for y in (a["bias"], a["low"], a["high"]):
        out.append(
            f'<line x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}" '
            f'style="stroke:var(--c1)" stroke-dasharray="6 4"><title>{y:+.2f} {escape(unit)}</title></line>'
        )
    out.append(
        f'<text x="{(_LEFT + _W - _RIGHT) / 2:.0f}" y="{_H - 8}" text-anchor="middle">mean, {escape(unit)}</text>'
    )
    out.append(
        f'<text transform="translate(13 {(_H - _BOTTOM + _TOP) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"difference, {escape(unit)}</text></svg>"
    )
    return "".join(out)


def _calibration(result: dict) -> Section:
    rows = [
        [name, f"{low} … {high}", n, number(mae)]
        for name, g in result["groups"].items()
        if g["ours"]
        for low, high, n, mae in g["calibration"]
    ]
    return Section(
        "Quality against error",
        table(["Measured", "quality %", "readings", f"MAE {result['unit']}"], rows),
        "All best guesses, withheld ones too.",
    )


def _tracks(result: dict) -> Section:
    figures = []
    for t in result["tracks"]:
        lines = [
            Line("Vigil", t["t_s"], t["value"], 0),
            Line("reference", t["t_s"], t["reference"], 1),
        ]
        spans = [(a, b, "withheld") for a, b in t["withheld"]]
        drawn = chart(lines, "s", result["unit"], spans=spans)
        figures.append(f"<figure><figcaption>{escape(t['title'])}</figcaption>{drawn}{legend(lines)}</figure>")
    return Section(
        "Tracks over the reference",
        f'<div class="grid-of-charts">{"".join(figures)}</div>',
        "The records with the largest error, and the one with the smallest; shaded: withheld, its best guess drawn.",
    )


def _records(result: dict) -> Section:
    rows = [
        [
            r["record"],
            r["group"],
            number(100 * r["agreement"]["shown"] / r["agreement"]["n"], 1) if r["agreement"]["n"] else None,
            number(r["agreement"]["mae"]),
            number(r["agreement"]["bias"], sign=True),
            number(r["agreement"]["worst"], 1),
        ]
        for r in sorted(result["records"], key=lambda r: (r["group"], -(r["agreement"]["mae"] or 0)))
    ]
    return Section(
        "Record by record",
        table(["Record", "measured", "shown %", "MAE", "bias", "worst"], rows),
        "Largest error first.",
    )
