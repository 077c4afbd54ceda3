"""`make soak`: a wearer's day at speed with everything going wrong, and whether every sealed batch is in the database.

    python -m host_tools.virtual.soak --hours 24 --speed 100 --seed 1

One virtual device on the real MicroPython, behind a network that goes away, a broker and a gateway that are killed, a
database that is locked and a host's clock that jumps: host_tools.virtual.misfortune has the script. The host's clock
runs on the device's time, so that back-off, silence and dating mean what they mean at speed 1. Prints a table, and
last one line of JSON. Exit 1 where a batch is lost, doubled, refused or out of order, time is dated wrongly, or the
heap grows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sqlite3
import statistics
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from boards.virtual.scenario import Scenario
from host_tools.ingest.broker import GATEWAY, Broker
from host_tools.ingest.gateway import CONFIG_NAME, Config
from host_tools.ingest.store import Store, envelopes
from host_tools.trust.pki import Authority, private_folder
from host_tools.trust.verify import verify_all
from host_tools.virtual.access_point import AccessPoint
from host_tools.virtual.device import VirtualWearer
from host_tools.virtual.misfortune import Script, script
from signal_models.synth.wearer import wearer

_EPOCH_MS = 1_767_225_600_000  # 2026-01-01: when the campaign begins, as the host's clock says
_SIGNAL_S = 600  # of synthetic signals, again and again
_LOOK_S = 0.01
_QUIET_S = 60  # of the last start, in which what waits is drained
_HEAP_GROWTH = 2048  # bytes between the first hour of the last start and its last one
_LAG_MS = 250  # longest time between two requests of the device's to its sensors: the host's clock stands still then
_WARM_S = 900  # after a start, until every buffer has been made
_SAID = {"cut": "power cuts", "broker": "broker killed", "jump": "clock jumps", "lock": "database locked"}
_SAID |= {"gateway": "gateway killed", "away": "network away"}
_SAID["gateway before acknowledging"] = "gateway killed between commit and acknowledgement"
_SPAWN = multiprocessing.get_context("forkserver")
_SPAWN.set_forkserver_preload(["host_tools.ingest.gateway"])


class HostClock:
    """UTC as the host believes it: the device's time, since the campaign began, and the jumps. Shared by processes."""

    def __init__(self) -> None:
        self.now = _SPAWN.RawValue("q", 0)  # us, of the device's present start
        self.start_ms = _SPAWN.RawValue("q", 0)  # of that start in the campaign
        self.skew_ms = _SPAWN.RawValue("q", 0)

    def campaign_ms(self) -> int:
        """Milliseconds since the campaign began."""
        return self.start_ms.value + self.now.value // 1000

    def utc_ms(self) -> int:
        """What the host takes for UTC."""
        return _EPOCH_MS + self.campaign_ms() + self.skew_ms.value


def _gateway(state: Path, now: Any, start_ms: Any, skew_ms: Any, dies: bool) -> None:
    """A gateway's process. dies: as soon as something is committed and before anybody has heard of it."""
    from host_tools.ingest import gateway, store

    log = os.open(state / "gateway.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    clock = HostClock.__new__(HostClock)
    clock.now, clock.start_ms, clock.skew_ms = now, start_ms, skew_ms
    gateway.now_ms = store.now_ms = clock.utc_ms
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent and parent.join(), os._exit(1)), daemon=True).start()
    if dies:
        gateway.MqttSource.acknowledge_to_device = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore
    try:
        gateway.serve(Config.read(state / CONFIG_NAME), as_json=True)
    except Exception as e:  # a database that is locked at the start: whoever keeps it starts it again
        print(f"gateway: {e}", file=sys.stderr)


class _Wearer(VirtualWearer):
    """Tells its time to the host's clock; what it carries is put together once, for all its starts."""

    clock: HostClock
    carried: dict[str, Path]

    def _tree(self) -> Path:
        if "tree" not in self.carried:
            self.carried["tree"] = super()._tree()
        return self.carried["tree"]

    def start(self) -> None:
        super().start()
        self._running["server"].now = self.clock.now


class Soak:
    """One campaign in the folder `state`."""

    def __init__(self, plan: Script, state: Path, *, speed: float, seed: int, profile: str, burst: int = 0):
        self.plan = plan
        self.state = private_folder(state)
        self.speed = speed
        self.profile = profile
        self.burst = burst
        self.clock = HostClock()
        self.done: Counter[str] = Counter()
        self.boots = 0
        self.sealed = 0
        self.skews_ms = [0]
        self.boot_starts_ms: dict[int, int] = {}  # by the device's own number of the start
        self._recording = wearer(_SIGNAL_S, seed=seed)
        self._carried: dict[str, Path] = {}
        self._lock: sqlite3.Connection | None = None
        self._gateway: Any = None
        self._dies = False

    # Pieces

    def run(self, progress: Progress) -> dict[str, Any]:
        """Live through the script; return the summary."""
        began = time.monotonic()
        with ExitStack() as stack:
            authority = Authority(self.state / "pki")
            self.broker = Broker(self.state / "broker", authority)
            stack.callback(self.broker.stop)
            self.broker.start()
            self.network = stack.enter_context(AccessPoint(self.broker.port))
            certificate, key = authority.client(GATEWAY)
            config = Config.for_state(
                self.state, broker=self.broker.url, ca=authority.ca_path, certificate=certificate, key=key
            )
            config.write(self.state / CONFIG_NAME)
            self.store = stack.enter_context(Store(config.store))

            def admit(public_key: bytes, device: str) -> tuple[bytes, bytes]:
                self.store.add_device(device, public_key)
                self.broker.add_device(device)
                return authority.device(device)

            self.wearer = self._new_wearer(0)
            self.device = self.wearer.provision(
                host="127.0.0.1",
                port=self.network.port,
                server_name=self.broker.server_name,
                ca_der=authority.ca_der,
                issue=admit,
            )
            (self.wearer.state / "nvs" / "radio.burst").write_bytes(b"%d" % self.burst)
            stack.callback(lambda: self.wearer.stop())
            stack.callback(self._kill_gateway)
            self._start_gateway()
            self._live(progress)
            self._settle()
            stack.callback(self._unlock)
        return self._summary(time.monotonic() - began)

    def _new_wearer(self, start_s: float, duration_s: float | None = None, speed: float | None = None) -> _Wearer:
        faults = self.plan.faults_from(start_s) if speed is None else ()
        scenario = Scenario(self._recording, faults=faults, repeat=True, clock_error=0.003)
        made = _Wearer(
            self.state / "wearer",
            scenario,
            speed=speed or self.speed,
            duration_s=duration_s,
            profile=self.profile,
        )
        made.clock = self.clock
        made.carried = self._carried
        return made

    def _start_gateway(self, dies: bool = False) -> None:
        self._dies = dies
        shared = self.clock.now, self.clock.start_ms, self.clock.skew_ms
        self._gateway = _SPAWN.Process(target=_gateway, args=(self.state, *shared, dies), daemon=True)
        self._gateway.start()

    def _kill_gateway(self) -> None:
        if self._gateway is not None:
            self._gateway.kill()
            self._gateway.join()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # The day

    def _live(self, progress: Progress) -> None:
        total_s = self.plan.seconds
        task = progress.add_task("soak", total=total_s, words="starting")
        events = list(self.plan.events)
        self._boot(0)
        shown = 0.0
        while True:
            time.sleep(_LOOK_S)
            ended = self.wearer.wait(0)
            at_s = self.clock.campaign_ms() / 1000
            while events and (ended or events[0].at_s <= at_s):
                self._do(events.pop(0))
            if self._gateway.exitcode is not None:  # it died as it was told, or could not start
                self.done["gateway before acknowledging"] += self._dies
                self._gateway.join()
                self._start_gateway()
            if time.monotonic() - shown > 1:
                shown = time.monotonic()
                words = f"boot {self.boots}, " + ", ".join(f"{n} {what}" for what, n in sorted(self.done.items()))
                progress.update(task, completed=min(at_s, total_s), words=words[:100])
            if ended:
                progress.update(task, completed=total_s, words="draining")
                return

    def _boot(self, at_ms: int) -> None:
        """Switch on; until the script's end when no more cuts are to come."""
        self.boots += 1
        self.clock.now.value = 0
        self.clock.start_ms.value = at_ms
        cuts_left = self.plan.count("cut") - self.done["cut"]
        left_s = self.plan.seconds - at_ms / 1000
        self.boot_starts_ms[self.boots] = at_ms
        self.wearer = self._new_wearer(at_ms / 1000, None if cuts_left else left_s)
        self.wearer.start()

    def _do(self, event: Any) -> None:
        what = event.what
        if what != "gateway before acknowledging":  # that is counted when it has happened
            self.done[what] += 1
        if what == "cut":
            at_ms = self.clock.campaign_ms()
            self.wearer.stop()
            self.sealed = max(self.sealed, newest_on_flash(self.state / "wearer" / "fs" / self.device))
            self._boot(at_ms)
        elif what == "broker":
            self.broker.kill()
            time.sleep(0.1)
            self.broker.start()
        elif what.startswith("gateway"):
            self._kill_gateway()
            self._start_gateway(dies=what != "gateway")
        elif what == "lock":
            self._unlock()
            self._lock = sqlite3.connect(self.state / "vigil.db", timeout=30)
            self._lock.execute("BEGIN IMMEDIATE")
        elif what == "unlock":
            self._unlock()
        elif what == "jump":
            self.clock.skew_ms.value += 1000 * event.value
            self.skews_ms.append(self.clock.skew_ms.value)
        else:
            self.network.away = what == "away"

    def _settle(self) -> None:
        """Start once more, slowly and undisturbed, until nothing waits."""
        self._unlock()
        self.network.away = False
        self.report = self.wearer.end_report
        if self.report is None:
            raise RuntimeError("the wearer stopped before its end")
        self.sealed += self.report["sealed"]
        for _ in range(3):
            if self._dies or self._gateway.exitcode is not None:
                self._kill_gateway()
                self._start_gateway()
            before = self.clock.campaign_ms()
            self.boots += 1
            self.boot_starts_ms[self.boots] = before
            self.clock.now.value = 0
            self.clock.start_ms.value = before
            self.wearer = self._new_wearer(0, _QUIET_S, speed=20)
            self.wearer.start()
            while not self.wearer.wait(0.2):
                pass
            end = self.wearer.end_report
            assert end is not None
            self.sealed += end["sealed"]
            self.pending = end["pending"]
            if not self.pending:
                return

    # What came of it

    def _summary(self, seconds: float) -> dict[str, Any]:
        with Store(f"sqlite:///{self.state / 'vigil.db'}") as store, store.engine.connect() as connection:
            rows = list(connection.execute(sa.select(envelopes).order_by(envelopes.c.seq)))
            ends_ms = [(row.seq, row.t_end_ms) for row in store.readings(self.device)]
            counts = store.counts()
            key = store.public_keys()[self.device]
        sequences = [row.seq for row in rows]
        wanted = set(range(1, self.sealed + 1))
        verdicts = [outcome.verdict for outcome in verify_all((row.raw for row in rows), key)]
        boot_of = {row.seq: row.boot for row in rows}
        newest: dict[int, tuple[int, int]] = {}  # by sequence: start and time of what a batch tells last
        for seq, end_ms in ends_ms:
            newest[seq] = max(newest.get(seq, (0, 0)), (boot_of[seq], end_ms))
        heap = [
            (row.t0_ms, json.loads(row.status)["0"])
            for row in rows
            if row.status and row.boot == rows[-1].boot - 1 and row.t0_ms > 1000 * _WARM_S
        ]
        assert self.report is not None
        summary = {
            "hours": self.plan.seconds / 3600,
            "sealed": self.sealed,
            "stored": len(sequences),
            "lost": len(wanted - set(sequences)),
            "foreign": len(set(sequences) - wanted),
            "rejected": counts["rejected"],
            "duplicates_absorbed": counts["duplicates"],
            "out_of_order": sum(verdict != "accepted" for verdict in verdicts)
            + sum(a > b for a, b in pairwise(newest[seq] for seq in sorted(newest))),
            "dated_wrongly": sum(not self._dated_rightly(row) for row in rows if row.utc_offset_ms is not None),
            "longest_hole_s": _longest_hole_s(ends_ms, boot_of),
            "dropped": self.report["dropped"],
            "damaged": self.report["damaged"],
            "lost_readings": self.report["lost_readings"],
            "lost_samples": self.report["lost_samples"],
            "restarts": self.report["restarts"],
            "boots": self.boots,
            "connects": self.report["connects"],
            **_heap_figures(heap),
            "events": dict(self.done),
            "real_s": round(seconds),
            "times_real": round(self.plan.seconds / seconds, 1),
        }
        wrong = ("lost", "foreign", "rejected", "out_of_order", "dated_wrongly", "dropped", "damaged", "lost_readings")
        grew = (summary["heap_growth_bytes"] or 0) > _HEAP_GROWTH
        summary["ok"] = not (any(summary[name] for name in wrong) or summary["restarts"] or grew)
        return summary

    def _dated_rightly(self, row: Any) -> bool:
        """The true offset is inside the uncertainty stated, by one of the host's clocks so far."""
        start_ms = self.boot_starts_ms.get(row.boot)
        if start_ms is None:
            return True
        offset_ms = row.utc_offset_ms - _EPOCH_MS - start_ms
        return any(abs(offset_ms - skew_ms) <= row.utc_uncertainty_ms + _LAG_MS for skew_ms in self.skews_ms)


def _longest_hole_s(ends_ms: list[tuple[int, int]], boot_of: dict[int, int]) -> float:
    """Longest time without a reading between two of the same start, seconds."""
    by_boot: dict[int, list[int]] = {}
    for seq, end_ms in ends_ms:
        by_boot.setdefault(boot_of[seq], []).append(end_ms)
    holes = [b - a for ends in by_boot.values() for a, b in pairwise(sorted(ends))]
    return max(holes, default=0) / 1000


def _heap_figures(heap: list[tuple[int, int]]) -> dict[str, float | None]:
    """Free heap in the first and the last hour (the first and last third, where it is less) of the long start."""
    if len(heap) < 6:
        return {"heap_hours": None, "heap_free_first": None, "heap_free_last": None, "heap_growth_bytes": None}
    span_ms = heap[-1][0] - heap[0][0]
    part_ms = min(3_600_000, span_ms / 3)
    first = statistics.median(free for t_ms, free in heap if t_ms <= heap[0][0] + part_ms)
    last = statistics.median(free for t_ms, free in heap if t_ms >= heap[-1][0] - part_ms)
    return {
        "heap_hours": round(span_ms / 3_600_000, 2),
        "heap_free_first": round(first),
        "heap_free_last": round(last),
        "heap_free_least": min(free for _, free in heap),
        "heap_growth_bytes": round(first - last),
    }


def newest_on_flash(folder: Path) -> int:
    """Highest sequence in a journal's segments, read by firmware/SPEC.md section 9 and by no code of the device's."""
    newest = 0
    for file in folder.glob("*.seg"):
        data, at = file.read_bytes(), 0
        while at + 84 <= len(data):
            magic, _, length, seq, _, check = struct.unpack_from("<BBHIII", data, at)
            payload = data[at + 84 : at + 84 + length]
            if magic != 0x4A or zlib.crc32(data[at : at + 80]) != struct.unpack_from("<I", data, at + 80)[0]:
                break
            if len(payload) == length and zlib.crc32(payload) == check:
                newest = max(newest, seq)
            at += 84 + length
    return newest


def _table(summary: dict[str, Any]) -> Table:
    table = Table("what", "figure", title=f"soak of {summary['hours']:g} h", title_justify="left")
    for name, value in summary.items():
        if name == "events":
            for what, n in value.items():
                if what in _SAID:
                    table.add_row(_SAID[what], f"{n}")
        else:
            table.add_row(name.replace("_", " "), "-" if value is None else f"{value}")
    return table


def soak(plan: Script, *, state: Path, console: Console, **options: Any) -> dict[str, Any]:
    """Run one campaign; return its summary."""
    columns = (
        TextColumn("{task.fields[words]}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        return Soak(plan, state, **options).run(progress)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--misfortunes", type=float, metavar="HOURS", help="as many as in so many hours")
    parser.add_argument("--speed", type=float, default=100, help="device seconds a second, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", default="full", help="full or lean")
    parser.add_argument("--burst", type=int, default=0, help="batches a wake of the radio (0: always on)")
    parser.add_argument("--state", type=Path, help="folder to keep everything in (a temporary one without)")
    args = parser.parse_args()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="vigil-soak-") as scratch:
        summary = soak(
            script(args.hours, args.seed, args.misfortunes),
            speed=args.speed,
            seed=args.seed,
            profile=args.profile,
            burst=args.burst,
            state=args.state or Path(scratch),
            console=console,
        )
    console.print(_table(summary))
    print(json.dumps(summary), flush=True)
    return 0 if summary["ok"] else 1


if __name__ == "__main__":
    # By its name, so that the gateway's processes find what they are given.
    from host_tools.virtual import soak as module

    sys.exit(module.main())
