"""Plots as inline SVG without a library: colours are CSS variables of the page, so that they follow light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

_W, _H = 520, 320  # of a chart; the page scales it to the column
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 20, 14, 50


@dataclass(frozen=True)
class Line:
    """One curve. rank: 0 is ours (thick), 1..6 have colours of their own, above that all share the muted one."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    rank: int = 0

    @property
    def colour(self) -> str:
        """CSS colour."""
        return f"var(--c{self.rank})" if self.rank <= 6 else "var(--rest)"


def chart(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    y_range: tuple[float, float] | None = None,
    x_reversed: bool = False,
    spans: Sequence[tuple[float, float, str]] = (),
) -> str:
    """Lines over two linear axes. spans: (from, to, why) shaded stretches of x. None in y breaks a line."""
    xs = [float(x) for line in lines for x in line.x]
    ys = [float(y) for line in lines for y in line.y if y is not None]
    if not xs or not ys:
        return '<p class="note">There is nothing to draw.</p>'
    x0, x1 = min(xs), max(xs)
    y0, y1 = y_range or (min(ys), max(ys))
    if x1 == x0:
        x0, x1 = x0 - 1, x1 + 1
    if y1 == y0:
        y0, y1 = y0 - 1, y1 + 1

    def at_x(x: float) -> float:
        part = (x - x0) / (x1 - x0)
        return _LEFT + (1 - part if x_reversed else part) * (_W - _LEFT - _RIGHT)

    def at_y(y: float) -> float:
        return _TOP + (y1 - min(max(y, y0), y1)) / (y1 - y0) * (_H - _TOP - _BOTTOM)

    out = [f'<svg class="chart" viewBox="0 0 {_W} {_H}" role="img" aria-label="{escape(y_label)}">']
    for a, b, why in spans:
        left, right = sorted((at_x(a), at_x(b)))
        out.append(
            f'<rect class="span" x="{left:.1f}" y="{_TOP}" width="{max(right - left, 0.8):.1f}" '
            f'height="{_H - _TOP - _BOTTOM}"><title>{escape(why)}</title></rect>'
        )
    for y in ticks(y0, y1):
        out.append(f'<line class="grid" x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}"/>')
        out.append(f'<text x="{_LEFT - 7}" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    marks = sorted(set(lines[0].x)) if len(set(xs)) <= 7 else ticks(x0, x1)
    for x in marks:
        out.append(f'<text x="{at_x(x):.1f}" y="{_H - _BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    out.append(f'<line class="axis" x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{_H - _BOTTOM}" y2="{_H - _BOTTOM}"/>')
    middle = (_LEFT + _W - _RIGHT) / 2
    out.append(f'<text x="{middle:.0f}" y="{_H - 8}" text-anchor="middle">{escape(x_label)}</text>')
    out.append(
        f'<text transform="translate(13 {(_H - _BOTTOM + _TOP) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    for line in sorted(lines, key=lambda v: -v.rank):  # ours last, on top
        for run in _runs(line):
            points = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in run)
            style = f"stroke:{line.colour};stroke-width:{3 if line.rank == 0 else 1.6}"
            if len(run) == 1:
                (x, y) = run[0]
                out.append(f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="1.6" style="fill:{line.colour}"/>')
                continue
            out.append(f'<polyline points="{points}" style="{style}"><title>{escape(line.name)}</title></polyline>')
        if len(line.x) <= 12:
            for x, y in zip(line.x, line.y, strict=True):
                if y is not None:
                    out.append(
                        f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="{4 if line.rank == 0 else 2.4}" '
                        f'style="fill:{line.colour}"><title>{escape(line.name)}: {y:.4g} at {x:g}</title></circle>'
                    )
    out.append("</svg>")
    return "".join(out)


def legend(lines: Sequence[Line]) -> str:
    """Names with their colours; those that share the muted colour share one entry."""
    named = [v for v in lines if v.rank <= 6]
    rest = [v.name for v in lines if v.rank > 6]
    items = [f'<li><i style="background:{v.colour}"></i>{escape(v.name)}</li>' for v in named]
    if rest:
        items.append(f'<li><i style="background:var(--rest)"></i>{escape(", ".join(rest))}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>'


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers between low and high."""
    raw = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(m for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999) * power
    first = np.ceil(low / step - 1e-9) * step
    return [round(float(first + i * step), 10) for i in range(int((high - first) / step + 1e-9) + 1)]


def _runs(line: Line) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(line.x, line.y, strict=True):
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [r for r in runs if r]


@dataclass(frozen=True)
class Strip:
    """A stretch of ECG: mv at fs from start_s, and marks in seconds of the record.

    found: our beats. missed, false: errors. withheld: (from, to) in seconds.
    """

    title: str
    start_s: float
    fs: float
    mv: Sequence[float]
    found: Sequence[float] = ()
    missed: Sequence[float] = ()
    false: Sequence[float] = ()
    withheld: Sequence[tuple[float, float]] = field(default_factory=tuple)


_MM = 4.0  # drawn units a millimetre of paper; 25 mm/s and 10 mm/mV
_ROOM_MM = 6  # above and below the trace, for the marks


def strip(s: Strip) -> str:
    """ECG paper: 25 mm/s, 10 mm/mV (5 mm/mV when the trace is tall), small squares 1 mm, large ones 5 mm."""
    mv = np.asarray(s.mv, float)
    seconds = len(mv) / s.fs
    low, high = float(np.nanmin(mv)), float(np.nanmax(mv))
    mm_per_mv = 10 if high - low <= 4 else (5 if high - low <= 8 else 40 / (high - low))
    tall_mm = 5 * np.ceil(((high - low) * mm_per_mv + 2 * _ROOM_MM) / 5)
    width, height = 25 * seconds * _MM, tall_mm * _MM
    base_mm = (tall_mm + (high + low) * mm_per_mv) / 2

    def at_x(t_s: float) -> float:
        return (t_s - s.start_s) * 25 * _MM

    def at_y(v: float) -> float:
        return (base_mm - v * mm_per_mv) * _MM

    out = [
        f'<svg class="strip" viewBox="0 0 {width:.0f} {height + 20:.0f}" role="img" aria-label="{escape(s.title)}" '
        f'style="min-width:{width * 0.75:.0f}px">'
    ]
    for a, b in s.withheld:
        left, right = max(0.0, at_x(a)), min(width, at_x(b))
        if right > left:
            out.append(
                f'<rect class="withheld" x="{left:.1f}" y="0" width="{right - left:.1f}" height="{height:.0f}"/>'
            )
    for step, name in ((1, "fine"), (5, "bold")):
        across = "".join(f"M{i * _MM:g} 0V{height:g}" for i in range(0, round(25 * seconds) + 1, step))
        down = "".join(f"M0 {i * _MM:g}H{width:g}" for i in range(0, round(tall_mm) + 1, step))
        out.append(f'<path class="{name}" d="{across}{down}"/>')
    known = np.isfinite(mv)
    for first, last in _stretches(known):
        points = " ".join(f"{at_x(s.start_s + i / s.fs):.1f},{at_y(mv[i]):.1f}" for i in range(first, last))
        out.append(f'<polyline class="trace" points="{points}"/>')
    for t in s.found:
        if t in s.false:
            continue
        out.append(f'<circle class="found" cx="{at_x(t):.1f}" cy="{height - 8:.0f}" r="4"/>')
    for t in s.missed:
        x = at_x(t)
        out.append(
            f'<path class="missed" d="M{x - 6:.1f} 4h12l-6 11z"/><path class="missed" d="M{x:.1f} 15V{height:.0f}"/>'
        )
    for t in s.false:
        x, y = at_x(t), height - 9
        out.append(f'<path class="false" d="M{x - 6:.1f} {y - 6:.0f}l12 12m0 -12l-12 12"/>')
    for i in range(int(seconds) + 1):
        t = np.ceil(s.start_s) + i
        if at_x(t) <= width - 30:
            out.append(f'<text x="{at_x(t) + 2:.0f}" y="{height + 15:.0f}">{clock(t)}</text>')
    out.append("</svg>")
    scale = "" if mm_per_mv == 10 else f", {mm_per_mv:.3g} mm/mV"
    return f'<figure><figcaption>{escape(s.title)}{scale}</figcaption><div class="wide">{"".join(out)}</div></figure>'


def _stretches(known: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def clock(t_s: float) -> str:
    """Minutes and seconds, as on a strip."""
    return f"{int(t_s // 60)}:{int(t_s % 60):02d}"
