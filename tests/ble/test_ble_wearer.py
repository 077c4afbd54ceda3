"""The whole firmware, worn, on the virtual radio: what the standard services say is what the device measured."""

from __future__ import annotations

import asyncio
import math

from bleak import BleakClient, BleakScanner

from boards.virtual.radio import Central
from host_tools.ble import gatt
from host_tools.ble.link import scan
from host_tools.ble.visit import listen
from host_tools.ingest.store import Store, sqlite_url
from tests.ble.bleak_bumble import client_of, scanner_of
from tests.ble.test_ble_drain import Hub
from tests.ble.worn_radio import Worn
from vigil.core.records import HEART_RATE, PULSE_RATE, SPO2

SPEED = 3.0


async def another(worn) -> BleakClient:
    """A second central that pairs while the first one is served."""
    central = await Central(worn.radio, passkey=worn.passkey, address="F0:11:22:33:44:03").start()
    await worn.press()
    where = await BleakScanner.find_device_by_filter(lambda *_: True, backend=scanner_of(central.device))
    assert where
    return BleakClient(where, pair=True, backend=client_of(central.device))


def test_services_say_what_was_measured(tmp_path):
    heart, also, plx, inspected = [], [], [], []

    async def go():
        async with Worn(tmp_path, seconds=100, speed=SPEED, profile="lean-ble") as worn:
            central = await Central(worn.radio, passkey=worn.passkey).start()
            backend = client_of(central.device)
            await worn.press()
            (found,) = await scan(0.5, backend=scanner_of(central.device))
            assert found.services == ("180d", "1822") and found.name in ("", "Vigil")
            async with BleakClient(found.device, pair=True, backend=backend) as client:
                location = gatt.body_location(bytes(await client.read_gatt_char("2a38")))
                features = gatt.plx_features(bytes(await client.read_gatt_char("2a60")))
                await client.start_notify("2a37", lambda _, data: heart.append(gatt.heart_rate(bytes(data))))
                await client.start_notify("2a5f", lambda _, data: plx.append(gatt.plx_continuous(bytes(data))))
                async with await another(worn) as second:
                    await second.start_notify("2a37", lambda _, data: also.append(gatt.heart_rate(bytes(data))))
                    await worn.until(lambda: len(also) >= 4, 180)
                await worn.until(lambda: len(heart) >= 11, 180)
            assert location == "chest" and features.pai and features.bonds and not features.stores
            where = await BleakScanner.find_device_by_filter(lambda *_: True, backend=scanner_of(central.device))
            await listen(where, 2, lambda what, value: inspected.append((what, value)), backend=backend)
            with Store(sqlite_url(tmp_path / "vigil.db")) as store:
                device = worn.log.split("device ")[1][:16]
                store.add_device(device, worn_key(tmp_path))
                hub = Hub(central, store)
                running = asyncio.ensure_future(hub.run())
                try:
                    await worn.until(lambda: store.counts()["verified"] >= 4, 180)
                finally:
                    running.cancel()
                return store.readings(device)

    rows = asyncio.run(go())
    shown = {
        kind: {
            round(row.mantissa * 10.0**row.exp10, 1) for row in rows if row.kind == kind and row.mantissa is not None
        }
        for kind in (HEART_RATE, PULSE_RATE, SPO2)
    }
    rates = {math.floor(value + 0.5) for value in shown[HEART_RATE] | shown[PULSE_RATE]}
    assert [said.bpm for said in also] in [[said.bpm for said in heart[i : i + len(also)]] for i in range(len(heart))]
    told = [said.bpm for said in heart if said.bpm]
    assert len(told) >= 5 and set(told) <= rates | {0}, (told, rates)
    assert any(said.rr_s for said in heart)
    sure = [said for said in plx if not math.isnan(said.spo2_pct)]
    assert sure and {round(said.spo2_pct, 1) for said in sure} <= shown[SPO2]
    assert {round(s.pulse_bpm, 1) for s in plx if not math.isnan(s.pulse_bpm)} <= shown[PULSE_RATE]
    assert all("measurement ongoing" in (said.status or ()) for said in sure)
    assert all("unavailable" in (said.status or ()) for said in plx if math.isnan(said.spo2_pct))
    assert {gatt.UUID_HEART_RATE, gatt.UUID_PLX_CONTINUOUS, gatt.UUID_BODY_LOCATION} <= {what for what, _ in inspected}


def worn_key(folder):
    """The device's public key, from the seed that it made."""
    from vigil.crypto.signer import Signer

    return Signer((folder / "nvs" / "sign.seed").read_bytes()).public_key
