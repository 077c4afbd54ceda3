"""`vigil flash`: MicroPython and Vigil's file system onto a chip, by esptool in a process of its own.

Everything that can be known is known before the first byte is written: that the MicroPython image is one, whole, for
this chip and this flash; that it is trusted; that the port answers, with the right chip and a flash that is big enough.
Each region is verified by esptool against the chip's own MD5 of what it holds. NVS, with the device's key and settings,
is left alone unless it is to be forgotten. A write that fails is tried once more at a slow baud rate; after that the
exit status is 3 and the board is to be flashed again: its ROM loader cannot be damaged.
"""

from __future__ import annotations

import dataclasses
import queue
import re
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from host_tools.board import Board
from host_tools.board import profile as board_profile
from host_tools.bringup import ports
from host_tools.errors import UserError
from host_tools.image import esp_image, image
from host_tools.image.heap import carried
from host_tools.paths import BOARDS
from host_tools.updates import release

FAST_BAUD = 460800
SLOW_BAUD = 115200
HALF_WRITTEN = 3  # exit status
HASHES = "firmware_hashes.toml"
_SILENCE_S = 180  # of esptool, which has deadlines of its own; to erase 16 MB takes a minute
_HASH = re.compile(r"[0-9a-f]{64}")
_PROGRESS = re.compile(r"^Writing at 0x([0-9a-f]+).*?([0-9.]+)%")
_AGAIN = "flash it again: the chip's own loader cannot be damaged. Try another cable and port, without a hub"

# What esptool says when it fails: sentence and hint, {port}, {chip} and {said} filled in. The first that fits is it.
_FAILURES = (
    (
        r"wrong boot mode",
        "the chip on {port} runs its program and not its loader",
        "hold BOOT, press EN or RESET, let go",
    ),
    (
        r"secure download mode|secure boot",
        "the chip on {port} is locked: it takes signed firmware only",
        "its secure boot or download protection is on for ever; use another board",
    ),
    (
        r"invalid head of packet|no serial data received|failed to connect|timed out waiting for packet header",
        "no boot loader answers on {port}",
        "hold BOOT while you plug the board in, then try again; is it the right port, and a cable that carries data?",
    ),
    (
        r"this chip is (\S+)|unexpected chip|wrong.*chip argument",
        "the chip on {port} is not an {chip}",
        "choose another --board",
    ),
    (
        r"md5 of file does not match|hash.*does not match|checksum|verification failed|verify failed",
        "what the flash of {port} holds is not what was written",
        _AGAIN,
    ),
    (
        r"could not open|permission|busy|lock",
        "the port {port} was taken away or is in use",
        "close what else uses it, plug the board in again",
    ),
    (
        r"timed out|timeout|stopped|no more data|lost|disconnected|broken pipe|input/output|no such device|closed"
        r"|reset by peer|packet",
        "the link to {port} was lost",
        _AGAIN,
    ),
)


@dataclasses.dataclass(frozen=True)
class Link:
    """How to reach the chip. no_reset: a person, not DTR and RTS, brought it into its loader. stub: load the flasher
    stub, which is faster."""

    port: str
    baud: int = FAST_BAUD
    no_reset: bool = False
    stub: bool = True

    def command(self, chip: str, baud: int, *what: str) -> list[str]:
        """The command line of esptool."""
        reset = ["--before", "no-reset", "--after", "no-reset"] if self.no_reset else []
        stub = [] if self.stub else ["--no-stub"]
        start = [sys.executable, "-m", "esptool", "--chip", chip, "--port", self.port, "--baud", str(baud)]
        return [*start, "--connect-attempts", "3", *reset, *stub, *what]


def trusted_hashes() -> dict[str, str]:
    """SHA-256 to description: what ships with Vigil and what the user added. Raises UserError for a file that is not
    such a table."""
    found: dict[str, str] = {}
    for path in (BOARDS / HASHES, user_hashes()):
        try:
            table = tomllib.loads(path.read_text())
        except FileNotFoundError:
            continue
        except (OSError, tomllib.TOMLDecodeError) as e:
            raise UserError(f"cannot read the table of trusted firmware `{path}`", str(e)) from None
        for digest, what in table.items():
            if not _HASH.fullmatch(digest) or not isinstance(what, str):
                raise UserError(f"`{digest}` in `{path}` is not a SHA-256", 'lines are "64 hex digits" = "what it is"')
            found[digest] = what
    return found


def user_hashes() -> Path:
    """The user's own table."""
    return Path(platformdirs.user_config_dir("vigil")) / HASHES


def check_trust(firmware: esp_image.Firmware, allow_unknown: bool, ask: Callable[[str], bool] | None) -> str:
    """Return what the image is known as. Raises UserError for an unknown one that nobody allows."""
    known = trusted_hashes().get(firmware.sha256)
    if known:
        return known
    if allow_unknown or (
        ask and ask(f"MicroPython {firmware.version}, SHA-256 {firmware.sha256}, is unknown. Trust it?")
    ):
        return f"MicroPython {firmware.version}, unknown hash"
    raise UserError(
        f"the firmware's SHA-256 {firmware.sha256} is unknown",
        f"compare it with the download page, then add it to {user_hashes()} or say --allow-unknown",
    )


def read_filesystem(path: Path, board: Board) -> bytes:
    """Read a file system image made by `vigil image`. Raises UserError when it is none, damaged, or another board's."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise UserError(f"cannot read the image `{path}`", e.strerror or "") from None
    if data[8:16] != b"littlefs" and data[4104:4112] != b"littlefs":
        raise UserError(f"`{path.name}` is not a LittleFS image", "leave --image away: then one that fits is made")
    model = release.in_image(image.unpack(data), path.name)[3]
    if model != board.name:
        raise UserError(
            f"`{path.name}` is an image for {model}, not for {board.name}", "choose another --board or --image"
        )
    return data


def probe(link: Link, board: Board) -> int:
    """Ask the chip who it is; return its flash size in bytes. Raises UserError when it is not as `board` says."""
    said = []
    status = _esptool(link.command("auto", SLOW_BAUD, "flash-id"), said.append)
    text = "\n".join(said)
    chip = re.search(r"^(?:Detecting chip type\.\.\.|Connected to) +(ESP32[-A-Z0-9]*)", text, re.M)
    if chip and chip[1] != board.chip_name:
        raise UserError(
            f"the chip on {link.port} is an {chip[1]}, {board.name} has an {board.chip_name}",
            "choose another --board or --port",
        )
    if status:
        raise explain(text, link.port, board)
    size = re.search(r"^Detected flash size: (\d+)(KB|MB)", text, re.M)
    if chip is None or size is None:
        raise UserError(
            f"the flash of the chip on {link.port} does not answer", "the module may be damaged; use another"
        )
    found = int(size[1]) << (20 if size[2] == "MB" else 10)
    if found < board.flash_bytes:
        raise UserError(
            f"the flash on {link.port} has {size[1]} {size[2]}, {board.name} needs {board.flash_bytes >> 20} MB",
            "use a larger module, or describe this one as a board of its own (boards/README.md)",
        )
    return found


def write(link: Link, board: Board, regions: list[tuple[int, bytes]], on_progress: Callable[[float], None]) -> int:
    """Write and verify `regions`; return the baud rate that did it. on_progress gets the share done, 0 to 1.

    Raises UserError with code HALF_WRITTEN when something may have been written.
    """
    total = sum(len(data) for _, data in regions)
    starts = [at for at, _ in regions]
    before = {at: sum(len(d) for _, d in regions[:i]) for i, at in enumerate(starts)}
    size = {at: len(data) for at, data in regions}

    with tempfile.TemporaryDirectory() as folder:
        what = []
        for at, data in regions:
            file = Path(folder) / f"{at:08x}.bin"
            file.write_bytes(data)
            what += [f"0x{at:x}", str(file)]
        half = ""  # what esptool said when it failed with something written
        for baud in dict.fromkeys((link.baud, SLOW_BAUD)):
            said: list[str] = []

            def line(words: str, said: list[str] = said) -> None:
                said.append(words)
                if step := _PROGRESS.match(words):
                    begun = max((at for at in starts if at <= int(step[1], 16)), default=starts[0])
                    on_progress((before[begun] + size[begun] * float(step[2]) / 100) / total)

            status = _esptool(link.command(board.chip, baud, "write-flash", *what), line)
            text = "\n".join(said)
            if not status and text.count("Hash of data verified") == len(regions):
                on_progress(1.0)
                return baud
            if "Writing at" in text or "Flash will be erased" in text:
                half = text
        error = explain(half or text, link.port, board)
        raise UserError(error.sentence, error.hint, HALF_WRITTEN if half else error.code)


def explain(text: str, port: str, board: Board) -> UserError:
    """Say in plain words why esptool failed, from what it printed."""
    fatal = re.findall(r"error occurred: *(.+)", text)
    last = fatal[-1] if fatal else next((line for line in reversed(text.splitlines()) if line.strip()), "nothing")
    if "No module named esptool" in text:
        return UserError("esptool is not installed", "pip install 'vigil-monitor[board]'")
    for pattern, sentence, hint in _FAILURES:
        if re.search(pattern, last, re.I):
            return UserError(sentence.format(port=port, chip=board.chip_name), hint)
    return UserError(f"esptool failed on {port}", f"it said: {last.strip()[-200:]}")


def _esptool(command: list[str], on_line: Callable[[str], None]) -> int:
    """Run esptool; on_line gets each line as it comes. Returns its exit status."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(process.stdout, said), name="esptool", daemon=True).start()
        try:
            while (words := said.get(timeout=_SILENCE_S)) is not None:
                on_line(words)
            return process.wait(_SILENCE_S)
        except (queue.Empty, subprocess.TimeoutExpired):
            process.kill()
            on_line(f"A fatal error occurred: nothing more was heard, timed out after {_SILENCE_S} s")
            return 1
        except BaseException:
            process.kill()
            raise


def _read(stream, said: queue.SimpleQueue[str | None]) -> None:
    for words in _lines(stream):
        said.put(words)
    said.put(None)


def _lines(stream) -> Iterator[str]:
    """Lines of a stream; a progress bar's carriage returns begin lines too."""
    for line in stream:
        yield from (part.rstrip() for part in re.split(r"\r", line) if part.strip())


def flash(
    board: Board,
    firmware_path: Path,
    link_port: str | None,
    *,
    image_path: Path | None = None,
    profile: str | None = None,
    baud: int = FAST_BAUD,
    no_reset: bool = False,
    stub: bool = True,
    allow_unknown: bool = False,
    forget_identity: bool = False,
    ask: Callable[[str], bool] | None = None,
    agreed: bool = False,
    say: Callable[[str], None] = print,
    on_progress: Callable[[float], None] = lambda share: None,
) -> dict:
    """Put MicroPython and Vigil on the chip; return what was done.

    ask(question) -> bool asks a person; None: nobody is there, and what would be asked is refused. agreed: yes to
    replacing what is on the board. Raises UserError; its code is HALF_WRITTEN once something may have been written.
    """
    firmware = esp_image.read(firmware_path, board)
    known = check_trust(firmware, allow_unknown, ask)
    filesystem = read_filesystem(image_path, board) if image_path else None
    board_profile(profile or board.profile)
    port = link_port or ports.find()
    ports.check(port)
    link = Link(port, baud, no_reset, stub)
    say(f"looking at the chip on {port}")
    flash_bytes = probe(link, board)
    board = esp_image.placed(board, firmware, flash_bytes)
    if filesystem is None:
        worn = carried(board, profile or board.profile)
        if len(worn.sensors) < len(board.sensors):
            say(f"a plain ESP32 carries one chain: {' and '.join(worn.sensors)}; vigil image --sensors makes another")
        filesystem = image.build(worn, profile).filesystem
    elif len(filesystem) != board.vfs_bytes:
        raise UserError(
            f"the image has {len(filesystem)} bytes, the file system on this board {board.vfs_bytes}",
            "leave --image away: then one that fits is made",
        )
    say(f"{board.chip_name} with {flash_bytes >> 20} MB of flash; {known}")
    forgets = " AND the device's identity" if forget_identity else ""
    question = f"Replace the firmware and the files{forgets} on {port}?"
    if not agreed and not (ask and ask(question)):
        raise UserError("nothing was written", "say --yes to replace what is on the board")
    whole = [(firmware.offset, firmware.data)]
    regions = [*(whole if forget_identity else firmware.segments), (board.vfs_offset, filesystem)]
    done = write(link, board, regions, on_progress)
    return {
        "port": port,
        "board": board.name,
        "firmware": known,
        "baud": done,
        "regions": [{"offset": at, "size": len(data)} for at, data in regions],
    }
