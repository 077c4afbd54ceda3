"""The live view of a run: one row a kind of reading, fed from the database, and how far the run is."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from host_tools.ingest.store import Store
from host_tools.vocabulary import absent_name, kind_name, shown_value
from signal_models.recording import Recording
from vigil.core import records


class View:
    """What a person sees meanwhile. Context manager; `update` as often as you like."""

    def __init__(self, store: Store, device: str, recording: Recording, duration_s: float, *, table: bool):
        self._store = store
        self._device = device
        self._recording = recording
        self._duration_s = duration_s
        self._table = table
        self._latest: dict[int, Any] = {}  # kind to its newest row
        self._seen_at: dict[int, float] = {}
        self._seq = -1
        self._live: Live | None = None
        # What a person sees goes to stdout with the table, and nothing but the summary line does without it.
        console = Console(stderr=not table)
        self._progress = Progress(
            TextColumn("{task.fields[words]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f} s"),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("run", total=duration_s, words="starting")
        if table or sys.stderr.isatty():
            self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> View:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    @property
    def device_s(self) -> float:
        """Device time of the newest committed reading."""
        return max((row.t_end_ms / 1000 for row in self._latest.values()), default=0.0)

    def update(self, words: str = "running") -> bool:
        """Read what is new and draw; returns whether there was anything new."""
        fresh = self._store.readings(self._device, after_seq=self._seq)
        for row in fresh:
            self._latest[row.kind] = row
            self._seen_at[row.kind] = time.monotonic()
            self._seq = max(self._seq, row.seq)
        if self._live:
            counts = self._store.counts()
            words = f"{words}: {counts['verified']} verified, {counts['rejected']} rejected"
            self._progress.update(self._task, completed=min(self.device_s, self._duration_s), words=words)
            self._live.update(Group(self._draw(), self._progress) if self._table else self._progress, refresh=True)
        return bool(fresh)

    def _draw(self) -> Table:
        table = Table(title=f"{self._recording.name} on {self._device}", title_justify="left", expand=False)
        table.add_column("reading", min_width=16)
        for name in ("value", "quality", "reference", "age"):
            table.add_column(name, justify="right", min_width=10)
        for kind, row in sorted(self._latest.items()):
            present = row.absent_reason == records.PRESENT
            truth = self._recording.truth_mean(kind_name(kind), row.t_start_ms / 1000, row.t_end_ms / 1000)
            table.add_row(
                kind_name(kind).replace("_", " "),
                shown_value(kind, row.mantissa, row.exp10, row.unit) if present else "--",
                f"{row.quality_pct} %" if present else f"[yellow]{absent_name(row.absent_reason)}[/]",
                f"{truth:.1f}" if math.isfinite(truth) else "",
                f"{time.monotonic() - self._seen_at[kind]:.0f} s",
            )
        return table
