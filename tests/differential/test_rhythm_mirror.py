"""The firmware's rhythm rule against its int64 mirror."""

import numpy as np
import pytest

from host_tools.replay import rhythm_from_rr
from signal_models.fixed import rhythm as mirror
from vigil.estimators.rhythm import LATENCY, Rhythm


def _series(rng, kind, n):
    base = int(rng.integers(250, 1500))
    at = np.arange(n)
    return {
        "anything": lambda: rng.integers(0, 65536, n),
        "plausible": lambda: rng.integers(200, 3100, n),
        "steady": lambda: base + rng.integers(-8, 9, n),
        "af": lambda: base + rng.integers(-base // 3, base // 3, n),
        "episodes": lambda: np.where(at // 60 % 2, base + rng.integers(-200, 201, n), base + rng.integers(-9, 10, n)),
        "patterns": lambda: base * rng.choice([60, 100, 140], n) // 100,
    }[kind]()


@pytest.mark.parametrize("kind", ["anything", "plausible", "steady", "af", "episodes", "patterns"])
def test_every_decision_is_equal(kind):
    rng = np.random.default_rng(7)
    for n in (1, 5, 17, 64, 129, 400, 700):
        rr_ms = np.clip(_series(rng, kind, n), 0, 65535)
        rhythm = Rhythm()
        assert [rhythm.push(int(rr)) for rr in rr_ms] == mirror.rhythm(rr_ms).tolist()


@pytest.mark.parametrize("engine", ["micropython", "micropython-bytecode", "cpython"])
def test_replay_gives_the_mirrors_labels(engine):
    rng = np.random.default_rng(8)
    rr_ms = np.concatenate([_series(rng, k, 200) for k in ("steady", "af", "patterns", "plausible", "steady")])
    codes = mirror.rhythm(rr_ms)
    centred = np.concatenate([codes[LATENCY:], np.repeat(codes[-1], LATENCY)])
    assert [label for _, label in rhythm_from_rr(rr_ms / 1000, engine)] == [mirror.LABELS[c] for c in centred]
