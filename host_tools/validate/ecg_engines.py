"""The ECG chain is one chain: three engines and the int64 mirror agree on every record, and no sum leaves int32.

Each record of mitdb is heard at its own gain, at ten times and at a tenth of it; then full-scale noise and a full-scale
square. MicroPython (viper and bytecode) and CPython with the checked viper must give the same beats and readings, and
the mirror the same beats. A whole record takes CPython minutes: --seconds hears the beginning only.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

import numpy as np

from signal_models import datasets
from signal_models.datasets import mitdb

GAINS = (1.0, 10.0, 0.1)
FS = 360.0
FULL_SCALE_MV = 32.767


def signals(names: list[str], seconds: float) -> Iterator[tuple[str, np.ndarray]]:
    """Name and ECG (mV at 360 Hz) of each case; names: records, all when empty; seconds: of each at most."""
    n = round(seconds * FS)
    for path in datasets.records("mitdb"):
        if names and path.stem not in names:
            continue
        ecg = mitdb.load(path).ecg
        assert ecg is not None
        for gain in GAINS:
            yield f"{path.stem} times {gain:g}", np.clip(gain * ecg[:n], -FULL_SCALE_MV, FULL_SCALE_MV)
    n = min(n, round(300 * FS))
    yield "full-scale noise", np.random.default_rng(1).uniform(-FULL_SCALE_MV, FULL_SCALE_MV, n)
    yield "full-scale square", np.where(np.arange(n) // 97 % 2, FULL_SCALE_MV, -FULL_SCALE_MV)


def disagreement(ecg_mv: np.ndarray) -> str:
    """What differs between the engines on one ECG, or what was raised; "" when nothing does."""
    from host_tools.replay import ENGINES, replay
    from host_tools.validate.ecg import held, mirror_beats_s, quantised

    first = None
    for engine in ENGINES:
        try:
            result = replay(ecg=held(ecg_mv, FS), ecg_fs=FS, engine=engine)
        except Exception as e:  # an overflow of the checked viper, or a firmware that failed
            return f"{engine} raised {type(e).__name__}: {e}"
        found = (result.ecg_beats_s.tolist(), [repr(r) for r in result.readings])
        first = first or found
        for kind, a, b in zip(("beats", "readings"), first, found, strict=True):
            if a != b:
                return f"{kind} of {engine} differ from those of {ENGINES[0]}"
    beats_s = mirror_beats_s(quantised(ecg_mv, FS)).tolist()
    return "" if first and first[0] == beats_s else "beats of the mirror differ"


def main(argv: list[str]) -> int:
    """Print a line a case; exit status 1 when any disagrees."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate ecg_engines", description=__doc__)
    parser.add_argument("record", nargs="*", help="names; all that are here by default")
    parser.add_argument("--seconds", type=float, default=1e9, help="of each record at most")
    args = parser.parse_args(argv)
    if os.environ.get("VIGIL_VIPER") != "checked":  # read once, when the firmware is first imported
        os.environ["VIGIL_VIPER"] = "checked"
        os.execv(sys.executable, [sys.executable, "-m", "host_tools.validate", "ecg_engines", *argv])
    cases = wrong = 0
    for name, ecg_mv in signals(args.record, args.seconds):
        said = disagreement(ecg_mv)
        cases += 1
        wrong += bool(said)
        print(f"{name}: {said or 'identical'}", flush=True)
    print(f"{cases - wrong} of {cases} identical on every engine and the mirror, nothing raised there")
    return 1 if wrong else 0
