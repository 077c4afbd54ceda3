"""Boots a file system image under MicroPython as the chip does: `boot_image.py FILE OFFSET SIZE CHIP MS`.

Mounts SIZE bytes from OFFSET of FILE with VfsLfs2 at the port's parameters, runs boot.py and main.py from it for MS
milliseconds on the stand-in of the port, and prints what the file system then holds.
"""

import os
import sys

import vfs

FILE, OFFSET, SIZE, CHIP, MS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
TESTS = __file__.rsplit("/", 1)[0]


sys.path.insert(0, TESTS)
import esp32_port  # noqa: E402
from partition import Partition  # noqa: E402

esp32_port.install(CHIP)
vfs.mount(vfs.VfsLfs2(Partition(FILE, OFFSET, SIZE), readsize=32, progsize=32, lookahead=32), "/flash")
os.chdir("/flash")
sys.path[:] = ["", ".frozen", "/flash/lib"]  # what '/' is on the chip is /flash here
import boot  # noqa: E402, F401

assert sys.path[-1] == "/flash/a/lib"

board = esp32_port.board_class()
board.fs = "/flash/data"
board.until_ms = MS
import main  # noqa: E402, F401

print(
    "files",
    sorted(os.listdir("/flash")),
    any(os.listdir("/flash/data/" + d) for d in os.listdir("/flash/data") if len(d) == 16),
)
vfs.umount("/flash")
