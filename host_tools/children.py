"""Child processes that are ours: started in their own session, ended by process id, never left behind.

Where util-linux is installed they end even when we are killed outright.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from host_tools.errors import UserError


def start(command: list[str], log: Path | BinaryIO, *, cwd: Path | None = None) -> subprocess.Popen:
    """Start `command` with its output appended to `log`.

    In a session of its own, so that Ctrl-C reaches only us and we end the children in order.
    """
    if isinstance(log, Path):
        with log.open("ab") as file:
            return start(command, file, cwd=cwd)
    return subprocess.Popen(
        [*_leash(), *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        start_new_session=True,
    )


def _leash() -> list[str]:
    """What to put before a command so that the kernel ends it when the thread that started it is gone."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if not setpriv:
        return []
    # We may have ended before the leash was on: then there is another parent, and nobody will say so.
    still_ours = ["sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"', str(os.getpid())]
    return [setpriv, "--pdeathsig", "TERM", "--", *still_ours]


def stop(process: subprocess.Popen | None, timeout_s: float = 5) -> int | None:
    """End `process` politely, then by force after timeout_s; returns its exit status. None and ended ones are fine."""
    if process is None:
        return None
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def kill(process: subprocess.Popen | None) -> None:
    """End `process` without giving it a chance to say anything (SIGKILL)."""
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def endpoint(where: str, what: str, example: str) -> tuple[str, int]:
    """Host (may be empty) and port of "host:port". Raises UserError: no place where a `what` could listen."""
    host, _, port = where.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"`{where}` is not where a {what} could listen", example)
    return host, int(port)


def tail(log: Path, lines: int = 3) -> str:
    """The last lines of a log file, for a hint."""
    try:
        return " / ".join(log.read_text(errors="replace").strip().splitlines()[-lines:])[-500:]
    except OSError:
        return ""
