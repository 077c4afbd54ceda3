"""`vigil validate`: conducts a study, prints what a person needs first, and writes JSON and HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from host_tools.errors import UserError
from host_tools.recordings.signals import Options as Columns
from host_tools.replay import ENGINES
from host_tools.validate import compare, page, study
from host_tools.validate.ecg_study import ENGINE_NAMES, OURS
from host_tools.validate.kept import Kept
from host_tools.validate.own import RecordingStudy
from host_tools.validate.parts import Options, study_of

MISSED = 1  # exit status of --fail-under


def validate(
    part: str = "all",
    options: Options | None = None,
    *,
    recording: Path | None = None,
    reference: Path | None = None,
    columns: Columns | None = None,
    out: Path,
    as_json: bool = False,
    jobs: int | None = None,
    anew: bool = False,
    against: Path | None = None,
) -> dict:
    """Run a part, all of them, or judge one recording; returns the document.

    anew: measure what an earlier run had measured, too. against: an earlier document to compare with; by default that
    which `out` has. reference, columns: see own.RecordingStudy. Raises UserError for what the user can mend.
    """
    options = options or Options()
    if options.engine not in ENGINE_NAMES or (options.engine == "mirror" and part != "ecg"):
        raise UserError(f"unknown engine `{options.engine}`", f"one of {', '.join(ENGINES)}; for ecg also mirror")
    if recording is not None and (options.records or options.peers or options.noise):
        raise UserError("--recording is judged alone", "leave out --records, --peers and --noise")
    if recording is None and (reference or columns):
        raise UserError("--reference, --fs, --column and --unit belong to --recording", "name your recording with it")
    study.check_writable(out)
    if recording is not None:
        chosen = RecordingStudy(recording, options.engine, reference, columns or Columns())
    else:
        chosen = study_of(part, options)
    old = compare.load(against) if against else _previous(out / f"{chosen.name}.json")
    kept = None if anew or recording is not None else Kept()
    document = study.conduct(chosen, jobs=jobs, quiet=as_json, kept=kept)
    sections = chosen.sections(document["result"])
    if old is not None and recording is None:
        document["compared"] = study.finite(compare.compare(old, document))
        sections.insert(1, compare.section(document["compared"]))
    paths = study.write(document, page.page(document, sections), out)
    if as_json:
        print(json.dumps(document))
        return document
    console = Console()
    _print(console, document)
    console.print(f"{paths[1]}\n{paths[0]}", highlight=False, soft_wrap=True)
    return document


def missed(document: dict) -> list[str]:
    """Names of the targets that are not met, with the figures."""
    return [
        f"{t['name']}: {page.number(t['value'])} {t['unit']} is not {page.limit(t)} ({page.miss(t)})"
        for t in document["result"].get("targets", ())
        if t["met"] is False
    ]


def _previous(path: Path) -> dict | None:
    try:
        return compare.load(path)
    except UserError:  # there is none, or one of another version: nothing to stand beside
        return None


def _print(console: Console, document: dict) -> None:
    result = document["result"]
    if "recording" in result:
        _print_recording(console, result)
        return
    if "clean" in result:
        _print_beats(console, result)
    elif "groups" in result and "unit" in result:
        _print_groups(console, result, document["title"])
    _print_targets(console, result["targets"], result["left_out"])
    if document["compared"]:
        _print_compared(console, document["compared"])
    made = document["made"]
    kept = f", {made['kept']} of them kept from an earlier run" if made["kept"] else ""
    console.print(
        f"{made['tasks']} tasks{kept}; {made['seconds']:g} s, {made['cpu_seconds']:g} s of processor time",
        style="dim",
        highlight=False,
    )


def _print_groups(console: Console, result: dict, title: str) -> None:
    heads = ("shown %", f"MAE {result['unit']}", "bias", "Arms", "worst")
    figures = Table("measured", *heads, title=title, title_justify="left")
    for name, group in result["groups"].items():
        a = group["agreement"]
        row = [page.number(group["coverage_pct"], 1), *(page.number(a[k]) for k in ("mae", "bias", "arms", "worst"))]
        figures.add_row(name, *row, style="bold" if group["ours"] else None)
    console.print(figures)


def _print_beats(console: Console, result: dict) -> None:
    heads = ("Se %", "PPV %", "F1 ±150", "F1 ±50", "F1 ±25", "SD ms", "bias ms")
    keys = ("se_pct", "ppv_pct", "f1_150_pct", "f1_50_pct", "f1_25_pct", "sd_ms", "bias_ms")
    title = f"{len(result['data']['mitdb'])} records of mitdb; of peers each record's median offset is taken off"
    beats = Table("detector", *heads, title=title, title_justify="left")
    gross = result["clean"]["gross"]
    for name in sorted(gross, key=lambda d: -(gross[d]["f1_150_pct"] or 0)):
        row = [page.number(gross[name][k]) for k in keys]
        beats.add_row(name, *row, style="bold" if name == OURS else None)
    console.print(beats)
    if result["stress"]:
        noisy = Table(
            "noise", "SNR dB", "F1", "not withheld", "withheld %", "best peer", "F1", title="F1 ±150 ms in noise"
        )
        for r in result["stress"]:
            ours, peer = r["ours"], r["best_peer"]
            noisy.add_row(
                r["noise"],
                f"{r['snr_db']:g}",
                page.number(r["scores"][OURS]["f1_150_pct"]),
                page.number(ours["shown"]["f1_150_pct"]) if ours else "–",
                page.number(100 * ours["withheld_share"], 1) if ours else "–",
                peer or "–",
                page.number(r["scores"][peer]["f1_150_pct"]) if peer else "–",
            )
        console.print(noisy)


def _print_targets(console: Console, targets: Sequence[dict], left_out: Sequence[str]) -> None:
    for t in targets:
        if t.get("part") == "fixed-point" and t["met"]:
            continue
        limit = page.limit(t)
        asked = f" ({limit}: {'met' if t['met'] else f'NOT MET, {page.miss(t)}'})" if limit else ""
        part = f"{t['part']}: " if "part" in t else ""
        beside = f"; {t['peer']} {page.number(t['peer_value'])}" if t.get("peer") else ""
        console.print(
            f"{part}{t['name']}: {page.number(t['value'])} {t['unit']}{asked}{beside}",
            style="red" if t["met"] is False else None,
            highlight=False,
            soft_wrap=True,
        )
    for sentence in left_out:
        console.print(sentence, style="dim", highlight=False)


def _print_compared(console: Console, compared: dict) -> None:
    rows = compare.changed(compared)
    for f in rows:
        span = page.span(f["interval"])
        what = f"{f['part']}: {f['name']}: {page.number(f['old'], 3)} before, {page.number(f['new'], 3)} now"
        console.print(f"{f['verdict']}: {what}{f' (change {span})' if span else ''}", highlight=False, soft_wrap=True)
    same = len(compared["figures"]) - len(rows)
    console.print(f"beside the run of {compared['with']['utc']}: {same} figures the same", highlight=False)


def _print_recording(console: Console, result: dict) -> None:
    shown = [r["bpm"] for r in result["heart_rate"] if not r["withheld"]]
    rate = f"{min(shown):.1f} to {max(shown):.1f} /min" if shown else "never shown"
    what = f"heart rate {rate}, shown" if result["heart_rate"] else "pulse rate shown"
    console.print(
        f"{len(result['beats_s'])} beats in {result['recording']['seconds']:.1f} s; {what} "
        f"{100 * result['shown_share']:.1f} % of the time",
        highlight=False,
        soft_wrap=True,
    )
    for v in result["vitals"]:
        error = f"; mean error {page.number(v['agreement']['mae'])}" if v["agreement"] else ""
        span = f"{v['least']:.4g} to {v['most']:.4g} {v['unit']}" if v["most"] is not None else "never shown"
        share = f"{100 * v['shown_share']:.1f} % of the time"
        console.print(f"{v['kind'].replace('_', ' ')} {span}, {share}{error}", highlight=False, soft_wrap=True)
    for why, seconds in result["withheld_s"].items():
        console.print(f"withheld {seconds:g} s: {why}", highlight=False, soft_wrap=True)
    scores = result["scores"]
    if scores:
        console.print(
            f"against {scores['beats']} annotated beats: missed {scores['fn']}, false {scores['fp']}, F1 "
            f"{page.number(scores['f1_150_pct'])} % (±150 ms), {page.number(scores['f1_25_pct'])} % (±25 ms)",
            highlight=False,
            soft_wrap=True,
        )
