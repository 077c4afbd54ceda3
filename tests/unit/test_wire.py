"""Envelope, batch and acknowledgement: bytes fixed once and for all, and the size of ten seconds of vitals."""

from binascii import hexlify, unhexlify

from vigil.core import records
from vigil.core.records import Reading
from vigil.crypto.signer import Signer
from vigil.wire import ack, batch, cbor, envelope

SEED = bytes(range(32))


def ten_seconds(t0_ms):
    """One reading each two seconds of five kinds, with windows as the estimators have them."""
    readings = []
    for i in range(5):
        end = t0_ms + 2000 * (i + 1) + i % 2  # real rates differ from nominal ones
        readings += [
            Reading(records.HEART_RATE, 723 + 3 * i, -1, records.BEAT_PER_MIN, 93 - i, end - 8000, end),
            Reading(records.PULSE_RATE, 721 - 7 * i, -1, records.BEAT_PER_MIN, 88 + i, end - 8013, end + 13),
            Reading(records.SPO2, 974 + i, -1, records.PERCENT, 90, end - 6000, end + 13),
            Reading(records.PERFUSION_INDEX, 1834 + 31 * i, -3, records.PERCENT, 99, end - 6000, end + 13),
            Reading(records.CONTACT, records.CONTACT_ON, 0, records.DIMLESS, 100, end - 2000, end + 13),
        ]
    return readings


def columns(readings, t0_ms):
    data = batch.encode(boot=2, seq=9, prev_digest=bytes(32), oldest_seq=7, t0_ms=t0_ms, readings=readings)
    return cbor.decode(data)[6]


def test_batch_bytes():
    readings = [
        Reading(records.HEART_RATE, 723, -1, records.BEAT_PER_MIN, 93, 0, 8000),
        Reading(records.SPO2, 974, -1, records.PERCENT, 90, 0, 8000),
        Reading(records.HEART_RATE, 725, -1, records.BEAT_PER_MIN, 95, 2000, 10000),
        Reading(records.SPO2, 880, -1, records.PERCENT, 40, 2000, 10000, records.LOW_PERFUSION),
    ]
    data = batch.encode(boot=2, seq=9, prev_digest=bytes(32), oldest_seq=7, t0_ms=6000, readings=readings)
    hr = "01 04 05 a01f 807d 0d04 a60b04"  # ends and spans once; marks -7 +2, mantissas 723 +2
    spo2 = "03 04 4a 13bf01 9c0f"  # ends and spans as before; marks -10 -96, mantissa 974 once
    made = unhexlify((hr + spo2).replace(" ", ""))
    assert cbor.decode(data) == {0: 2, 1: 2, 2: 9, 3: bytes(32), 4: 6000, 6: made, 9: 2}


def test_the_example_of_the_specification():
    """SPEC.md section 3: three heart rates; one that is withheld; a kind that has no number."""
    readings = [
        Reading(records.HEART_RATE, m, -1, records.BEAT_PER_MIN, 95, t, 8000 + t)
        for t, m in ((0, 720), (2010, 731), (4010, 731))
    ]
    readings.append(Reading(records.SPO2, 970, -1, records.PERCENT, 0, 0, 8000, records.LOW_PERFUSION))
    readings.append(Reading(1, 5, 0, records.DIMLESS, 100, 0, 8000))
    assert hexlify(columns(readings, 6000)).decode() == (
        "010614a01f1400807d09a00b1600030255a01f807dd301000001000000000002025a000a"
    )


def test_withheld_value_stays_on_the_device():
    times = (0, 8000, records.POOR_SIGNAL)
    one, other = (
        batch.encode(
            boot=1,
            seq=1,
            prev_digest=bytes(32),
            oldest_seq=1,
            t0_ms=0,
            readings=[Reading(records.SPO2, guess, -1, records.PERCENT, quality, *times)],
        )
        for guess, quality in ((970, 30), (None, 0))
    )
    assert one == other


def test_nothing_is_older_than_the_start():
    reading = Reading(records.HEART_RATE, 723, -1, records.BEAT_PER_MIN, 93, -3, 7997)
    data = batch.encode(boot=1, seq=1, prev_digest=bytes(32), oldest_seq=1, t0_ms=-3, readings=[reading])
    value = cbor.decode(data)
    assert value[4] == 0
    assert value[6][3:7] == b"\xfa\x7c" * 2  # 7997 twice


def test_ten_seconds_of_vitals_fit():
    signer = Signer(SEED)
    payload = batch.encode(
        boot=300,
        seq=70000,
        prev_digest=b"\xaa" * 32,
        oldest_seq=69990,
        t0_ms=1 << 33,
        readings=ten_seconds(1 << 33),
        utc=(1790000000000, 1500),
        status={0: 100000, 1: 10, 2: 0, 3: 0},
    )
    sealed = envelope.seal(signer, payload)
    assert len(sealed) <= 300, len(sealed)


def test_envelope_bytes():
    sealed = envelope.seal(Signer(SEED), b"payload")
    # Made by `pytest tests/differential/test_cose.py`'s independent writer (cbor2 and the cryptography package).
    assert hexlify(sealed).decode() == (
        "d2844da20127044856475aa75463474ca0477061796c6f61645840b5dbce3d7343284c825c720eac3a9f51bedfd7df5e"
        "84def072522d93bf696466fac5d12dfe4de7d074abd728639ea7d53787bd241225f1ab2b7baa18ed69ce00"
    )
    assert (
        hexlify(envelope.digest(sealed)).decode() == "41072bebf8927480609e66341b8ec0fe1a8916876dcbef03fccf228d73f683e1"
    )


def test_acknowledgement_both_ways():
    items = [(7, b"\x01" * 32), (1 << 31, b"\x02" * 32)]
    data = ack.encode(items)
    assert ack.decode(data) == (None, items)
    assert ack.decode(ack.encode(items, 1_790_000_000_000)) == (1_790_000_000_000, items)
    assert hexlify(data[:6]).decode() == "830182075820"


def test_acknowledgements_refused():
    digest = b"\x01" * 32
    for value, why in (
        ([1], "nothing"),
        ([2, [7, digest]], "version"),
        ([True, [7, digest]], "version is a truth value"),
        ({0: 1}, "a map"),
        ([1, 7], "no pair"),
        ([1, [7]], "half a pair"),
        ([1, [7, digest, 0]], "three"),
        ([1, [-7, digest]], "negative"),
        ([1, ["7", digest]], "text"),
        ([1, [7, digest[:31]]], "short digest"),
        ([1, [7, None]], "no digest"),
        ([1] + [[7, digest]] * 65, "too many"),
        ([1, 1_790_000_000_000], "a time and nothing"),
        ([1, -1, [7, digest]], "before 1970"),
        ([1, 4_102_444_800_000, [7, digest]], "after 2100"),
        ([1, 1, 2, [7, digest]], "two times"),
        ([], "empty"),
    ):
        try:
            ack.decode(cbor.encode(value))
        except ValueError:
            continue
        raise AssertionError(why)
    for items in ([], [(7, digest)] * 65):
        try:
            ack.encode(items)
        except ValueError:
            continue
        raise AssertionError(len(items))


def test_key_id_is_the_device_id():
    assert envelope.protected_header("21fe31dfa154a261") == unhexlify("a201270448" + "21fe31dfa154a261")


def test_ten_seconds_of_every_sensor_fit_with_a_status():
    readings = []
    for i, r in enumerate(ten_seconds(1 << 33)):
        readings.append(r)
        if r.kind == records.HEART_RATE:
            times = r.t_end_ms - 17_995 - 7 * i, r.t_end_ms + 340 - i
            readings.append(Reading(records.RHYTHM, 1, 0, records.DIMLESS, 95, r.t_start_ms, r.t_end_ms))
            readings.append(Reading(records.PULSE, 722 - 9 * i, -1, records.BEAT_PER_MIN, 90 + i, *times))
            readings.append(Reading(records.PULSE_DEFICIT, 3 * i, -1, records.BEAT_PER_MIN, 60 + i, *times))
            breath = 140 - 11 * i, -1, records.RESP_PER_MIN, 70 - i
            readings.append(Reading(records.RESP_RATE, *breath, times[1] - 32_000, times[1]))
            readings.append(Reading(records.MOTION, 31 * i, -3, records.DIMLESS, 99, times[1] - 1900, times[1] + 80))
    status = {i: 0 for i in range(20)}
    status.update({0: 207_360, 9: 25_317, 10: -4012, 11: 812, 18: 1400, 19: -60, 21: 30_505, 25: 812, 26: -31})
    common = {"boot": 300, "seq": 70000, "prev_digest": b"\xaa" * 32, "oldest_seq": 69990, "t0_ms": 1 << 33}
    payload = batch.encode(readings=readings, utc=(1790000000000, 1500), status=status, **common)
    sealed = envelope.seal(Signer(SEED), payload)
    assert len(readings) == 50 and len(sealed) <= 400, len(sealed)
    plain = envelope.seal(Signer(SEED), batch.encode(readings=readings, utc=(1790000000000, 1500), **common))
    print(f"ten seconds of ten kinds: {len(plain)} B, {len(sealed)} B with a status")
    assert len(plain) <= 400, len(plain)
