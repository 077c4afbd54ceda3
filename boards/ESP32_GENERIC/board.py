"""A plain ESP32 (DevKitC and the like, 4 MiB of flash, no PSRAM).

The pins are those of board.toml and of the wiring table in README.md; a test holds the three together.
"""

from esp32_common import Esp32Board


def make():
    """Return the board; see firmware/vigil/hal.py."""
    return Esp32Board(
        "ESP32_GENERIC",
        freq_hz=240_000_000,
        ecg_gain=1100,
        i2c={"sensors": (0, 22, 21)},  # peripheral, SCL, SDA
        spi={"ecg": (1, 18, 23, 32, 33)},  # peripheral, SCK, MOSI, MISO, CS
        irq={"max30102": 19, "lis3dh": 4, "max30003": 27},
        adc={"ecg": 34},
        pin={"lod_p": 25, "lod_n": 26, "pair": 0},
    )
