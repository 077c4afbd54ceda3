"""Freezes Vigil into a MicroPython of your own: its bytecode then stays in flash and takes no heap.

make -C micropython/ports/esp32 BOARD_DIR=.../boards/<this folder>
"""

include("$(PORT_DIR)/boards/manifest.py")  # noqa: F821  these four are manifestfile's
package("vigil", base_path="../../firmware", opt=3)  # noqa: F821
module("boot.py", base_path="../../firmware", opt=3)  # noqa: F821
module("main.py", base_path="../../firmware", opt=3)  # noqa: F821
module("loader.py", base_path="../../firmware", opt=3)  # noqa: F821
module("esp32_common.py", base_path="../esp32", opt=3)  # noqa: F821
module("esp32_application.py", base_path="../esp32", opt=3)  # noqa: F821
module("board.py", opt=3)  # noqa: F821
