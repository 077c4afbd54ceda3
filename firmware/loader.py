"""The loader: which of two complete sets of firmware runs, and back to the other when a new one fails.

A slot is a folder, `a` or `b`, with modules in `lib` and a file `release`, which is there only while the slot is
complete: it is removed before anything else in it changes, and comes back last. Which slot runs is in a record of 20
bytes, kept twice: the older copy is replaced, so that a cut of power leaves at least the one before. Settled: that
slot runs. On trial: the other one runs, so many starts more; then it has failed.

An update never touches this file, boot.py or main.py; it may count on every name here without an underscore.
"""

import binascii
import os
import struct
import sys

VERSION = 1
COUNT, SLOT, TRIAL, STARTS, WHY, SENSORS, RELEASE = range(7)  # fields of a record
USED_UP = 17  # WHY: no start of a release on trial came to its end

_FORM = "<IBBBBII"  # a count that rises, slot, is the other on trial, its starts left, why the last failed, what
# sensors answered before, the number of the release on trial or failed; then a CRC
_STARTS = 3
_WATCHDOG_MS = 60_000  # from the start of a trial until the supervisor feeds
_ROOT = os.getcwd().rstrip("/")  # "" on the chip

running = None  # the slot whose modules run, None: they are in neither
trial = False  # it is on trial


def slot(i):
    """Return the folder of slot i (0 or 1)."""
    return _ROOT + "/" + "ab"[i]


def whole(i):
    """Tell whether slot i is complete."""
    try:
        return os.stat(slot(i) + "/release")[6] > 0
    except OSError:
        return False


def _copy(i):
    try:
        with open(_ROOT + "/slot.%d" % i, "rb") as file:
            data = file.read()
    except OSError:
        return None
    if len(data) != 20 or binascii.crc32(data[:16]) != struct.unpack("<I", data[16:])[0]:
        return None
    return list(struct.unpack(_FORM, data[:16]))


def read():
    """Return the newest whole record, a list; settled on slot a where there is none, on the complete slot if one is."""
    copies = [record for record in (_copy(0), _copy(1)) if record]
    record = max(copies) if copies else [0] * 7
    if not whole(record[SLOT]) and whole(1 - record[SLOT]):
        record[SLOT] = 1 - record[SLOT]
        record[TRIAL] = 0
    return record


def write(record):
    """Keep `record` (as read, changed) in the place of the older copy."""
    record[COUNT] += 1
    data = struct.pack(_FORM, *record)
    ages = [(_copy(i) or [0])[COUNT] for i in (0, 1)]
    with open(_ROOT + "/slot.%d" % (ages[1] < ages[0]), "wb") as file:
        file.write(data + struct.pack("<I", binascii.crc32(data)))


def settle(i, why=0):
    """End a trial: slot i runs from now on. why: the reason where the other has failed, 0: it has not."""
    record = read()
    record[SLOT] = i
    record[TRIAL] = record[STARTS] = 0
    record[WHY] = why
    write(record)


def try_other(release, sensors):
    """Put the other slot on trial from the next start on: it is complete and has passed every check."""
    record = read()
    record[TRIAL], record[STARTS], record[WHY] = 1, _STARTS, 0
    record[SENSORS], record[RELEASE] = sensors, release
    write(record)


def reset():
    """Start again. On a PC the program ends with status 75, and whoever started it does so again."""
    try:
        from machine import reset
    except ImportError:
        sys.exit(75)
    reset()


def select():
    """Put the modules of the settled slot on the path; where neither is complete, it stays as it was."""
    global running
    i = read()[SLOT]
    if whole(i):
        running = i
        sys.path.append(slot(i) + "/lib")


def start():
    """Count a start; where it is one of a release on trial, put that one's modules on the path instead."""
    global running, trial
    record = read()
    if not record[TRIAL] or running is None:
        return
    other = 1 - running
    try:
        if not record[STARTS] or not whole(other):
            settle(running, USED_UP)
            return
        record[STARTS] -= 1
        write(record)
    except OSError:
        return  # a start that cannot be counted is none of a trial
    running, trial = other, True
    sys.path[-1] = slot(other) + "/lib"
    try:
        from machine import WDT

        WDT(timeout=_WATCHDOG_MS)
    except ImportError:
        pass
