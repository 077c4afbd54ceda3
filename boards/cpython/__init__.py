"""A board with no hardware: lets CPython import and run the firmware's integer code.

`install()` puts the `micropython` shim (shim.py) and the firmware's folder where `import` finds them. Which viper
is used is decided by the environment variable VIGIL_VIPER when a firmware module is first imported: `plain`
(default) or `checked` (int32 range check on every arithmetic node; the tests' default).
"""

import sys
from pathlib import Path


def install() -> None:
    """Make `import micropython` and `import vigil` work in this process. Idempotent."""
    if "micropython" not in sys.modules:
        from boards.cpython import shim

        sys.modules["micropython"] = shim
    firmware = str(Path(__file__).resolve().parents[2] / "firmware")
    if firmware not in sys.path:
        sys.path.insert(0, firmware)
