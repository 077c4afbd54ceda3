"""A partition of a chip's flash, for VfsLfs2: programming clears bits, only erasing sets them."""

_BLOCK = 4096


class Partition:
    """`size` bytes from `offset` of `file`. kept: changes are written back, as on a chip; else they stay in memory."""

    def __init__(self, file, offset, size, kept=False):
        self.size = size
        self.data = bytearray(size)
        self._offset = offset
        opened = open(file, "r+b" if kept else "rb")  # noqa: SIM115  where it is kept, open as long as the chip has power
        opened.seek(offset)
        assert opened.readinto(self.data) == size
        self._file = opened if kept else opened.close()

    def readblocks(self, block, buffer, offset=0):
        at = block * _BLOCK + offset
        buffer[:] = memoryview(self.data)[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * _BLOCK + offset
        for i in range(len(buffer)):
            assert self.data[at + i] & buffer[i] == buffer[i], "programmed without erasing"
            self.data[at + i] = buffer[i]
        self._keep(at, len(buffer))

    def ioctl(self, op, argument):
        if op == 4:
            return self.size // _BLOCK
        if op == 5:
            return _BLOCK
        if op == 6:
            self.data[argument * _BLOCK : (argument + 1) * _BLOCK] = b"\xff" * _BLOCK
            self._keep(argument * _BLOCK, _BLOCK)
        return 0

    def _keep(self, at, n):
        if self._file:
            self._file.seek(self._offset + at)
            self._file.write(memoryview(self.data)[at : at + n])
            self._file.flush()
