"""`vigil validate`: conducts a study, prints what a person needs first, and writes JSON and HTML."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from host_tools.errors import UserError
from host_tools.validate import page, study
from host_tools.validate.ecg_study import ENGINE_NAMES, OURS, EcgStudy
from host_tools.validate.own import RecordingStudy
from host_tools.validate.vitals import VitalsStudy


def ecg(
    *,
    recording: Path | None = None,
    engine: str = "micropython",
    records: tuple[str, ...] = (),
    peers: bool | None = None,
    noise: bool | None = None,
    out: Path,
    as_json: bool = False,
    jobs: int | None = None,
) -> dict:
    """Run the ECG study, or judge one recording; returns the document. Raises UserError for what the user can mend."""
    if engine not in ENGINE_NAMES:
        raise UserError(f"unknown engine `{engine}`", f"one of {', '.join(ENGINE_NAMES)}")
    if recording is not None and (records or peers or noise):
        raise UserError("--recording is judged alone", "leave out --records, --peers and --noise")
    study.check_writable(out)
    if recording is not None:
        chosen: study.Study = RecordingStudy(recording, engine)
    else:
        chosen = EcgStudy(engine, records, peers, noise is not False)
    document = study.conduct(chosen, jobs=jobs, quiet=as_json)
    paths = study.write(document, page.page(document, chosen.sections(document["result"])), out)
    if as_json:
        print(json.dumps(document))
        return document
    console = Console()
    (_print_recording if recording is not None else _print_study)(console, document["result"])
    console.print(f"{paths[1]}\n{paths[0]}", highlight=False, soft_wrap=True)
    return document


def vitals(
    part: str,
    *,
    engine: str = "micropython",
    records: tuple[str, ...] = (),
    peers: bool | None = None,
    out: Path,
    as_json: bool = False,
    jobs: int | None = None,
) -> dict:
    """Run the study of a vital sign (`ppg`, `spo2` or `resp`); returns the document."""
    study.check_writable(out)
    chosen = VitalsStudy(part, engine, records, peers)
    document = study.conduct(chosen, jobs=jobs, quiet=as_json)
    result = document["result"]
    paths = study.write(document, page.page(document, chosen.sections(result)), out)
    if as_json:
        print(json.dumps(document))
        return document
    console = Console()
    heads = ("shown %", f"MAE {result['unit']}", "bias", "Arms", "worst")
    figures = Table("measured", *heads, title=document["title"], title_justify="left")
    for name, group in result["groups"].items():
        a = group["agreement"]
        row = [page.number(group["coverage_pct"], 1), *(page.number(a[k]) for k in ("mae", "bias", "arms", "worst"))]
        figures.add_row(name, *row, style="bold" if group["ours"] else None)
    console.print(figures)
    _print_targets(console, result)
    console.print(f"{paths[1]}\n{paths[0]}", highlight=False, soft_wrap=True)
    return document


def _print_study(console: Console, result: dict) -> None:
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
    _print_targets(console, result)


def _print_targets(console: Console, result: dict) -> None:
    for target in result["targets"]:
        sign = "≥" if target["least"] else "≤"
        word = "met" if target["met"] else "NOT MET"
        console.print(
            f"{target['name']}: {page.number(target['value'])} {target['unit']} ({sign} {target['limit']:g}: {word})",
            highlight=False,
        )
    for sentence in result["left_out"]:
        console.print(sentence, style="dim", highlight=False)


def _print_recording(console: Console, result: dict) -> None:
    shown = [r["bpm"] for r in result["heart_rate"] if not r["withheld"]]
    rate = f"{min(shown):.1f} to {max(shown):.1f} /min" if shown else "never shown"
    console.print(
        f"{len(result['beats_s'])} beats in {result['recording']['seconds']:.1f} s; heart rate {rate}, shown "
        f"{100 * result['shown_share']:.1f} % of the time",
        highlight=False,
    )
    for why, seconds in result["withheld_s"].items():
        console.print(f"withheld {seconds:g} s: {why}", highlight=False)
    scores = result["scores"]
    if scores:
        console.print(
            f"against {scores['beats']} annotated beats: missed {scores['fn']}, false {scores['fp']}, F1 "
            f"{page.number(scores['f1_150_pct'])} % (±150 ms), {page.number(scores['f1_25_pct'])} % (±25 ms)",
            highlight=False,
        )
