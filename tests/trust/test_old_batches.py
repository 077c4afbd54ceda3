"""Batches of version 1, as journals in the field hold them, are read as ever."""

from host_tools.ingest.batch import Reading, decode
from vigil.core import records as r

# Written by `vigil.wire.batch.encode` of the release before version 2, from the readings below.
PAYLOAD = bytes.fromhex(
    "a9000101020209035820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f04192ee005821b000001a0c4506c"
    "000f0683861a0002418220190aa086191e1439164221191e14070783185d185c185b831902d30303861a00024bb82019022086191f403917"
    "6e21191770000083185a24185a821903ce02861a040000020019020000831863186318638302000008a2001a00015f9013383b0902"
)


def test_version_1():
    batch = decode(PAYLOAD)
    made = []
    for i in range(3):
        end_ms = 20000 + 2000 * i + i % 2
        spo2 = {"mantissa": 974 + i, "quality_pct": 90, "absent_reason": r.PRESENT}
        if i == 1:
            spo2 = {"mantissa": None, "quality_pct": 0, "absent_reason": r.MOTION_ARTIFACT}
        about = {"t_start_ms": end_ms - 6000, "t_end_ms": end_ms}
        made += [
            Reading(r.HEART_RATE, 723 + 3 * i, -1, r.BEAT_PER_MIN, 93 - i, end_ms - 8000 - 7 * i, end_ms - 300, 0),
            Reading(kind=r.SPO2, exp10=-1, unit=r.PERCENT, **spo2, **about),
            Reading(r.CONTACT, r.CONTACT_ON, 0, r.DIMLESS, 99, **about, absent_reason=r.PRESENT),
        ]
    assert list(batch.readings) == sorted(made, key=lambda reading: reading.kind)
    assert (batch.boot, batch.seq, batch.oldest_seq, batch.t0_ms) == (2, 9, 7, 12000)
    assert (batch.utc, batch.status) == ((1790000000000, 15), {0: 90000, 19: -60})
