"""A chip that starts from its flash: the stand-in of the port, on emulated sensors, up to the end of boot.py.

Environment: VIGIL_FLASH "file offset size chip" (what was flashed, written back as the chip writes), VIGIL_STATE
(folder for NVS), VIGIL_LINK (emulators). After this, `import main` starts the firmware and a raw REPL may talk to it.
"""

import json
import os
import sys
import time
from binascii import hexlify, unhexlify

import link
import vfs

sys.path.insert(0, os.getenv("VIGIL_TESTS"))
import esp32_port as port
from partition import Partition

FILE, OFFSET, SIZE, CHIP = os.getenv("VIGIL_FLASH").split()
OFFSET, SIZE = int(OFFSET), int(SIZE)
NVS = os.getenv("VIGIL_STATE") + "/nvs.json"
NEVER = 1 << 61


class Clock:
    """Real time since this start, which the emulators answer for."""

    start_us = time.ticks_us()
    edges_us = [NEVER] * link.LINES  # no interrupt comes: the firmware looks at the FIFOs itself

    @property
    def now_us(self):
        return time.ticks_us() - self.start_us


wires = link.Link(os.getenv("VIGIL_LINK"), Clock())


class I2C(port.I2C):
    def scan(self):
        return list(wires.ask(link.SCAN, wires.part("i2c:sensors")))

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        wires.call(link.READ, wires.part("i2c:sensors"), addr, memaddr, len(buf), None, buf)

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        wires.call(link.WRITE, wires.part("i2c:sensors"), addr, memaddr, len(buf), buf)


class SPI(port.SPI):
    def write_readinto(self, write_buf, read_buf):
        wires.call(link.TRANSFER, wires.part("spi:ecg"), 0, 0, len(write_buf), write_buf, read_buf)


class NVSFile(port.NVS):
    def commit(self):
        super().commit()
        kept = {
            space: {k: hexlify(v).decode() for k, v in entries.items()} for space, entries in port.nvs_flash.items()
        }
        with open(NVS + ".new", "w") as file:
            json.dump(kept, file)
        os.rename(NVS + ".new", NVS)


class WLAN(port.WLAN):
    def connect(self, ssid=None, key=None, *, bssid=None):
        port.WLAN.connect(self, ssid, key)
        port.WLAN.linked = (ssid, key) == ("ward 3", "secret88")

    def scan(self):
        return [(b"ward 3", b"\x00" * 6, 1, -50, 3, False)]


try:
    with open(NVS) as file:
        for space, entries in json.load(file).items():
            port.nvs_flash[space] = {key: unhexlify(value) for key, value in entries.items()}
except OSError:
    pass  # a new chip
port.I2C, port.SPI, port.NVS = I2C, SPI, NVSFile
port.machine.I2C, port.machine.SPI, port.esp32.NVS, port.network.WLAN = I2C, SPI, NVSFile, WLAN
port.machine.unique_id = staticmethod(lambda: b"\x30\xae\xa4\xc5\x24\x0a")
port.install(CHIP)
vfs.mount(vfs.VfsLfs2(Partition(FILE, OFFSET, SIZE, kept=True), readsize=32, progsize=32, lookahead=32), "/flash")
os.chdir("/flash")
sys.path[:] = ["", ".frozen", "/flash/lib"]  # what "/" is on the chip is /flash here
import boot  # noqa: E402, F401

port.board_class().fs = "/flash/data"
