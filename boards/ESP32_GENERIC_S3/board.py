"""An ESP32-S3 module N8R8 (8 MiB of flash, 8 MiB of octal PSRAM).

The pins are those of board.toml and of the wiring table in README.md; a test holds the three together.
"""

from esp32_common import Esp32Board


def make():
    """Return the board; see firmware/vigil/hal.py."""
    return Esp32Board(
        "ESP32_GENERIC_S3",
        freq_hz=240_000_000,
        ecg_gain=1100,
        i2c={"sensors": (0, 9, 8)},  # peripheral, SCL, SDA
        spi={"ecg": (1, 12, 11, 13, 14)},  # peripheral, SCK, MOSI, MISO, CS
        irq={"max30102": 10, "lis3dh": 16, "max30003": 15},
        adc={"ecg": 4},
        pin={"lod_p": 5, "lod_n": 6, "pair": 0},
    )
