"""The serial boot loader in an ESP32's or ESP32-S3's ROM, and the flasher stub that a tool may load, on socket or pty.

After Espressif's serial protocol: SLIP frames, requests `0, op, length, checksum, data`, replies `1, op, length,
value, data, status`. Model limits: registers are those that tools read to know chip and flash; no timing, no security.
"""

import contextlib
import hashlib
import os
import socket
import struct
import threading
import tty
import zlib

END, ESC = 0xC0, 0xDB
BLOCK = 4096
ROM_BAUD = 115200
MAGIC = 0x40001000  # register by which the first chips are told apart
FLASH_IDS = {2: 0x15, 4: 0x16, 8: 0x17, 16: 0x18}  # MiB: capacity byte of a Winbond part
CHIPS = {
    # chip: registers, id in the security info (None: the command is unknown), SPI1 base and its offsets USR2 and W0
    "esp32": (
        {
            MAGIC: 0x00F01D83,
            0x3FF5A004: 0x30AEA401,  # MAC in eFuse
            0x3FF5A008: 0x00C5240A,
            0x3FF5A00C: 1 << 15,  # revision
            0x3FF5A014: 1 << 20,
            0x3FF6607C: 1 << 31,
            0x3FF40014: 347,  # UART divider: a 40 MHz crystal
            0x3FF5A010: 200,  # its calibration, of which the ROM computes baud rates
            0x3FF5F06C: 512 << 7,
        },
        None,
        (0x3FF42000, 0x24, 0x80),
    ),
    "esp32s3": ({MAGIC: 9, 0x60007044: 0x30AEA401, 0x60007048: 0x0000A40A}, 9, (0x60002000, 0x20, 0x58)),
}


class Rom:
    """One chip. Use as a context; `port` is what a tool opens. flash: what it holds. baud: the last one asked for.

    Faults: mute (answers nothing), noise (answers rubbish), flip(rom) -> bool (one bit of this block is wrong),
    drop_after (data blocks after which it never speaks again), refuse (ops that fail).
    """

    def __init__(self, kind="socket", chip="esp32", flash_mib=4, *, mute=False, noise=False, flip=None, drop_after=None,
                 refuse=(), flash=None):  # fmt: skip
        registers, self.chip_id, self._spi = CHIPS[chip]
        self.registers = dict(registers)
        self.flash = flash if flash is not None else bytearray(b"\xff" * (flash_mib << 20))
        self._flash_id = FLASH_IDS[flash_mib] << 16 | 0x40EF
        self.mute, self.noise, self.flip, self.drop_after, self.refuse = mute, noise, flip, drop_after, refuse
        self.baud, self.bauds, self.ops, self.blocks = ROM_BAUD, [], [], 0
        self._stub, self._inflate, self._at, self._size = False, None, 0, 0
        self._open(kind)

    # The wire

    def _open(self, kind):
        self._fds = []
        if kind == "pty":
            master, slave = os.openpty()
            tty.setraw(slave)
            self._fds, self.port, self._server = [master, slave], os.ttyname(slave), None
            target = self._on_pty
        else:
            self._server = socket.create_server(("127.0.0.1", 0))
            self.port = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
            target = self._on_socket
        threading.Thread(target=target, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
        for fd in self._fds:
            os.close(fd)

    def _on_pty(self):
        with contextlib.suppress(OSError):
            self._serve(lambda: os.read(self._fds[0], 65536), lambda data: os.write(self._fds[0], data))

    def _on_socket(self):
        with contextlib.suppress(OSError):
            while True:
                peer = self._server.accept()[0]
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with peer, contextlib.suppress(OSError):
                    self._serve(lambda peer=peer: peer.recv(65536), peer.sendall)
                self._stub = False  # whoever comes next has reset the chip

    def _serve(self, read, write):
        self._write = write
        frame, escaped = None, False
        while data := read():
            if self.noise:
                write(bytes(b ^ 0x5A for b in data))
                continue
            for byte in data:
                if byte == END:
                    if frame:
                        self._request(bytes(frame))
                    frame, escaped = bytearray(), False
                elif frame is not None:
                    if escaped:
                        frame.append({0xDC: END, 0xDD: ESC}.get(byte, byte))
                    elif byte != ESC:
                        frame.append(byte)
                    escaped = byte == ESC and not escaped

    def _frame(self, data):
        if not self.mute:
            self._write(b"\xc0" + data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0")

    def _reply(self, op, value=0, data=b"", status=0, reason=0):
        data += bytes([status, reason]) + (b"" if self._stub else b"\0\0")
        self._frame(struct.pack("<BBHI", 1, op, len(data), value) + data)

    # Requests

    def _request(self, frame):
        if len(frame) < 8 or frame[0] != 0:
            return
        _, op, _length, checksum = struct.unpack_from("<BBHI", frame)
        data = frame[8:]
        self.ops.append(op)
        handler = getattr(self, f"_op_{op:02x}", None)
        if handler is None or op in self.refuse or (op >= 0xD0 and not self._stub):
            self._reply(op, status=1, reason=5)
        else:
            handler(op, data, checksum)

    def _op_08(self, op, data, checksum):  # SYNC
        if not self._stub:
            self.baud = ROM_BAUD
        for _ in range(8):
            self._reply(op, 0 if self._stub else 0x20120707)

    def _op_14(self, op, data, checksum):  # GET_SECURITY_INFO
        if self.chip_id is None:
            self._reply(op, status=1, reason=5)
        else:
            self._reply(op, data=struct.pack("<I8xII", 0, self.chip_id, 0))

    def _op_0a(self, op, data, checksum):  # READ_REG
        self._reply(op, self.registers.get(struct.unpack("<I", data[:4])[0], 0))

    def _op_09(self, op, data, checksum):  # WRITE_REG
        base, usr2, w0 = self._spi
        for at in range(0, len(data) - 15, 16):
            address, value, mask, _delay = struct.unpack_from("<4I", data, at)
            self.registers[address] = self.registers.get(address, 0) & ~mask | value & mask
            if address == base and value & 1 << 18:  # a flash command is run
                command = self.registers.get(base + usr2, 0) & 0xFF
                self.registers[base + w0] = self._flash_id if command == 0x9F else 0
                self.registers[address] = 0
        self._reply(op)

    def _fine(self, op, data, checksum):
        self._reply(op)

    _op_0d = _op_0b = _op_05 = _op_07 = _fine  # SPI_ATTACH, SPI_SET_PARAMS, MEM_BEGIN, MEM_DATA

    def _op_06(self, op, data, checksum):  # MEM_END: jumps into what was loaded, the stub
        self._reply(op)
        self._stub = True
        self._frame(b"OHAI")

    def _op_0f(self, op, data, checksum):  # CHANGE_BAUDRATE
        self._reply(op)
        self.baud = struct.unpack("<I", data[:4])[0]
        self.bauds.append(self.baud)

    def _begin(self, op, data):
        self._size, _blocks, self._block, self._at = struct.unpack_from("<4I", data)
        self._start = self._at
        end = -(-(self._at + self._size) // BLOCK) * BLOCK
        if end > len(self.flash):
            return self._reply(op, status=1, reason=6)
        self.flash[self._at : end] = b"\xff" * (end - self._at)
        return self._reply(op)

    def _op_02(self, op, data, checksum):  # FLASH_BEGIN
        self._begin(op, data)

    def _op_10(self, op, data, checksum):  # FLASH_DEFL_BEGIN
        self._inflate = zlib.decompressobj()
        self._begin(op, data)

    def _block_of(self, op, data, checksum):
        """The data of a block; None where the link is dead or the checksum is wrong."""
        length, number = struct.unpack_from("<II", data)
        payload, computed = data[16 : 16 + length], 0xEF
        for byte in payload:
            computed ^= byte
        self.blocks += 1
        if self.drop_after is not None and self.blocks > self.drop_after:
            self.mute = True
            return None, 0
        if computed != checksum & 0xFF:
            self._reply(op, status=1, reason=7)
            return None, 0
        return payload, number

    def _program(self, at, data):
        """NOR flash: programming clears bits."""
        if data and self.flip and self.flip(self):
            data = bytes([data[0] ^ 0x10]) + data[1:]
        held = int.from_bytes(self.flash[at : at + len(data)], "big")
        self.flash[at : at + len(data)] = (held & int.from_bytes(data, "big")).to_bytes(len(data), "big")

    def _op_03(self, op, data, checksum):  # FLASH_DATA
        payload, number = self._block_of(op, data, checksum)
        if payload is not None:
            at = self._start + number * self._block
            self._program(at, payload[: max(0, self._start + self._size - at)])
            self._reply(op)

    def _op_11(self, op, data, checksum):  # FLASH_DEFL_DATA
        payload, _number = self._block_of(op, data, checksum)
        if payload is not None:
            plain = self._inflate.decompress(payload)
            self._program(self._at, plain)
            self._at += len(plain)
            self._reply(op)

    _op_04 = _op_12 = _fine  # FLASH_END, FLASH_DEFL_END

    def _op_13(self, op, data, checksum):  # SPI_FLASH_MD5
        at, size = struct.unpack_from("<II", data)
        digest = hashlib.md5(self.flash[at : at + size])
        self._reply(op, data=digest.digest() if self._stub else digest.hexdigest().encode())

    def _op_d3(self, op, data, checksum):  # RUN_USER_CODE
        self._stub = False
