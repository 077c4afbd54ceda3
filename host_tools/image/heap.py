"""What fits in the memory of a board without PSRAM: measured figures, and what an image then carries."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable

from host_tools.board import Board
from host_tools.paths import BOARDS

FILE = BOARDS / "heap.toml"
PLAIN_ESP32_KB = 112  # what a stock image leaves beside WLAN and one TLS connection (DESIGN.md section 10)
_SPARE_KB = 20  # of these for garbage, fragments and what updates load: with both chains in 95 KB one failed
_ECG = ("max30003", "ad8232")  # one of them runs


def heap_kb(profile: str, sensors: Iterable[str]) -> float | None:
    """KB of heap that a profile takes with these sensors, its board's module included; None: it was not measured."""
    fitted = set(sensors)
    parts = [part for part in ("ad8232", "lis3dh", "max30003", "max30102") if part in fitted]
    if "max30003" in parts and len(parts) > 1:
        parts = sorted({*parts, "ad8232"} - {"max30003"})  # measured by the other
    measured = tomllib.loads(FILE.read_text()) if FILE.exists() else {}
    found = measured.get("heap_kb", {}).get(f"{profile}: {' + '.join(parts)}")
    return None if found is None else found + measured["board_kb"]


def fits(heap_kb: float) -> bool:
    """Whether a plain ESP32 with a stock image has room for so much."""
    return heap_kb <= PLAIN_ESP32_KB - _SPARE_KB


def carried(board: Board, profile: str) -> Board:
    """The board as an image for it is made: on a plain ESP32 with both chains, which do not fit, light alone."""
    heap = heap_kb(profile, board.sensors)
    if board.chip != "esp32" or board.psram or heap is None or fits(heap):
        return board
    return dataclasses.replace(
        board, sensors={part: where for part, where in board.sensors.items() if part not in _ECG}
    )
