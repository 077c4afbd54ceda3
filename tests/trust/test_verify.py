"""The verify core against the table of attacks, and what it says about the honest ones."""

import hashlib
from dataclasses import replace

import cbor2
import pytest
from attacks import CASES, KID, A, World, readings, world

from host_tools.image import comb_table
from host_tools.ingest.batch import Malformed
from host_tools.trust import verify as core
from host_tools.trust.verify import DeviceState, Note, verify
from vigil.crypto.ed25519 import ORDER
from vigil.crypto.ed25519_verify import decompress
from vigil.crypto.signer import PROOF_PREFIX
from vigil.wire import envelope


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case):
    w = world()
    before = w.state
    outcome = verify(case.make(w), topic_device=case.topic, device=case.change(w.state))
    got = outcome.reason if outcome.verdict == "rejected" else outcome.verdict
    assert got == case.verdict, outcome
    assert w.state == before  # states are values: nothing is changed in place
    assert (outcome.device is not None) == (outcome.verdict == "accepted")
    assert (outcome.batch is not None) == (outcome.verdict != "rejected")


def test_names_of_cases_are_unique():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


def test_every_reason_has_a_case():
    assert {str(reason) for reason in core.Reason} <= {case.verdict for case in CASES}


def test_truncated_at_every_length():
    w = world()
    data = w.seal(8)
    for n in range(len(data)):
        outcome = verify(data[:n], topic_device=A.device_id, device=w.state)
        assert (outcome.verdict, outcome.reason) == ("rejected", "malformed envelope"), n


# requirement: TRU-1
def test_every_bit_counts():
    w = world()
    data = w.seal(8)
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            assert verify(bytes(changed), topic_device=A.device_id, device=w.state).verdict == "rejected", (at, bit)


def test_accepted_readings_are_what_was_measured():
    w = world()
    batch = verify(w.seal(8), topic_device=A.device_id, device=w.state).batch
    first, second = batch.readings
    assert vars(first) == vars(readings()[0])
    assert vars(second) == {**vars(readings()[1]), "mantissa": None, "quality_pct": 0}
    assert (batch.boot, batch.seq, batch.oldest_seq, batch.prev_digest) == (3, 8, 7, w.digest(7))


def notes_of(w: World, data: bytes) -> list[str]:
    outcome = verify(data, topic_device=A.device_id, device=w.state)
    assert outcome.verdict == "accepted", outcome
    w.state = outcome.device
    return [str(note) for note in outcome.notes]


def test_gap_then_late():
    w = world()
    eight, nine, ten = w.seal(8), w.seal(9, oldest_seq=8), w.seal(10, oldest_seq=8)
    assert notes_of(w, ten) == ["gap 8..9"]
    assert w.state.expected == {9: w.digest(9)}
    assert notes_of(w, eight) == ["late 8..8"]
    assert w.state.last_seq == 10
    assert notes_of(w, nine) == ["late 9..9"]
    assert w.state.expected == {}
    assert verify(nine, topic_device=A.device_id, device=w.state).verdict == "duplicate"


def test_late_envelope_must_be_what_its_successor_names():
    w = world()
    w.seal(8)
    nine = w.seal(9, oldest_seq=8)
    notes_of(w, nine)
    forged = w.seal(8, readings=[])
    outcome = verify(forged, topic_device=A.device_id, device=w.state)
    assert (outcome.verdict, outcome.reason) == ("rejected", "chain broken")


# requirement: LOS-4
def test_lost_and_gap_are_told_apart():
    w = world()
    assert notes_of(w, w.seal(20, prev_digest=b"?" * 32, oldest_seq=15)) == ["lost 8..14", "gap 15..19"]


def test_erased_flash_is_noted():
    w = world()
    assert notes_of(w, w.seal(8, prev_digest=bytes(32), oldest_seq=8)) == ["restart 8..8"]
    w = world()
    assert notes_of(w, w.seal(11, prev_digest=bytes(32), oldest_seq=11)) == ["restart 11..11", "lost 8..10"]
    assert w.state.expected == {}


def test_first_contact_counts_what_still_waits():
    w = World()
    assert notes_of(w, w.seal(40, prev_digest=b"?" * 32, oldest_seq=38)) == ["gap 38..39"]
    w = World()
    assert notes_of(w, w.seal(0)) == []


def test_state_keeps_only_what_may_come_again():
    w = World()
    for seq in range(100):
        w.accept(w.seal(seq, oldest_seq=max(0, seq - 3)))
    assert sorted(w.state.digests) == [96, 97, 98, 99]
    assert (w.state.last_seq, w.state.oldest_seq) == (99, 96)


def test_state_without_the_last_digest_among_the_waiting():
    # A store keeps last_digest beside the digests from oldest_seq on; the chain must hold with that alone.
    w = world()
    w.state = replace(w.state, digests={})
    assert verify(w.seal(8), topic_device=A.device_id, device=w.state).verdict == "accepted"
    assert verify(w.seal(8, prev_digest=b"?" * 32), topic_device=A.device_id, device=w.state).reason == "chain broken"
    assert verify(w.sealed[7], topic_device=A.device_id, device=w.state).verdict == "duplicate"


# requirement: TRU-4
def test_rejection_says_nothing_about_the_wearer():
    w = world()
    outcome = verify(w.seal(8, readings=readings(bpm_x10=666))[:-1] + b"\x00", topic_device=A.device_id, device=w.state)
    assert outcome.verdict == "rejected" and outcome.batch is None and "666" not in repr(outcome)


def test_verify_signature_alone():
    w = world()
    assert core.verify_signature(w.sealed[5], A.public_key)
    assert not core.verify_signature(w.sealed[5][:-1] + b"\x00", A.public_key)


def test_file_of_envelopes():
    w = world()
    data = b"".join(w.sealed.values())
    assert list(core.split(data)) == list(w.sealed.values())
    outcomes = list(core.verify_all(core.split(data), A.public_key))
    assert [o.verdict for o in outcomes] == ["accepted"] * 3
    assert [o.verdict for o in core.verify_all([*core.split(data), w.sealed[7]], A.public_key)][-1] == "duplicate"


def test_file_that_ends_early():
    w = world()
    data = b"".join(w.sealed.values())
    found = []
    with pytest.raises(Malformed):
        for item in core.split(data[:-5]):
            found.append(item)
    assert found == [w.sealed[5], w.sealed[6]]
    for garbage in (b"\x82\x01", b"\x9f\x01\xff", b"\x1c", b"\x81" * 100, b"\x5b" + b"\xff" * 8):
        with pytest.raises(Malformed):
            list(core.split(garbage))


def small_order_keys() -> list[bytes]:
    """All encodings of points whose order divides 8, made by the generator's affine arithmetic, not the firmware's."""

    def times(n: int, point: tuple[int, int]) -> tuple[int, int]:
        result = (0, 1)
        for bit in bin(n)[2:]:
            result = comb_table.add(result, result)
            if bit == "1":
                result = comb_table.add(result, point)
        return result

    y, points = 2, {(0, 1)}
    while len(points) < 8:
        y += 1
        found = decompress(y.to_bytes(32, "little"))
        if found:
            torsion = times(ORDER, found)
            points |= {times(n, torsion) for n in range(8)}
    keys = []
    for x, y in points:
        for form in (y, y + comb_table.P):
            signs = (0, 1) if x == 0 else (x & 1,)
            keys += [(form | sign << 255).to_bytes(32, "little") for sign in signs if form < 1 << 255]
    return keys


def test_keys_to_enrol():
    keys = small_order_keys()
    assert len(set(keys)) == 14
    assert core.check_public_key(A.public_key)
    for key in keys:
        assert not core.check_public_key(key), key.hex()
    assert not core.check_public_key(A.public_key[:31])
    assert not core.check_public_key((2).to_bytes(32, "little"))  # no point has this y


def test_small_order_key_would_accept_anything():
    # Why enrolment refuses them: with the neutral element as key, R = s * B fits every message.
    weak = bytes([1]) + bytes(31)
    kid = hashlib.sha256(weak).digest()[:8]
    protected = cbor2.dumps({1: -8, 4: kid})
    base = bytes.fromhex("58" + "66" * 31)  # R = 1 * B, s = 1
    forged = cbor2.dumps(
        cbor2.CBORTag(18, [protected, {}, world().payload(8), base + (1).to_bytes(32, "little")]), canonical=True
    )
    outcome = verify(forged, topic_device=kid.hex(), device=DeviceState(weak))
    assert outcome.verdict == "accepted"  # no check at verification makes up for a missing one at enrolment


def test_proof_of_possession():
    nonce = bytes(range(16))
    proof = A.sign(PROOF_PREFIX + nonce)
    assert core.check_proof(A.public_key, nonce, proof)
    assert not core.check_proof(A.public_key, nonce[:-1], proof)
    assert not core.check_proof(A.public_key, nonce, A.sign(nonce))
    assert not core.check_proof(A.public_key, nonce[:15], A.sign(PROOF_PREFIX + nonce[:15]))
    assert not core.check_proof(bytes([1]) + bytes(31), nonce, bytes.fromhex("58" + "66" * 31) + bytes([1]) + bytes(31))
    assert not PROOF_PREFIX.startswith(envelope.to_be_signed(b"", b"")[:2])


def test_note_reads_well():
    assert str(Note("gap", 3, 5)) == "gap 3..5"
    assert KID.hex() == A.device_id
