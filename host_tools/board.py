"""What `boards/<NAME>/board.toml` says about a board: chip, flash, offsets, pins, profile."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

from host_tools.errors import UserError
from host_tools.image.absent import settle
from host_tools.image.fold import fold_all, module_name
from host_tools.image.link import link, reached
from host_tools.image.names import STOCK, rename, rom_names, spoken
from host_tools.image.numbers import number
from host_tools.image.start import forget_start
from host_tools.image.texts import TABLE, move
from host_tools.paths import BOARDS, FIRMWARE, ROOT, cache_dir

_HAL = FIRMWARE / "vigil" / "hal.py"  # by whose names a board that is not linked is called
_AGENT = ROOT / "host_tools" / "bringup" / "agent.py"  # who speaks to a lean device's modules
_TOOLS = ROOT / "host_tools" / "image"
CHIP_NAMES = {"esp32": "ESP32", "esp32s3": "ESP32-S3", "esp32c3": "ESP32-C3"}


@dataclasses.dataclass(frozen=True)
class Board:
    """One board. Offsets and sizes in bytes of flash; chip as esptool calls it; arch as mpy-cross calls it."""

    name: str
    title: str
    chip: str
    image_chip_id: int
    arch: str
    flash_bytes: int
    psram: bool
    firmware_offset: int
    vfs_offset: int
    profile: str
    sensors: dict[str, str]
    pins: dict[str, int]

    @property
    def vfs_bytes(self) -> int:
        """Size of the file system: to the end of the flash."""
        return self.flash_bytes - self.vfs_offset

    @property
    def chip_name(self) -> str:
        """The chip's name as people write it."""
        return CHIP_NAMES.get(self.chip, self.chip)

    def sources(self) -> dict[str, Path]:
        """Modules of the board itself, by name."""
        family = {file.stem: file for file in sorted((BOARDS / "esp32").glob("*.py"))}
        return {"board": BOARDS / self.name / "board.py"} | family


def names() -> list[str]:
    """Boards that an image can be made for."""
    return sorted(file.parent.name for file in BOARDS.glob("*/board.toml"))


def load(name: str) -> Board:
    """Read a board. Raises UserError for one that is not there, or whose board.toml is not understood."""
    if name not in names():
        raise UserError(
            f"`{name}` is not a board", f"one of {', '.join(names())}; boards/README.md says how to add one"
        )
    path = BOARDS / name / "board.toml"
    try:
        return Board(**tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError, TypeError) as e:
        raise UserError(f"cannot understand {path}", str(e)) from None


@dataclasses.dataclass(frozen=True)
class Profile:
    """roots: modules whose imports decide what goes in (none: all). only_with: modules by the part that
    they are for, or parts ("a or b").

    without: modules that the others do without when they are not there. linked: modules that become one with all that
    they load, the first. doors: those of them that can still be imported by their own name.
    """

    name: str
    roots: list[str]
    only_with: dict[str, list[str]]
    without: list[str]
    linked: list[str]
    doors: list[str]

    def modules(self, sensors: Iterable[str]) -> dict[str, Path]:
        """Firmware modules with their sources, for a board with `sensors`: packages included, boot and main too."""
        every = {
            ".".join(file.relative_to(FIRMWARE).with_suffix("").parts).removesuffix(".__init__"): file
            for file in sorted(FIRMWARE.rglob("*.py"))
        }
        every.pop("vigil.hal", None)  # for readers only
        unfitted = [names for parts, names in self.only_with.items() if not set(sensors) & set(parts.split(" or "))]
        idle = {name for names in unfitted for name in names}
        idle.update(self.without)
        every = {name: file for name, file in every.items() if name not in idle}
        chosen = _reached(every, self.roots) if self.roots else set(every)
        return {name: file for name, file in every.items() if name in chosen}

    def program(self, sensors: Iterable[str], own: Mapping[str, Path]) -> dict[str, str]:
        """Sources as a device carries them, by path: the profile's modules and the board's `own`, folded and linked."""
        return self.made(sensors, own)[0]

    def made(self, sensors: Iterable[str], own: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, list[str]]]:
        """Return the program, and which of our names each of its names stands for; none where nothing is linked.

        Kept by the hash of all that goes into it: linking takes seconds.
        """
        files = {file.relative_to(FIRMWARE).as_posix(): file for file in self.modules(sensors).values()}
        files |= {f"{name}.py": file for name, file in own.items()}
        sources = {path: file.read_text() for path, file in files.items()}
        tools = {
            str(file): file.read_text()
            for file in (Path(__file__), _HAL, _AGENT, *sorted(_TOOLS.iterdir()))
            if file.is_file()
        }
        digest = hashlib.sha256(json.dumps([repr(self), sources, tools, sys.version], sort_keys=True).encode())
        kept = cache_dir() / "programs" / f"{digest.hexdigest()[:24]}.json"
        if kept.exists():
            return tuple(json.loads(kept.read_text()))
        made = self._make(sources, own.keys())
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = kept.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(made))
        scratch.replace(kept)
        return made

    def _make(self, sources: Mapping[str, str], own: Set[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
        texts = fold_all(sources, strip=True)
        paths = {module_name(path): path for path in texts}
        program = {name: texts[path] for name, path in paths.items()}
        if not self.linked:
            return texts, {}
        program = move(program)
        paths |= {name: name.replace(".", "/") + ".py" for name in program.keys() - paths.keys()}
        packages = {name for name, path in paths.items() if path.endswith("/__init__.py")}
        starts = [name for name in self.linked if name in program]
        group = [name for start in starts for name in reached(program, start) if name not in packages]
        # What stands on a linked module of the board is linked, too: board.py, which main.py imports by its own name.
        stands = [name for name in own if name not in group and set(reached(program, name)) & own & set(group)]
        linked, doors = dict.fromkeys(group + stands), [*self.doors, *stands]
        agent, hal = (spoken(ast.parse(file.read_text())) for file in (_AGENT, _HAL))
        to_port = {word for name in own & linked.keys() for word in spoken(ast.parse(program[name]))}
        root = starts[0]
        program = link(program, linked, doors)
        program = settle(program, root, agent | hal | STOCK | set(rom_names()), agent)
        program = forget_start(program, root, doors)
        program, meant = rename(program, agent | hal | to_port | {TABLE})
        return {paths[name]: text for name, text in number(program).items()}, meant


def profile(name: str) -> Profile:
    """Read a profile of boards/profiles.toml. Raises UserError for one that is not there."""
    table = tomllib.loads((BOARDS / "profiles.toml").read_text())
    if name not in table:
        raise UserError(f"`{name}` is not a profile", f"one of {', '.join(table)}")
    return Profile(name, **table[name])


def _reached(every: dict[str, Path], roots: list[str]) -> set[str]:
    """Modules that `roots` import, directly or not, also inside functions; with their packages."""
    todo, seen = list(roots), set()
    while todo:
        name = todo.pop()
        if name in seen or name not in every:
            continue
        seen.add(name)
        if "." in name:
            todo.append(name.rpartition(".")[0])
        for node in ast.walk(ast.parse(every[name].read_text())):
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                todo += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return seen
