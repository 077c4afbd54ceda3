"""Acquisition: every fitted sensor's samples, pushed as blocks."""

import asyncio

from vigil.app.ecg_source import ecg_source
from vigil.app.ppg_source import PpgSource
from vigil.core.errors import SensorError

try:
    from vigil.app.acc_source import AccSource
except ImportError:  # the image is of a profile without it
    AccSource = None


class Acquisition:
    """push(block) takes each core SampleBlock, during the call only.

    A missing part is remembered as absent (its blocks say ABSENT), asked again every few seconds, and never stops
    the others. `ecg`, `ppg` and `acc` (None in an image without it) have `present`, `lost` (samples) and `faults`
    (times started again) for the status.
    """

    def __init__(self, board, push):
        self._until_ms = getattr(board, "until_ms", None)
        self.ecg = ecg_source(board, push)
        self.ppg = PpgSource(board, push)
        self.acc = AccSource(board, push) if AccSource else None
        self.sources = [source for source in (self.ecg, self.ppg, self.acc) if source]

    def relieve(self):
        """Empty every FIFO: what comes next holds up the processor, as flash does while it erases."""
        for source in self.sources:
            if source.present and source.part:
                try:
                    source.relieve()
                except SensorError:
                    pass  # its own turn finds that out, too

    async def run(self):
        """Acquire until board.until_ms, or for ever. May be run again after it failed or was cancelled."""
        tasks = [asyncio.create_task(source.run(self._until_ms)) for source in self.sources]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
