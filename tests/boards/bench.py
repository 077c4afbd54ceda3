"""A virtual board on a pty: MicroPython with the firmware, emulated sensors, and the soft resets of a chip."""

import contextlib
from pathlib import Path

from relay import Relay

from boards.virtual.server import Server
from host_tools.paths import BOARDS
from host_tools.virtual import device, interpreter


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


HEAP_KB = interpreter.HEAP_KB + device.BOARD_HEAP_KB  # a plain ESP32: what was interrupted fills it
RUN = f"exec(open({str(BOARDS / 'virtual' / 'run.py')!r}).read())"


@contextlib.contextmanager
def board(folder, scenario, *, program=RUN, more=None, boot=None, folders=None, heap_kb=HEAP_KB):
    """A relay to a device whose flash is `folder`. program: its main.py, None: none. folders: with its firmware."""
    folder.mkdir(exist_ok=True)
    if folders is None:
        folders = [*interpreter.import_path("viper"), device.board_tree()]
    with Parts(scenario) as parts:
        environment = interpreter.environment(*[Path(f).resolve() for f in folders])
        environment |= {"VIGIL_STATE": str(folder), "VIGIL_LINK": parts.address} | (more or {})
        with Relay("pty", environment=environment, cwd=folder, boot=boot, program=program, heap_kb=heap_kb) as relay:
            yield relay
