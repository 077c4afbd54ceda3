"""The firmware's queue, uplink and link under MicroPython, without sensors: `link_device.py STATE COUNT SECONDS`.

Seals COUNT envelopes (a fixed prefix in place of a signature) at twenty a second and ends when all are acknowledged
or SECONDS have passed. STATE/link has host, port, server name; STATE/fs/tls the certificates. The last line is
`END {json}`.
"""

import asyncio
import gc
import json
import os
import sys
import time

from vigil.app.config import link_settings
from vigil.app.uplink import Uplink
from vigil.link.backoff import Backoff
from vigil.link.mqtt_client import MqttClient
from vigil.link.session import Session
from vigil.store.journal import Journal

STATE, COUNT, SECONDS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open(STATE + "/link") as file:
    SETTINGS = json.load(file)


class Clock:
    def __init__(self):
        self._start_ms = time.ticks_ms()

    def ms(self):
        return time.ticks_diff(time.ticks_ms(), self._start_ms)


class Wifi:
    def connect(self):
        pass

    def isconnected(self):
        return True

    def power_cycle(self):
        pass


class Keystore:
    def get(self, name):
        return SETTINGS[name].encode() if name in SETTINGS else None


class Board:
    fs = STATE + "/fs"
    clock = Clock()
    wifi = Wifi()
    keystore = Keystore()
    random = staticmethod(os.urandom)


async def main():
    board = Board()
    queue = Journal(board.fs + "/journal", os, lambda payload, signature: b"sealed:" + payload + b"s" * 64)
    uplink = Uplink(board.clock, queue, SETTINGS["id"], 1500)
    session = Session(Backoff(board.random, 200, 1000))
    settings = link_settings(board)
    client = MqttClient(board, settings, SETTINGS["id"], (uplink.ack_topic,), session, uplink.on_message, uplink.wake)
    uplink.client = client
    link = asyncio.create_task(client.run())
    sending = asyncio.create_task(uplink.run())
    longest_ms = 0
    made = 0
    before_ms = board.clock.ms()
    while board.clock.ms() < SECONDS * 1000 and (made < COUNT or len(queue)):
        await asyncio.sleep_ms(10)
        now_ms = board.clock.ms()
        longest_ms = max(longest_ms, now_ms - before_ms - 10)
        before_ms = now_ms
        if made < COUNT and now_ms >= made * 50:
            made += 1
            queue.append(b"%d:" % queue.next_seq + bytes(380))
            uplink.wake()
    client.stop()
    while not link.done():
        await asyncio.sleep_ms(10)
    sending.cancel()
    gc.collect()
    report = {
        "pending": len(queue),
        "connects": session.connects,
        "resent": uplink.resent,
        "failure": client.failure,
        "heap_used": gc.mem_alloc(),
        "longest_stall_ms": longest_ms,
        "state": session.state,
    }
    print("END", json.dumps(report))


asyncio.run(main())
