"""Log lines `level area: text` on standard output. Nothing about the wearer and no key goes in one."""

DEBUG = 0
INFO = 1
WARN = 2
ERROR = 3

_NAMES = ("debug", "info", "warn", "error")
_threshold = INFO
recent = {}  # area: its last WARN or ERROR of this boot, for `vigil doctor`


def set_level(level: int) -> None:
    """Print only lines of `level` (DEBUG..ERROR) and above."""
    global _threshold
    _threshold = level


def log(level: int, area: str, text: str) -> None:
    """Print one line. area: the part that speaks (link, queue, app ...)."""
    if level >= WARN:
        recent[area] = text
    if level >= _threshold:
        print(_NAMES[level], area + ":", text)
