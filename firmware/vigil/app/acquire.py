"""Acquisition: every fitted sensor's samples, pushed as blocks."""

import asyncio

from vigil.core.errors import SensorError

try:
    from vigil.app.ecg_source import ecg_source
except ImportError:  # the image is of a board without it, as with those below
    ecg_source = None
try:
    from vigil.app.ppg_source import PpgSource
except ImportError:
    PpgSource = None
try:
    from vigil.app.acc_source import AccSource
except ImportError:
    AccSource = None


class Acquisition:
    """push(block) takes each core SampleBlock, during the call only.

    A missing part is remembered as absent (its blocks say ABSENT), asked again every few seconds, and never stops
    the others. `ecg`, `ppg` and `acc` (each None in an image without it) have `present`, `lost` (samples) and `faults`
    (times started again) for the status.
    """

    def __init__(self, board, push):
        self._until_ms = getattr(board, "until_ms", None)
        self.ecg = ecg_source(board, push) if ecg_source else None
        self.ppg = PpgSource(board, push) if PpgSource else None
        self.acc = AccSource(board, push) if AccSource else None
        self.sources = [source for source in (self.ecg, self.ppg, self.acc) if source]

    def relieve(self, long=False):
        """Empty every FIFO: what comes next holds up the processor, as flash does while it erases.

        long: for up to half a second, as a step of a handshake does. It is over at the next call that says otherwise.
        """
        for source in self.sources:
            if source.present and source.part:
                try:
                    source.relieve(long)
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
