"""A NOR flash for VfsLfs2 in MicroPython's memory that loses power when told, and leaves torn writes behind.

Blocks of 4096 bytes, programmed in units of 32. A program clears bits only and an erase sets all of them, and
programming what is not erased is an error of the file system, counted in `violations`.
"""

UNIT = 32
BLOCK = 4096
_ERASED = b"\xff" * BLOCK


class Flash:
    """`before(kind, address, new)` is called before each change: new is what would be programmed, None for an erase."""

    def __init__(self, blocks, data=None):
        self.blocks = blocks
        self.data = data if data is not None else bytearray(_ERASED * blocks)
        self.before = None
        self.dead = False  # after a cut: what a forgotten file still writes goes nowhere
        self.erases = 0
        self.programs = 0
        self.reads = 0
        self.violations = 0
        self.worn = [0] * blocks

    def readblocks(self, block, buffer, offset=0):
        self.reads += 1
        if not self.dead:
            at = block * BLOCK + offset
            buffer[:] = memoryview(self.data)[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        if self.dead:
            return
        if self.before:
            self.before(at, buffer)
        self.programs += 1
        if self.data[at : at + len(buffer)] != _ERASED[: len(buffer)]:
            self.violations += 1
        self.data[at : at + len(buffer)] = buffer

    def ioctl(self, op, argument):
        if op == 4:
            return self.blocks
        if op == 5:
            return BLOCK
        if op == 6 and not self.dead:
            if self.before:
                self.before(argument * BLOCK, None)
            self.erases += 1
            self.worn[argument] += 1
            self.data[argument * BLOCK : (argument + 1) * BLOCK] = _ERASED
        return 0


def torn(data, at, new, random):
    """Do a part of a change, as a cut in the middle of it leaves it: any units, in any order, one of them half."""
    if new is None:
        for unit in range(at, at + BLOCK, UNIT):
            if random() & 1:
                data[unit : unit + UNIT] = _ERASED[:UNIT]
        return
    for unit in range(0, len(new), UNIT):
        choice = random() & 3
        if choice > 1:
            data[at + unit : at + unit + UNIT] = new[unit : unit + UNIT]
        elif choice == 1:
            n = random() % UNIT
            data[at + unit : at + unit + n] = new[unit : unit + n]


class Cut(Exception):
    """The power is gone."""


def end_after(flash, changes, random):
    """Return what tears the change after so many, and ends the flash."""
    left = [changes]

    def before(at, new):
        if not left[0]:
            torn(flash.data, at, new, random)
            flash.dead = True
            raise Cut
        left[0] -= 1

    return before
