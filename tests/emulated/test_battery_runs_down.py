"""A virtual wearer whose battery runs down: it says so, stops what is dispensable, seals what is there and ends."""

from worn import recording

from boards.virtual.devices.max17048 import Cell
from boards.virtual.scenario import Scenario
from host_tools.virtual.device import VirtualWearer


def test_the_device_ends_in_good_order(tmp_path):
    drained = Scenario(recording(130), cell=lambda: Cell(10, 5.5, load_ma=15.0))  # 2.5 % a minute; 2 % after 84 s
    with VirtualWearer(tmp_path, drained, speed=0, duration_s=300) as wearer:
        wearer.start()
        assert wearer.wait(60)
    text = wearer.log_path.read_text()
    assert "battery: low" in text
    assert "battery: empty" in text
    report = wearer.end_report
    assert report is not None
    assert report["sealed"] == report["pending"] >= 9  # not provisioned: everything is kept
    assert report["restarts"] == 0
    assert wearer.status == 0
