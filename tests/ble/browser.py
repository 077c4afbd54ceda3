"""A headless Chromium by its DevTools, and a Bluetooth monitor that its `BluetoothEmulation` lets a page find."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile

import pytest
import websockets

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ADDRESS = "09:09:09:09:09:09"
SERVICES = {"180d": ("2a37",), "1822": ("2a5f", "2a60"), "180f": ("2a19",)}
WAIT_S = 60


def uuid(short: str) -> str:
    return f"0000{short}-0000-1000-8000-00805f9b34fb"


class Browser(contextlib.AbstractAsyncContextManager):
    """One page in one browser. call() is a DevTools command to the browser, or with page=True to the page."""

    async def __aenter__(self) -> Browser:
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future] = {}
        self._work: set[asyncio.Future] = set()
        self.on_event = {}
        self._folder = tempfile.TemporaryDirectory(prefix="vigil-browser-", ignore_cleanup_errors=True)
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-features=WebBluetooth")
        more = ("--enable-experimental-web-platform-features", "--remote-debugging-port=0", "--no-first-run")
        self._process = subprocess.Popen(
            [CHROMIUM, *options, *more, f"--user-data-dir={self._folder.name}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            where = await asyncio.wait_for(asyncio.to_thread(self._where), WAIT_S)
            self._socket = await websockets.connect(where, max_size=None)
            self._listening = asyncio.ensure_future(self._listen())
            targets = (await self.call("Target.getTargets"))["targetInfos"]
            target = next(t["targetId"] for t in targets if t["type"] == "page")
            attached = await self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            await self.call("Page.enable", page=True)
        except BaseException:
            self._process.kill()
            raise
        return self

    def _where(self) -> str:
        for line in self._process.stderr:
            if "DevTools listening on " in line:
                return line.rpartition(" ")[2].strip()
        raise AssertionError("the browser did not start")

    async def __aexit__(self, *_exc) -> None:
        self._listening.cancel()
        await self._socket.close()
        self._process.terminate()
        await asyncio.to_thread(self._process.wait)
        self._folder.cleanup()

    async def _listen(self) -> None:
        async for text in self._socket:
            said = json.loads(text)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] in self.on_event:
                work = asyncio.ensure_future(self.on_event[said["method"]](**said["params"]))
                self._work.add(work)
                work.add_done_callback(self._work.discard)

    async def call(self, method: str, page: bool = False, **params) -> dict:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        session = {"sessionId": self._session} if page else {}
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params} | session))
        said = await asyncio.wait_for(answer, WAIT_S)
        if said.get("error", {}).get("code") == -32601:
            pytest.skip(f"this browser has no {method}")
        assert "error" not in said, (method, said["error"])
        return said["result"]

    async def run(self, script: str, gesture: bool = False):
        """Value of a JavaScript expression in the page."""
        found = await self.call("Runtime.evaluate", page=True, expression=script, returnByValue=True,
                                awaitPromise=True, userGesture=gesture)  # fmt: skip
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str, value) -> None:
        end = asyncio.get_running_loop().time() + WAIT_S
        while (found := await self.run(script)) != value:
            assert asyncio.get_running_loop().time() < end, (script, found, await self.run("document.body.innerText"))
            await asyncio.sleep(0.05)

    async def picture(self, path, width: int, height: int, dark: bool) -> None:
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", page=True, features=scheme)
        await self.call("Emulation.setDeviceMetricsOverride", page=True, width=width, height=height,
                        deviceScaleFactor=1, mobile=True)  # fmt: skip
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot", page=True))["data"]))


class Monitor:
    """A heart rate sensor and oximeter in reach of `browser`. reachable; paired: what a wearer and the air decide."""

    def __init__(self, browser: Browser):
        self.browser = browser
        self.reachable = self.paired = True
        self._ids: dict[str, str] = {}
        self._values = {"2a60": bytes(2), "2a19": bytes((74,))}
        self.subscribed: set[str] = set()
        self._chosen: set[str] = set()
        browser.on_event["BluetoothEmulation.gattOperationReceived"] = self._gatt
        browser.on_event["BluetoothEmulation.characteristicOperationReceived"] = self._asked
        browser.on_event["DeviceAccess.deviceRequestPrompted"] = self._choose

    async def appear(self) -> None:
        await self.browser.call("BluetoothEmulation.simulatePreconnectedPeripheral", address=ADDRESS, name="Vigil",
                                manufacturerData=[], knownServiceUuids=[uuid(s) for s in SERVICES])  # fmt: skip
        await self.browser.call("DeviceAccess.enable", page=True)

    async def _furnish(self) -> None:
        """Give it its services: a lost connection takes them away."""
        call = self.browser.call
        for service, characteristics in SERVICES.items():
            made = await call("BluetoothEmulation.addService", address=ADDRESS, serviceUuid=uuid(service))
            for name in characteristics:
                can = {"notify": name in ("2a37", "2a5f"), "read": True}
                found = await call("BluetoothEmulation.addCharacteristic", serviceId=made["serviceId"],
                                   characteristicUuid=uuid(name), properties=can)  # fmt: skip
                self._ids[name] = found["characteristicId"]
                if can["notify"]:
                    await call("BluetoothEmulation.addDescriptor", characteristicId=self._ids[name],
                               descriptorUuid=uuid("2902"))  # fmt: skip

    async def _choose(self, id, devices) -> None:
        if devices and id not in self._chosen:  # it is told again for each device
            self._chosen.add(id)
            await self.browser.call("DeviceAccess.selectPrompt", page=True, id=id, deviceId=devices[0]["id"])

    async def _gatt(self, address, type) -> None:
        code = 0 if self.reachable or type != "connection" else 8
        if type == "connection" and not code and not self._ids:
            await self._furnish()
        await self.browser.call(
            "BluetoothEmulation.simulateGATTOperationResponse", address=address, type=type, code=code
        )

    async def _asked(self, characteristicId, type, **_more) -> None:
        name = next(n for n, i in self._ids.items() if i == characteristicId)
        code = 0 if self.paired else 5  # insufficient authentication
        more = {"data": base64.b64encode(self._values[name]).decode()} if type == "read" and not code else {}
        if type == "subscribe-to-notifications":
            self.subscribed.add(name)
        await self.browser.call("BluetoothEmulation.simulateCharacteristicOperationResponse",
                                characteristicId=characteristicId, type=type, code=code, **more)  # fmt: skip

    async def tell(self, name: str, value: bytes) -> None:
        """Let the page's characteristic have a value. The emulation cannot notify; a read gives the same event."""
        self._values[name] = bytes(value)
        await self.browser.run(f"notifying[0x{name}].readValue().then(() => true)")

    async def lose(self) -> None:
        self.subscribed.clear()
        self._ids.clear()
        await self.browser.call("BluetoothEmulation.simulateGATTDisconnection", address=ADDRESS)
