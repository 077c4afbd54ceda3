"""The numbers of the pulse rate in motion: how fast a rate moves, and the network's weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signal_models.design import Table
from signal_models.design.motion_weights import ALONE, HEARD

STEP_BINS = 3.0  # standard deviation of the rate's change in 2 s, bins of 1.46 bpm


@dataclass(frozen=True)
class Network:
    """Weights (hidden, inputs), biases and output weights of the judge, as the firmware holds them."""

    hidden_q14: np.ndarray
    bias_q8: np.ndarray
    out_q8: np.ndarray
    straight_q14: np.ndarray


def step_q8() -> np.ndarray:
    """How far the rate moves between two evaluations: 17 weights, sum 256."""
    k = np.arange(-8, 9)
    g = np.exp(-(k**2) / (2 * STEP_BINS**2))
    q = np.rint(256 * g / g.sum()).astype(np.int64)
    q[8] += 256 - q.sum()
    return q


def network(*, alone: bool = False) -> Network:
    """The weights in the firmware's units: of the judge with acceleration, or of that of light alone."""
    return Network(*(np.array(v, np.int64) for v in (ALONE if alone else HEARD)))


def _packed(net: Network) -> np.ndarray:
    return np.concatenate([np.column_stack([net.hidden_q14, net.bias_q8]).ravel(), net.out_q8, net.straight_q14])


def tables() -> list[Table]:
    """The tables of firmware/vigil/dsp/coeffs/motion.py."""
    shape = "8 x (13 weights Q14, bias Q8), 8 weights of the units Q8, 13 straight weights Q14"
    return [
        Table("STEP_Q8", step_q8(), "how far the rate moves in 2 s, -8..8 bins", "B"),
        Table("HEARD", _packed(network()), shape),
        Table("ALONE", _packed(network(alone=True)), "likewise, of light without acceleration"),
    ]
