"""Fetches a release piece by piece into the idle slot, checks it, and puts it on trial."""

import asyncio
import gc
import os
import sys

import loader
from micropython import const

from vigil.app.steps import drive
from vigil.app.updates import APPLICATION, unload
from vigil.core.errors import TrustError
from vigil.core.log import INFO, log
from vigil.ota.release import NO_ROOM, Device, check, opening
from vigil.wire import update

_PIECE = const(512)  # bytes asked for at once where memory is short
_PIECE_MAX = const(2048)
_PLENTY = const(65_536)  # bytes of heap
_GAP_MS = const(100)  # between pieces: at most ten a second
_WAIT_MS = const(15_000)  # for a piece; doubles while none comes
_WAIT_MAX_MS = const(240_000)
_BLOCK = const(4096)
_NO_PARTITION = const(25)  # WHY
_TIGHT = const(8192)  # bytes of heap without which publisher and link starve beside a fetch
_RESERVE = const(65_536)  # bytes of flash that stay for readings


async def fetch(job, signed: bytes):
    """Fetch what `signed` offers; return None when it is on trial from the next start on.

    Another offer that comes meanwhile ends it: it is returned. Raises TrustError with the reason's number.
    """
    slot = None
    try:
        release = await _opened(job, signed)
        unload("crypto.ed25519_verify")
        slot = _place(job.monitor.board, release)
        return await _fetch(job, slot, release, signed)
    except OSError:
        _forget()
        raise TrustError(NO_ROOM)
    except MemoryError:
        raise  # what is there is good: it goes on elsewhere, or later
    except Exception:
        _forget()
        raise
    finally:
        if slot:
            slot.close()


def _place(board, release):
    """Return where `release` goes: the idle slot; for one of MicroPython, the partition that does not run."""
    if release.files:
        from vigil.ota.slot import Slot  # only now: this and verification need not be in memory together

        return Slot(loader.slot(1 - loader.running), os, open)
    app = getattr(board, "application", None)
    if app is None:
        raise TrustError(_NO_PARTITION)
    from vigil.ota.application import Application

    return Application(app)


def _forget():
    """Leave nothing that a later start would go on with."""
    try:
        os.remove(loader.slot(1 - loader.running) + "/offer")
    except OSError:
        pass  # it had not begun


async def _opened(job, signed):
    """Return what `signed` says, where this device takes it."""
    board = job.monitor.board
    gc.collect()  # what follows takes some 5 KB for a while
    release = await drive(opening(signed, board.keystore.get("release.key")))
    job.offered = release.number
    now_ms = board.clock.ms()
    utc = job.monitor.utc.at(now_ms)
    device = Device(
        board.name,
        job.profile,
        sys.implementation._mpy,
        loader.VERSION,
        job.floor,
        job.updates.failed,
        utc[0] + now_ms if utc else None,
    )
    check(release, device)
    log(INFO, "update", "release %d (%s)" % (release.number, release.version))
    return release


async def _fetch(job, slot, release, signed):
    if slot.read("offer") == signed:
        slot.resume(release)
    else:
        await drive(slot.clear())
        _, size, _, free = os.statvfs(loader.slot(loader.running))[:4]
        if release.files and free * size < release.total_bytes + release.files * _BLOCK + _RESERVE:
            raise TrustError(NO_ROOM)
        slot.begin(release, signed)
    wait_ms = _WAIT_MS
    while not slot.complete:
        if job.updates.alone is None and gc.mem_free() < _TIGHT:
            gc.collect()
            if gc.mem_free() < _TIGHT:
                raise MemoryError
        piece = await _ask(job, release, slot.offset, wait_ms)
        if piece is None:
            wait_ms = min(2 * wait_ms, _WAIT_MAX_MS)
        elif len(piece) == 1:
            if piece[0] != signed:
                return piece[0]
        elif piece[:2] == (release.number, slot.offset):
            slot.write(piece[2])
            wait_ms = _WAIT_MS
            await asyncio.sleep_ms(_GAP_MS)
    await drive(slot.verify())
    if release.files:
        slot.finish()
        loader.try_other(release.number, job.updates.sensors())
    else:
        board = job.monitor.board
        about = "%d,%d,0,%s" % (release.number, job.updates.sensors(), board.application.label)
        board.keystore.set(APPLICATION, about.encode())  # first: what starts next is known to be on trial
        slot.finish()
    log(INFO, "update", "release %d is complete" % release.number)
    return None


async def _ask(job, release, offset, wait_ms):
    """Ask for a piece; return the next message, None where none comes in wait_ms."""
    most = _PIECE_MAX if gc.mem_free() > _PLENTY else _PIECE
    length = min(most, release.total_bytes - offset)
    await job.send(update.want(release.number, offset, length))
    return await job.message(wait_ms)
