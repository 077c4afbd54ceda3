"""Acquisition: every fitted sensor's samples, pushed as blocks."""

import asyncio

from vigil.app.ecg_source import ecg_source
from vigil.app.ppg_source import PpgSource


class Acquisition:
    """push(block) takes each core SampleBlock, during the call only.

    A missing part is remembered as absent (its blocks say ABSENT), asked again every few seconds, and never stops
    the others. `ecg` and `ppg` have `present`, `lost` (samples) and `faults` (times started again) for the status.
    """

    def __init__(self, board, push):
        self._until_ms = getattr(board, "until_ms", None)
        self.ecg = ecg_source(board, push)
        self.ppg = PpgSource(board, push)

    async def run(self):
        """Acquire until board.until_ms, or for ever. May be run again after it failed or was cancelled."""
        tasks = [asyncio.create_task(source.run(self._until_ms)) for source in (self.ecg, self.ppg)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
