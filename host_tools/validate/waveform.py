"""`python -m host_tools.validate waveform`: what lossless compression of ECG and light is worth, beside others.

The device's own encoder (on MicroPython) makes blocks of each record as the front end would sample it; the host's
reader must give every sample back. Beside it zlib, LZMA and FLAC compress the whole record, each at its strongest. They
may look back over seconds (FLAC) or minutes, where each of our blocks of a second stands for itself.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from host_tools.errors import UserError
from host_tools.ingest.waveform import decode
from host_tools.replay import frontend
from host_tools.validate import page
from host_tools.validate.ecg_study import present
from host_tools.validate.study import Section, judged
from host_tools.virtual import interpreter
from signal_models import datasets

ENGINES = {"micropython": "viper", "micropython-bytecode": "bytecode"}
PERFUSION_PCT = 2.0  # of the colour that a single relative pulse is given, and its noise
NOISE_COUNTS = 2.0
OTHERS = ("zlib", "LZMA", "FLAC")
_PLAYER = Path(__file__).with_name("waveform_play.py")


@dataclass(frozen=True)
class Signal:
    """One record's samples as an encoder gets them. plain_bits: of a sample where nothing is compressed."""

    group: str
    name: str
    data: np.ndarray  # (rows, columns)
    plain_bits: int

    @property
    def wide(self) -> bool:
        """Whether it goes into the encoder as int32."""
        return self.plain_bits > 16


@dataclass(frozen=True)
class Row:
    """Bits a sample of one record by compressor (ours: "vigil"), and what encoding cost on this machine."""

    group: str
    name: str
    samples: int
    plain_bits: int
    bits: dict[str, float]
    ns_per_sample: float


def signals(sets: Iterable[str] = ("mitdb", "bidmc", "max30102")) -> Iterator[Signal]:
    """ECG of mitdb and bidmc at 250 Hz in microvolts; light of bidmc in two simulated colours at 100 Hz, as counts of
    18 bits with noise; real red and infrared of max30102 at their own 25 Hz."""
    for name in sets:
        for path in datasets.records(name):
            yield from signals_of(name, path)


def signals_of(name: str, path: Path) -> Iterator[Signal]:
    """Those of one record of the data set `name`."""
    record = datasets.load(path)
    if record.ecg is not None:
        yield Signal(f"{name} ECG", record.name, frontend.ecg_stream(record.ecg, record.ecg_fs).data, 16)
    if record.ppg is not None and record.ppg_unit == "relative":
        yield Signal(f"{name} light", record.name, _coloured(record), 18)
    elif record.ppg is not None and name == "max30102":
        yield Signal("max30102 light, 25 Hz", record.name, np.rint(record.ppg).astype(np.int32), 18)


def _coloured(record) -> np.ndarray:
    from boards.virtual.scenario import colours

    red, ir = colours(record, PERFUSION_PCT)
    light = frontend.resample(np.stack([red, ir], axis=1), record.ppg_fs, 100)
    noise = np.random.default_rng(1).normal(scale=NOISE_COUNTS, size=light.shape)
    return np.clip(np.rint(light + noise), 0, frontend.PPG_FULL_SCALE).astype(np.int32)


def encode(signal: Signal, engine: str = "micropython") -> tuple[list[bytes], float]:
    """Blocks made by the firmware on `engine`, and the microseconds that took."""
    with tempfile.TemporaryDirectory(prefix="vigil-waveform-") as folder:
        source, out = Path(folder) / "samples", Path(folder) / "blocks"
        raw = np.ascontiguousarray(signal.data, "<i4" if signal.wide else "<i2").tobytes()
        source.write_bytes(bytes([signal.data.shape[1], signal.wide]) + raw)
        done = subprocess.run(
            interpreter.command(_PLAYER, str(source), str(out)),
            env=interpreter.environment(*interpreter.import_path(ENGINES[engine])),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError("the encoder failed:\n" + (done.stdout + done.stderr)[-500:])
        stream = out.read_bytes()
    blocks, at = [], 0
    while at < len(stream):
        size = int.from_bytes(stream[at : at + 2], "little")
        blocks.append(stream[at + 2 : at + 2 + size])
        at += 2 + size
    return blocks, float(done.stdout)


def others(signal: Signal) -> dict[str, int]:
    """Bytes by general compressor, of the samples as int16 or packed to 24 bits; FLAC where soundfile is installed."""
    data = np.ascontiguousarray(signal.data, "<i4")
    raw = data.astype("<i2").tobytes()
    if signal.wide:
        raw = data.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    found = {"zlib": len(zlib.compress(raw, 9)), "LZMA": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME))}
    try:
        import soundfile
    except (ImportError, OSError):
        return found
    out = io.BytesIO()
    scaled, subtype = (data << 8, "PCM_24") if signal.wide else (data.astype(np.int16), "PCM_16")
    soundfile.write(out, scaled, 48_000, format="FLAC", subtype=subtype, compression_level=1.0)
    return found | {"FLAC": len(out.getvalue())}


def judge(signal: Signal, engine: str = "micropython") -> Row:
    """Compress one record by all. Raises UserError where a sample does not come back."""
    blocks, spent_us = encode(signal, engine)
    back = np.concatenate([decode(block, signal.data.shape[1]) for block in blocks])
    if not np.array_equal(back, signal.data):
        raise UserError(f"{signal.group} {signal.name} does not come back bit for bit", "the codec is broken")
    sizes = {"vigil": sum(map(len, blocks))} | others(signal)
    n = signal.data.size
    bits = {name: 8 * size / n for name, size in sizes.items()}
    return Row(signal.group, signal.name, n, signal.plain_bits, bits, 1000 * spent_us / n)


def summary(rows: Iterable[Row]) -> dict[str, dict]:
    """By group: records, mean bits a sample of each compressor, and plain bits over ours."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    out = {}
    for group, members in groups.items():
        names = [name for name in ("vigil", *OTHERS) if all(name in row.bits for row in members)]
        bits = {name: round(float(np.mean([row.bits[name] for row in members])), 3) for name in names}
        out[group] = {
            "records": len(members),
            "plain_bits": members[0].plain_bits,
            "bits_per_sample": bits,
            "ratio": {name: round(members[0].plain_bits / value, 2) for name, value in bits.items()},
            "ns_per_sample": round(float(np.mean([row.ns_per_sample for row in members]))),
        }
    return out


def table(figures: dict[str, dict]) -> Table:
    """The figures for a person."""
    shown = Table("signal", "records", "plain bits", *(f"{n}, bits (ratio)" for n in ("vigil", *OTHERS)), "ns a sample")
    for group, said in figures.items():
        cells = [
            f"{said['bits_per_sample'][name]:.2f} ({said['ratio'][name]:.2f})" if name in said["ratio"] else "absent"
            for name in ("vigil", *OTHERS)
        ]
        shown.add_row(group, str(said["records"]), str(said["plain_bits"]), *cells, str(said["ns_per_sample"]))
    return shown


@dataclass(frozen=True)
class WaveformStudy:
    """As a study. `result`: engine, left_out, targets, data; groups: `summary` without times; records: [{group, name,
    samples, plain_bits, bits}]. That every record comes back bit for bit is part of measuring it."""

    engine: str = "micropython"
    sets: tuple[str, ...] = ("mitdb", "bidmc", "max30102")

    name = "waveform"
    title = "Vigil waveforms: lossless compression beside general compressors"

    def tasks(self) -> list[Path]:
        """Files of all records that are here."""
        if self.engine not in ENGINES:
            raise UserError(f"no waveforms on engine `{self.engine}`", f"one of {', '.join(ENGINES)}")
        tasks = [path for name in self.sets if present(name) for path in datasets.records(name)]
        if not tasks:
            raise UserError("no recordings are here", "`vigil data` says how to get them")
        return tasks

    def key(self, task: Path) -> str:
        """See Study."""
        return f"waveform {self.engine} {task.parent.name}/{task.name}"

    def run(self, task: Path) -> list[Row]:
        """Compress all signals of a record, by all."""
        return [judge(one, self.engine) for one in signals_of(task.parent.name, task)]

    def summarise(self, results: list[tuple[Path, list[Row]]]) -> dict:
        """See above."""
        rows = [row for _, found in results for row in found]
        groups = summary(rows)
        for said in groups.values():
            del said["ns_per_sample"]  # differs from run to run
        data: dict[str, list[str]] = {}
        for path, _ in results:
            data.setdefault(path.parent.name, []).append(path.stem)
        return {
            "engine": self.engine,
            "left_out": [] if all("FLAC" in row.bits for row in rows) else ["FLAC: pip install soundfile"],
            "targets": [_beside(group, said, rows) for group, said in groups.items()],
            "data": data,
            "groups": groups,
            "records": [
                {"group": r.group, "name": r.name, "samples": r.samples, "plain_bits": r.plain_bits, "bits": r.bits}
                for r in rows
            ],
        }

    def sections(self, result: dict) -> list[Section]:
        """Draw it."""

        def cells(bits: dict[str, float]) -> list[str]:
            return [page.number(bits.get(name)) for name in ("vigil", *OTHERS)]

        heads = ["plain bits", *(f"{n}, bits" for n in ("vigil", *OTHERS))]
        groups = [[g, s["records"], s["plain_bits"], *cells(s["bits_per_sample"])] for g, s in result["groups"].items()]
        rows = [[r["name"], r["group"], r["samples"], r["plain_bits"], *cells(r["bits"])] for r in result["records"]]
        note = "Bits a sample. Our blocks of a second stand for themselves; the others see the whole record at once."
        return [
            page.summary(result, f"{len(result['records'])} signals, every one decoded bit for bit."),
            Section("By kind of signal", page.table(["Signal", "records", *heads], groups), note),
            Section("Record by record", page.table(["Record", "signal", "samples", *heads], rows)),
        ]


def _beside(group: str, said: dict, rows: list[Row]) -> dict:
    """Bits a sample of a group beside the best of the other compressors."""
    records = {r.name: (r.bits["vigil"], 1.0) for r in rows if r.group == group}
    bits = said["bits_per_sample"]
    rivals = {name: v for name, v in bits.items() if name != "vigil"}
    best = min(rivals, key=lambda n: rivals[n])
    found = judged(f"{group}, bits a sample", bits["vigil"], "bit", None, False, records)
    return found | {"peer": best, "peer_value": rivals[best], "ahead": bits["vigil"] < rivals[best]}


def main(argv: list[str] | None = None) -> int:
    """Print the table; every record has come back bit for bit where there is one."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate waveform", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="micropython")
    parser.add_argument("--sets", nargs="+", default=["mitdb", "bidmc", "max30102"], metavar="SET")
    parser.add_argument("--json", type=Path, help="write the figures of each record here, too")
    args = parser.parse_args(argv)
    console = Console()
    rows = [judge(one, args.engine) for one in track(list(signals(args.sets)), "compressing", console=console)]
    if not rows:
        raise UserError("no recordings are here", "`vigil data` says how to get them")
    figures = summary(rows)
    console.print(table(figures))
    if any("FLAC" not in row.bits for row in rows):
        console.print("FLAC is left out: pip install soundfile")
    console.print(f"{len(rows)} signals decoded bit for bit")
    if args.json:
        args.json.write_text(json.dumps({"summary": figures, "rows": [vars(row) for row in rows]}, indent=1))
    return 0
