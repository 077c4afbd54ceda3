"""What holds up the processor, and for how long no sample is lost: measured with the emulated parts' own counts.

A stall is a call into C that lets nothing run: a collection of garbage, an erase of flash, the arithmetic of a TLS
handshake. A hold is code of ours, as a seal is: interrupts are served, the scheduler is not. `python -m pytest -s -n 0
tests/emulated/test_stalls.py` prints the figures.
"""

import numpy as np
import pytest
from worn import recording, run

from boards.virtual.scenario import Scenario, Stall
from vigil.core.records import ACC, ECG, GAP, PPG

N = 4  # of each kind, at different phases of every FIFO
SECONDS = 5 + 3 * N
_AT_S = [4 + 3 * i + 0.0173 * i for i in range(N)]


# A handshake of 1500 ms step by step, in the shares that MicroPython on a PC takes for each: the certificate, the
# server's exchange, ours, our signature, the end. Each begins with empty FIFOs.
_STEPS_MS = (430, 420, 500, 120, 30)


def figures(tmp_path, stall_ms=0, hold_ms=0):
    """Samples lost and gaps of (ECG, PPG, ACC), and how many samples nobody accounts for. hold_ms: one, or several."""
    worn = recording(SECONDS + 2)
    t_s = np.arange(50 * SECONDS) / 50
    worn.accel, worn.accel_fs = np.stack([0 * t_s, 0 * t_s, 1 + 0 * t_s], axis=1), 50.0
    scenario = Scenario(worn, faults=tuple(Stall(at, stall_ms / 1000) for at in _AT_S if stall_ms))
    parts = scenario.wiring()
    scenario.wiring = lambda: parts
    holds = hold_ms if isinstance(hold_ms, tuple) else (hold_ms,)
    hold = ";".join(
        f"{round(1000 * at) + sum(map(abs, holds[:i])) + 10 * i},{ms}"
        for at in _AT_S
        for i, ms in enumerate(holds)
        if ms
    )
    result = run(tmp_path, scenario, SECONDS, hold=hold)
    unaccounted = []
    for source, name in ((ECG, "max30003"), (PPG, "max30102")):
        part = parts["irq:" + name]
        made = part.measured_us // 10_000 if source == PPG else part._made
        told = sum(block.n for block in result.of(source)) + result.end["lost"][source - 1]
        unaccounted.append(made - told)
    gaps = [len(result.flagged(source, GAP)) - 1 for source in (ECG, PPG, ACC)]
    return result.end["lost"], gaps, unaccounted


@pytest.mark.parametrize("what,stall_ms,hold_ms,lossless", [
    ("garbage collected", 30, 0, (ECG, PPG, ACC)),
    ("a sector erased", 60, 0, (ECG, PPG, ACC)),
    ("two sectors erased in one call", 120, 0, (PPG, ACC)),
    ("the same after the FIFOs were emptied", 0, -120, (ECG, PPG, ACC)),
    ("a segment rotated in one call, likewise", 0, -200, (PPG, ACC)),
    ("a batch sealed", 0, 150, (ECG, PPG, ACC)),
    ("a TLS handshake, in one call", 1500, 0, ()),
    ("a TLS handshake, step by step", 0, tuple(-ms for ms in _STEPS_MS), (PPG, ACC)),
])  # fmt: skip
def test_what_a_stall_costs(tmp_path, what, stall_ms, hold_ms, lossless):
    lost, gaps, unaccounted = figures(tmp_path, stall_ms, hold_ms)
    print(f"\n{what}, {N} x {stall_ms or hold_ms} ms: lost ECG {lost[0]}, PPG {lost[1]}, ACC {lost[2]}; gaps {gaps}")
    for source in lossless:
        assert lost[source - 1] == gaps[source - 1] == 0
    for source, fifo in ((ECG, 32 + 64), (PPG, 32)):  # at the end: in the FIFO, or in the ring
        assert -3 * N <= unaccounted[source - 1] <= fifo + 3 * N, "lost without a word"
    assert all((gap > 0) == (n > 0) for gap, n in zip(gaps, lost, strict=True))  # a loss is a gap, and the other way
