"""Updates by Bluetooth, end to end: the rules are those of any link, and a fetch survives what happens to this one."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from host_tools.ble.link import BleLink
from host_tools.ingest.store import Store, sqlite_url
from host_tools.trust.registry import Register
from host_tools.updates.release import ReleaseFile, bundle, manifest, reason, sign
from host_tools.updates.rollout import Pushes
from host_tools.virtual import device
from host_tools.virtual.device import RESTART
from tests.ble.bleak_bumble import client_of, cut
from tests.ble.test_ble_drain import Hub, bonded, find
from tests.ble.test_ble_wearer import worn_key
from tests.ble.worn_radio import Unworn
from vigil.crypto.signer import device_id
from vigil.ota.release import Release
from vigil.wire import cbor

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
PROFILE = "full"


@functools.cache
def carried():
    """Its modules: found once, for it takes longer than a fetch."""
    return device.slot_files(PROFILE)


def made(number, *, key=KEY, edit=None, **more):
    """A release of what the device carries, its payload changed by edit(said)."""
    files = carried()
    payload = manifest(number=number, files=files, **({"version": "2", "model": "virtual", "profile": PROFILE} | more))
    if edit:
        said = cbor.decode(payload)
        edit(said)
        payload = cbor.encode(said)
    return ReleaseFile(sign(payload, key), bundle(files), Release(payload))


def grown(said):
    said[7][2] = 300_000


def short(said):
    """The index names one file less than the manifest."""
    said[7][0] += 1


def other_index(said):
    said[8] = hashlib.sha256(b"another").digest()


# name, what is offered, the bundle that is served, how the device answers
def attacks():
    good = made(9)
    stranger = Ed25519PrivateKey.generate()
    unsigned = cbor2.loads(good.signed[1:])
    unsigned[3] = bytes(64)
    return (
        ("unsigned", b"\xd2" + cbor2.dumps(unsigned), b"", "bad signature"),
        ("not a manifest", b"\xd2\x00", b"", "malformed"),
        ("wrong key", made(9, key=stranger).signed, b"", "bad signature"),
        ("older", made(3).signed, b"", "not newer"),
        ("other model", made(9, model="ESP32_GENERIC").signed, b"", "other model"),
        ("oversize", made(9, edit=grown).signed, b"", "too large"),
        ("truncated", made(9, edit=short).signed, good.bundle, "truncated"),
        ("hash mismatch", made(9, edit=other_index).signed, good.bundle, "hash mismatch"),
    )


async def offered(link, worn, signed, content, *, twice=False):
    """Offer over `link` and serve pieces; return (state, why) that the device tells in the end."""
    told = []

    def heard(kind, data):
        if kind != 1:
            return
        value = cbor.decode(data)
        if value[1] == 2:
            told.append(value[3:])
            return
        _, _, number, offset, length = value
        for _ in range(2 if twice else 1):
            link.tell(cbor.encode([1, 3, number, offset, content[offset : offset + length]]))

    link.on_message = heard
    link.tell(cbor.encode([1, 2, signed]))
    await worn.until(lambda: told, 30)
    return told[0]


def worn_device(tmp_path, *, speed=10.0, interval_ms=3.0, **options):
    settings = {"release.key": PUBLIC, "release.floor": b"4"}
    return Unworn(tmp_path, speed=speed, profile=PROFILE, settings=settings, interval_ms=interval_ms, **options)


def test_what_is_refused_over_mqtt_is_refused_here(tmp_path):
    async def go():
        async with worn_device(tmp_path, speed=5.0) as worn:
            central = await bonded(worn)
            async with BleLink(await find(central), backend=client_of(central.device)) as link:
                for name, signed, content, answer in attacks():
                    state, why = await offered(link, worn, signed, content, twice=True)
                    assert (state, reason(why)) == (5, answer), name
                link.tell(bytes(3000))  # more than a piece is: dropped before it is put together
                assert not (tmp_path / "b" / "offer").exists() and not (tmp_path / "b" / "release").exists()

    asyncio.run(go())


def test_how_fast_it_comes(tmp_path):
    """Printed for docs/ble.md: as much of a release as a few pieces are, at the speed of real time."""
    pieces, interval_ms = 8, 30

    async def go():
        async with worn_device(tmp_path, interval_ms=interval_ms, speed=1.0) as worn:
            central = await bonded(worn)
            release = made(9)
            asked = []

            def heard(kind, data):
                if kind == 1:
                    _, _, number, offset, length = cbor.decode(data)
                    asked.append((time.monotonic(), offset))
                    link.tell(cbor.encode([1, 3, number, offset, release.bundle[offset : offset + length]]))

            async with BleLink(await find(central), backend=client_of(central.device)) as link:
                link.on_message = heard
                link.tell(cbor.encode([1, 2, release.signed]))
                await worn.until(lambda: len(asked) > pieces, 120)
            (start_s, _), (end_s, offset) = asked[0], asked[pieces]
            print(f"{offset / (end_s - start_s):.0f} B/s of a release in pieces of {asked[1][1]} B")
            print(f"the link carries {1000 * 243 / interval_ms:.0f} B/s in writes that are answered")

    asyncio.run(go())


def test_fetched_across_cuts_tried_and_confirmed(tmp_path):
    """Disconnections and a cut of power in the middle of the fetch; the device's restarts are its own."""

    async def go():
        with Store(sqlite_url(tmp_path / "vigil.db")) as store:
            async with worn_device(tmp_path) as worn:
                name = device_id(worn_key(tmp_path))
                store.add_device(name, worn_key(tmp_path))
                pushes = Pushes(store)
                assert pushes.push(made(9), Register(store).all())
                central = await bonded(worn)
                hub = Hub(central, store)
                running = asyncio.ensure_future(hub.run())
                cuts = [20, 40, 60]

                def state():
                    assert not running.done(), running.exception()
                    return pushes.all()[0]

                try:
                    end = asyncio.get_running_loop().time() + 90
                    while (now := state()).state != "confirmed":
                        assert now.state in ("offered", "fetching", "trial"), (now, worn.log[-2000:])
                        assert asyncio.get_running_loop().time() < end, (now, worn.log[-2000:], hub.log[-9:])
                        if cuts and now.percent >= cuts[0]:
                            cuts.pop(0)
                            if len(cuts) == 1:
                                await worn.stop()
                                await worn.start()
                            else:
                                for connection in list(central.device.connections.values()):
                                    await cut(connection)
                        if await asyncio.to_thread(worn.wearer.wait, 0.02):
                            assert worn.wearer.status == RESTART, worn.log[-2000:]
                            await worn.until(lambda: worn.radio.device is None)
                            await worn.start()
                        await asyncio.sleep(0.05)
                finally:
                    running.cancel()
                assert not cuts
                assert (tmp_path / "nvs" / "release.floor").read_bytes() == b"9"
                assert store.counts()["rejected"] == 0
                found = store.sequences(name)
                assert found == list(range(1, len(found) + 1))

    asyncio.run(go())
