"""Start of the virtual device: what the boot loader and the frozen modules do on the chip, then boot.py and main.py."""

try:
    import vigil_pointers  # on the path for the bytecode engine: pointer casts are ordinary calls there

    vigil_pointers.install()
except ImportError:
    pass

import boot  # noqa: F401
import main  # noqa: F401
