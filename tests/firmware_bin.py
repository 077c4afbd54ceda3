"""A file that is to all tools a MicroPython image for a chip: headers, partition table and checksums are right."""

import hashlib
import struct

MADE_FOR = {"esp32": (0, 0x1000), "esp32s3": (9, 0), "esp32c3": (5, 0)}  # chip id, flash offset


def header(chip, body, *, flash_mib=4, digest=True):
    """An ESP-IDF image of one segment with its checksum and SHA-256."""
    size = {2: 1, 4: 2, 8: 3, 16: 4}[flash_mib] << 4
    start = struct.pack("<BBBBIB3sHB2HIB", 0xE9, 1, 2, size, 0x40080000, 0xEE, b"", chip, 0, 0, 399, 0, int(digest))
    data = start + struct.pack("<II", 0x3F400020, len(body)) + body
    data += bytes(15 - len(data) % 16)
    checksum = 0xEF
    for byte in body:
        checksum ^= byte
    data += bytes([checksum])
    return data + (hashlib.sha256(data).digest() if digest else b"")


def entry(name, kind, subtype, offset, size):
    return struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, name.encode(), 0)


def make(chip="esp32", *, flash_mib=4, project=b"micropython", version=b"v1.29.0", body_bytes=200_000, vfs=None):
    """The bytes of a whole image. vfs: (offset, size) where the table shall list a file system."""
    chip_id, offset = MADE_FOR[chip]
    descriptor = struct.pack("<II8x32s32s", 0xABCD5432, 0, version, project).ljust(256, b"\0")
    pattern = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(-(-body_bytes // 32)))
    application = header(chip_id, descriptor + pattern[:body_bytes], flash_mib=flash_mib)
    loader = header(chip_id, pattern[:20000], flash_mib=flash_mib)
    table = entry("nvs", 1, 2, 0x9000, 0x6000) + entry("phy_init", 1, 1, 0xF000, 0x1000)
    table += entry("factory", 0, 0, 0x10000, 0x1F0000) + (entry("vfs", 1, 0x81, *vfs) if vfs else b"")
    table += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(table).digest()
    image = loader.ljust(0x8000 - offset, b"\xff") + table
    return image.ljust(0x10000 - offset, b"\xff") + application
