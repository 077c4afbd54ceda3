"""What the acquisition tests share: a simple wearer, and one run of the device with all that it pushed."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boards.virtual.server import Server
from host_tools.virtual.device import launch
from signal_models.recording import Recording

DEVICE = Path(__file__).parent / "device.py"
FS = 125


def recording(seconds=70, dc=(131072, 120000)):
    """A narrow R wave each 0.8 s, and a sine of 1.25 Hz on two DCs."""
    t = np.arange(seconds * FS) / FS
    ecg = np.exp(-0.5 * (((t % 0.8) - 0.4) / 0.012) ** 2)
    pulse = np.sin(2 * np.pi * 1.25 * t)
    ppg = np.stack([dc[0] * (1 - 0.01 * pulse), dc[1] * (1 - 0.02 * pulse)], axis=1)
    return Recording("sine", ecg=ecg, ecg_fs=FS, ppg=ppg, ppg_fs=FS)


@dataclass
class Block:
    source: int
    seq: int
    t0_ms: int
    period_us: int
    n: int
    flags: int
    data: list


@dataclass
class Run:
    text: str
    end: dict
    blocks: list

    def of(self, source):
        return [b for b in self.blocks if b.source == source]

    def flagged(self, source, flag):
        return [b for b in self.of(source) if b.flags & flag]


def run(tmp_path, scenario, seconds, *, speed=0.0, show="samples", lock="", engine="viper", hold=""):
    with Server(scenario.wiring(), scenario.stalls_ms(), scenario.wifi_out_ms(), scenario.ecg_gain) as server:
        process = launch(
            str(DEVICE),
            state=tmp_path / "state",
            server=server,
            output=subprocess.PIPE,
            speed=speed,
            engine=engine,
            until_ms=round(1000 * seconds),
            extra={"TEST_PRINT": show, "TEST_LOCK": lock, "TEST_HOLD": hold},
        )
        try:
            text = process.communicate(timeout=60)[0].decode()
        finally:
            process.kill()
        assert server.error is None
    assert "END " in text, text[-2000:]
    blocks = []
    for line in text.splitlines():
        if line.startswith("S "):
            head, _, values = line.partition("[")
            blocks.append(Block(*map(int, head.split()[1:]), json.loads("[" + values)))
    return Run(text, json.loads(text.rsplit("END ", 1)[1]), blocks)
