"""What runs on a board while it is provisioned or diagnosed: sent over the raw REPL, gone at the next reset.

Runs under MicroPython. Each function that the host calls returns what host_tools.bringup.on_board prints as JSON.
Nothing here returns a secret: of the device's seed and of the Wi-Fi key it says only whether they are there.
"""

import asyncio
import gc
import hashlib
import os
import sys
import time
from array import array
from binascii import hexlify, unhexlify

_SECRET = ("sign.seed", "wifi.key")
_PLAIN = ("link.host", "link.port", "link.server_name", "wifi.ssid", "prov.state", "ppg.swap", "boot.count")
_PLAIN += ("crash.count", "release.key", "command.key", "link.kind")
_TLS = ("ca.der", "client.der", "client.key")
_LED_UA = 6400
_PIECE = 4096

_board = None
_watched = False


def start(watched):
    """Make the board of the firmware that is on it. watched: its watchdog runs already and has to be fed."""
    global _board, _watched
    _watched = watched
    said = {"firmware": None, "board": None, "wrong": None, "fs": None}
    try:
        import vigil
    except ImportError:
        return said
    try:
        said["firmware"] = vigil.VERSION
        if _board is None:
            import board

            _board = board.make()
        said["board"] = _board.name
        said["fs"] = _board.fs
    except Exception as e:
        said["wrong"] = type(e).__name__ + ": " + str(e)
    feed()
    return said


def feed():
    """Feed a watchdog that the firmware has started."""
    if _watched and _board is not None:
        _board.feed_watchdog()


def prove(nonce):
    """Public key and signature of the proof of possession for a nonce (hex). A new board makes its key here."""
    from vigil.app.identity import prove

    feed()
    key, signature = prove(_board, unhexlify(nonce))
    feed()
    return {"key": hexlify(key).decode(), "signature": hexlify(signature).decode()}


def settings():
    """What the keystore holds; of secrets only whether they are there."""
    get = _board.keystore.get
    said = {name: bool(get(name)) for name in _SECRET}
    for name in _PLAIN:
        value = get(name)
        said[name] = None if value is None else hexlify(value).decode()
    return said


def put(name, value):
    """Keep a setting (value in hex); tell whether it reads back."""
    value = unhexlify(value)
    _board.keystore.set(name, value)
    feed()
    return (_board.keystore.get(name) or b"") == value


def stage():
    """Make an empty folder for new TLS files, beside those in use."""
    _remove(_board.fs + "/tls.new")
    os.mkdir(_board.fs + "/tls.new")
    feed()


def stage_file(name, content):
    """Write one new TLS file (content in hex); return the SHA-256 of what the flash then holds."""
    path = _board.fs + "/tls.new/" + name
    with open(path, "wb") as file:
        file.write(unhexlify(content))
    feed()
    return _digest(path)


def switch():
    """Put the new TLS files in the place of the old ones, all together; return the SHA-256 of each."""
    base = _board.fs + "/tls"
    _remove(base + ".old")
    if _exists(base):
        os.rename(base, base + ".old")
    os.rename(base + ".new", base)
    _remove(base + ".old")
    feed()
    return tls()


def tls():
    """SHA-256 of each TLS file, and the device's certificate (hex); None where there is no file."""
    base = _board.fs + "/tls/"
    said = {name: _digest(base + name) if _exists(base + name) else None for name in _TLS}
    for name in ("ca.der", "client.der"):
        if said[name]:
            with open(base + name, "rb") as file:
                said[name + " content"] = hexlify(file.read(_PIECE)).decode()
    return said


def forget_identity():
    """Make a new key in the place of the old one, which is gone for ever, and what it signed with it."""
    seed = _board.random(32)
    if len(seed) != 32 or seed == bytes(32) or seed == _board.random(32):
        raise ValueError("the random generator gives no key")
    for name in os.listdir(_board.fs):
        if name not in ("tls", "tls.new", "tls.old", "crash.txt"):
            _remove(_board.fs + "/" + name)
            feed()
    _board.keystore.set("sign.seed", seed)
    feed()
    return _board.keystore.get("sign.seed") == seed


def crash():
    """What the firmware wrote about its last crash; None when there is nothing."""
    try:
        with open(_board.fs + "/crash.txt") as file:
            return file.read(2000)
    except OSError:
        return None


def networks(ssid):
    """Whether the network `ssid` is on the air; None where nobody can tell."""
    try:
        scan = _board.wifi.wake().scan
    except AttributeError:
        return None
    found = scan()
    feed()
    return any(entry[0] == ssid.encode() for entry in found)


def ticks():
    """The board's own milliseconds."""
    return time.ticks_ms()


def random():
    """Whether two draws from the generator differ and are not empty."""
    one, two = _board.random(32), _board.random(32)
    return len(one) == len(two) == 32 and one != two and one != bytes(32)


def flash():
    """Write, read back and remove a file. Returns [is it as written, free bytes]."""
    path = _board.fs + "/selftest.tmp"
    pattern = bytes((i * 37 + (i >> 8)) & 255 for i in range(_PIECE))
    with open(path, "wb") as file:
        file.write(pattern)
    feed()
    with open(path, "rb") as file:
        good = file.read() == pattern
    os.remove(path)
    block, _, _, free = os.statvfs(_board.fs)[:4]
    return [good, block * free]


def memory():
    """Free heap in bytes with the firmware's identity and drivers loaded."""
    gc.collect()
    return gc.mem_free()


def parts():
    """What answers on the buses: {part: None where it does, else why not}, and the I2C addresses that acknowledge."""
    said = {"i2c": [], "max30102": None, "ecg": None, "ecg_part": None}
    try:
        bus = _board.i2c("sensors")
        said["i2c"] = list(bus.scan())
        from vigil.drivers.max30102 import Max30102

        Max30102(bus)
    except Exception as e:
        said["max30102"] = str(e) or type(e).__name__
    feed()
    said["ecg"] = "no front end is wired"
    try:
        from vigil.drivers.max30003 import Max30003

        Max30003(_board.spi("ecg")).configure()
        said["ecg"], said["ecg_part"] = None, "MAX30003"
    except Exception as e:
        said["ecg"] = str(e) or type(e).__name__
    if said["ecg"]:
        try:
            uv = _board.adc("ecg").read_uv()
            if 100000 < uv < 3100000:
                said["ecg"], said["ecg_part"] = None, "AD8232"
            else:
                said["ecg"] = "the ECG input is at %d mV, a front end holds it near 1650" % (uv // 1000)
        except Exception:
            pass  # no such input either: the reason above stands
    feed()
    return said


def light():
    """Mean counts [red, infrared] with no LED, with the first alone, with the second alone."""
    return asyncio.run(_light())


async def _light():
    from vigil.drivers.max30102 import Max30102

    part = Max30102(_board.i2c("sensors"))
    rows = array("i", bytes(4 * 64))
    levels = []
    for red_ua, ir_ua in ((0, 0), (_LED_UA, 0), (0, _LED_UA)):
        part.configure(red_ua=red_ua, ir_ua=ir_ua)
        total, counted, turn = [0, 0], 0, 0
        while turn < 10:
            await asyncio.sleep_ms(50)
            turn += 1
            n = part.read_fifo_into(rows)
            for row in range(n if turn > 4 else 0):  # the first 200 ms settle
                total[0] += rows[2 * row]
                total[1] += rows[2 * row + 1]
                counted += 1
        if not counted:
            raise OSError("the MAX30102 gives no samples")
        levels.append([total[0] // counted, total[1] // counted])
        feed()
    part.shutdown()
    return levels


def glow(on):
    """Light the LED that should be red, alone, or none."""
    from vigil.drivers.max30102 import Max30102

    part = Max30102(_board.i2c("sensors"))
    if on:
        part.configure(red_ua=25000, ir_ua=0)
    else:
        part.shutdown()
    feed()


def _exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def _remove(path):
    """Remove a file or a folder with all that is in it, if it is there."""
    try:
        for name in os.listdir(path):
            _remove(path + "/" + name)
        os.rmdir(path)
    except OSError:
        if _exists(path):
            os.remove(path)


def _digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            piece = file.read(512)
            if not piece:
                return hexlify(digest.digest()).decode()
            digest.update(piece)


if "vigil_pointers" not in sys.modules:  # a PC without native code runs the bytecode engine
    try:
        import vigil_pointers

        vigil_pointers.install()
    except ImportError:
        pass
