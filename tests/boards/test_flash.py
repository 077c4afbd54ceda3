"""`vigil flash`: unmodified esptool against a simulated chip, then MicroPython boots what the chip's flash holds."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import firmware_bin
import pytest
from rom import ROM_BAUD, Rom

from host_tools import cli
from host_tools.board import load
from host_tools.bringup import flash, ports
from host_tools.errors import UserError
from host_tools.image import image
from host_tools.updates import release
from host_tools.virtual import interpreter

HERE = Path(__file__).parent
NVS = slice(0x9000, 0xF000)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A firmware file for each chip, and a small but true file system image for each board."""
    folder = tmp_path_factory.mktemp("files")
    for chip, mib in (("esp32", 4), ("esp32s3", 8)):
        vfs = (0x200000, (mib << 20) - 0x200000)
        (folder / f"{chip}.bin").write_bytes(firmware_bin.make(chip, flash_mib=mib, body_bytes=60_000, vfs=vfs))
    for name in ("ESP32_GENERIC", "ESP32_GENERIC_S3"):
        (folder / f"{name}.littlefs").write_bytes(small_image(name, load(name).vfs_bytes))
    return folder


def small_image(board, size, **changed):
    """One with a program, a module, and a manifest that says so. changed: content of files."""
    module = {"vigil.mpy": b"M\x06\x00\x1f" + b"bytecode"}
    about = {"number": 0, "version": "0.1.0", "model": board, "profile": "lean", "files": module}
    files = {
        "main.py": b"print('hello')\n",
        "a/lib/vigil.mpy": module["vigil.mpy"],
        "a/release": release.manifest(**about),
    }
    return image.pack({path: content for path, content in (files | changed).items() if content}, size)


@pytest.fixture(autouse=True)
def own_table(tmp_path, monkeypatch):
    """No user's table of trusted firmware but one of the test's."""
    monkeypatch.setattr(flash.platformdirs, "user_config_dir", lambda name: str(tmp_path / "config"))
    return tmp_path / "config" / flash.HASHES


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(["flash", *map(str, arguments)])
    return end.value.code


def options(files, chip="esp32", board="ESP32_GENERIC"):
    return ("--board", board, "--firmware", files / f"{chip}.bin", "--image", files / f"{board}.littlefs",
            "--allow-unknown", "--yes")  # fmt: skip


@pytest.mark.parametrize(
    ("chip", "board", "mib", "kind", "extra"),
    [
        ("esp32", "ESP32_GENERIC", 4, "socket", ()),
        ("esp32", "ESP32_GENERIC", 8, "pty", ("--no-stub",)),
        ("esp32s3", "ESP32_GENERIC_S3", 16, "pty", ()),
    ],
)
def test_every_byte_is_where_it_belongs(files, capsys, chip, board, mib, kind, extra):
    with Rom(kind, chip, mib) as rom:
        rom.flash[NVS] = b"\x5a" * 0x6000  # the identity of a device in use
        reset = ("--no-reset",) if kind == "pty" else ()
        assert run(*options(files, chip, board), "--port", rom.port, *reset, *extra) == 0
        flashed = bytes(rom.flash)
        assert rom.bauds == [flash.FAST_BAUD]
        assert (0x06 in rom.ops) == ("--no-stub" not in extra)  # MEM_END starts the stub
    firmware, offset = (files / f"{chip}.bin").read_bytes(), load(board).firmware_offset
    written = bytearray(firmware)
    written[0x9000 - offset : 0xF000 - offset] = b"\x5a" * 0x6000
    assert flashed[offset : offset + len(firmware)] == written
    filesystem = (files / f"{board}.littlefs").read_bytes()
    assert flashed[0x200000 : 0x200000 + len(filesystem)] == filesystem
    assert "written and verified: 3 regions" in capsys.readouterr().out


def test_s3_without_the_stub(files, tmp_path):
    """The ROM takes plain blocks of 1 KB: a small file system, so that the test is quick."""
    board = dataclasses.replace(load("ESP32_GENERIC_S3"), flash_bytes=0x220000)
    (tmp_path / "s3.bin").write_bytes(firmware_bin.make("esp32s3", body_bytes=20_000, vfs=(0x200000, 0x20000)))
    (tmp_path / "fs").write_bytes(small_image(board.name, board.vfs_bytes))
    with Rom("socket", "esp32s3") as rom:
        done = flash.flash(
            board,
            tmp_path / "s3.bin",
            rom.port,
            image_path=tmp_path / "fs",
            stub=False,
            allow_unknown=True,
            agreed=True,
        )
        assert 0x06 not in rom.ops and done["baud"] == flash.FAST_BAUD
        assert rom.flash[0x200000:0x220000] == (tmp_path / "fs").read_bytes()
        assert rom.flash[:0x9000] == (tmp_path / "s3.bin").read_bytes()[:0x9000]


def test_the_identity_is_forgotten_when_asked(files):
    with Rom() as rom:
        rom.flash[NVS] = b"\x5a" * 0x6000
        assert run(*options(files), "--port", rom.port, "--forget-identity") == 0
        assert set(rom.flash[NVS]) == {0xFF}


@pytest.mark.parametrize(("chip", "name", "profile"), [("esp32", "ESP32_GENERIC", "lean")])
def test_micropython_boots_what_was_flashed(files, tmp_path, chip, name, profile):
    march = interpreter.native_march()
    if march is None:
        pytest.skip("MicroPython has no native code on this machine")
    board = load(name)
    (tmp_path / "fs").write_bytes(image.build(board, profile, arch=march).filesystem)
    with Rom("socket", chip) as rom:
        arguments = [a if a != files / f"{name}.littlefs" else tmp_path / "fs" for a in options(files, chip, name)]
        assert run(*arguments, "--port", rom.port) == 0
        (tmp_path / "flash.bin").write_bytes(rom.flash)
    script = [str(HERE / "boot_image.py"), str(tmp_path / "flash.bin"), str(board.vfs_offset), str(board.vfs_bytes)]
    done = subprocess.run(
        interpreter.command(*script, chip, "1500", heap_kb=32 * 1024),
        env=interpreter.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.split("VIGIL-END ")[1].splitlines()[0])["sealed"] == 1


def test_a_slower_baud_rate_is_tried(files, capsys):
    with Rom(flip=lambda rom: rom.baud > ROM_BAUD) as rom:
        assert run(*options(files), "--port", rom.port) == 0
        assert rom.bauds == [flash.FAST_BAUD] and rom.baud == ROM_BAUD
        filesystem = (files / "ESP32_GENERIC.littlefs").read_bytes()
        assert rom.flash[0x200000 : 0x200000 + len(filesystem)] == filesystem
    assert "at 115200 baud because 460800 failed" in capsys.readouterr().out


FAULTS = [
    # name, what the chip does, command line, sentence, exit status, may something be written
    ("silent chip", {"mute": True}, (), "no boot loader answers on", 2, False),
    ("another thing on the port", {"noise": True}, (), "no boot loader answers on", 2, False),
    ("another chip", {"chip": "esp32s3"}, (), "is an ESP32-S3, ESP32_GENERIC has an ESP32", 2, False),
    ("small flash", {"flash_mib": 2}, (), "has 2 MB, ESP32_GENERIC needs 4 MB", 2, False),
    ("every write is wrong", {"flip": lambda rom: True}, (), "holds is not what was written", 3, True),
    ("wrong writes without the stub", {"flip": lambda rom: True}, ("--no-stub",), "is not what was written", 3, True),
    ("link lost while writing", {"drop_after": 2}, (), "the link to socket://", 3, True),
    ("flash that refuses", {"refuse": (0x02, 0x10)}, (), "esptool failed on", 3, True),
]


@pytest.mark.parametrize(
    ("fault", "extra", "sentence", "code", "written"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_a_chip_that_fails(files, capsys, fault, extra, sentence, code, written):
    with Rom(**fault) as rom:
        assert run(*options(files), "--port", rom.port, *extra) == code
        assert written or set(rom.flash) == {0xFF}, "nothing half done"
    said = capsys.readouterr().err
    assert said.startswith("vigil: ") and sentence in said and "\n  hint: " in said and "Traceback" not in said, said
    assert len(said.splitlines()) == 2


WRONG = [
    # name, command line ({} is the folder), sentence
    ("no such board", "--board ESP8266 --firmware {}/esp32.bin", "`ESP8266` is not a board"),
    ("firmware absent", "--board ESP32_GENERIC --firmware {}/no.bin", "cannot read the firmware"),
    ("firmware is text", "--board ESP32_GENERIC --firmware {}/notes.txt", "is not a firmware image of an ESP32"),
    ("firmware empty", "--board ESP32_GENERIC --firmware {}/empty.bin", "is not a firmware image of an ESP32"),
    ("firmware for another chip", "--board ESP32_GENERIC --firmware {}/esp32s3.bin", "is made for ESP32-S3"),
    ("firmware cut short", "--board ESP32_GENERIC --firmware {}/short.bin", "is cut short or damaged"),
    ("application only", "--board ESP32_GENERIC --firmware {}/app.bin", "has no partition table"),
    ("not MicroPython", "--board ESP32_GENERIC --firmware {}/blinky.bin", "is `blinky`, not MicroPython"),
    ("MicroPython of old", "--board ESP32_GENERIC --firmware {}/old.bin", "MicroPython v1.22.2, which is too old"),
    ("firmware of unknown hash", "--board ESP32_GENERIC --firmware {}/esp32.bin", "is unknown"),
    ("image absent", "{} --image {}/no.img", "cannot read the image"),
    ("image is text", "{} --image {}/notes.txt", "is not a LittleFS image"),
    ("image of another board", "{} --image {}/ESP32_GENERIC_S3.littlefs", "is an image for ESP32_GENERIC_S3, not"),
    ("image of something else", "{} --image {}/else.littlefs", "is not one of this firmware's images"),
    ("image that was changed", "{} --image {}/changed.littlefs", "is damaged: its modules are not those"),
    ("image that is torn", "{} --image {}/torn.littlefs", "has no slots"),
    ("unknown profile", "{} --profile tiny", "`tiny` is not a profile"),
    ("port absent", "{ok} --port /dev/ttyNONE", "there is no port /dev/ttyNONE"),
    ("port is a file", "{ok} --port {}/notes.txt", "is not a serial port"),
    ("nobody at the address", "{ok} --port socket://127.0.0.1:9", "nobody answers at"),
    ("no board connected", "{ok}", "no board is connected"),
]


@pytest.fixture
def folder(files):
    good = firmware_bin.make(body_bytes=60_000)
    for name, content in {
        "notes.txt": b"milk, eggs\n" * 20,
        "empty.bin": b"",
        "short.bin": good[:-5000],
        "app.bin": good[0xF000:],
        "blinky.bin": firmware_bin.make(project=b"blinky", body_bytes=1000),
        "old.bin": firmware_bin.make(version=b"v1.22.2", body_bytes=1000),
        "else.littlefs": small_image("ESP32_GENERIC", 0x20000, **{"a/release": None}),
        "changed.littlefs": small_image(
            "ESP32_GENERIC", 0x20000, **{"a/lib/vigil.mpy": b"M\x06\x00\x1f" + b"Bytecode"}
        ),
        "torn.littlefs": small_image("ESP32_GENERIC", 0x20000)[:64] + bytes(0x20000 - 64),
    }.items():
        (files / name).write_bytes(content)
    return files


@pytest.mark.parametrize(("line", "sentence"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_use(folder, capsys, monkeypatch, line, sentence):
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    base = f"--board ESP32_GENERIC --firmware {folder}/esp32.bin --allow-unknown"
    if line.startswith("{ok}"):
        line = f"{base} --image {folder}/ESP32_GENERIC.littlefs" + line[4:]
    elif line.startswith("{} "):
        line = base + line[2:]
    assert run("--yes", *line.replace("{}", str(folder)).split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("vigil: ") and sentence in said and "\n  hint: " in said and "Traceback" not in said, said
    assert len(said.splitlines()) == 2


def test_an_image_of_another_size(files, capsys):
    (files / "larger.littlefs").write_bytes(small_image("ESP32_GENERIC", 0x400000))
    with Rom() as rom:
        line = [a if a != files / "ESP32_GENERIC.littlefs" else files / "larger.littlefs" for a in options(files)]
        assert run(*line, "--port", rom.port) == 2 and set(rom.flash) == {0xFF}
    assert "the file system on this board 2097152" in capsys.readouterr().err


def test_a_larger_flash_gets_a_larger_file_system(files, tmp_path, monkeypatch):
    """MicroPython's table may list no file system: it then takes the flash to its end, however large the chip is."""
    made = image.Image
    packed = {"main.py": b"1\n"}
    monkeypatch.setattr(
        image, "build", lambda board, name: made(board, "", "", {}, image.pack(packed, board.vfs_bytes), {})
    )
    (tmp_path / "m.bin").write_bytes(firmware_bin.make(body_bytes=20_000))
    with Rom(flash_mib=8) as rom:
        done = flash.flash(load("ESP32_GENERIC"), tmp_path / "m.bin", rom.port, allow_unknown=True, agreed=True)
        assert done["regions"][-1] == {"offset": 0x200000, "size": 0x600000}
        assert rom.flash[0x200008:0x200010] == b"littlefs"


def test_without_yes_and_without_a_person_nothing_is_written(files, capsys):
    with Rom() as rom:
        assert run(*options(files)[:-1], "--port", rom.port) == 2
        assert set(rom.flash) == {0xFF} and "nothing was written" in capsys.readouterr().err


def test_trust(files, own_table):
    firmware = flash.esp_image.read(files / "esp32.bin", load("ESP32_GENERIC"))
    with pytest.raises(UserError, match="is unknown") as e:
        flash.check_trust(firmware, False, lambda question: False)
    assert str(own_table) in e.value.hint
    asked = []
    assert "unknown" in flash.check_trust(firmware, False, lambda question: asked.append(question) or True)
    assert firmware.sha256 in asked[0]
    own_table.parent.mkdir()
    own_table.write_text(f'{firmware.sha256} = "v1.29.0, checked by hand"\n')
    assert flash.check_trust(firmware, False, None) == "v1.29.0, checked by hand"
    for broken in ("x = \n", 'abc = "not a hash"\n', f"{firmware.sha256} = 1\n"):
        own_table.write_text(broken)
        with pytest.raises(UserError):
            flash.trusted_hashes()


class Usb:
    def __init__(self, device, vid):
        self.device, self.vid = device, vid


@pytest.mark.parametrize(
    ("listed", "result"),
    [
        ([Usb("/dev/ttyUSB3", 0x10C4), Usb("/dev/ttyS0", None)], "/dev/ttyUSB3"),
        ([Usb("/dev/ttyS0", None)], "no board is connected"),
        ([Usb("/dev/ttyUSB0", 0x1A86), Usb("/dev/ttyACM0", 0x303A)], "more than one board is connected"),
    ],
)
def test_the_port_is_found(monkeypatch, listed, result):
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: listed)
    try:
        assert ports.find() == result
    except UserError as e:
        assert e.sentence == result and e.hint


SAID = [
    # what esptool prints at the end, what a person reads
    (
        "A fatal error occurred: Failed to connect to ESP32: No serial data received.",
        "no boot loader answers on /dev/x",
    ),
    (
        "A fatal error occurred: Wrong boot mode detected (0x13)! The chip needs to be in download mode.",
        "runs its program",
    ),
    ("A fatal error occurred: MD5 of file does not match data in flash!", "is not what was written"),
    (
        "A fatal error occurred: Serial data stream stopped: Possible serial noise or corruption.",
        "the link to /dev/x was lost",
    ),
    (
        "A fatal error occurred: Could not open /dev/x, the port is busy or doesn't exist.",
        "was taken away or is in use",
    ),
    (
        "A serial exception error occurred: device disconnected or multiple access on port?",
        "the link to /dev/x was lost",
    ),
    ("A fatal error occurred: This chip is ESP32-S3, not ESP32. Wrong chip argument?", "is not an ESP32"),
    ("python: No module named esptool", "esptool is not installed"),
    ("A fatal error occurred: No more data to read from the serial port.", "the link to /dev/x was lost"),
    ("A fatal error occurred: the moon is full", "esptool failed on /dev/x"),
]


@pytest.mark.parametrize(("last", "sentence"), SAID)
def test_what_esptool_says_in_plain_words(last, sentence):
    error = flash.explain("Connecting...\n" + last, "/dev/x", load("ESP32_GENERIC"))
    assert sentence in error.sentence and error.hint


def test_an_esptool_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(flash, "_SILENCE_S", 0.5)
    said = []
    assert flash._esptool([sys.executable, "-u", "-c", "print('Connecting'); import time; time.sleep(60)"], said.append)
    assert (
        said[0] == "Connecting"
        and "the link to /dev/x" in flash.explain("\n".join(said), "/dev/x", load("ESP32_GENERIC")).sentence
    )


def test_esptool_is_run_and_never_imported():
    code = "import sys; import host_tools.bringup.flash, host_tools.image.image; sys.exit('esptool' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
