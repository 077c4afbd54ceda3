"""Composition: one board in, every part made once and joined here."""

import asyncio
import gc
import os

from micropython import const

from vigil.app.acquire import Acquisition
from vigil.app.config import link_settings, store_number, stored_number
from vigil.app.identity import load_or_create
from vigil.app.memory import Memory
from vigil.app.pipeline import Pipeline
from vigil.app.publish import PERIOD_MS, Publisher, Sealer
from vigil.app.supervise import Health, Supervisor, reset_number
from vigil.app.updates import Updates
from vigil.app.uplink import Uplink
from vigil.core.errors import ConfigError
from vigil.core.log import ERROR, INFO, log
from vigil.core.records import ECG, PPG
from vigil.link.utc import Utc
from vigil.store.journal import Journal

try:
    from vigil.app.battery import Battery
except ImportError:  # not in this device's profile
    Battery = None
try:
    from vigil.app.orders import Orders
except ImportError:  # not in this device's profile
    Orders = None
try:
    from vigil.app.events import Events
    from vigil.store.strips import Strips
except ImportError:  # not in this device's profile
    Strips = None

_DRAIN_MS = const(120_000)  # after until_ms: longest wait for the last acknowledgement
_LEAVE_MS = const(5_000)
_FOR_EVER_MS = const(0x3FFFFFFF)
_COLLECT_BYTES = const(8_192)  # collect after so much was allocated: garbage spread over the whole heap splits it up

# Keys of the status in a batch (SPEC.md).
_HEAP_FREE = const(0)  # bytes, after a collection
_WAITING = const(1)  # envelopes
_LOST_SAMPLES = const(2)  # in this boot
_DROPPED = const(3)  # envelopes, for lack of flash, in this boot
_RESTARTS = const(6)  # of tasks, in this boot
_CRASHES = const(7)  # of tasks, in the device's life
_CONNECTS = const(8)  # of the link, in this boot
_SEAL_US = const(9)  # mean time of a seal
_ECG_PPM = const(10)  # measured sample rate against nominal
_PPG_PPM = const(11)
_DAMAGED = const(12)  # stretches of flash that were not whole or not ours, found in this boot
_RESET = const(5)  # why the device started: in the first batch of a boot
_LAST_CRASH = const(17)
_FLASH_FREE = const(18)  # KiB
_RSSI = const(19)  # dBm
_SHED = const(20)  # optional parts given up for lack of memory, now
_COLLECT_US = const(21)  # longest collection of garbage
_LOST_READINGS = const(22)
_FAULTS = const(23)  # times a sensor was started again
_LOST_BLOCKS = const(24)  # blocks of samples not digested for lack of memory
_PAUSE_S = const(28)  # between bursts of the radio


class Monitor:
    """One device at work."""

    def __init__(self, board):
        self.board = board
        self.heap_peak = 0
        boot = stored_number(board, "boot.count") + 1
        store_number(board, "boot.count", boot)
        signer = load_or_create(board)
        log(INFO, "app", "device %s, boot %d, after %s" % (signer.device_id, boot, board.reset_cause()))
        floor = max(1, stored_number(board, "seq.floor"))
        self.sealer = Sealer(signer)
        self.journal = Journal(board.fs + "/" + signer.device_id, os, self.sealer.seal, floor=floor)
        self.supervisor = Supervisor(board)
        self.strips = strips = Strips() if Strips and not stored_number(board, "wave.off") else None
        if strips and stored_number(board, "wave.stream"):
            strips.stream(_FOR_EVER_MS)
        self.battery = Battery(board, strips) if Battery else None
        pipeline = Pipeline(strips.beat if strips else None)
        self.memory = Memory(board.clock, pipeline)
        self.health = Health(self.memory.push)
        self.acquisition = Acquisition(board, self._push if strips else self.health.push)
        self.utc = utc = Utc()
        self.uplink = Uplink(board.clock, self.journal, signer.device_id, on_time=utc.heard)
        wake = self.uplink.wake
        events = Events(strips) if Strips else None
        self.publisher = Publisher(board, pipeline, self.journal, boot, floor, self.status, wake, utc, events)
        self.publisher.relieve = self.acquisition.relieve
        self.client = self._open_link(signer.device_id, pipeline)
        self.link = self._bursts(pipeline) or self.client
        self.updates = Updates(self, signer.device_id)
        self.orders = Orders(self, signer.device_id) if Orders else None
        self.uplink.takers = (self.updates, self.orders) if Orders else (self.updates,)

    def _open_link(self, device_id: str, pipeline):
        """Return the link's client, None on a device that was not provisioned: it measures and keeps."""
        try:
            if self.board.keystore.get("link.kind") == b"ble":
                from vigil.app.ble import open_link

                return open_link(self, device_id, pipeline)
            settings = link_settings(self.board)
            from vigil.link.backoff import Backoff
            from vigil.link.mqtt_client import MqttClient
            from vigil.link.session import Session
        except ConfigError as e:
            log(ERROR, "config", str(e))
            return None
        except ImportError:
            log(ERROR, "config", "this image is without the link of link.kind: flash another profile")
            return None
        uplink = self.uplink
        session = Session(Backoff(self.board.random))
        topics = (uplink.ack_topic, uplink.command_topic)
        name = settings.client_id or device_id
        client = MqttClient(self.board, settings, name, topics, session, uplink.on_message, uplink.wake)
        client.relieve = self.acquisition.relieve
        uplink.client = client
        return client

    def _bursts(self, pipeline):
        """Return what turns the radio on and off where the setting radio.burst asks for it, else None."""
        self.bursts = None
        batches = stored_number(self.board, "radio.burst")
        if self.client and batches and self.board.keystore.get("link.kind") != b"ble":  # which sleeps by itself
            from vigil.app.bursts import Bursts

            self.bursts = Bursts(self.board, self.client, self.journal, self.uplink, min(batches, 60), PERIOD_MS)
            self.publisher.backlog += batches  # so many wait although the host is there
            pipeline.watch(self.bursts.report, lambda beat: None)
        return self.bursts

    def _push(self, block) -> None:
        """A block for the strips, too."""
        self.strips.push(block)
        self.health.push(block)

    def status(self) -> dict:
        """Return the device's state for a batch; collects garbage, so that the heap's figures mean something."""
        self.memory.tidy()
        self.heap_peak = max(self.heap_peak, gc.mem_alloc())
        status = {
            _HEAP_FREE: gc.mem_free(),
            _WAITING: len(self.journal),
            _LOST_SAMPLES: sum(source.lost for source in self.acquisition.sources),
            _DROPPED: self.journal.dropped,
            _RESTARTS: self.supervisor.restarts,
            _CRASHES: self.supervisor.crashes,
            _CONNECTS: self.client.session.connects if self.client else 0,
            _SEAL_US: self.sealer.mean_us,
            _ECG_PPM: self.health.rate_error_ppm(ECG, 4000),
            _PPG_PPM: self.health.rate_error_ppm(PPG, 10000),
            _DAMAGED: self.journal.damaged,
        }
        if not self.publisher.sealed:
            status[_RESET] = reset_number(self.board.reset_cause())
        flash = os.statvfs(self.board.fs)
        more = (
            (_LAST_CRASH, self.supervisor.last_crash),
            (_FLASH_FREE, flash[0] * flash[3] >> 10),
            (_RSSI, self.board.wifi.rssi()),
            (_SHED, self.memory.shed_parts),
            (_COLLECT_US, self.memory.gc_us),
            (_LOST_READINGS, self.publisher.lost_readings),
            (_FAULTS, sum(source.faults for source in self.acquisition.sources)),
            (_LOST_BLOCKS, self.memory.lost_blocks),
            (_PAUSE_S, self.bursts.pause_s if self.bursts else 0),
        )
        for key, figure in more:
            if figure:  # 0 and what is not known need not be said
                status[key] = figure
        if self.battery:
            self.battery.status(status)
        if self.orders:
            self.orders.status(status)
        return self.updates.status(status)

    async def run(self) -> None:
        """Work until board.until_ms where it is set, else for ever."""
        keep = self.supervisor.keep
        measure = self.acquisition.run if self.updates.alone is None else self.updates.rest
        measuring = [
            asyncio.create_task(keep("acquire", measure)),
            asyncio.create_task(keep("publish", self.publisher.run)),
            asyncio.create_task(self.supervisor.watch(self.health, self.publisher, self.memory)),
        ]
        if self.battery:
            measuring.append(asyncio.create_task(keep("battery", self.battery.run)))
        sending = []
        if self.client:
            sending = [
                asyncio.create_task(keep("link", self.link.run)),
                asyncio.create_task(keep("uplink", self.uplink.run)),
                asyncio.create_task(keep("updates", self.updates.run)),
            ]
            if self.orders:
                sending.append(asyncio.create_task(keep("orders", self.orders.run)))
        until_ms = getattr(self.board, "until_ms", None)
        if self.battery:
            await self.battery.wait(self.board.clock, until_ms)
        elif until_ms is None:
            await asyncio.gather(*measuring)
        else:
            await asyncio.sleep_ms(max(0, until_ms - self.board.clock.ms()))
        await _end(measuring)
        self.publisher.seal()
        await self._drain()
        if self.client:
            self.link.stop()
            try:
                await asyncio.wait_for_ms(_ended(sending[0]), _LEAVE_MS)
            except asyncio.TimeoutError:
                pass
        await _end(sending)
        status = self.status()
        used = gc.mem_alloc()
        from vigil.app.report import report  # only a bounded run needs it

        report(self, status, used)
        if self.battery and self.battery.empty and hasattr(self.board, "power_off"):
            self.board.power_off()

    async def _drain(self) -> None:
        limit_ms = self.board.clock.ms() + _DRAIN_MS
        if self.bursts:
            self.bursts.now = True
        while self.client and len(self.journal) and self.board.clock.ms() < limit_ms:
            self.board.feed_watchdog()
            await asyncio.sleep_ms(100)


async def _ended(task) -> None:
    while not task.done():
        await asyncio.sleep_ms(20)


async def _end(tasks) -> None:
    for task in tasks:
        task.cancel()
        try:
            await task
        except (asyncio.CancelledError, Exception):  # it was told to end; how is no longer of interest
            pass


def forget() -> None:
    """Drop what only the start needs: host_tools.image.start finds out what that is in a linked program."""


def run(board) -> None:
    """Run the monitor on `board` until it is switched off (or until board.until_ms, where it is set)."""
    gc.threshold(_COLLECT_BYTES)
    monitor = Monitor(board)
    forget()
    gc.collect()
    asyncio.run(monitor.run())
