"""`make property`: every kernel and estimator of the firmware against its own oracle, by random inputs; exit 1 on any
failure.

    python -m tests.property [--minutes 5] [--seed N] [NAME ...]   rounds until the time is up; a night: --minutes 600
    python -m tests.property dsp.ecg.fir_q15 --seed 123 --examples 40   one round, as it was

The firmware runs on CPython with every intermediate checked for int32, words loaded signed and unsigned in turn. What
it is held to is the int64 mirror (signal_models/fixed) or a few lines of integers written from the docstring. Each
round and name has a seed of its own; a failure is made small, and printed with the command that shows it again.
"""

import argparse
import os
import random
import sys
import time
from pathlib import Path

os.environ.setdefault("VIGIL_VIPER", "checked")  # read when the firmware is first imported

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

import host_tools  # noqa: F401  puts the firmware on the path

sys.path.insert(0, str(Path(__file__).parent))

import of_ecg  # noqa: F401  each registers its checks
import of_light  # noqa: F401
import of_motion  # noqa: F401
import of_rest  # noqa: F401
from cases import CASES, CHECKS, DEAR

from boards.cpython import shim

EXAMPLES, DEAR_EXAMPLES = 40, 2


def attempt(name: str, seed: int, examples: int) -> str:
    """Try a name's check on so many cases; "" or what failed, in lines."""
    shim.SIGNED_PTR32 = bool(seed & 1)

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(CASES)
    def check(case):
        CHECKS[name](case)

    try:
        check()
    except Exception as e:
        notes = [line for note in getattr(e, "__notes__", []) for line in note.splitlines()]
        return "\n".join([f"{name}: {type(e).__name__}: {e}", *(f"  {line}" for line in notes)])
    finally:
        shim.SIGNED_PTR32 = True
    return ""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.property", description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help="kernels and estimators, or their beginnings (default: all)")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, help="of the campaign; with --examples: of the round itself")
    parser.add_argument("--examples", type=int, help="one round of so many cases of each")
    args = parser.parse_args(argv)
    names = [n for n in CHECKS if not args.name or any(n == a or n.startswith(a + ".") for a in args.name)]
    if not names:
        parser.error(f"no kernel is called so; known: {', '.join(CHECKS)}")
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(10**6)
    seeds = random.Random(seed)
    print(f"{len(names)} kernels and estimators, seed {seed}", flush=True)
    failed: dict[str, str] = {}
    tried = rounds = 0
    end = time.monotonic() + 60 * args.minutes
    while True:
        for name in [n for n in names if n not in failed]:
            examples = args.examples or (DEAR_EXAMPLES if name in DEAR else EXAMPLES)
            own = seed if args.examples else seeds.randrange(10**9)
            said = attempt(name, own, examples)
            tried += examples
            if said:
                failed[name] = said
                print(
                    f"{said}\n  again: python -m tests.property {name} --seed {own} --examples {examples}", flush=True
                )
            if time.monotonic() > end and not args.examples:
                break
        rounds += 1
        if args.examples or time.monotonic() > end:
            break
        print(f"round {rounds}: {tried} cases, {len(failed)} failed", flush=True)
    print(f"{len(names) - len(failed)} of {len(names)} held on {tried} cases; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
