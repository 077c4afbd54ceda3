"""Verify an envelope by hand: the firmware seals a batch; cbor2 and cryptography alone take it apart and check it."""

import hashlib

import cbor2
from canvas import BLUE, GREEN, ORANGE, RED, SOFT, panels, save
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from matplotlib.patches import Rectangle

import host_tools  # noqa: F401  puts the firmware on the import path


def main():
    """Draw it; return what was found."""
    sealed, key = seal()
    tag = cbor2.loads(sealed)
    protected, unprotected, payload, signature = tag.value
    header, batch = cbor2.loads(protected), cbor2.loads(payload)
    assert tag.tag == 18 and header[1] == -8 and unprotected == {}  # COSE_Sign1, EdDSA (RFC 9052)
    assert header[4] == hashlib.sha256(key).digest()[:8]  # the device's id is its key's
    signed = cbor2.dumps(["Signature1", protected, b"", payload], canonical=True)
    Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)  # raises where one bit differs
    refused = 0
    for bit in range(8 * len(payload)):
        other = bytearray(payload)
        other[bit // 8] ^= 1 << bit % 8
        try:
            forged = cbor2.dumps(["Signature1", protected, b"", bytes(other)], canonical=True)
            Ed25519PublicKey.from_public_bytes(key).verify(signature, forged)
        except InvalidSignature:
            refused += 1
    figure, (axes,) = panels(1, f"An envelope of {len(sealed)} bytes, as it travels: each cell a byte")
    draw(axes, sealed, {"header": protected, "batch": payload, "signature": signature})
    return {"picture": save(figure, __file__), "bytes": len(sealed), "boot and sequence": [batch[1], batch[2]],
            "bits_refused": refused, "bits": 8 * len(payload)}  # fmt: skip


def seal():
    """(envelope, public key) by the firmware's own code."""
    from vigil.core import records as r
    from vigil.crypto.signer import Signer
    from vigil.wire import batch, envelope

    signer = Signer(bytes(range(32)))  # a seed that nobody uses
    readings = [r.Reading(r.HEART_RATE, 720, -1, r.BEAT_PER_MIN, 95, 0, 8000),
                r.Reading(r.SPO2, 970, -1, r.PERCENT, 0, 0, 8000, r.LOW_PERFUSION)]  # fmt: skip
    payload = batch.encode(boot=1, seq=7, prev_digest=bytes(32), oldest_seq=7, t0_ms=8000, readings=readings)
    return envelope.seal(signer, payload), bytes(signer.public_key)


def draw(axes, sealed, parts):
    """Bytes in rows of 64, coloured by part."""
    spans = [(sealed.index(part), sealed.index(part) + len(part), name) for name, part in parts.items()]
    colours = {"header": ORANGE, "batch": BLUE, "signature": GREEN}
    for i, byte in enumerate(sealed):
        name = next((name for a, b, name in spans if a <= i < b), None)
        colour = colours.get(name, RED)
        axes.add_patch(Rectangle((i % 64, -(i // 64)), 0.92, 0.92, color=colour,
                                                                  alpha=0.25 + 0.75 * byte / 255, lw=0))  # fmt: skip
    axes.set_xlim(0, 64)
    axes.set_ylim(-(len(sealed) // 64) - 0.6, 1.1)
    axes.set_axis_off()
    words = "   ".join(f"{name}: {b - a} bytes" for a, b, name in spans)
    axes.text(
        0, -(len(sealed) // 64) - 0.5, f"{words}   (orange, blue, green; red: CBOR's own)", fontsize=8, color=SOFT
    )


if __name__ == "__main__":
    print(main())
