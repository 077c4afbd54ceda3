"""A virtual wearer: the shipped firmware on the real MicroPython, on the virtual board, wearing a scenario.

The interpreter is a child process of its own; the emulators live in a thread of this one. When either side ends,
the other follows: nothing is left running.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from boards.virtual.scenario import Missing, Scenario
from boards.virtual.server import Server
from host_tools import board, children
from host_tools.errors import UserError
from host_tools.paths import BOARDS, FIRMWARE
from host_tools.updates import release
from host_tools.virtual import interpreter

_BOARD_FILES = ("ble.py", "board.py", "clock.py", "link.py", "prove.py", "run.py", "tasks.py")
_LOADER = ("boot.mpy", "loader.mpy", "main.mpy", "run.mpy")
RESTART = 75  # exit status of a device that wants to start again
# What may be wired to a virtual device of a profile. lean: the accelerometer alone would take 30 KB.
_LEAN = ("max30102", "max30003", "ad8232")
_SENSORS = {"lean": _LEAN, "lean-ble": _LEAN, "full": ("max30102", "max30003", "ad8232", "lis3dh")}
_END = "VIGIL-END "
_PROVE_S = 60
BOARD_HEAP_KB = 24  # the virtual board's own code, which no chip carries: comes on top of the firmware's share
# What a stock image leaves beside TLS, less the chip's board module, with 64-bit words.
PLAIN_ESP32_KB = round((112 - 6) / interpreter.SHARE_OF_32_BIT)
# lean: both chains, which need more than that leaves (docs/adr/0035). full: the least that a board with PSRAM leaves,
# and then some frugality.
HEAPS_KB = {"lean": interpreter.HEAP_KB, "lean-ble": interpreter.HEAP_KB, "full": 512}


def device_tree(profile: str, engine: str, sensors: Iterable[str] | None = None) -> Path:
    """Folder with what a virtual device of `profile` carries: the firmware and the MicroPython side of its board.

    sensors: what is fitted; None: all that may be.
    """
    own = {Path(name).stem: BOARDS / "virtual" / name for name in _BOARD_FILES}
    program = board.profile(profile).program(_SENSORS[profile] if sensors is None else sensors, own)
    return interpreter.cached(program, march=interpreter.march_of(engine))


def slot_files(profile: str, engine: str = "viper") -> dict[str, bytes]:
    """Modules of a virtual device as a release carries them, by path: all but the loader's."""
    tree = device_tree(profile, engine)
    found = {file.relative_to(tree).as_posix(): file.read_bytes() for file in sorted(tree.rglob("*.mpy"))}
    return {path: content for path, content in found.items() if path not in _LOADER}


def loader_tree() -> Path:
    """Folder with what no update touches: loader, boot.py, main.py, and what starts them on a PC."""
    sources = {name: (FIRMWARE / name).read_text() for name in ("boot.py", "loader.py", "main.py")}
    return interpreter.cached(sources | {"run.py": (BOARDS / "virtual" / "run.py").read_text()}, march=None)


def board_tree() -> Path:
    """Folder with the MicroPython side of the virtual board alone."""
    sources = {name: (BOARDS / "virtual" / name).read_text() for name in _BOARD_FILES}
    return interpreter.cached(sources, march=None)


def launch(
    *what: str,
    state: Path,
    server: Server,
    output,
    speed: float = 1.0,
    engine: str = "viper",
    profile: str = "full",
    until_ms: int | None = None,
    extra: dict[str, str] | None = None,
    tree: Path | None = None,
) -> subprocess.Popen:
    """Start the interpreter on `what` (a script, or "-m", module) with the virtual board around it.

    tree: folder with what it imports, instead of the whole device's.
    """
    state.mkdir(parents=True, exist_ok=True)
    heap_kb = HEAPS_KB[profile] + BOARD_HEAP_KB
    tree = tree or device_tree(profile, engine)
    folders = [folder.resolve() for folder in interpreter.import_path(engine, tree)]  # it runs elsewhere
    environment = interpreter.environment(*folders)
    environment |= {"VIGIL_STATE": str(state.resolve()), "VIGIL_LINK": server.address, "VIGIL_SPEED": str(speed)}
    environment |= {"VIGIL_UNTIL_MS": "" if until_ms is None else str(until_ms)} | (extra or {})
    return subprocess.Popen(
        interpreter.command(*what, heap_kb=heap_kb),
        env=environment,
        cwd=state,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is ours to handle
    )


class VirtualWearer:
    """One device and its wearer. `state` is the device's flash: it survives stop() and start().

    speed: virtual over real time at most (0: no limit). engine: viper or bytecode. profile: of boards/profiles.toml,
    full or lean, each with its heap. duration_s: virtual seconds until
    the firmware seals what it has, drains its queue and ends by itself; None: it runs until stop(). slots: it runs from
    a slot of its own flash, as an image has it, and can be updated; `status` is then RESTART where it wants to be
    started again. radio: address of a boards.virtual.radio.Radio.
    """

    def __init__(
        self,
        state: Path,
        scenario: Scenario,
        *,
        speed: float = 1.0,
        engine: str = "viper",
        profile: str = "full",
        duration_s: float | None = None,
        slots: bool = False,
        radio: str | None = None,
    ):
        self.state = Path(state)
        self.scenario = scenario
        self.speed = speed
        self.engine = engine
        self.profile = profile
        self.duration_s = duration_s
        self.slots = slots
        self.radio = radio
        self.log_path = self.state / "device.log"
        self.status: int | None = None  # exit status of the interpreter, once it has ended by itself
        self._running: dict = {}
        weakref.finalize(self, _end, self._running)

    def __enter__(self) -> VirtualWearer:
        return self

    def __exit__(self, *_exc) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Process id of the interpreter while it runs."""
        process = self._running.get("process")
        return process.pid if process is not None and process.poll() is None else None

    def _tree(self) -> Path:
        missing = {fault.part for fault in self.scenario.of(Missing)}
        fitted = {"max30102", "lis3dh", self.scenario.ecg} & set(_SENSORS[self.profile]) - missing
        return device_tree(self.profile, self.engine, sorted(fitted))

    def provision(
        self,
        *,
        host: str,
        port: int,
        server_name: str,
        ca_der: bytes,
        issue: Callable[[bytes, str], tuple[bytes, bytes]],
    ) -> str:
        """Make the device's key on the device, check that it holds it, and install what lets it connect.

        issue(public_key, device_id) -> (certificate, private key), DER. Returns the device id. Raises UserError when
        the firmware gives no proof or a wrong one.
        """
        from vigil.app.identity import proof_message
        from vigil.crypto.signer import device_id

        nonce = secrets.token_bytes(32)
        with Server({}) as server:
            process = launch(
                "-m",
                "prove",
                state=self.state,
                server=server,
                output=subprocess.PIPE,
                engine=self.engine,
                profile=self.profile,
                extra={"VIGIL_NONCE": nonce.hex()},
                tree=self._tree(),
            )
            try:
                output = process.communicate(timeout=_PROVE_S)[0].decode(errors="replace")
            except subprocess.TimeoutExpired:
                raise UserError("the virtual device does not answer to provisioning") from None
            finally:
                children.stop(process)
        words = next((line.split() for line in output.splitlines() if line.startswith("VIGIL-PROOF ")), None)
        if words is None or len(words) != 3:
            raise UserError("the virtual device gives no proof of its key", output.strip()[-300:])
        key, signature = bytes.fromhex(words[1]), bytes.fromhex(words[2])
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, proof_message(nonce))
        except (InvalidSignature, ValueError):
            raise UserError("the virtual device's proof of possession is wrong") from None
        name = device_id(key)
        certificate, private_key = issue(key, name)
        settings = {"link.host": host, "link.port": str(port), "link.server_name": server_name}
        for entry, value in settings.items():
            _replace(self.state / "nvs" / entry, value.encode())
        files = {"ca.der": ca_der, "client.der": certificate, "client.key": private_key}
        for file, content in files.items():
            _replace(self.state / "fs" / "tls" / file, content)
        return name

    def start(self) -> None:
        """Switch the device on. The scenario begins at its time 0. Raises UserError when there is no interpreter."""
        self.stop()
        self.status = None
        scenario = self.scenario
        server = self._running["server"] = Server(
            scenario.wiring(), scenario.stalls_ms(), scenario.wifi_out_ms(), scenario.ecg_gain
        )
        until_ms = None if self.duration_s is None else round(1000 * self.duration_s)
        self.state.mkdir(parents=True, exist_ok=True)
        if self.slots and not (self.state / "a").exists():
            self._install()
        try:
            with self.log_path.open("ab") as log:
                self._running["process"] = launch(
                    "-m",
                    "run",
                    state=self.state,
                    server=server,
                    output=log,
                    speed=self.speed,
                    engine=self.engine,
                    profile=self.profile,
                    until_ms=until_ms,
                    tree=loader_tree() if self.slots else self._tree(),
                    extra={"VIGIL_RADIO": self.radio} if self.radio else None,
                )
        except BaseException:
            self.stop()
            raise

    def _install(self) -> None:
        """What `vigil flash` does."""
        files = slot_files(self.profile, self.engine)
        for path, content in files.items():
            _replace(self.state / "a" / "lib" / path, content)
        about = release.manifest(number=0, version="0", model="virtual", profile=self.profile, files=files)
        _replace(self.state / "a" / "release", about)

    def stop(self) -> None:
        """Switch the device off, as a cut of power does. Idempotent."""
        _end(self._running)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the device has ended by itself. False when it still runs after timeout_s (None: no limit).

        Raises RuntimeError when an emulator failed. `status` is the exit status afterwards.
        """
        process, server = self._running.get("process"), self._running.get("server")
        if process is None or server is None:
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.status = process.wait(timeout_s)
        if server.error is not None:
            self.stop()
            raise RuntimeError("an emulator failed") from server.error
        if self.status is None:
            return False
        self.stop()
        return True

    @property
    def end_report(self) -> dict | None:
        """What the firmware said last (sealed, pending, heap), None when it has not ended properly."""
        try:
            lines = self.log_path.read_text(errors="replace").splitlines()
        except OSError:
            return None
        found = next((line for line in reversed(lines) if line.startswith(_END)), None)
        try:
            return json.loads(found[len(_END) :]) if found else None
        except ValueError:
            return None


def _end(running: dict) -> None:
    process, server = running.pop("process", None), running.pop("server", None)
    children.stop(process)
    if server is not None:
        server.close()


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".tmp")
    scratch.touch(mode=0o600)
    scratch.write_bytes(content)
    scratch.replace(path)
