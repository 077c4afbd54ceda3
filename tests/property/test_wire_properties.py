"""Round trips and robustness of the wire formats, with examples made by hypothesis."""

import contextlib

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.ingest import batch as reader
from host_tools.trust.verify import DeviceState, split, verify
from vigil.core.records import Reading
from vigil.crypto.signer import Signer
from vigil.wire import ack, batch, cbor, envelope

settings.register_profile("vigil", deadline=None)  # a busy machine is no failure
settings.load_profile("vigil")

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=20, alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, 2**64 - 1), inner, max_size=5),
    max_leaves=20,
)

T0_MS = st.integers(4_000_000, 2**41)


@st.composite
def readings(draw, t0_ms: int):
    end_ms = t0_ms + draw(st.integers(-300_000, 86_400_000))
    absent = draw(st.sampled_from((0, 0, 0, 1, 4, 9)))
    return Reading(
        kind=draw(st.sampled_from((147842, 149530, 150456, 0x4000002))),
        mantissa=draw(st.integers(-(2**31) + 1, 2**31 - 1)) if not absent else draw(st.none() | st.integers(0, 999)),
        exp10=draw(st.sampled_from((-3, -1, -1, 0))),
        unit=draw(st.sampled_from((512, 544, 2720))),
        quality_pct=draw(st.integers(0, 100)),
        t_start_ms=end_ms - draw(st.integers(0, 3_600_000)),
        t_end_ms=end_ms,
        absent_reason=absent,
    )


@st.composite
def batches(draw):
    seq = draw(st.integers(0, 2**32 - 1))
    t0_ms = draw(T0_MS)
    return {
        "boot": draw(st.integers(0, 2**32 - 1)),
        "seq": seq,
        "prev_digest": draw(st.binary(min_size=32, max_size=32)),
        "oldest_seq": draw(st.integers(0, seq)),
        "t0_ms": t0_ms,
        "readings": draw(st.lists(readings(t0_ms), max_size=12)),
        "utc": draw(
            st.none() | st.tuples(st.integers(1_577_836_800_000, 4_102_444_800_000), st.integers(0, 86_400_000))
        ),
        "status": draw(st.dictionaries(st.integers(0, 63), st.integers(-(2**53) + 1, 2**53 - 1), max_size=4)),
    }


@given(VALUES)
def test_cbor_is_what_cbor2_calls_canonical(value):
    data = cbor.encode(value)
    assert data == cbor2.dumps(value, canonical=True)
    assert cbor.decode(data) == value


@given(st.binary(max_size=60))
@settings(max_examples=400)
def test_both_strict_readers_agree_on_any_bytes(data):
    try:
        ours = cbor.decode(data)
    except ValueError:
        return
    assert reader.decode_cbor(data) == ours


@given(batches())
def test_batch_round_trip(fields):
    read = reader.decode(batch.encode(**fields))
    assert (read.boot, read.seq, read.prev_digest, read.oldest_seq, read.t0_ms) == tuple(
        fields[name] for name in ("boot", "seq", "prev_digest", "oldest_seq", "t0_ms")
    )
    assert (read.utc, read.status) == (fields["utc"], fields["status"])
    left = []
    for made in fields["readings"]:
        withheld = {"mantissa": None, "quality_pct": 0} if made.absent_reason else {}
        left.append({**vars(made), **withheld})
    order = []  # series by series, each in the order in which its readings were made
    for key in dict.fromkeys((r["kind"], r["exp10"], r["unit"]) for r in left):
        order += [r for r in left if (r["kind"], r["exp10"], r["unit"]) == key]
    assert [vars(r) for r in read.readings] == order


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32)), min_size=1, max_size=64))
def test_acknowledgement_round_trip(items):
    assert ack.decode(ack.encode(items)) == (None, items)


SIGNER = Signer(bytes(32))
SEALED = envelope.seal(
    SIGNER,
    batch.encode(
        boot=0, seq=0, prev_digest=bytes(32), oldest_seq=0, t0_ms=0, readings=[Reading(1, 5, 0, 512, 9, 0, 7)]
    ),
)


@given(st.integers(0, len(SEALED)), st.integers(0, 20), st.binary(max_size=20))
@settings(max_examples=400)
def test_anything_spliced_in_is_rejected(at, cut, data):
    changed = SEALED[:at] + data + SEALED[at + cut :]
    outcome = verify(changed, topic_device=SIGNER.device_id, device=DeviceState(SIGNER.public_key))
    assert (outcome.verdict == "accepted") == (changed == SEALED)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_batch(data):
    with contextlib.suppress(reader.Malformed):
        reader.decode(data)


@given(st.lists(VALUES.map(lambda v: cbor.encode(v)), max_size=6))
def test_split_is_the_inverse_of_joining(items):
    assert list(split(b"".join(items))) == items
