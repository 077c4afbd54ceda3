"""Serial ports: which one has a board on it, and in plain words why one cannot be used."""

from __future__ import annotations

import errno
from pathlib import Path

from host_tools.errors import UserError

# USB vendors of the bridges on development boards, and of chips with USB of their own.
VENDORS = {0x303A: "Espressif", 0x10C4: "CP210x", 0x1A86: "CH340", 0x0403: "FTDI"}
_MISSING = UserError("pyserial is not installed", "pip install 'vigil-monitor[board]'")


def find() -> str:
    """Return the port of the only board that is connected. Raises UserError when there is none or several."""
    try:
        from serial.tools import list_ports
    except ImportError:
        raise _MISSING from None
    found = [p for p in list_ports.comports() if p.vid in VENDORS]
    if not found:
        raise UserError(
            "no board is connected", "plug it in with a cable that carries data, or name its port with --port"
        )
    if len(found) > 1:
        listed = ", ".join(f"{p.device} ({VENDORS[p.vid]})" for p in found)
        raise UserError("more than one board is connected", f"choose with --port: {listed}")
    return found[0].device


def check(port: str) -> None:
    """Open and close `port`. Raises UserError with what is wrong: absent, forbidden, busy, not a port."""
    try:
        import serial
    except ImportError:
        raise _MISSING from None
    try:
        serial.serial_for_url(port, exclusive=None if "://" in port else True, timeout=1).close()
    except ValueError as e:
        raise UserError(f"`{port}` is not a port", str(e)) from None
    except OSError as e:
        raise _explain(port, e) from None


def _explain(port: str, error: OSError) -> UserError:
    said = str(error).lower()
    if "://" in port:
        return UserError(f"nobody answers at {port}", "is the address right, and the other side running?")
    if error.errno == errno.ENOENT or ("could not open port" in said and not Path(port).exists()):
        return UserError(f"there is no port {port}", "unplug the board, plug it in again and look at the port's name")
    if error.errno in (errno.EACCES, errno.EPERM) or "permission" in said:
        return UserError(f"no permission to use {port}", "on Linux: sudo usermod -aG dialout $USER, then log in again")
    if error.errno in (errno.EBUSY, errno.EAGAIN) or "lock" in said or "busy" in said:
        return UserError(f"{port} is in use by another program", "close the serial monitor, REPL or other flasher")
    if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EISDIR, errno.ENXIO) or "configure" in said:
        return UserError(
            f"`{port}` is not a serial port", "a port is named like /dev/ttyUSB0, COM3 or socket://HOST:PORT"
        )
    return UserError(f"cannot open {port}", str(error))
