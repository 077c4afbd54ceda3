"""`make fuzz`: every parser of firmware and host against inputs that know its structure; the last line is JSON.

    python -m tests.fuzz [--n 1000000] [--seed 1] [--micropython 20000]     a campaign
    python -m tests.fuzz --seed 1 --only 4711                              one input of it, as it was
    python -m tests.fuzz --target ack --hex 8201...                        any bytes

An input may take LIMIT_S and the campaign GROWTH_MB of memory. A failure is made shorter while it stays the same one,
and printed with the command that shows it. The first inputs of the firmware's parsers also run under MicroPython, which
must accept and refuse the same. Exit 1 where anything fails.
"""

import argparse
import json
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import host_tools  # noqa: F401  puts the firmware on the path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import host_parsers
import parsers
import shapes
from rich.console import Console
from rich.progress import track

from host_tools.virtual import interpreter

LIMIT_S = 2.0
GROWTH_MB = 128
_ADDRESSES = 4 << 30  # bytes: what asks for more gets a MemoryError, which is a failure
_SHOWN = 10  # failures


def run(name: str, data: bytes) -> bool:
    """Tell whether `data` was accepted. Raises what it raises."""
    return (parsers if name in parsers.TARGETS else host_parsers).run(name, data)


def failure(name: str, data: bytes) -> str:
    """What goes wrong with `data`: the error and where it was raised; "" when nothing does."""
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        run(name, data)
    except Exception as e:
        where = traceback.extract_tb(e.__traceback__)[-1]
        return f"{type(e).__name__} at {Path(where.filename).name}:{where.lineno}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def shorter(name: str, data: bytes, what: str) -> bytes:
    """The shortest input found that fails in the same way."""
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data):
            cut = data[:at] + data[at + size :]
            if failure(name, cut) == what:
                data = cut
            else:
                at += size
        size //= 2
    return data


class Hang(Exception):
    """An input took longer than LIMIT_S."""


def _hang(*_):
    raise Hang


def campaign(n: int, seed: int, micropython: int = 0, console=None) -> dict:
    """Run inputs 0..n-1; return the summary. Prints failures."""
    signal.signal(signal.SIGALRM, _hang)
    counts, accepted, found = Counter(), Counter(), {}
    device = []  # (name, data, accepted) for MicroPython
    began = time.monotonic()
    slowest = (0.0, "", 0)
    for warm in range(min(n, 2000)):  # modules and caches are not growth
        failure(*shapes.make(seed, warm))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    numbers = track(range(n), "fuzzing", console=console) if console else range(n)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    for i in numbers:
        name, data = shapes.make(seed, i)
        start = time.perf_counter()
        if not i & 63:
            signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
        took_in = None
        try:
            took_in = run(name, data)
            accepted[name] += took_in
        except Exception as e:
            where = traceback.extract_tb(e.__traceback__)[-1]
            found.setdefault((name, f"{type(e).__name__} at {Path(where.filename).name}:{where.lineno}"), []).append(i)
        counts[name] += 1
        slowest = max(slowest, (time.perf_counter() - start, name, i))
        if took_in is not None and len(device) < micropython and name in parsers.TARGETS:
            device.append((name, data, took_in))
    signal.setitimer(signal.ITIMER_REAL, 0)
    growth_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    for (name, what), which in list(found.items())[:_SHOWN]:
        data = shorter(name, shapes.make(seed, which[0])[1], what)
        print(f"{name}: {what}, {len(which)} times; first by --seed {seed} --only {which[0]}; the least:")
        print(f"  python -m tests.fuzz --target {name} --hex {data.hex()}")
    wrong = on_micropython(device) if device else []
    for name, data, why in wrong[:_SHOWN]:
        print(f"{name} on MicroPython: {why}\n  python -m tests.fuzz --target {name} --hex {data.hex()}")
    seconds = time.monotonic() - began
    return {
        "inputs": n,
        "seed": seed,
        "failures": len(found),
        "slowest_ms": round(1000 * slowest[0], 1),
        "slowest": f"{slowest[1]} --only {slowest[2]}",
        "growth_mb": round(growth_mb, 1),
        "micropython_inputs": len(device),
        "micropython_failures": len(wrong),
        "accepted_pct": {name: round(100 * accepted[name] / counts[name], 1) for name in sorted(counts)},
        "counts": dict(sorted(counts.items())),
        "seconds": round(seconds),
        "ok": not found and not wrong and growth_mb < GROWTH_MB,
    }


def on_micropython(device: list) -> list:
    """Run inputs under MicroPython, in a device's heap; return those that end otherwise, with what it said."""
    names = sorted(parsers.TARGETS)
    with tempfile.NamedTemporaryFile(suffix=".fuzz") as file:
        for name, data, _ in device:
            file.write(struct.pack("<BI", names.index(name), len(data)) + data)
        file.flush()
        script = Path(__file__).with_name("on_micropython.py")
        done = subprocess.run(
            interpreter.command(script, file.name, heap_kb=512),
            env=interpreter.environment(*interpreter.import_path("bytecode"), Path(__file__).parent),
            capture_output=True,
            text=True,
        )
    said = done.stdout.splitlines()
    wrong = []
    for i, (name, data, took_in) in enumerate(device):
        told = said[i] if i < len(said) else f"ended: {done.stderr[-200:]}"
        if told != ("accepted" if took_in else "refused"):
            wrong.append((name, data, told))
            if i >= len(said):
                break
    return wrong


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--micropython", type=int, default=20_000, help="inputs that run there, too")
    parser.add_argument("--only", type=int, help="number of one input")
    parser.add_argument("--target", choices=list(shapes.MAKERS))
    parser.add_argument("--hex", default="")
    args = parser.parse_args()
    if args.only is not None or args.target:
        name, data = shapes.make(args.seed, args.only) if args.only is not None else (args.target, b"")
        data = bytes.fromhex(args.hex) if args.target else data
        print(name, data.hex())
        print("accepted" if run(name, data) else "refused")
        return 0
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    console = Console(stderr=True)
    summary = campaign(args.n, args.seed, args.micropython, console if console.is_terminal else None)
    print(json.dumps(summary), flush=True)
    return 0 if summary["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
