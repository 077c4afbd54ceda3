"""What the virtual board offers besides sensors, as firmware/vigil/hal.py says."""

import subprocess
from pathlib import Path

from worn import recording

from boards.virtual.scenario import Scenario, WifiOut
from boards.virtual.server import Server
from host_tools.virtual.device import launch

SCRIPT = Path(__file__).parent / "board_script.py"

SAID = """\
virtual power-on None True [87]
32 True
None
b'22' []
False
2 True
1002 False
2002 True
299 10000 None
"""


def test_contract(tmp_path):
    scenario = Scenario(recording(5), faults=(WifiOut(0.5, 1.5),))
    with Server(scenario.wiring(), scenario.stalls_ms(), scenario.wifi_out_ms(), scenario.ecg_gain) as server:
        process = launch(str(SCRIPT), state=tmp_path / "state", server=server, output=subprocess.PIPE, speed=0)
        said = process.communicate(timeout=30)[0].decode()
    assert said == SAID
    assert sorted(p.name for p in (tmp_path / "state" / "nvs").iterdir()) == ["boot.count"]


def test_a_board_without_its_environment_says_so(tmp_path):
    with Server({}) as server:
        process = launch(str(SCRIPT), state=tmp_path, server=server, output=subprocess.PIPE, extra={"VIGIL_LINK": ""})
        said = process.communicate(timeout=30)[0].decode()
    assert process.returncode and "VIGIL_STATE and VIGIL_LINK must be set" in said
