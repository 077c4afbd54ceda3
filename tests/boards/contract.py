"""The contract of boards/README.md, asked of any board under MicroPython: check(board)."""

import os


def refused(call, *args):
    try:
        call(*args)
    except ValueError:
        return True
    return False


def check(b):
    for call in (b.i2c, b.spi, b.adc, b.pin):
        assert refused(call, "nothing"), call
    assert refused(b.irq, "nothing", print)
    assert b.i2c("sensors") is b.i2c("sensors")
    front_ends = [call for call in (b.spi, b.adc) if not refused(call, "ecg")]
    assert front_ends
    for call in front_ends:
        assert call("ecg") is call("ecg")
    if b.adc in front_ends:
        assert b.pin("lod_p") is b.pin("lod_p") and b.pin("lod_n") is b.pin("lod_n")
        assert isinstance(b.adc("ecg").read_uv(), int) and b.pin("lod_p").value() in (0, 1)
    if b.spi in front_ends:
        ask, answer = bytearray(4), bytearray(4)
        b.spi("ecg").write_readinto(ask, answer)
    assert isinstance(b.ecg_gain, int) and b.ecg_gain > 100
    assert b.name and b.reset_cause() and isinstance(b.reset_cause(), str)

    bus = b.i2c("sensors")
    assert isinstance(bus.scan(), list)
    for call in (bus.readfrom_mem_into, bus.writeto_mem):
        try:
            call(0x13, 0, bytearray(1))
            raise AssertionError("nobody lives at 0x13")
        except OSError:
            pass
    bus.recover()

    assert not b.fs.endswith("/")
    with open(b.fs + "/probe", "w") as f:
        f.write("x")
    os.remove(b.fs + "/probe")

    keys = b.keystore
    assert keys.get("link.server_name") is None
    for value in (b"first", b"second, longer", b"\x00\xff" * 16):
        keys.set("link.server_name", value)
        assert keys.get("link.server_name") == value
    assert keys.get("link.server") is None  # a long name is not cut

    t_ms, t_us = b.clock.ms(), b.clock.ticks_us()
    assert 0 <= t_ms <= b.clock.ms() and isinstance(t_us, int)
    assert len(b.random(32)) == 32 and b.random(16) != b.random(16)
    assert b.wifi.isconnected() is False
    b.irq("max30102", print)
    b.irq("max30102", None)
    timer = b.timer(4000, print)
    timer.stop()
    timer.stop()
    b.feed_watchdog()
    assert b.ble is None or b.ble is b.ble
