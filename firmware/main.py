"""The program of the device: this board's contract, then the monitor."""

import board

from vigil.app.main import run

run(board.make())
