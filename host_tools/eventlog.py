"""The log of a service: one line an event, for people or (as JSON) for machines. No vital sign ever goes into it."""

from __future__ import annotations

import datetime
import json
import sys
from typing import TextIO


class EventLog:
    """Writes `time name key=value ...` lines, or JSON objects with the same fields."""

    def __init__(self, *, as_json: bool = False, out: TextIO | None = None):
        self._json = as_json
        self._out = out or sys.stderr

    def __call__(self, name: str, **fields: object) -> None:
        """Write one line and flush it."""
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._json:
            line = json.dumps({"time": time, "event": name, **fields}, default=str)
        else:
            line = " ".join([time, name, *(f"{key}={_shown(value)}" for key, value in fields.items())])
        print(line, file=self._out, flush=True)


def _shown(value: object) -> str:
    """As it is where that is one plain word; quoted and escaped otherwise: some of it comes from strangers."""
    text = str(value)
    plain = text.isprintable() and not any(c in ' ="' for c in text)
    return text if text and plain else json.dumps(text)
