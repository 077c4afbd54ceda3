"""Draws the result of the ECG study (host_tools.validate.ecg_study describes it)."""

from __future__ import annotations

from html import escape

from host_tools.validate.page import Html, number, summary, table, verdict
from host_tools.validate.plots import Line, Strip, chart, legend, strip
from host_tools.validate.study import Section

_OURS = "Vigil"
_MARKS = (
    '<ul class="legend"><li><b style="color:var(--found)">●</b>found by Vigil</li>'
    '<li><b style="color:var(--missed)">▼</b>annotated, missed</li><li><b style="color:var(--false)">✕</b>false</li>'
    '<li><i style="background:var(--withheld);height:.9em"></i>heart rate withheld</li></ul>'
)


def sections(result: dict) -> list[Section]:
    """Parts of the report, the answer first."""
    parts = [_summary(result), _detectors(result)]
    if result["stress"]:
        parts.append(_stress(result))
    if result["heart_rate"]:
        parts.append(_heart_rate(result))
    if result.get("quality"):
        parts.append(_quality(result["quality"], result["beat_quality"]))
    if result.get("monitor"):
        parts.append(_monitor(result["monitor"]))
    parts.append(_records(result))
    if result["worst"]:
        parts.append(_worst(result["worst"]))
    return [*parts, _method(result)]


def _summary(result: dict) -> Section:
    ahead = [r["ahead"] for r in result["stress"] if r["ahead"] is not None]
    return summary(
        result,
        f"{len(result['data']['mitdb'])} records of the MIT-BIH Arrhythmia Database, first channel, engine "
        f"{result['engine']}. Peers have each record's median time error taken off; Vigil's times stand as they are.",
        f"In noise: ahead of every peer in {sum(ahead)} of {len(ahead)} kinds and strengths." if ahead else "",
    )


_COLUMNS = ("se_pct", "ppv_pct", "f1_150_pct", "f1_50_pct", "f1_25_pct", "sd_ms", "bias_ms")
_HEADS = ("Se %", "PPV %", "F1 ±150", "F1 ±50", "F1 ±25", "SD ms", "bias ms")


def _figures(scores: dict) -> list[str]:
    return [number(scores[c], sign=c == "bias_ms") for c in _COLUMNS]


def _detectors(result: dict) -> Section:
    gross = result["clean"]["gross"]
    order = sorted(gross, key=lambda d: -(gross[d]["f1_150_pct"] or 0))
    rows = [
        [
            d,
            *_figures(gross[d])[:6],
            *_figures(gross[d].get("as_it_is", gross[d]))[3:],
        ]
        for d in order
    ]
    html = table(["Detector", *_HEADS[:6], *(f"{h} *" for h in _HEADS[3:])], rows, [order.index(_OURS)])
    return Section(
        "Beats, all records",
        html + '<p class="note">* with no offset removed.</p>',
        "Gross figures by EC57; F1 in percent within so many milliseconds. For peers the first six columns are with "
        "each record's median time error taken off.",
    )


def _ranks(result: dict) -> dict[str, int]:
    """Colours: ours 0, the six peers that do best over the stress test 1..6, the others beyond."""
    totals: dict[str, float] = {}
    for row in result["stress"]:
        for name, scores in row["scores"].items():
            totals[name] = totals.get(name, 0.0) + (scores["f1_150_pct"] or 0.0)
    totals.pop(_OURS, None)
    return {_OURS: 0, **{n: i + 1 for i, n in enumerate(sorted(totals, key=lambda n: -totals[n]))}}


def _f1(row: dict, detector: str) -> float | None:
    return row["scores"][detector]["f1_150_pct"] if detector in row["scores"] else None


def _stress(result: dict) -> Section:
    ranks = _ranks(result)
    charts, lines = [], []
    kinds = dict.fromkeys((r["noise"], r["what"]) for r in result["stress"])
    for kind, what in kinds:
        rows = [r for r in result["stress"] if r["noise"] == kind]
        snrs = [r["snr_db"] for r in rows]
        lines = [Line(n, snrs, [_f1(r, n) for r in rows], rank) for n, rank in ranks.items()]
        lowest = min(_f1(r, n) or 100 for r in rows for n in ranks if ranks[n] <= 6)
        bottom = min(95.0, 5 * (lowest // 5))
        drawn = chart(lines, "signal to noise, dB", "F1 of all beats, %", y_range=(bottom, 100), x_reversed=True)
        charts.append(f"<figure><figcaption>{kind}: {escape(what)}</figcaption>{drawn}</figure>")
    html = legend(lines) + f'<div class="grid-of-charts">{"".join(charts)}</div>'
    heads = ["Noise", "SNR dB", "F1 ±150", "F1 ±50", "F1 not withheld", "withheld %", "best peer F1", "which", ""]
    rows = []
    for r in result["stress"]:
        ours, scores = r["ours"], r["scores"][_OURS]
        peer = r["scores"][r["best_peer"]]["f1_150_pct"] if r["best_peer"] else None
        rows.append(
            [
                r["noise"],
                f"{r['snr_db']:g}",
                number(scores["f1_150_pct"]),
                number(scores["f1_50_pct"]),
                number(ours["shown"]["f1_150_pct"]) if ours else None,
                number(100 * ours["withheld_share"], 1) if ours else None,
                number(peer),
                r["best_peer"],
                verdict(r["ahead"], "ahead", "behind"),
            ]
        )
    names = sorted(ranks, key=lambda n: ranks[n])
    every = [[n, *(number(_f1(r, n), 1) for r in result["stress"])] for n in names]
    html += table(heads, rows)
    html += "<h3>F1 ±150 ms of every detector</h3>" + table(
        ["Detector", *(f"{r['noise']} {r['snr_db']:g} dB" for r in result["stress"])], every, [0]
    )
    records = ", ".join(result["stress_records"])
    return Section(
        "Beats in noise",
        html,
        f"Noise in alternate two-minute blocks from 5:00, added to records {records}. Not withheld: beats where the "
        "device shows a heart rate.",
    )


def _heart_rate(result: dict) -> Section:
    groups = result["heart_rate"]
    clean = [n for n in groups if "dB" not in n]
    drawn = [*clean, *(n for n in groups if n.startswith("em") and n not in clean)][:7]
    lines = [
        Line(n, [100 * float(c) for c in groups[n]["curve"]], list(groups[n]["curve"].values()), i)
        for i, n in enumerate(drawn)
    ]
    rows = []
    for name, group in groups.items():
        a = group["agreement"]
        rows.append(
            [
                name,
                a["n"],
                number(100 * a["coverage"], 1) if a["coverage"] is not None else None,
                number(a["mae"]),
                number(a["bias"], sign=True),
                f"{number(a['low'])} … {number(a['high'])}",
                number(a["worst"], 1),
            ]
        )
    heads = ["Data or noise", "readings", "shown %", "MAE /min", "bias /min", "limits of agreement", "worst"]
    html = chart(lines, "share of readings shown, best quality first, %", "mean absolute error, /min")
    return Section(
        "Heart rate: error against coverage",
        f"<figure>{html}{legend(lines)}</figure>" + table(heads, rows),
        "A reading each 2 s. Its truth is the mean rate of the annotated beats over the reading's own window; for "
        "bidmc the monitor's own number. Withheld readings count as not shown; the curve takes their best guess last.",
    )


def _monitor(monitor: list[dict]) -> Section:
    heads = ["Record", "shown %", "MAE /min", "bias /min", "worst", "beats", "witness's", "MAE by the witness's"]
    rows = [
        [
            r["record"],
            number(100 * r["coverage"], 1),
            number(r["mae"]),
            number(r["bias"], sign=True),
            number(r["worst"], 1),
            r["beats"],
            r.get("witness_beats"),
            number(r.get("witness_mae")),
        ]
        for r in monitor
    ]
    return Section(
        "Heart rate against a monitor, by record",
        table(heads, rows),
        "bidmc; the monitor's number at the reading's end. The witness is another detector (NeuroKit2) whose beats go "
        "through the same rule: where it finds as many beats and differs from the monitor as much, it is the monitor's "
        "averaging, or the beats that it leaves out, and not a beat of ours.",
    )


def _quality(rates: dict, beats: dict) -> Section:
    groups = {**{f"rate, {n}": g for n, g in rates.items()}, **{f"beat, {n}": g for n, g in beats.items()}}
    rows = [
        [
            name,
            f"{r['quality_pct']} to {min(100, r['quality_pct'] + 9)}",
            r["n"],
            number(r["said_pct"], 1),
            number(r["right_pct"], 1),
            number(r["promised_pct"], 1),
            number(r["mae"]) if name.startswith("rate") else None,
        ]
        for name, group in groups.items()
        for r in group["rows"]
    ]
    gaps = ", ".join(f"{name} {number(g['gap_pct'])}" for name, g in groups.items() if g["rows"])
    return Section(
        "Does the quality keep its word?",
        table(["Data", "quality %", "n", "said %", "right %", "promised %", "MAE /min"], rows),
        "Shown heart rates and all beats by their quality, which is meant as a probability: of being within 5 /min of "
        "the truth, of being an annotated beat. Said: the mean quality. Promised: the share that is right at "
        f"that quality in the other half of the records. Mean gap between the halves, points: {gaps}.",
    )


def _records(result: dict) -> Section:
    records = result["clean"]["records"]
    order = sorted(records, key=lambda r: -(records[r][_OURS]["fn"] + records[r][_OURS]["fp"]))
    rows = []
    for name in order:
        ours = records[name][_OURS]
        peers = {d: s["f1_150_pct"] or 0.0 for d, s in records[name].items() if d != _OURS}
        best = max(peers, key=lambda d: peers[d]) if peers else None
        rows.append(
            [name, ours["beats"], ours["fn"], ours["fp"], *_figures(ours)]
            + ([number(peers[best]), best] if best else [None, None])
        )
    heads = ["Record", "beats", "missed", "false", *_HEADS, "best peer F1", "which"]
    return Section("Record by record", table(heads, rows), "Most errors first.")


def _worst(strips: list[dict]) -> Section:
    drawn = "".join(strip(Strip(**s)) for s in strips)
    return Section("Where it fails", _MARKS + drawn, "The records with most errors, where these are densest; 25 mm/s.")


def _method(result: dict) -> Section:
    packages = {
        f"{d['package']} {d['version']}" for d in result["detectors"].values() if d["version"]
    }  # ours has its version in the head
    html = (
        "<p>Beats are matched within ±150, ±50 and ±25 ms; the first five minutes and ventricular flutter are not "
        "scored (ANSI/AAMI EC57). SD and bias are of the time from the annotated to the found beat. Vigil hears the "
        "record sample by sample at 250 Hz as the front end would deliver it, with one set of parameters; peers get "
        "the whole record at once, at its own rate, with their own filters.</p>"
        "<p>A withheld reading is one that the device does not stand behind: it is sent with its reason and without a "
        "value.</p>"
    )
    if packages:
        html += f'<p class="note">Peers: {escape(", ".join(sorted(packages)))}.</p>'
    return Section("How it was measured", html)


def strip_section(strips: list[dict], note: str) -> Section:
    """Strips with their marks, for other reports."""
    return Section("Strips", Html(_MARKS + "".join(strip(Strip(**s)) for s in strips)), note)
