"""`vigil run`: broker, gateway and one virtual wearer on this machine, and what came of it.

    with Session(recording, state=folder, duration_s=60) as session:
        session.wait()
        print(session.summary())

Every piece is a context of the session's stack: whatever ends the run ends them all, in reverse order. Tests take
the pieces in hand (`session.broker.kill()`, `session.gateway.kill()`, `start()`) while the wearer goes on.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host_tools import board, children
from host_tools.errors import UserError
from host_tools.ingest.broker import GATEWAY, Broker, nats_server
from host_tools.ingest.gateway import CONFIG_NAME, Config
from host_tools.ingest.store import Store
from host_tools.trust.pki import Authority, private_folder
from host_tools.virtual import interpreter
from host_tools.virtual.live import View
from host_tools.virtual.summary import summarise
from signal_models.recording import Recording

if TYPE_CHECKING:
    from host_tools.recordings.signals import Options

ENGINES = ("viper", "bytecode")
FRONT_ENDS = ("max30003", "ad8232")  # of the ECG; the first is the better one
OXIMETER = "max30102"
MAX_SPEED = 1000
_LONGEST_SYNTHETIC_S = 86400
_LOOK_S = 0.5  # how often the database is read for the view
_SILENCE_S = 120  # no committed reading for so long: something is wrong that does not mend itself
_SETTLE_S = 5  # after the wearer's end: what is on its way still counts


class GatewayProcess:
    """`vigil gateway` as a child process on a state folder."""

    def __init__(self, state: Path):
        self._state = state
        self.log_path = state / "gateway.log"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> GatewayProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start; it waits for the broker by itself."""
        if self.pid is None:
            command = [sys.executable, "-m", "host_tools.cli", "gateway", "--state", str(self._state), "--json"]
            self._process = children.start(command, self.log_path)

    def wait_until_connected(self, timeout_s: float = 20) -> None:
        """Until it has reached the broker. Raises UserError with its last words when it does not."""
        deadline = time.monotonic() + timeout_s
        while '"connected"' not in self.log_path.read_text(errors="replace"):
            if self.pid is None or time.monotonic() > deadline:
                raise UserError("the gateway did not start", children.tail(self.log_path))
            time.sleep(0.05)

    def stop(self) -> None:
        """End it politely: it finishes the transaction in hand."""
        children.stop(self._process)
        self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        children.kill(self._process)
        self._process = None


class Session:
    """One run. Raises UserError on the way in when a piece cannot start; nothing is left running then.

    recording: what the wearer lives through. state: folder for everything that is kept. speed: device seconds a real
    second at most. duration_s: device seconds; the recording's length when None. engine: viper or bytecode.
    ecg: the front end, one of FRONT_ENDS. profile: full or lean, which modules the device carries in how much memory.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        state: Path,
        speed: float = 1.0,
        duration_s: float | None = None,
        engine: str = "viper",
        port: int = 0,
        faults: Any = None,
        ecg: str = FRONT_ENDS[0],
        profile: str = "full",
    ):
        check_wishes(speed, engine, ecg)
        board.profile(profile)
        longest_s = recording.duration_s
        if duration_s is not None and not 0 < duration_s <= longest_s + 0.001:
            raise UserError(
                f"{duration_s:g} s is not a possible duration", f"`{recording.name}` has {longest_s:.0f} s to play"
            )
        self.recording = recording
        self.state = state
        self.speed = speed
        self.duration_s = float(duration_s or longest_s)
        self.engine = engine
        self._port = port
        self._faults = faults
        self._ecg = ecg
        self._profile = profile
        self._stack = ExitStack()

    def __enter__(self) -> Session:
        with ExitStack() as stack:
            self._begin(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _begin(self, stack: ExitStack) -> None:
        from boards.virtual.scenario import Scenario
        from host_tools.virtual.device import VirtualWearer

        interpreter.import_path(self.engine)  # what is missing is said before anything is started
        nats_server()
        faults = {} if self._faults is None else {"faults": self._faults}
        scenario = Scenario(self.recording, ecg=self._ecg, **faults)
        try:
            scenario.wiring()
        except ValueError as e:
            raise UserError(f"the virtual wearer cannot play `{self.recording.name}`", str(e)) from e
        private_folder(self.state)
        self.started = time.monotonic()
        self.authority = Authority(self.state / "pki")
        self.broker = Broker(self.state / "broker", self.authority, port=self._port)
        stack.callback(self.broker.stop)  # before the start: an interruption in between must not leave it behind
        self.broker.start()
        certificate, key = self.authority.client(GATEWAY)
        config = Config.for_state(
            self.state, broker=self.broker.url, ca=self.authority.ca_path, certificate=certificate, key=key
        )
        config.write(self.state / CONFIG_NAME)
        self.store = stack.enter_context(Store(config.store))
        self.gateway = GatewayProcess(self.state)
        stack.callback(self.gateway.stop)
        self.gateway.start()
        self.wearer = VirtualWearer(
            self.state / "wearer",
            scenario,
            speed=self.speed,
            engine=self.engine,
            profile=self._profile,
            duration_s=self.duration_s,
        )
        self.wearer.log_path.unlink(missing_ok=True)  # what an earlier run said last is not this one's report
        stack.callback(self.wearer.stop)
        self.device = self.wearer.provision(
            host=self.broker.host,
            port=self.broker.port,
            server_name=self.broker.server_name,
            ca_der=self.authority.ca_der,
            issue=self._admit,
        )
        self.before = self.store.counts()  # a state folder may have seen runs before
        self.seq_before = max(self.store.sequences(self.device), default=-1)
        self.gateway.wait_until_connected()
        self.wearer.start()

    def _admit(self, public_key: bytes, device_id: str) -> tuple[bytes, bytes]:
        """Provisioning, the host's half: the store learns the public key, the broker the certificate."""
        self.store.add_device(device_id, public_key)
        self.broker.add_device(device_id)
        return self.authority.device(device_id)

    def wait(self, view: View | None = None) -> None:
        """Until the wearer has ended and what it sealed is committed, or stays away for good.

        Raises UserError when it ends without a report or nothing arrives for a long time.
        """
        moved_at = time.monotonic()
        committed = -1
        while not self.wearer.wait(_LOOK_S):
            if view:
                view.update()
            count = self.store.counts()["verified"]
            if count != committed:
                committed, moved_at = count, time.monotonic()
            elif time.monotonic() - moved_at > _SILENCE_S:
                raise UserError(f"nothing has arrived for {_SILENCE_S} s", self._hint())
        if self.wearer.end_report is None:
            raise UserError("the wearer stopped before its end", self._hint())
        deadline = time.monotonic() + _SETTLE_S
        while self.counts()["verified"] < self.wearer.end_report["sealed"] and time.monotonic() < deadline:
            time.sleep(0.1)
        if view:
            view.update("done")

    def counts(self) -> dict[str, int]:
        """verified, duplicates, rejected of this run."""
        now = self.store.counts()
        return {name: now[name] - self.before[name] for name in now}

    def summary(self) -> dict[str, Any]:
        """The summary line's content, once the wearer has ended."""
        assert self.wearer.end_report is not None, "the wearer has not ended"
        return summarise(
            self.store.readings(self.device, after_seq=self.seq_before),
            self.recording,
            self.counts(),
            self.wearer.end_report,
            device_id=self.device,
            engine=self.engine,
            speed=self.speed,
            duration_s=self.duration_s,
            seconds=round(time.monotonic() - self.started, 1),
        )

    def _hint(self) -> str:
        return f"last words: {children.tail(self.wearer.log_path)} (logs are in {self.state})"


def check_wishes(speed: float, engine: str, ecg: str, without: str | None = None) -> None:
    """Raise UserError for a speed, an engine, an ECG front end or a part to leave out that cannot be."""
    if not 0 < speed <= MAX_SPEED:
        raise UserError(f"{speed:g} is not a speed", f"more than 0, at most {MAX_SPEED}; 1 is real time")
    if engine not in ENGINES:
        raise UserError(f"`{engine}` is not an engine", f"choose from {', '.join(ENGINES)}")
    if ecg not in FRONT_ENDS:
        raise UserError(f"`{ecg}` is not an ECG front end", f"choose from {', '.join(FRONT_ENDS)}")
    parts = (OXIMETER, ecg)
    if without is not None and without not in parts:
        raise UserError(f"`{without}` is not a part of the virtual board", f"choose from {', '.join(parts)}")


@contextmanager
def state_folder(named: Path | None) -> Iterator[Path]:
    """The folder named, or a temporary one that is gone afterwards."""
    if named is not None:
        yield private_folder(named)
        return
    with tempfile.TemporaryDirectory(prefix="vigil-") as scratch:
        yield Path(scratch)


def recording_for(path: Path | None, duration_s: float | None, seed: int, columns: Options | None = None) -> Recording:
    """The recording at `path`, or a synthetic wearer of duration_s (60 when None)."""
    if path is not None:
        from host_tools.recordings import load

        return load(path, columns)
    if duration_s is not None and not 0 < duration_s <= _LONGEST_SYNTHETIC_S:
        raise UserError(f"{duration_s:g} s is not a possible duration", "more than 0, at most 86400 (a day)")
    from signal_models.synth.wearer import wearer

    return wearer(duration_s or 60.0, seed=seed)


def run(
    *,
    recording: Path | None,
    speed: float,
    duration_s: float | None,
    as_json: bool,
    state: Path | None,
    seed: int,
    engine: str,
    port: int = 0,
    without: str | None = None,
    ecg: str = FRONT_ENDS[0],
    profile: str = "full",
    columns: Options | None = None,
) -> int:
    """The command. Prints the summary line to stdout, last. Returns the exit status: 1 where anything was lost or
    rejected, a sensor never answered, or nothing was sealed at all.
    """
    previous = {number: signal.signal(number, _interrupt_once) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        check_wishes(speed, engine, ecg, without)  # before a long recording is read
        board.profile(profile)
        heart = recording_for(recording, duration_s, seed, columns)
        from boards.virtual.scenario import Missing

        table = not as_json and sys.stdout.isatty()
        faults = (Missing(without),) if without else None
        wishes = {
            "speed": speed,
            "duration_s": duration_s,
            "engine": engine,
            "port": port,
            "faults": faults,
            "ecg": ecg,
            "profile": profile,
        }
        with state_folder(state) as folder, Session(heart, state=folder, **wishes) as session:
            with View(session.store, session.device, heart, session.duration_s, table=table) as view:
                session.wait(view)
            summary = session.summary()
    except KeyboardInterrupt:
        print("vigil: interrupted; broker, gateway and wearer are stopped", file=sys.stderr)
        return 130
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if summary["missing_sensors"]:
        print(f"vigil: no answer from the {' and the '.join(summary['missing_sensors'])}", file=sys.stderr)
        print("  hint: is the part fitted, wired and powered? its readings say `no sensor`", file=sys.stderr)
    print(json.dumps(summary), flush=True)
    wrong = summary["lost"] or summary["rejected"] or summary["missing_sensors"] or not summary["sealed"]
    return 1 if wrong else 0


def _interrupt_once(*_: object) -> None:
    """The first signal unwinds; impatience must not interrupt the unwinding."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
