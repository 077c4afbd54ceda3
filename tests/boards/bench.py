"""A virtual board on a pty: MicroPython with the firmware, emulated sensors, and the soft resets of a chip."""

import contextlib
from pathlib import Path

from relay import Relay

from boards.virtual.server import Server
from host_tools import interpreter, virtual
from host_tools.paths import BOARDS


class Parts(Server):
    """Emulators that begin anew with each start of the device, whose time begins at 0 again."""

    def __init__(self, scenario):
        self._scenario = scenario
        super().__init__(scenario.wiring(), scenario.stalls_ms(), scenario.wifi_out_ms(), scenario.ecg_gain)

    def _serve(self, connection, stream):
        wiring = self._scenario.wiring()
        self._parts = list(wiring.values())
        self._lines = [part for name, part in wiring.items() if name.startswith("irq:")]
        super()._serve(connection, stream)


@contextlib.contextmanager
def board(folder, scenario, *, program=BOARDS / "virtual" / "run.py", tree=None, more=None, kind="pty"):
    """A relay to a device whose flash is `folder`. tree: folders with the firmware; program: its main.py, None: none."""
    folder.mkdir(exist_ok=True)
    folders = tree or [*interpreter.import_path("viper"), virtual.board_tree()]
    with Parts(scenario) as parts:
        environment = interpreter.environment(*[Path(f).resolve() for f in folders])
        environment |= {"VIGIL_STATE": str(folder), "VIGIL_LINK": parts.address} | (more or {})
        with Relay(kind, environment=environment, cwd=folder, program=program, heap="4m") as relay:
            yield relay
