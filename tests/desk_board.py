"""A board on the desk for tests of provisioning: the agent itself runs, on CPython, on a board of dictionaries.

`lies` changes what a function of the agent returns, `lost_at` is the call at which the cable is pulled.
"""

import json
import os
import time

from host_tools.errors import UserError
from host_tools.paths import ROOT

AGENT = (ROOT / "host_tools" / "bringup" / "agent.py").read_text()


class Keystore:
    def __init__(self):
        self.held = {}

    def get(self, name):
        return self.held.get(name)

    def set(self, name, value):
        self.held[name] = bytes(value)


class Radio:
    on_air = (b"ward 3",)

    def wake(self):
        return self

    def scan(self):
        return [(ssid, b"", 1, -50, 3, False) for ssid in self.on_air]


class Device:
    """What stays on the desk when the cable is pulled: flash, keystore, and the numbers of the chip."""

    name = "ESP32_GENERIC"

    def __init__(self, folder, *, hardware="aabbccddeeff"):
        self.fs = str(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.keystore = Keystore()
        self.wifi = Radio()
        self.hardware = hardware
        self.fed = 0
        self.parts = {"i2c": [0x57], "max30102": None, "ecg": None, "ecg_part": "MAX30003"}
        self.levels = [[20, 21], [9000, 30], [25, 8000]]

    def random(self, n):
        return os.urandom(n)

    def feed_watchdog(self):
        self.fed += 1


class DeskBoard:
    """Stands in for host_tools.bringup.on_board.OnBoard: DeskBoard.plug(device, ...) gives what to put in its place."""

    def __init__(self, device, lies=None, lost_at=None, about=None, said=None):
        self._device, self._lies, self._lost_at = device, lies or {}, lost_at
        self.calls = []
        self.about = {"version": "1.29.0", "machine": "Generic ESP32 module with ESP32", "watched": True,
                      "hardware": device.hardware, "recent": {}} | (about or {})  # fmt: skip
        self.resets = True
        self._names = {}
        exec(compile(AGENT, "agent.py", "exec"), self._names)
        self._names.update(
            _board=device, _watched=True, parts=lambda: device.parts, light=lambda: device.levels, ticks=self._ticks,
            memory=lambda: 90_000, flash=lambda: [True, 1_500_000], glow=lambda on: None,
        )  # fmt: skip
        self.said = {"firmware": "0.1.0", "board": device.name, "wrong": None, "fs": device.fs} | (said or {})

    @classmethod
    def plug(cls, device, **faults):
        """A function with OnBoard's signature; `.board` is the last one that it made."""

        def open_port(port, *, soft_reset=None):
            open_port.board = cls(device, **faults)
            open_port.board.port = port
            return open_port.board

        return open_port

    @staticmethod
    def _ticks():
        return round(time.monotonic() * 1000)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        pass

    def call(self, function, *arguments, timeout_s=30):
        if self._lost_at is not None and len(self.calls) >= self._lost_at:
            raise UserError("no MicroPython answers on the desk", "the cable was pulled")
        self.calls.append(function)
        try:
            result = self._names[function](*arguments)
        except Exception as e:
            raise UserError(f"the board stopped with {type(e).__name__}: {e}", "") from e
        if function in self._lies:
            result = self._lies[function](result, *arguments)
        return json.loads(json.dumps(result))
