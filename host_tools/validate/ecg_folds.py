"""Are the detector's numbers tuned to the records? Chosen on one half of them, scored on the other.

Sets: the one taken, and those with one number of it moved up or down. Cases: every record of mitdb as it is, and its
clean ones in muscle noise and electrode motion. For each of many random halves of the records, the set with the
fewest errors on that half is scored on the other half; beside it stands what the set taken has there.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from host_tools.validate.cases import Case, load, notes_of, record_names, stressed
from host_tools.validate.ecg import quantised, scores
from signal_models.fixed import ecg as fixed

NOISES = (("ma", 6.0), ("em", 0.0))
MOVED = {
    "threshold_least": (30, 42),
    "t_wave_q8": (80, 100),
    "back_q8": (165, 195),
    "floor_least": (16, 20),
    "part_q8": (108, 132),
    "early_less": (72, 120),
    "extra_q8": (100, 140),
    "even_q8": (20, 48),
    "learn_floor": (20, 32),
}
HALVES = 200


def sets() -> dict[str, fixed.Rules]:
    """Name to numbers; the first is the one taken."""
    moved = {
        f"{name} {value}": replace(fixed.RULES, **{name: value}) for name, values in MOVED.items() for value in values
    }
    return {"as taken": fixed.RULES, **moved}


def errors(case: Case, rules: list[fixed.Rules]) -> np.ndarray:
    """(sets, 3): true positives, misses and false beats of a case by EC57, for each set."""
    recording = load(case)
    assert recording.ecg is not None and recording.ecg_fs
    candidates = fixed.candidates(quantised(recording.ecg, recording.ecg_fs))
    notes = notes_of(case.record)
    found = (scores(notes, fixed.decide(candidates, r).time_s, recording.duration_s)[0] for r in rules)
    return np.array([(s.tp, s.fn, s.fp) for s in found])


def f1_pct(counts: np.ndarray) -> np.ndarray:
    """F1 in percent of (..., 3) counts."""
    tp, fn, fp = np.moveaxis(counts, -1, 0)
    return 200 * tp / (2 * tp + fn + fp)


def halves(counts: np.ndarray, seed: int = 1) -> tuple[float, float]:
    """Mean F1 on the other half of the set chosen on one, and of set 0 there. counts: (records, sets, 3)."""
    rng = np.random.default_rng(seed)
    chosen, taken = [], []
    for _ in range(HALVES):
        order = rng.permutation(len(counts))
        here, there = counts[order[: len(order) // 2]].sum(axis=0), counts[order[len(order) // 2 :]].sum(axis=0)
        best = int(np.argmin(here[:, 1] + here[:, 2]))  # the first of equals
        chosen.append(f1_pct(there)[best])
        taken.append(f1_pct(there)[0])
    return float(np.mean(chosen)), float(np.mean(taken))


def main(argv: list[str]) -> int:
    """Print F1 of every set on all records, then the halves."""
    argparse.ArgumentParser(prog="python -m host_tools.validate ecg_folds", description=__doc__).parse_args(argv)
    tried = sets()
    names = record_names("mitdb")
    groups = {"as they are": [Case(n) for n in names]}
    for kind, snr_db in NOISES:
        cases = [c for c in stressed(names, (snr_db,))[0] if c.noise == kind]
        if cases:
            groups[f"{kind} {snr_db:g} dB"] = cases
    counts = {}
    for group, cases in groups.items():
        counts[group] = np.array([errors(c, list(tried.values())) for c in cases])
        print(f"{group}: {len(cases)} records heard", flush=True)
    print("F1 of all records, %".ljust(24) + "".join(g.rjust(14) for g in groups))
    for i, name in enumerate(tried):
        print(name.ljust(24) + "".join(f"{f1_pct(counts[g].sum(axis=0))[i]:14.3f}" for g in groups))
    print(f"{HALVES} halves: F1 on the other half of the set chosen, of the set taken")
    for group in groups:
        chosen, taken = halves(counts[group])
        print(f"{group.ljust(24)}{chosen:14.3f}{taken:14.3f}")
    return 0
