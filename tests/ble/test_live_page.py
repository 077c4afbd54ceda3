"""host_tools/ble/live.html in a real browser, with a monitor that the browser emulates: every state and every value.

VIGIL_PICTURES=DIR keeps pictures of it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, Monitor

from host_tools.ble import live_page
from vigil.wire import gatt

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
HEAD = "document.querySelector('#state b')?.textContent"


OLD = "[...document.querySelectorAll('.old')].map(box => box.id)"


def text(which):
    return f"document.querySelector('#{which} output').textContent"


def why(which):
    return f"document.querySelector('#{which} p').textContent"


@pytest.fixture
def where():
    with live_page.server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


async def keep(browser, name):
    if folder := os.environ.get("VIGIL_PICTURES"):
        for scheme in ("light", "dark"):
            await browser.picture(Path(folder) / f"live-{name}-{scheme}.png", 390, 780, scheme == "dark")


async def opened(browser, where, state="powered-on"):
    await browser.call("BluetoothEmulation.enable", state=state, leSupported=True)
    await browser.call("Page.navigate", page=True, url=where)


async def click(browser):
    await browser.run("document.getElementById('connect').click()", gesture=True)


def test_a_wearer_is_seen_and_lost_and_found(where):
    async def go():
        async with Browser() as browser:
            await opened(browser, where, "absent")
            await browser.until(HEAD, "No Bluetooth is on")
            await keep(browser, "off")
            await browser.call("BluetoothEmulation.setSimulatedCentralState", state="powered-on")
            await browser.until(HEAD, "Ready")
            monitor = Monitor(browser)
            await monitor.appear()

            monitor.paired = False
            await click(browser)
            await browser.until(HEAD, "Not paired")
            await keep(browser, "unpaired")
            monitor.paired = True
            await click(browser)
            await browser.until(HEAD, "Live")
            assert monitor.subscribed == {"2a37", "2a5f"}
            assert await browser.run(text("battery")) == "74%"

            await monitor.tell("2a37", gatt.heart_rate(72, True, None, (853,)))
            await monitor.tell("2a5f", gatt.plx_continuous(gatt.sfloat(974, -1), gatt.sfloat(723, -1)))
            await browser.until(text("heart"), "72/min")
            await browser.until(text("spo2"), "97.4%")
            assert await browser.run(text("contact")) == "on the wearer"
            await keep(browser, "live")

            await monitor.tell("2a37", gatt.heart_rate(0, False, None, ()))
            pair = gatt.SFLOAT_NAN, gatt.SFLOAT_NAN
            pai, status = gatt.sfloat(1, 0), gatt.UNAVAILABLE
            await monitor.tell("2a5f", gatt.plx_continuous(*pair, pair, pair, status, gatt.ERRATIC, pai))
            await browser.until(text("heart"), "–")
            await browser.until(why("spo2"), "motion")
            assert await browser.run(text("contact")) == "not on the wearer"
            await keep(browser, "withheld")
            for broken in (b"", b"\x01", b"\x10"):
                await monitor.tell("2a37", broken)
            await monitor.tell("2a37", gatt.heart_rate(301, None, None, ()))
            await browser.until(text("heart"), "301/min")

            await browser.run("at.heart -= 20000; age()")  # it says no more, and does not leave
            assert await browser.run(OLD) == ["heart"]
            await monitor.lose()  # and it is there again
            await browser.until(HEAD, "Live")
            assert monitor.subscribed == {"2a37", "2a5f"}
            await browser.run("WAIT_MS.fill(10)")
            monitor.reachable = False
            await monitor.lose()
            await browser.until(HEAD, "Link lost")
            await browser.until("document.getElementById('connect').textContent", "Connect again")
            await browser.run("age()")
            assert await browser.run(OLD) == ["heart", "spo2", "contact"]
            await keep(browser, "lost")
            monitor.reachable = True
            await click(browser)
            await browser.until(HEAD, "Live")
            await click(browser)
            await browser.until(HEAD, "Disconnected")

    asyncio.run(go())


def test_a_browser_without_bluetooth_is_told(where):
    async def go():
        async with Browser() as browser:
            script = "Object.defineProperty(Navigator.prototype, 'bluetooth', {value: undefined})"
            await browser.call("Page.addScriptToEvaluateOnNewDocument", page=True, source=script)
            await opened(browser, where)
            await browser.until(HEAD, "No Bluetooth in this browser")
            assert await browser.run("document.getElementById('connect').disabled")
            await keep(browser, "none")
            assert await browser.run("document.documentElement.scrollWidth <= innerWidth")

    asyncio.run(go())
