"""Sentences that were moved to flash when the image was made (host_tools.image.texts)."""

import sys


def said(at: int) -> str:
    """Return the sentence that begins at `at`; this number where it cannot be read."""
    for folder in sys.path:
        try:
            with open(folder + "/vigil/texts.mpy", "rb") as file:
                file.seek(file.read(64).find(b"\n~\n") + at)
                return file.readline()[:-1].decode()
        except (OSError, MemoryError, UnicodeError):
            pass
    return "text %d" % at
