"""An ESP32-C3 (RISC-V, 4 MiB of flash, no PSRAM).

The pins are those of board.toml and of the wiring table in README.md; a test holds the three together.
"""

from esp32_common import Esp32Board


def make():
    """Return the board; see firmware/vigil/hal.py."""
    return Esp32Board(
        "ESP32_GENERIC_C3",
        freq_hz=160_000_000,
        ecg_gain=1100,
        i2c={"sensors": (0, 7, 6)},  # peripheral, SCL, SDA
        irq={"max30102": 10, "lis3dh": 1},
        adc={"ecg": 3},
        pin={"lod_p": 4, "lod_n": 5, "pair": 9},
    )
