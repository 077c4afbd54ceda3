"""What a gateway's person sees: one line for each batch of readings that was verified and committed."""

from __future__ import annotations

import threading
import time

from sqlalchemy.exc import DBAPIError

from host_tools.ingest.store import Store
from host_tools.trust.registry import Register
from host_tools.vocabulary import absent_name, kind_name, shown_value
from vigil.core import records

_LOOK_S = 1.0


class Show:
    """A context: prints to stdout what comes into `store` meanwhile, the newest reading of each kind a device."""

    def __init__(self, store: Store):
        self._store = store
        self._register = Register(store)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="show", daemon=True)

    def __enter__(self) -> Show:
        self._seen = {device: max(self._store.sequences(device), default=-1) for device in self._store.public_keys()}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            try:
                self._look()
            except DBAPIError:
                pass  # the gateway's log says it
            except BrokenPipeError:
                return

    def _look(self) -> None:
        names = {device.device: device.name for device in self._register.all()}
        for device, name in names.items():
            newest = {}
            for row in self._store.readings(device, after_seq=self._seen.get(device, -1)):
                newest[row.kind] = row
                self._seen[device] = row.seq
            if newest:
                said = ", ".join(_words(row) for _, row in sorted(newest.items()))
                print(f"{time.strftime('%H:%M:%S')} {name}: {said}", flush=True)


def _words(row) -> str:
    kind = kind_name(row.kind).replace("_", " ")
    if row.absent_reason != records.PRESENT:
        return f"{kind} -- ({absent_name(row.absent_reason)})"
    return f"{kind} {shown_value(row.kind, row.mantissa, row.exp10, row.unit)} ({row.quality_pct} %)"
