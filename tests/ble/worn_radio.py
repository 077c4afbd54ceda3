"""A virtual wearer on a virtual radio, for the tests: started, set to BLE, its passkey read as people do."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

from boards.virtual.radio import Radio
from boards.virtual.scenario import Missing, Scenario
from boards.virtual.server import Server
from host_tools import children
from host_tools.virtual.device import VirtualWearer, launch
from signal_models.synth.wearer import wearer as synthetic_wearer

PASSKEY = re.compile(r"VIGIL-PASSKEY (\d+)")


class Worn(contextlib.AbstractAsyncContextManager):
    """Air, and a device on it. settings: of its keystore."""

    def __init__(self, folder, *, seconds=240, speed=4.0, engine="viper", profile="full", settings=None, **radio):
        self.radio = Radio(**radio)
        self.folder = folder
        self._settings = {"link.kind": b"ble"} | (settings or {})
        self._wear = lambda: VirtualWearer(
            folder,
            Scenario(synthetic_wearer(seconds, seed=1)),
            speed=speed,
            engine=engine,
            profile=profile,
            duration_s=seconds,
            radio=self.radio.address,
        )
        self._seen = 0

    async def __aenter__(self) -> Worn:
        await self.radio.__aenter__()
        self.wearer = self._wear()
        nvs = self.folder / "nvs"
        nvs.mkdir(parents=True, exist_ok=True)
        for name, value in self._settings.items():
            (nvs / name).write_bytes(value)
        await self.start()
        return self

    async def __aexit__(self, *exc) -> None:
        await asyncio.to_thread(self.wearer.stop)
        await self.radio.__aexit__(*exc)

    async def start(self) -> None:
        """Switch the device on and wait until it advertises."""
        await asyncio.to_thread(self.wearer.start)
        await self.until(lambda: self.radio.advertising)

    async def stop(self) -> None:
        """Cut its power."""
        await asyncio.to_thread(self.wearer.stop)
        await self.until(lambda: self.radio.device is None)

    async def press(self, for_s: float = 0.4) -> None:
        """Press the device's button."""
        self.radio.press(True)
        await asyncio.sleep(for_s)
        self.radio.press(False)
        await asyncio.sleep(0.2)

    @property
    def log(self) -> str:
        """What the device has printed."""
        path = self.wearer.log_path
        return path.read_text(errors="replace") if path.exists() else ""

    async def until(self, done, timeout_s=30.0):
        """Wait for done(), which is shown with the device's log when it does not come."""
        end = asyncio.get_running_loop().time() + timeout_s
        while not (found := done()):
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"it did not happen; the device said: {self.log[-3000:]} {self.radio.error!r}")
            await asyncio.sleep(0.02)
        return found

    async def passkey(self) -> int:
        """The number that the device shows next."""

        def found():
            shown = PASSKEY.findall(self.log)
            return shown[self._seen :] and shown

        shown = await self.until(found)
        self._seen = len(shown)
        return int(shown[-1])


class Unworn(Worn):
    """A device on its slots, with no part fitted and for as long as it is left on: what an update needs, and fast."""

    def __init__(self, folder, *, speed, profile="full", settings=None, **radio):
        super().__init__(folder, settings=settings, **radio)
        missing = tuple(map(Missing, ("max30102", "max30003", "ad8232", "lis3dh", "max17048")))
        self._wear = lambda: VirtualWearer(
            folder,
            Scenario(synthetic_wearer(10, seed=1), missing),
            speed=speed,
            profile=profile,
            slots=True,
            radio=self.radio.address,
        )


class Bare(Worn):
    """A device without sensors, whose journal holds `fill` envelopes: tests/ble/drain_script.py."""

    def __init__(self, folder, *, fill=0, stay=False, speed=1.0, settings=None, **radio):
        self.radio = Radio(**radio)
        self.folder = folder
        self._settings = settings or {}
        self._seen = 0
        environment = {"VIGIL_FILL": str(fill), "VIGIL_STAY": "1" if stay else ""}
        self.wearer = _Script(folder, self.radio, environment, speed)
        self._wear = lambda: self.wearer

    async def start(self) -> None:
        """Switch it on."""
        await super().start()
        self.wearer.environment["VIGIL_FILL"] = "0"

    @property
    def key(self) -> tuple[bytes, str]:
        """Its public key and id."""
        found = re.search(r"KEY (\w+) (\w+)", self.log)
        assert found, self.log
        return bytes.fromhex(found[1]), found[2]


class _Script:
    def __init__(self, folder, radio, environment, speed):
        self._speed = speed
        self.state = folder
        self.radio = radio
        self.environment = environment
        self.log_path = folder / "device.log"
        self._process = self._server = None

    def start(self) -> None:
        self._server = Server({})
        with self.log_path.open("ab") as log:
            self._process = launch(
                str(Path(__file__).parent / "drain_script.py"),
                state=self.state,
                server=self._server,
                output=log,
                speed=self._speed,
                extra=self.environment | {"VIGIL_RADIO": self.radio.address},
            )

    def stop(self) -> None:
        if self._process:
            children.stop(self._process)
            self._server.close()
            self._process = None

    def ended(self) -> bool:
        return self._process.poll() is not None
