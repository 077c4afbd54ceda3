"""The contract asked of the virtual board: tests/boards comes in VIGIL_TESTS."""

import os
import sys

import board

sys.path.insert(0, os.getenv("VIGIL_TESTS"))
import contract

contract.check(board.make())
print("kept")
