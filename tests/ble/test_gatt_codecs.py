"""The device's encoders against the host's decoders and Bumble's profile classes, over every mix of optional fields."""

import contextlib
import itertools
import math
from datetime import datetime

import pytest
from bumble.profiles.heart_rate_service import HeartRateService
from hypothesis import given
from hypothesis import strategies as st

from host_tools.ble import gatt as host
from vigil.wire import gatt

RR = ((), (1024,), (853, 871, 65535))
STAMP = (2026, 2, 3, 4, 5, 6)
STATUS = (None, 0, 0x0120, 0xFFE0)
DEVICE = (None, 0, 0x00FFFF)
PAI = (None, gatt.sfloat(183, -2), gatt.SFLOAT_NAN)


@pytest.mark.parametrize("bpm", [0, 72, 255, 256, 65535])
def test_heart_rate_by_bumble(bpm):
    for contact, energy, rr in itertools.product((None, False, True), (None, 0, 65535), RR):
        data = gatt.heart_rate(bpm, contact, energy, rr)
        theirs = HeartRateService.HeartRateMeasurement.from_bytes(data)
        ours = host.heart_rate(data)
        assert (theirs.heart_rate, theirs.sensor_contact_detected, theirs.energy_expended) == (bpm, contact, energy)
        assert tuple(theirs.rr_intervals or ()) == tuple(x / 1024 for x in rr) == ours.rr_s
        assert (ours.bpm, ours.contact, ours.energy_kj) == (bpm, contact, energy)
        assert bytes(theirs) == data


def same(a, b):
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))


def test_plx_continuous():
    pairs = (None, (gatt.sfloat(96, 0), gatt.SFLOAT_NAN))
    spo2, pulse = gatt.sfloat(974, -1), gatt.sfloat(723, -1)
    for fast, slow, status, device, pai in itertools.product(pairs, pairs, STATUS, DEVICE, PAI):
        data = gatt.plx_continuous(spo2, pulse, fast, slow, status, device, pai)
        back = host.plx_continuous(data)
        assert (back.spo2_pct, back.pulse_bpm) == (97.4, 72.3)
        assert (back.fast is None, back.slow is None) == (fast is None, slow is None)
        assert (back.status is None, back.device is None) == (status is None, device is None)
        assert len(back.status or ()) == (status or 0).bit_count()
        assert len(back.device or ()) == (device or 0).bit_count()
        assert same(back.pai_pct, None if pai is None else host.sfloat(pai))
        assert len(data) <= 20  # the smallest MTU
        for cut in range(len(data)):
            with pytest.raises(ValueError, match="missing"):
                host.plx_continuous(data[:cut])
        with pytest.raises(ValueError, match="too many"):
            host.plx_continuous(data + b"\0")


def test_plx_spot():
    for at, status, device, pai, unset in itertools.product((None, STAMP), STATUS, DEVICE, PAI, (False, True)):
        stamp = at and gatt.date_time(*at)
        back = host.plx_spot(gatt.plx_spot(gatt.SFLOAT_NAN, gatt.SFLOAT_INF, stamp, status, device, pai, unset))
        assert math.isnan(back.spo2_pct) and back.pulse_bpm == math.inf
        assert back.at == (at and datetime(*at)) and back.clock_unset == unset
        assert len(back.status or ()) == (status or 0).bit_count()
        assert same(back.pai_pct, None if pai is None else host.sfloat(pai))


def test_plx_features():
    for flags in itertools.product((False, True), repeat=6):
        for status, device in itertools.product(STATUS, DEVICE):
            back = host.plx_features(gatt.plx_features(status, device, *flags))
            assert (back.stores, back.stamps, back.fast, back.slow, back.pai, back.bonds) == flags
            assert (back.status is None, back.device is None) == (status is None, device is None)


def test_temperature_battery_location_time():
    for fahrenheit, at, site in itertools.product((False, True), (None, STAMP), (None, 2)):
        stamp = at and gatt.date_time(*at)
        data = gatt.temperature(gatt.float32(986 if fahrenheit else 370, -1), fahrenheit, stamp, site)
        back = host.temperature(data)
        assert back.celsius == pytest.approx(37) and back.at == (at and datetime(*at))
        assert back.site == (site and "body")
    assert host.battery(b"\x64") == 100
    with pytest.raises(ValueError, match="percentage"):
        host.battery(b"\x65")
    assert [host.body_location(bytes((i,))) for i in (1, 3, 9)] == ["chest", "finger", "location 9"]
    assert host.current_time(gatt.current_time(gatt.date_time(*STAMP), 2)) == datetime(*STAMP)
    assert host.current_time(gatt.current_time(bytes(7), 0)) is None


@given(st.integers(-(10**8), 10**8), st.integers(-8, 6))
def test_sfloat_is_the_nearest(mantissa, exp10):
    value = host.sfloat(gatt.sfloat(mantissa, exp10))
    exact = float(f"{mantissa}e{exp10}")
    if not math.isinf(value):
        assert abs(value - exact) <= abs(exact) * 0.5 / 204.6 + 0.5e-8
    else:
        assert abs(exact) > 2.045e10 * 0.99


@given(st.binary(max_size=24))
def test_noise_is_refused_or_read(data):
    for decode in host.DECODERS.values():
        with contextlib.suppress(ValueError):
            decode(data)
