"""What a TLS handshake costs the wearer: readings shown around it, with light lost, and with light pooled meanwhile.

`pytest -s -n 0 tests/recorded/test_reconnect.py` prints the figures; VIGIL_RECORDS=bidmc01,bidmc17 names the records.
"""

import os

import numpy as np

from host_tools.replay import replay
from signal_models import datasets

STEPS_MS = (430, 420, 500, 120, 30)  # as tests/emulated/test_stalls.py
FIFO_MS = 320
RECORDS = os.environ.get("VIGIL_RECORDS", "")
AT_S = (60, 120, 180) if RECORDS else (60,)
AFTER_S = 30


def handshaken(ppg, fs, pooled):
    """The light as the device has it around handshakes at AT_S: what comes to a full FIFO lost, or 20 ms a sample."""
    out = ppg.copy()
    t_s = np.arange(len(ppg)) / fs
    for at_s in AT_S:
        end_s = at_s + sum(STEPS_MS) / 1000
        if pooled:
            edges_s = np.arange(at_s, end_s, 0.02)
            means = [np.interp(edge + np.arange(0, 0.02, 0.0025), t_s, ppg).mean() for edge in edges_s]
            inside = (t_s >= at_s) & (t_s < end_s)
            out[inside] = np.array(means)[((t_s[inside] - at_s) / 0.02).astype(int)]
            continue
        for ms in STEPS_MS:
            out[(t_s >= at_s + FIFO_MS / 1000) & (t_s < at_s + ms / 1000)] = np.nan
            at_s += ms / 1000
    return out


def test_a_reconnect_costs_no_reading_of_the_light(recordings):
    shown = np.zeros((3, 2), int)
    for name in (RECORDS or "bidmc01").split(","):
        record = datasets.load(recordings("bidmc") / name)
        light = np.array(record.ppg[: int((AT_S[-1] + AFTER_S + 10) * record.ppg_fs), 0], float)
        for i, ppg in enumerate((light, *(handshaken(light, record.ppg_fs, pooled) for pooled in (False, True)))):
            kinds = {"ppg_channels": record.ppg_channels, "ppg_unit": record.ppg_unit}
            found = replay(ppg=ppg[:, None], ppg_fs=record.ppg_fs, **kinds)
            near = [r for r in found.of("pulse_rate") if any(0 <= r.t_end_s - at_s < AFTER_S for at_s in AT_S)]
            shown[i] += sum(not r.withheld for r in near), len(near)
    undisturbed, lost, pooled = (f"{some} of {all_}" for some, all_ in shown)
    print(f"\npulse rates shown in {AFTER_S} s after: undisturbed {undisturbed}, lost {lost}, pooled {pooled}")
    assert shown[1, 0] < shown[2, 0] == shown[0, 0]
