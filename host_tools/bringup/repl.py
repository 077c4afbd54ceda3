"""Any MicroPython behind mpremote's transport: a serial port, a pty, or socket://HOST:PORT."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from host_tools.bringup import ports
from host_tools.errors import UserError
from host_tools.virtual.interpreter import ARCHES

MPY = (6, 3)  # version of .mpy files that our compiler makes
_PC = ("linux", "darwin", "win32")  # a process: a soft reset would end it
_ANSWER_S = 10
_KNOCK_S = 1  # less than the window of boot.py
_READ_S = 0.5  # longest wait in one read: without it a silent pty would block for ever

_ASK = """
import gc, json, sys
gc.collect()
hz, number = None, b""
try:
    import machine
    number = getattr(machine, "unique_id", bytes)()
    hz = machine.freq()
except (ImportError, AttributeError):
    pass
hz = hz[0] if isinstance(hz, tuple) else hz
print(json.dumps({"platform": sys.platform, "machine": getattr(sys.implementation, "_machine", ""),
    "version": ".".join(str(n) for n in sys.implementation.version[:3]), "mpy": getattr(sys.implementation, "_mpy", 0),
    "hz": hz, "hardware": number.hex(), "heap_free": gc.mem_free(), "watched": "vigil.app.supervise" in sys.modules,
    "recent": {}}))
"""
# Asked while what was interrupted still fills the heap, which may be too full for more than a line.
_PLATFORM = "import sys\nprint(repr(sys.platform))"
_WATCHED = "print('vigil.app.supervise' in sys.modules)"
_RECENT = "print(getattr(sys.modules.get('vigil.core.log'), 'recent', {}))"
_BEFORE = "import json, os, sys\nprint(json.dumps([os.getcwd(), list(sys.modules)]))"
_FORGET = """
import gc, os, sys
os.chdir(%r)
for name in list(sys.modules):
    if name not in %r:
        del sys.modules[name]
gc.enable()
gc.collect()
"""


class Repl:
    """One board at its raw REPL. Use as a context: at the end the board is left as it was.

    about: platform, machine, version, arch (None: bytecode only), hz (None: unknown), hardware (the chip's own number
    in hex, empty on a PC), heap_free, watched (the monitor ran, so that its watchdog may still run), recent (the last
    complaint of each of its areas). A chip is reset softly before and after (`resets`), so that what ran on it runs
    again; a process on a PC forgets the modules that were loaded.
    """

    def __init__(self, port: str, *, soft_reset: bool | None = None):
        try:
            from mpremote.transport import TransportError
            from mpremote.transport_serial import SerialTransport
        except ImportError:
            raise UserError("mpremote is not installed", "pip install 'vigil-monitor[board]'") from None
        ports.check(port)
        self.port = port
        self._error = TransportError
        self._mounted = self._closed = False
        self._silent = UserError(
            f"no MicroPython answers on {port}",
            "is it flashed and not asleep? press the board's reset button and try again",
        )
        with self._plainly():
            self._transport = SerialTransport(port, timeout=_READ_S)
        if port.startswith("socket://"):
            self._hurry()
        try:
            self._enter(False)
            self.resets = self._glance(_PLATFORM, None) not in _PC if soft_reset is None else soft_reset
            before = {}
            if self.resets:
                before = {"watched": self._glance(_WATCHED, True), "recent": self._glance(_RECENT, {})}
                self._enter(True)
            self.about = json.loads(self.run(_ASK)) | before
            self._before = tuple(json.loads(self.run(_BEFORE)))
            number = self.about["mpy"]
            if number and (number & 0xFF, number >> 8 & 3) != MPY:
                raise UserError(
                    f"MicroPython {self.about['version']} reads another version of .mpy files than {MPY[0]}.{MPY[1]}",
                    "flash MicroPython 1.26 or later",
                )
            self.about["arch"] = ARCHES[number >> 10] if number >> 10 < len(ARCHES) else None
        except BaseException:
            self._transport.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    @contextlib.contextmanager
    def _plainly(self):
        """Turn what the transport raises, and prints, into a UserError."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except (self._error, OSError, ValueError) as e:
            raise self._silent from e

    def _hurry(self) -> None:
        """On a socket: small writes that are each answered are not gathered, and a read waits instead of asking."""
        opened: Any = self._transport.serial
        with socket.socket(fileno=os.dup(opened.fileno())) as same:
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.is_pty = True

    def _enter(self, soft_reset: bool) -> None:
        """Knock again and again: a board that is starting, or restarting, hears Ctrl-C in the window of boot.py."""
        deadline_s = time.monotonic() + _ANSWER_S
        with self._plainly():
            while True:
                left_s = deadline_s - time.monotonic()
                try:
                    wait_s = max(1, round(left_s)) if soft_reset else _KNOCK_S
                    return self._transport.enter_raw_repl(soft_reset=soft_reset, timeout_overall=wait_s)
                except self._error:
                    if left_s <= _KNOCK_S or soft_reset:
                        raise

    def _glance(self, code: str, otherwise: Any) -> Any:
        """What a line prints, read as Python; `otherwise` when the board has no memory for it."""
        try:
            return ast.literal_eval(self.run(code).strip())
        except (UserError, ValueError, SyntaxError):
            return otherwise

    def mount(self, folder: Path) -> None:
        """Let the board see `folder` as its current one, first in its import path; nothing is written to it."""
        with self._plainly():
            self._transport.mount_local(str(folder))
        self._mounted = True

    def run(self, code: str, *, timeout_s: int = 60, on_line: Callable[[str], None] | None = None) -> str:
        """Run `code`; return what it prints. on_line gets each line as it comes.

        timeout_s: longest silence. Raises UserError with the last line of the traceback when the code fails.
        """
        lines = bytearray()
        told = 0

        def take(byte: bytes) -> None:
            nonlocal told
            lines.extend(byte.replace(b"\x04", b""))
            if on_line and byte == b"\n":
                on_line(lines[told:].decode(errors="replace").strip())
                told = len(lines)

        with self._plainly():
            _, error = self._transport.exec_raw(code, timeout=timeout_s, data_consumer=take)
        if error:
            last = error.decode(errors="replace").strip().splitlines()[-1]
            raise UserError(f"the board stopped with {last}", _advice(last))
        return lines.decode(errors="replace")

    def close(self) -> None:
        """Leave the board as it was. Idempotent."""
        if self._closed:
            return
        self._closed = True
        transport = self._transport
        with contextlib.suppress(self._error, OSError, ValueError), contextlib.redirect_stdout(io.StringIO()):
            if self._mounted:
                transport.umount_local()
            if not self.resets:
                transport.exec_raw(_FORGET % self._before, timeout=_ANSWER_S)
            transport.exit_raw_repl()
            if self.resets:
                transport.serial.write(b"\x04")
        with contextlib.suppress(OSError):
            transport.close()


def _advice(last: str) -> str:
    if last.startswith("MemoryError"):
        return (
            "its heap is too small for this: a board with PSRAM, or MicroPython with the firmware frozen in, has more"
        )
    return "see docs/flashing.md for the versions of MicroPython that are supported"
