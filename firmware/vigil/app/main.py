"""Composition: one board in, every part made once and joined here."""

import asyncio

from vigil.app.identity import load_or_create
from vigil.core.log import INFO, log


def run(board) -> None:
    """Run the monitor on `board` until it is switched off (or until board.until_ms, where it is set)."""
    asyncio.run(_main(board))


async def _main(board):
    from vigil.app.acquire import Acquisition
    from vigil.app.pipeline import Pipeline

    signer = load_or_create(board)
    log(INFO, "app", "device " + signer.device_id + " on " + board.name)
    pipeline = Pipeline()
    await Acquisition(board, pipeline.push).run()
