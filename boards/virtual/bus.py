"""Emulated buses: I2C with devices by address, SPI with one device on its chip select, and what goes wrong on them.

An I2C device has `read(register, n, t_us) -> bytes` and `write(register, data, t_us)`; one on SPI has
`transfer(data, t_us) -> bytes` for all that happens while its chip select is low. The buses hold no other state.

Model limits: no clock stretching, no arbitration, whole transactions only (a fault never cuts one in half).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Protocol


class Device(Protocol):
    """What hangs on the bus."""

    def read(self, register: int, n: int, t_us: int) -> bytes:
        """n bytes from `register` on."""
        ...

    def write(self, register: int, data: bytes, t_us: int) -> None:
        """Write `data` to `register` on."""


@dataclass
class BusFault:
    """From from_us to to_us, `stuck`: SDA is held low (ETIMEDOUT) until somebody clocks SCL; else: nobody
    acknowledges (ENODEV)."""

    from_us: int
    to_us: int
    stuck: bool = False

    def active(self, t_us: int) -> bool:
        """Tell whether it acts at t_us."""
        return self.from_us <= t_us < self.to_us


class I2CBus:
    """devices by 7-bit address; faults as they are."""

    def __init__(self, devices: dict[int, Device], faults: tuple[BusFault, ...] = ()):
        self._devices = devices
        self._faults = list(faults)

    def _check(self, t_us: int) -> None:
        for fault in self._faults:
            if fault.active(t_us):
                raise OSError(errno.ETIMEDOUT if fault.stuck else errno.ENODEV, "bus")

    def _device(self, address: int, t_us: int) -> Device:
        self._check(t_us)
        if address not in self._devices:
            raise OSError(errno.ENODEV, "bus")
        return self._devices[address]

    def read(self, address: int, register: int, n: int, t_us: int) -> bytes:
        """Bytes from `register` on. Raises OSError as the chip's driver does: ENODEV, ETIMEDOUT."""
        return self._device(address, t_us).read(register, n, t_us)

    def write(self, address: int, register: int, data: bytes, t_us: int) -> None:
        """Write `data` to `register` on."""
        self._device(address, t_us).write(register, data, t_us)

    def scan(self, t_us: int) -> list[int]:
        """Addresses that acknowledge."""
        try:
            self._check(t_us)
        except OSError:
            return []
        return sorted(self._devices)

    def recover(self, t_us: int) -> None:
        """Nine clocks on SCL free a data line that a device holds low."""
        self._faults = [f for f in self._faults if not (f.stuck and f.active(t_us))]


class SpiDevice(Protocol):
    """What hangs on an SPI bus."""

    def transfer(self, data: bytes, t_us: int) -> bytes:
        """Answer to `data`, as many bytes."""
        ...


class SpiBus:
    """device: None when nothing is fitted. faults: while one acts the answer is lost (the line reads as ones, or when
    it is stuck as zeros), although the device heard: SPI has no acknowledgement that could tell."""

    def __init__(self, device: SpiDevice | None, faults: tuple[BusFault, ...] = ()):
        self._device = device
        self._faults = faults

    def transfer(self, data: bytes, t_us: int) -> bytes:
        """One transaction."""
        answer = self._device.transfer(data, t_us) if self._device else b"\xff" * len(data)
        for fault in self._faults:
            if fault.active(t_us):
                return (b"\0" if fault.stuck else b"\xff") * len(data)
        return answer
