"""The shipped drivers on CPython, on the emulated bus: no interpreter and no link between them."""

from array import array

import numpy as np
import pytest

from boards.virtual.bus import BusFault, I2CBus
from boards.virtual.devices import max30102 as model
from boards.virtual.devices.ad8232 import Ad8232 as Ad8232Model
from boards.virtual.devices.ad8232 import LeadOffPin
from boards.virtual.devices.esp32_adc import Esp32Adc
from vigil.core.errors import SensorError
from vigil.drivers.ad8232 import Ad8232
from vigil.drivers.max30102 import A_FULL, PWR_RDY, Max30102


class Wire:
    """hal.I2C over an emulated bus; the test moves the time."""

    def __init__(self, *devices_and_faults, **part):
        self.part = model.Max30102(lambda t_us, led: 50 + (t_us / 1e5 if led == "red" else 0), noise_counts=0, **part)
        self.bus = I2CBus({model.ADDRESS: self.part}, devices_and_faults)
        self.t_us = 0

    def readfrom_mem_into(self, addr, memaddr, buf):
        buf[:] = self.bus.read(addr, memaddr, len(buf), self.t_us)

    def writeto_mem(self, addr, memaddr, buf):
        self.bus.write(addr, memaddr, bytes(buf), self.t_us)

    def recover(self):
        self.bus.recover(self.t_us)


def test_samples_are_those_of_the_light():
    wire = Wire()
    driver = Max30102(wire)
    assert driver.configure(100, 1) == 100
    wire.t_us = 175_000
    assert driver.status() & A_FULL
    buf = array("i", [0] * 64)
    assert driver.read_fifo_into(buf) == 17
    for k in range(10, 17):  # the light has settled
        t_us = (k + 1) * 10_000
        assert abs(buf[2 * k] - (50 + t_us / 1e5) * 7.2 / 4096 * 262144) < 2
        assert abs(buf[2 * k + 1] - 50 * 7.2 / 4096 * 262144) < 2
    assert driver.read_fifo_into(buf) == 0


@pytest.mark.parametrize("rate,averaging,width_us", [(50, 1, 411), (400, 4, 411), (800, 8, 215), (1600, 32, 69)])
def test_the_rate_configured_is_the_rate_delivered(rate, averaging, width_us):
    wire = Wire()
    driver = Max30102(wire)
    per_s = driver.configure(rate, averaging, width_us)
    assert per_s == rate // averaging
    wire.t_us = 20 * averaging * 1_000_000 // rate + 5
    assert driver.read_fifo_into(array("i", [0] * 64)) == 20


def test_overflow_keeps_the_oldest_32_and_the_next_read_is_after_the_gap():
    wire = Wire()
    driver = Max30102(wire)
    driver.configure(100, 1)
    wire.t_us = 400_000
    buf = array("i", [0] * 64)
    assert driver.read_fifo_into(buf) == 32 and driver.overflow and driver.lost == 8
    before = buf[62]
    wire.t_us = 450_000
    assert driver.read_fifo_into(buf) == 5 and not driver.overflow
    step = 1e4 / 1e5 * 7.2 / 4096 * 262144
    assert abs(buf[0] - before - 9 * step) < 3  # samples 33..40 are missing


def test_a_small_buffer_leaves_the_rest_in_the_part():
    wire = Wire()
    driver = Max30102(wire)
    driver.configure(100, 1)
    wire.t_us = 200_000
    buf = array("i", [0] * 14)
    assert [driver.read_fifo_into(buf) for _ in range(3)] == [7, 7, 6]


def test_faults_are_sensor_errors_and_recovery_works():
    wire = Wire(BusFault(1000, 2000), BusFault(5000, 1 << 60, stuck=True))
    driver = Max30102(wire)
    for t_us in (1500, 6000):
        wire.t_us = t_us
        with pytest.raises(SensorError):
            driver.status()
    wire.recover()
    driver.configure()
    with pytest.raises(SensorError):
        Max30102(Wire(part_id=0x11))


def test_a_brown_out_shows_as_power_ready():
    wire = Wire(brownouts_us=(100_000,))
    driver = Max30102(wire)
    driver.configure()
    assert driver.status() == 0
    wire.t_us = 150_000
    assert driver.status() & PWR_RDY


@pytest.mark.parametrize("die_c", [31.5, 0.0625, -0.5, -12.25])
def test_temperature(die_c):
    wire = Wire(die_c=die_c)
    driver = Max30102(wire)
    driver.start_temperature()
    assert driver.temp_mdegc() is None
    wire.t_us = 30_000
    assert driver.temp_mdegc() == pytest.approx(1000 * die_c, abs=1)


def test_ecg_in_microvolts():
    ecg = np.sin(2 * np.pi * 10 * np.arange(5000) / 500)
    part = Ad8232Model(ecg, 500.0, off_s=[(8.0, 9.0)])

    class Adc:
        t_us = 0

        def read_uv(self):
            return int(np.frombuffer(converter.read_uv(self.t_us, 0, 1), "<i4")[0])

    class Pin:
        def value(self):
            return LeadOffPin(part).level(adc.t_us)

    converter = Esp32Adc(part.out_uv)
    adc = Adc()
    driver = Ad8232(adc, Pin(), Pin(), gain=400)
    x = []
    for k in range(1000):
        adc.t_us = 3_000_000 + 4000 * k
        x.append(driver.read_uv())
    assert np.sqrt(2) * np.std(x) == pytest.approx(1000, rel=0.03)
    assert not driver.lead_off()
    adc.t_us = 8_500_000
    assert driver.lead_off() and driver.read_uv() >= driver.high_uv
