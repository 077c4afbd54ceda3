"""Every board keeps the contract, its files agree, and what a MicroPython build would read is there."""

import csv
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from host_tools.paths import BOARDS, FIRMWARE
from host_tools.virtual import interpreter

HERE = Path(__file__).parent
ESP32 = sorted(f.parent.name for f in BOARDS.glob("*/board.toml"))


def settings(board):
    return tomllib.loads((BOARDS / board / "board.toml").read_text())


def test_the_three_boards_are_there():
    assert ESP32 == ["ESP32_GENERIC", "ESP32_GENERIC_C3", "ESP32_GENERIC_S3"]


def test_contract_on_the_virtual_board(tmp_path):
    sys.path.insert(0, str(HERE.parent / "emulated"))
    from worn import recording

    from boards.virtual.scenario import Scenario
    from boards.virtual.server import Server
    from host_tools.virtual.device import launch

    scenario = Scenario(recording(5))
    with Server(scenario.wiring(), scenario.stalls_ms(), scenario.wifi_out_ms(), scenario.ecg_gain) as server:
        process = launch(
            str(HERE / "virtual_script.py"),
            state=tmp_path,
            server=server,
            output=subprocess.PIPE,
            extra={"VIGIL_TESTS": str(HERE)},
        )
        said = process.communicate(timeout=30)[0].decode()
    assert said == "kept\n"


@pytest.mark.parametrize("board", ESP32)
def test_contract_on_the_chip(board, tmp_path):
    toml = settings(board)
    done = subprocess.run(
        interpreter.command(HERE / "esp32_script.py", toml["chip"], str(tmp_path)),
        env=interpreter.environment(BOARDS / board, BOARDS / "esp32", FIRMWARE),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said.pop("grown") == 0
    assert said.pop("name") == board == toml["name"]
    assert said == toml["pins"]


@pytest.mark.parametrize("board", ESP32)
def test_compiles_for_its_chip(board, tmp_path):
    for folder in (BOARDS / board, BOARDS / "esp32"):
        interpreter.compile_tree(tmp_path, march=settings(board)["arch"], source=folder)


@pytest.mark.parametrize("board", ESP32)
def test_wiring_table_and_drawing_show_the_pins(board):
    text = (BOARDS / board / "README.md").read_text()
    pins = settings(board)["pins"]
    table = dict(re.findall(r"^\| ([^|]+) \| (\d+) \|", text, re.M))
    order = ("SCL", "SDA", "interrupt", "ECG", "electrode off, right", "electrode off, left")
    assert [int(table[row]) for row in order] == [pins[p] for p in ("scl", "sda", "max30102", "ecg", "lod_p", "lod_n")]
    for row, pin in (
        ("motion interrupt", "lis3dh"),
        ("SCK", "sck"),
        ("MOSI", "mosi"),
        ("MISO", "miso"),
        ("chip select", "cs"),
        ("ECG interrupt", "max30003"),
    ):
        assert table.get(row) == (str(pins[pin]) if pin in pins else None)
    drawing = "\n".join(line for line in text.splitlines() if line.startswith("      "))
    for left, right in (("scl", "ecg"), ("sda", "lod_p"), ("max30102", "lod_n")):
        assert re.search(rf"\| {pins[left]} +{pins[right]} \|", drawing), (left, right)


def size(text):
    return int(text, 0)


@pytest.mark.parametrize("board", ESP32)
def test_partitions_fill_the_flash_without_overlap(board):
    lines = [line for line in (BOARDS / board / "partitions.csv").read_text().splitlines() if not line.startswith("#")]
    at = 0x9000
    for name, kind, _subtype, offset, length in ([c.strip() for c in row] for row in csv.reader(lines)):
        assert size(offset) == at, name
        assert kind == "data" or size(offset) % 0x10000 == 0, "applications start at 64 KiB borders"
        at += size(length)
    assert name == "vfs" and at == settings(board)["flash_bytes"]


@pytest.mark.parametrize("board", ESP32)
def test_manifest_names_files_that_exist(board):
    """Run as MicroPython's manifestfile does, with its functions' documented signatures."""
    folder = BOARDS / board
    found, included = [], []

    def package(package_path, files=None, base_path=".", opt=None):
        base = (folder / base_path).resolve()
        found.extend(f.relative_to(base).as_posix() for f in (base / package_path).rglob("*.py"))

    def module(module_path, base_path=".", opt=None):
        assert (folder / base_path / module_path).is_file(), module_path
        found.append(module_path)

    def include(manifest, **_options):
        included.append(manifest)

    exec((folder / "manifest.py").read_text(), {"package": package, "module": module, "include": include})
    assert included == ["$(PORT_DIR)/boards/manifest.py"]
    assert {"boot.py", "main.py", "board.py", "esp32_common.py", "vigil/app/main.py"} <= set(found)


@pytest.mark.parametrize("board", ESP32)
def test_build_files_agree_with_the_board(board):
    folder, toml = BOARDS / board, settings(board)
    cmake = (folder / "mpconfigboard.cmake").read_text()
    assert f"set(IDF_TARGET {toml['chip']})" in cmake and "manifest.py" in cmake
    assert ("spiram" in cmake) == toml["psram"]
    assert "REPL (1)" in (folder / "mpconfigboard.h").read_text() or toml["chip"] == "esp32"  # which has nothing else
    mib = toml["flash_bytes"] >> 20
    assert f"CONFIG_ESPTOOLPY_FLASHSIZE_{mib}MB=y" in (folder / "sdkconfig.board").read_text()
    assert toml["chip"].upper() in (folder / "mpconfigboard.h").read_text()
    assert toml["vfs_offset"] % 4096 == 0 < toml["flash_bytes"] - toml["vfs_offset"]


@pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is not on PATH")
@pytest.mark.parametrize("board", ESP32)
def test_build_files_as_cmake_reads_them(board, tmp_path):
    """What the port's CMakeLists.txt does with them: include the board, then join its sdkconfig files."""
    theirs = tmp_path / "boards"
    (theirs / board).mkdir(parents=True)
    (theirs / board / "mpconfigboard.cmake").write_text("set(SDKCONFIG_DEFAULTS boards/sdkconfig.base)\n")
    for name in ("base", "240mhz", "spiram_oct"):
        (theirs / f"sdkconfig.{name}").write_text(f"# {name}\n")
    script = tmp_path / "port.cmake"
    script.write_text(
        "include(${MICROPY_BOARD_DIR}/mpconfigboard.cmake)\n"
        "foreach(FILE ${SDKCONFIG_DEFAULTS})\n"
        "    file(READ ${FILE} CONTENTS)\n"
        '    file(APPEND combined "${CONTENTS}")\n'
        "endforeach()\n"
        'file(WRITE said "${IDF_TARGET} ${MICROPY_FROZEN_MANIFEST}")\n'
    )
    command = ["cmake", f"-DMICROPY_BOARD_DIR={BOARDS / board}", "-P", script]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "said").read_text() == f"{settings(board)['chip']} {BOARDS / board / 'manifest.py'}"
    combined = (tmp_path / "combined").read_text()
    assert f'FILENAME="{BOARDS / board / "partitions.csv"}"\n' in combined and "$" not in combined
    assert (
        combined.index("# base") < combined.index("CUSTOM=y")
        and ("# spiram_oct" in combined) == settings(board)["psram"]
    )
