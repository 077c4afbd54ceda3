"""The radio in bursts: off until enough batches wait or something is urgent, on until the host has committed them.

In place of the link's client for whoever runs and stops it. Urgent is what the journal calls an event (a rhythm
begins, somebody falls, what lies around it), and a vital sign that alone scores 3 in NEWS2 (Royal College of
Physicians 2017, chart 1): while one is read, the radio stays on.
"""

import asyncio

from micropython import const

from vigil.core.log import INFO, log
from vigil.core.records import HEART_RATE, PRESENT, PULSE, PULSE_RATE, RESP_RATE, SPO2
from vigil.link.session import ONLINE

_RED = {HEART_RATE: (41, 130), PULSE_RATE: (41, 130), PULSE: (41, 130), SPO2: (92, 100), RESP_RATE: (9, 24)}
_RED_MS = const(60_000)  # a red reading is urgent for so long
_LOOK_MS = const(200)
_LINGER_MS = const(2_000)  # the host may want something: a request, an update, an order
_PATIENCE_MS = const(30_000)  # without any progress
_AGAIN_MS = const(60_000)  # after a burst that failed, for what is urgent


class Bursts:
    """client: link.mqtt_client.MqttClient. batches: sealed ones that make a burst. bursts: so far.

    pause_s: longest time between two bursts while the host is there, for the status.
    """

    def __init__(self, board, client, journal, uplink, batches: int, period_ms: int):
        self.bursts = 0
        self.pause_s = batches * period_ms // 1000
        self.now = False  # everything is to be sent at once
        self._clock = board.clock
        self._wifi = board.wifi
        self._client = client
        self._journal = journal
        self._uplink = uplink
        self._batches = batches
        self._from = journal.next_seq - batches  # the first burst is at once: the host hears of the start
        self._red_ms = -_RED_MS
        self._again_ms = 0
        self._stopping = False

    def report(self, readings, first: int) -> None:
        """Take the pipeline's readings, new ones from number `first` on."""
        for i in range(first, len(readings)):
            reading = readings[i]
            if reading.absent_reason == PRESENT and reading.kind in _RED:
                low, high = _RED[reading.kind]
                exp10 = reading.exp10
                value = reading.mantissa * 10**exp10 if exp10 >= 0 else reading.mantissa // 10**-exp10
                if not low <= value <= high:
                    self._red_ms = self._clock.ms()

    def _urgent(self, now_ms: int) -> bool:
        return self.now or now_ms - self._red_ms < _RED_MS

    def due(self, now_ms: int) -> bool:
        """Tell whether the radio is to be turned on."""
        journal = self._journal
        if journal.next_seq - self._from >= self._batches:
            return True
        return now_ms >= self._again_ms and (self._urgent(now_ms) or len(journal.events) > 0)

    def stop(self) -> None:
        """Turn the radio off; `run` then returns."""
        self._stopping = True

    async def run(self) -> None:
        """Send in bursts until `stop`."""
        while not self._stopping:
            if self.due(self._clock.ms()):
                await self._burst()
            else:
                await asyncio.sleep_ms(_LOOK_MS)

    async def _burst(self) -> None:
        client, clock, journal, uplink = self._client, self._clock, self._journal, self._uplink
        self.bursts += 1
        self._from = journal.next_seq
        task = asyncio.create_task(client.run())
        seen = ()
        done = False
        since_ms = clock.ms()
        try:
            while not (task.done() or self._stopping):
                now_ms = clock.ms()
                signs = client.session.connects, uplink.heard
                if signs != seen or (client.session.state == ONLINE and self._urgent(now_ms)):
                    seen = signs
                    since_ms = now_ms
                done = client.session.state == ONLINE and not len(journal)
                if now_ms - since_ms >= (_LINGER_MS if done else _PATIENCE_MS):
                    break
                await asyncio.sleep_ms(_LOOK_MS)
        finally:
            self._again_ms = 0 if done else clock.ms() + _AGAIN_MS
            if not task.done():
                client.stop()
            try:
                await task
            finally:
                self._wifi.off()
        log(INFO, "link", "radio off")
