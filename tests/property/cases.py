"""What the campaign tries: seeded signals of a kind, a length and a scale, small enough to print; and its register."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

KINDS = ("noise", "ends", "small", "wave", "step", "zero", "low", "spikes", "impulses")


@dataclass(frozen=True)
class Case:
    """Everything that a check derives from: equal cases give equal inputs. a, b, c: whatever a check wants to vary."""

    seed: int
    kind: str
    n: int
    a: int
    b: int
    c: int

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


CASES = st.builds(
    Case,
    st.integers(0, 2**32 - 1),
    st.sampled_from(KINDS),
    st.integers(1, 400),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**16 - 1),
)

CHECKS: dict[str, Callable[[Case], None]] = {}
DEAR: set[str] = set()  # estimators: a hundred times as long as a kernel


def oracle(*names: str, dear: bool = False):
    """Register a check under the names of the kernels that it judges alone."""

    def register(check: Callable[[Case], None]) -> Callable[[Case], None]:
        for name in names:
            assert name not in CHECKS
            CHECKS[name] = check
            if dear:
                DEAR.add(name)
        return check

    return register


def signal(case: Case, shape: int | tuple[int, ...], low: int, high: int, salt: int = 0) -> np.ndarray:
    """Integers of the case's kind within low..high, int64."""
    rng = np.random.default_rng((case.seed, salt))
    n = int(np.prod(shape))
    t = np.arange(n)
    top = max(0, high.bit_length() - 1)
    made = {
        "noise": lambda: rng.integers(low, high + 1, n),
        "ends": lambda: rng.choice([low, high], n),
        "small": lambda: rng.integers(-3, 4, n),
        "wave": lambda: np.rint(high * np.sin(t * rng.uniform(0.01, 1.5)) * rng.uniform(0.01, 1)).astype(np.int64),
        "step": lambda: np.where(t // rng.integers(5, 60) % 2, high, low),
        "zero": lambda: np.zeros(n, np.int64),
        "low": lambda: np.full(n, low),
        # Half of them of the highest power of two: times an odd tap they fall on the very edge of rounding.
        "impulses": lambda: np.where(
            rng.random(n) < 0.05,
            rng.choice([-1, 1], n) << np.where(rng.random(n) < 0.5, top, rng.integers(0, top + 1, n)),
            0,
        ),
        "spikes": lambda: np.where(rng.random(n) < 0.05, rng.integers(low, high + 1, n), rng.integers(-9, 10, n)),
    }[case.kind]()
    return np.clip(made, low, high).astype(np.int64).reshape(shape)


def ints(x: np.ndarray, code: str = "h") -> array:
    """A buffer as the firmware has it."""
    return array(code, np.ravel(x).tolist())


def equal(got: object, want: object, what: str = "") -> None:
    """Bit for bit; says where they part."""
    g, w = np.ravel(np.asarray(got)), np.ravel(np.asarray(want))
    assert g.shape == w.shape, f"{what}: {g.shape} values instead of {w.shape}"
    if not np.array_equal(g, w):
        i = int(np.flatnonzero(g != w)[0])
        raise AssertionError(
            f"{what or 'value'} {i}: {g[i]} instead of {w[i]}, {int((g != w).sum())} of {len(g)} differ"
        )
