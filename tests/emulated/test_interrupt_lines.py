"""Each interrupt line keeps its own edge until it is served, whatever the others and the bus do."""

import subprocess
from pathlib import Path

import pytest

from boards.virtual.server import Server
from host_tools.virtual.device import launch

SCRIPT = Path(__file__).parent / "lines_script.py"


class Line:
    """Falls at each of times_us, and stays low (so tells nothing) for low_us after it."""

    def __init__(self, times_us, low_us):
        self.times_us, self.low_us = times_us, low_us

    def next_edge_us(self, t_us):
        if any(t <= t_us < t + self.low_us for t in self.times_us):
            return None
        return next((t for t in self.times_us if t > t_us), None)


class Wire:
    def transfer(self, data, t_us):
        return data


# When each line falls; when the second is served, microseconds.
CASES = [
    ("far apart", [10_000], [20_000], [20_000]),
    ("while the first is served", [10_000], [10_500], [11_000]),
    ("at the same time", [10_000], [10_000], [11_000]),
    ("before the first, and served later", [10_000], [9_999], [9_999]),
    ("twice", [10_000, 40_000], [10_900, 40_100], [11_000, 41_000]),
]


@pytest.mark.parametrize("first,second,served_us", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
@pytest.mark.parametrize("stalled", [False, True])
def test_no_edge_is_lost(tmp_path, first, second, served_us, stalled):
    wiring = {"spi:slow": Wire(), "irq:first": Line(first, 100), "irq:second": Line(second, 1050)}
    stalls = [[9, 5]] if stalled else []
    with Server(wiring, stalls_ms=stalls) as server:
        process = launch(str(SCRIPT), state=tmp_path, server=server, output=subprocess.PIPE, speed=0)
        said = process.communicate(timeout=30)[0].decode().splitlines()
        assert server.error is None
    assert said[0] == "no third"
    events = [(name, int(edge), int(at)) for name, edge, at in (line.split() for line in said[1:])]
    assert sorted(e for name, e, _ in events if name == "first") == first
    assert [e for name, e, _ in events if name == "second"] == second
    if not stalled:
        assert [at for name, _, at in events if name == "second"] == served_us
