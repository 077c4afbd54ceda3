"""Nothing in the signal path allocates once everything is made; reports alone do."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np

from boards.virtual.scenario import Scenario
from boards.virtual.server import Server
from host_tools.virtual.device import launch
from signal_models.synth.wearer import wearer
from vigil.core import records

SCRIPT = Path(__file__).with_name("allocation_script.py")
SECONDS = 60


def moved(t_s):
    """Acceleration in g: rest, then running from 30 s to 45 s."""
    runs = (t_s > 30) & (t_s < 45)
    swing = np.sin(2 * np.pi * 2.6 * t_s) * runs
    return np.stack([0.8 * swing, 0.2 * swing, 1 + 0.5 * swing], axis=1)


# requirement: MEM-1
def test_the_heap_stays_locked_through_every_stage(tmp_path):
    """On viper alone: the stand-ins for pointers that the bytecode engine needs on a PC allocate."""
    t_s = np.arange(SECONDS * 50) / 50
    recording = replace(wearer(SECONDS, seed=4), accel=moved(t_s), accel_fs=50.0)
    with Server(Scenario(recording, clock_error=0.004).wiring()) as server:
        process = launch(
            str(SCRIPT),
            state=tmp_path / "state",
            server=server,
            output=subprocess.PIPE,
            speed=0,
            until_ms=1000 * SECONDS,
        )
        try:
            text = process.communicate(timeout=120)[0].decode()
        finally:
            process.kill()
        assert server.error is None
    assert "END " in text, text[-1500:]
    assert "MemoryError" not in text, text[-1500:]
    end = json.loads(text.rsplit("END ", 1)[1])
    ecg, ppg, acc = (end["blocks"][source] for source in (records.ECG, records.PPG, records.ACC))
    assert ecg > 150 and ppg > 250 and acc > 400 and end["reports"] > 50
    assert end["lost"] == [0, 0, 0]
    kinds = {records.HEART_RATE, records.PULSE_RATE, records.SPO2, records.RESP_RATE, records.RHYTHM, records.MOTION}
    assert kinds <= set(end["kinds"])  # every estimator has been at work
