"""`vigil image`: the same bytes each time, of exactly the partition's geometry, and MicroPython boots them."""

import hashlib
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import firmware_bin
import pytest
from littlefs import LittleFS

from host_tools import cli
from host_tools.board import load, names, profile
from host_tools.errors import UserError
from host_tools.image import esp_image, heap, image
from host_tools.paths import FIRMWARE
from host_tools.virtual import interpreter

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the command line makes for a plain ESP32, twice, merged with MicroPython."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "micropython.bin").write_bytes(firmware_bin.make())
    for seed, out in enumerate(("a", "b")):  # nothing may hang on the order of a set
        command = [
            sys.executable,
            "-m",
            "host_tools.cli",
            "image",
            "--board",
            "ESP32_GENERIC",
            "--out",
            str(folder / out),
        ]
        command += ["--merge", str(folder / "micropython.bin")]
        fresh = {"PYTHONHASHSEED": str(seed), "VIGIL_CACHE": str(folder / f"cache {seed}")}  # linked anew each time
        subprocess.run(command, env={**os.environ, **fresh}, check=True, capture_output=True)
    return folder


def boot(file, offset, size, chip, ms=1500):
    done = subprocess.run(
        interpreter.command(
            HERE / "boot_image.py", str(file), str(offset), str(size), chip, str(ms), heap_kb=32 * 1024
        ),
        env=interpreter.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_twice_equal_bytes(made):
    names = sorted(f.name for f in (made / "a").iterdir())
    assert [n.removeprefix("vigil-ESP32_GENERIC-lean") for n in names] == [
        "-merged.bin",
        ".cdx.json",
        ".json",
        ".littlefs",
    ]
    for name in names:
        assert (made / "a" / name).read_bytes() == (made / "b" / name).read_bytes(), name


def test_geometry_is_the_partitions(made):
    data = (made / "a" / "vigil-ESP32_GENERIC-lean.littlefs").read_bytes()
    assert len(data) == 0x200000
    fs = LittleFS(block_size=4096, block_count=512, read_size=32, prog_size=32, cache_size=128, mount=False)
    fs.context.buffer = bytearray(data)
    fs.mount()
    assert fs.fs_stat().disk_version == 0x00020001 and fs.fs_stat().block_count == 512
    assert {"boot.py", "main.py", "loader.py", "a"} == set(fs.listdir("/"))


def test_manifest_tells_every_byte(made):
    stem = made / "a" / "vigil-ESP32_GENERIC-lean"
    said = json.loads(stem.with_suffix(".json").read_text())
    fs = LittleFS(block_size=4096, block_count=512, read_size=32, prog_size=32, cache_size=128, mount=False)
    data = stem.with_suffix(".littlefs").read_bytes()
    fs.context.buffer = bytearray(data)
    fs.mount()
    found = {}
    for root, _folders, files in fs.walk("/"):
        for name in files:
            path = (root.rstrip("/") + "/" + name).lstrip("/")
            with fs.open(path, "rb") as f:
                found[path] = f.read()
    assert {f["path"]: (f["size"], f["sha256"]) for f in said["files"]} == {
        path: (len(c), hashlib.sha256(c).hexdigest()) for path, c in found.items()
    }
    assert said["filesystem"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert said["merged"]["sha256"] == hashlib.sha256((made / "a" / f"{stem.name}-merged.bin").read_bytes()).hexdigest()
    assert said["micropython"]["version"] == "v1.29.0"
    assert said["file_bytes"] <= image.LIMIT_BYTES


def test_bill_of_materials(made):
    said = json.loads((made / "a" / "vigil-ESP32_GENERIC-lean.cdx.json").read_text())
    assert said["bomFormat"] == "CycloneDX" and said["specVersion"] == "1.5" and "timestamp" not in str(said)
    uuid.UUID(said["serialNumber"].removeprefix("urn:uuid:"))
    references = [c["bom-ref"] for c in said["components"]]
    assert len(set(references)) == len(references) and "firmware:micropython" in references
    assert said["dependencies"] == [{"ref": said["metadata"]["component"]["bom-ref"], "dependsOn": references}]
    for component in said["components"]:
        assert component["hashes"][0]["alg"] == "SHA-256" and len(component["hashes"][0]["content"]) == 64
        assert component["licenses"]


def test_merged_file_has_everything_at_its_place(made):
    merged = (made / "a" / "vigil-ESP32_GENERIC-lean-merged.bin").read_bytes()
    micropython = (made / "micropython.bin").read_bytes()
    assert len(merged) == 4 << 20 and merged[:0x1000] == b"\xff" * 0x1000
    assert merged[0x1000 : 0x1000 + len(micropython)] == micropython
    assert merged[0x200000:] == (made / "a" / "vigil-ESP32_GENERIC-lean.littlefs").read_bytes()
    assert set(merged[0x1000 + len(micropython) : 0x200000]) == {0xFF}


@pytest.mark.parametrize(
    ("board", "name"), [("ESP32_GENERIC", "lean"), ("ESP32_GENERIC_C3", "lean"), ("ESP32_GENERIC_S3", "full")]
)
def test_micropython_boots_the_image(board, name, tmp_path):
    """The same image, compiled for this machine, runs the whole monitor from VfsLfs2 on the port's stand-in."""
    march = interpreter.native_march()
    if march is None:
        pytest.skip("MicroPython has no native code on this machine")
    board = load(board)
    made = image.build(board, name, arch=march)
    (tmp_path / "fs").write_bytes(made.filesystem)
    said = boot(tmp_path / "fs", 0, board.vfs_bytes, board.chip)
    assert "info app: device " in said and "boot 1, after pwron" in said and "VIGIL-END" in said
    report = json.loads(said.split("VIGIL-END ")[1].splitlines()[0])
    assert report["restarts"] == 0 and report["sealed"] == 1 == report["pending"]
    assert "files ['a', 'boot.py', 'data', 'loader.py', 'main.py'] True" in said


def test_profiles():
    every = {"max30102", "max30003", "ad8232"}
    lean, full = profile("lean").modules(every), profile("full").modules(every)
    assert set(lean) < set(full)
    assert {"boot", "main", "vigil.app.main", "vigil.link.mqtt_client", "vigil.estimators.ppg_channel"} <= set(lean)
    assert "vigil.estimators.heart_rhythm" in set(full) - set(lean)
    assert {"loader", "vigil.app.fetch", "vigil.ota.slot", "vigil.crypto.ed25519_verify"} <= set(lean)  # updates
    assert "vigil.hal" not in full
    left_out = set(lean) - set(profile("lean").modules(every - {"max30003"}))
    assert left_out == {"vigil.app.ecg_fifo", "vigil.drivers.max30003"}
    assert set(profile("full").modules([])) == set(full)


def test_what_fits_beside_tls():
    """Figures of `make heap`; who measures anew and finds that one chain no longer fits has to know."""
    plain = load("ESP32_GENERIC")
    assert list(heap.carried(plain, "lean").sensors) == ["max30102"] == list(heap.carried(plain, "lean-ble").sensors)
    for worn in (("max30102",), ("ad8232",), ("max30003",)):
        assert heap.fits(heap.heap_kb("lean", worn) or 999), worn
    assert not heap.fits(heap.heap_kb("lean", ("max30102", "max30003")) or 0)
    assert heap.carried(load("ESP32_GENERIC_S3"), "full") == load("ESP32_GENERIC_S3")
    said = {"profile": "lean", "sensors": ["max30102"], "heap_kb": 87.2}
    assert image.room("ESP32_GENERIC", said)[1] == "a plain ESP32 carries one chain: --sensors chooses which"
    both = {"profile": "lean", "sensors": ["max30102", "ad8232"], "heap_kb": 106.6}
    assert "will run out of memory" in image.room("ESP32_GENERIC", both)[1]
    assert image.room("ESP32_GENERIC", said | {"heap_kb": None}) == []


@pytest.mark.parametrize("name", names())
def test_parts_that_the_profiles_know(name):
    """What a board lists decides what its image lacks: no part without its driver, no module that is not there."""
    drivers = {f.stem for f in (FIRMWARE / "vigil" / "drivers").glob("*.py")}
    assert set(load(name).sensors) <= drivers
    for only_with in (profile("lean").only_with, profile("full").only_with):
        for module in (m for part, modules in only_with.items() if part in drivers for m in modules):
            assert (FIRMWARE / (module.replace(".", "/") + ".py")).exists(), module


CASES = [
    ("no such board", {"board": "ESP8266"}, "`ESP8266` is not a board"),
    ("the virtual board", {"board": "virtual"}, "`virtual` is not a board"),
    ("no such profile", {"profile": "tiny"}, "`tiny` is not a profile"),
    ("firmware absent", {"merge": "absent.bin"}, "cannot read the firmware"),
    ("firmware is text", {"merge": "notes.txt"}, "is not a firmware image of an ESP32"),
    ("firmware for another chip", {"merge": "s3.bin"}, "is made for ESP32-S3, ESP32_GENERIC has an ESP32"),
    ("application only", {"merge": "app.bin"}, "has no partition table"),
    ("other firmware", {"merge": "other.bin"}, "is `blinky`, not MicroPython"),
    ("firmware cut short", {"merge": "short.bin"}, "is cut short or damaged"),
    ("firmware with a flipped bit", {"merge": "flip.bin"}, "is cut short or damaged"),
    ("partition table damaged", {"merge": "table.bin"}, "the partition table of `table.bin` is damaged"),
    ("file system beyond the flash", {"merge": "vfs.bin"}, "has its file system at 0x310000 to 0x800000"),
    ("sensor that is not there", {"sensors": "max30102,ecg"}, "`ecg` is not a sensor of ESP32_GENERIC"),
    ("folder that cannot be", {"out": "/dev/null/x"}, "cannot write to the folder"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    good = firmware_bin.make()
    flipped = bytearray(good)
    flipped[0x20000] ^= 4
    table = bytearray(good)
    table[0x7004] ^= 1
    for name, content in {
        "notes.txt": b"milk, eggs\n",
        "s3.bin": firmware_bin.make("esp32s3", flash_mib=8),
        "app.bin": good[0xF000:],
        "other.bin": firmware_bin.make(project=b"blinky"),
        "short.bin": good[:-5000],
        "flip.bin": bytes(flipped),
        "table.bin": bytes(table),
        "vfs.bin": firmware_bin.make(vfs=(0x310000, 0x4F0000)),
    }.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("options", "sentence"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_wrong_use(folder, tmp_path, capsys, monkeypatch, options, sentence):
    monkeypatch.setattr(
        image, "build", lambda board, name=None: image.Image(board, profile(name or "lean").name, "", {}, b"", {})
    )
    options = {"board": "ESP32_GENERIC", "out": str(tmp_path / "out")} | options
    if "merge" in options:
        options["merge"] = str(folder / options["merge"])
    with pytest.raises(SystemExit) as end:
        cli.main(["image", *(word for k, v in options.items() for word in (f"--{k}", v))])
    said = capsys.readouterr()
    assert end.value.code == 2 and said.out == ""
    assert said.err.startswith("vigil: ") and sentence in said.err and "\n  hint: " in said.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("vfs", "begin", "end"), [(None, 0x200000, 0x400000), ((0x310000, 0xF0000), 0x310000, 0x400000)]
)
def test_the_file_system_is_where_micropython_looks_for_it(tmp_path, vfs, begin, end):
    (tmp_path / "m.bin").write_bytes(firmware_bin.make(vfs=vfs, body_bytes=1000))
    board = load("ESP32_GENERIC")
    placed = esp_image.placed(board, esp_image.read(tmp_path / "m.bin", board), board.flash_bytes)
    assert (placed.vfs_offset, placed.flash_bytes) == (begin, end)


def test_files_that_do_not_fit():
    with pytest.raises(UserError, match="do not fit in 65536"):
        image.pack({"big": bytes(100_000)}, 65536)
