"""A device that only sends: journal, uplink and peripheral as shipped, no sensors. Ends when its journal is empty."""

import asyncio
import gc
import os

import board as boards

from vigil.app.ble import open_link
from vigil.app.identity import load_or_create
from vigil.app.publish import Sealer
from vigil.app.uplink import Uplink
from vigil.core.records import Reading
from vigil.link.utc import Utc
from vigil.store.journal import Journal
from vigil.wire import batch

HEART_RATE = 147842  # constants are folded away in compiled modules
BEAT_PER_MIN = 2720


class Pipeline:
    def watch(self, on_report, on_beat):
        pass


class Battery:
    mv = 3900
    charge = 735  # permille


class Device:
    battery = Battery()

    def __init__(self):
        gc.collect()
        before = gc.mem_alloc()
        self.board = board = boards.make()
        signer = load_or_create(board)
        self.journal = Journal(board.fs + "/" + signer.device_id, os, Sealer(signer).seal)
        self.fill(int(os.getenv("VIGIL_FILL") or "0"))
        self.utc = Utc()
        self.uplink = Uplink(board.clock, self.journal, signer.device_id, on_time=self.utc.heard)
        gc.collect()
        uplink = gc.mem_alloc()
        self.client = open_link(self, signer.device_id, Pipeline())
        gc.collect()
        self.heap = uplink - before, gc.mem_alloc() - uplink
        print("KEY", signer.public_key.hex(), signer.device_id)

    def fill(self, n):
        for i in range(n):
            t_ms = 10_000 * len(self.journal)
            readings = [
                Reading(HEART_RATE, 700 + i % 90, -1, BEAT_PER_MIN, 90, t_ms + 2000 * j, t_ms + 2000 * j + 8000)
                for j in range(5)
            ]
            payload = batch.encode(
                boot=1,
                seq=self.journal.next_seq,
                prev_digest=self.journal.prev_digest,
                oldest_seq=self.journal.oldest_seq,
                t0_ms=t_ms,
                readings=readings,
            )
            self.journal.append(payload)

    async def run(self):
        tasks = [asyncio.create_task(self.client.run()), asyncio.create_task(self.uplink.run())]
        until_ms = self.board.clock.ms() + int(os.getenv("VIGIL_FOR_MS") or "600000")
        while (len(self.journal) or os.getenv("VIGIL_STAY")) and self.board.clock.ms() < until_ms:
            await asyncio.sleep_ms(50)
            if tasks[0].done():
                await tasks[0]
        print(
            "LEFT",
            len(self.journal),
            "resent",
            self.uplink.resent,
            "connects",
            self.client.connects,
            "full",
            self.client.full,
            "refused",
            self.client.refused,
            "heap",
            self.heap,
        )
        self.client.stop()
        await asyncio.wait_for_ms(tasks[0], 5000)


device = Device()
asyncio.run(device.run())
