"""A MicroPython REPL of this machine's unix port on a pty or a TCP socket, as a board is on a serial port.

    with Relay("pty") as relay: relay.port

Ctrl-D ends a unix process: the relay then starts another one and says what a board says at a soft reset.
"""

import contextlib
import fcntl
import os
import pty
import select
import socket
import subprocess
import termios
import threading
import tty

from host_tools import children
from host_tools.virtual import interpreter

BANNER = b"raw REPL; CTRL-B to exit"


class Relay:
    """port: what a tool opens. resets: soft resets so far. mute: a board that answers nothing. environment: more of it.

    boot: a script that runs at each start, as boot.py does on a board. program: a line of Python that is typed after
    it, as a board runs main.py, but not after a reset into the raw REPL.
    """

    def __init__(self, kind, *, heap_kb=1024, cwd=None, mute=False, environment=None, boot=None, program=None):
        self._heap_kb, self._cwd, self._mute = heap_kb, cwd, mute
        self._environment, self._program = environment or interpreter.environment(), program
        self._boot = boot
        self.resets = 0
        self.said = bytearray()  # all that the board has printed
        self._process = None
        self._stop = threading.Event()
        if kind == "pty":
            self._outer, self._held = pty.openpty()
            tty.setraw(self._held)
            self.port = os.ttyname(self._held)
            self._server = None
        else:
            self._server = socket.create_server(("127.0.0.1", 0))
            self._outer = None
            self.port = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._start()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self._stop.set()
        self._thread.join(5)
        children.kill(self._process)
        for fd in (self._inner, *((self._outer, self._held) if self._server is None else ())):
            os.close(fd)
        if self._server is not None:
            self._server.close()

    def _start(self, raw=False):
        self._inner, slave = pty.openpty()
        tty.setraw(slave)  # the port gives the terminal back this way while it runs a program
        if self._program:  # Ctrl-C interrupts what runs
            mode = termios.tcgetattr(slave)
            mode[3] |= termios.ISIG
            termios.tcsetattr(slave, termios.TCSANOW, mode)
        self._process = subprocess.Popen(
            [
                interpreter.micropython(),
                "-X",
                f"heapsize={self._heap_kb}k",
                *(["-i", str(self._boot)] if self._boot else []),
            ],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=self._cwd,
            env=self._environment,
            start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if self._program else None,
        )
        os.close(slave)
        self._raw = raw
        if self._program and not raw:
            os.write(self._inner, self._program.encode() + b"\r")

    def _soft_reset(self):
        """A board stays in raw mode through a reset that was asked for there."""
        self.resets += 1
        os.close(self._inner)
        self._process.wait()
        self._send(b"\r\nMPY: soft reboot\r\n")
        self._start(self._raw)
        if not self._raw:
            return
        os.write(self._inner, b"\x01")
        seen = b""
        while BANNER not in seen:
            seen += os.read(self._inner, 4096)
        self._send(seen[seen.index(BANNER) :])

    def _send(self, data):
        self.said += data
        if self._mute:
            return
        if self._server is None:
            os.write(self._outer, data)
        elif self._outer is not None:
            self._outer.sendall(data)

    def _receive(self):
        if self._server is None:
            return os.read(self._outer, 4096)
        data = self._outer.recv(4096)
        if not data:
            self._outer.close()
            self._outer = None
        return data

    def _run(self):
        while not self._stop.is_set():
            outer = self._outer if self._outer is not None else self._server
            ready = select.select([outer, self._inner], [], [], 0.05)[0]
            if self._process.poll() is not None:
                self._soft_reset()
                continue
            if outer in ready:
                if outer is self._server:
                    self._outer = self._server.accept()[0]
                    self._outer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                elif data := self._receive():
                    for byte, raw in ((b"\x01", True), (b"\x02", False)):
                        self._raw = raw if byte in data else self._raw
                    os.write(self._inner, data)
            if self._inner in ready:
                with contextlib.suppress(OSError):  # it has ended; the next turn sees that
                    self._send(os.read(self._inner, 4096))
