"""A whole MicroPython image for an ESP32-family chip: boot loader, partition table and application in one file.

Read to find out, before anything is written, whether it is one, for which chip, whole, and where its file system
begins. Layout: ESP-IDF's image header (magic 0xE9, chip id at byte 12), the partition table at flash address 0x8000,
the application descriptor (magic 0xABCD5432) behind the application's first segment header.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import struct
from pathlib import Path

from host_tools.board import Board
from host_tools.errors import UserError

TABLE = 0x8000  # flash address of the partition table
OLDEST = (1, 26)  # MicroPython that Vigil runs on
_MAGIC = 0xE9
_HEADER = 24
_ENTRY = struct.Struct("<HBBII16sI")  # magic, type, subtype, offset, size, name, flags
_ENTRY_MAGIC = 0x50AA
_MD5_MAGIC = 0xEBEB
_DESCRIPTOR_MAGIC = 0xABCD5432
_CHIPS = {0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 12: "ESP32-C2", 13: "ESP32-C6", 18: "ESP32-P4"}
_ROOM = 0x10000  # bytes: less is no file system for us
_GET = "take the .bin of the board from micropython.org/download (not .app-bin, .uf2 or .elf)"


@dataclasses.dataclass(frozen=True)
class Partition:
    """One entry of the table; kind 0 is an application, 1 data."""

    name: str
    kind: int
    subtype: int
    offset: int
    size: int

    @property
    def is_nvs(self) -> bool:
        """Whether it holds keys and settings."""
        return self.kind == 1 and self.subtype == 2


@dataclasses.dataclass(frozen=True)
class Firmware:
    """A MicroPython image that fits a board. version: as the image itself says; offset: its flash address."""

    data: bytes
    offset: int
    version: str
    partitions: tuple[Partition, ...]

    @property
    def sha256(self) -> str:
        """Of the whole file."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def segments(self) -> list[tuple[int, bytes]]:
        """(flash address, bytes) of everything but NVS, so that keys and settings outlive a new image."""
        end = self.offset + len(self.data)
        cuts = sorted((p.offset, p.offset + p.size) for p in self.partitions if p.is_nvs and p.offset < end)
        found, at = [], self.offset
        for begin, after in cuts:
            found.append((at, self.data[at - self.offset : begin - self.offset]))
            at = after
        if at < end:
            found.append((at, self.data[at - self.offset :]))
        return found


def read(path: Path, board: Board) -> Firmware:
    """Read a MicroPython image and check that it fits `board`. Raises UserError with what is wrong."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise UserError(f"cannot read the firmware `{path}`", e.strerror or "") from None
    _check_chip(data, path.name, board)
    table = data[TABLE - board.firmware_offset :][:0xC00]
    if table[:2] != _ENTRY_MAGIC.to_bytes(2, "little"):
        raise UserError(f"`{path.name}` has no partition table where {board.chip_name} looks for it", _GET)
    partitions = _table(table, path)
    first = next((p for p in partitions if p.kind == 0), None)
    at = first.offset - board.firmware_offset if first else len(data)
    return Firmware(data, board.firmware_offset, application(data[at:], path.name, board), partitions)


def _check_chip(data: bytes, name: str, board: Board) -> None:
    """Raise UserError where `data` does not begin with an image for the board's chip."""
    if data[:1] != bytes([_MAGIC]) or len(data) < _HEADER:
        raise UserError(f"`{name}` is not a firmware image of an ESP32", _GET)
    chip_id = int.from_bytes(data[12:14], "little")
    if chip_id != board.image_chip_id:
        made_for = _CHIPS.get(chip_id, f"chip {chip_id}")
        raise UserError(f"`{name}` is made for {made_for}, {board.name} has an {board.chip_name}", _GET)


def _table(table: bytes, path: Path) -> tuple[Partition, ...]:
    found = []
    for at in range(0, len(table) - _ENTRY.size + 1, _ENTRY.size):
        magic, kind, subtype, offset, size, name, _flags = _ENTRY.unpack_from(table, at)
        if magic == _MD5_MAGIC and table[at + 16 : at + 32] != hashlib.md5(table[:at]).digest():
            raise UserError(f"the partition table of `{path.name}` is damaged", "get the file again")
        if magic != _ENTRY_MAGIC:
            break
        found.append(Partition(name.rstrip(b"\0").decode("ascii", "replace"), kind, subtype, offset, size))
    return tuple(found)


def application(data: bytes, name: str, board: Board) -> str:
    """Return the version of the MicroPython at the start of `data`, from a file `name`.

    Raises UserError: cut short or damaged, for another chip, another program, too old.
    """
    cut = UserError(f"`{name}` is cut short or damaged", "get the file again and compare its size or SHA-256")
    if len(data) < _HEADER + 8 + 256 or data[0] != _MAGIC:
        raise cut
    _check_chip(data, name, board)
    at = _HEADER
    for _ in range(data[1]):
        if at + 8 > len(data):
            raise cut
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
    at += 16 - at % 16  # one byte of checksum at the end of the padding
    if data[23] == 1 and data[at : at + 32] != hashlib.sha256(data[:at]).digest():
        raise cut
    magic, version, project = struct.unpack_from("<I12x32s32s", data, _HEADER + 8)
    if magic != _DESCRIPTOR_MAGIC:
        raise UserError(f"`{name}` does not say what it is", _GET)
    version, project = (text.rstrip(b"\0").decode("utf-8", "replace") for text in (version, project))
    if project != "micropython":
        raise UserError(f"`{name}` is `{project}`, not MicroPython", _GET)
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise UserError(f"`{name}` is MicroPython {version}, which is too old", "take 1.26 or later")
    return version


def placed(board: Board, firmware: Firmware, flash_bytes: int) -> Board:
    """Return `board` with its file system where this firmware looks for it on a flash of `flash_bytes`.

    That is the partition `vfs`, or where the table lists none, from the last partition to the end of the flash: the
    port asks the chip how large it is. Raises UserError when there is no room.
    """
    listed = next((p for p in firmware.partitions if p.name == "vfs"), None)
    begin = listed.offset if listed else max(p.offset + p.size for p in firmware.partitions)
    end = listed.offset + listed.size if listed else flash_bytes
    if end > flash_bytes or end - begin < _ROOM or firmware.offset + len(firmware.data) > begin:
        raise UserError(
            f"this MicroPython has its file system at 0x{begin:x} to 0x{end:x} of {flash_bytes >> 20} MB of flash",
            "take an image of MicroPython for this flash size",
        )
    return dataclasses.replace(board, vfs_offset=begin, flash_bytes=end)
