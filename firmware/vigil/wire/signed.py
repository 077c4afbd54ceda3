"""What a key that the device pins has signed: COSE_Sign1 (RFC 9052), for one purpose, told by its protected header."""

from micropython import const

from vigil.core.errors import TrustError
from vigil.wire import cbor
from vigil.wire.envelope import to_be_signed

MALFORMED = const(1)  # arguments of a TrustError
BAD_SIGNATURE = const(2)
_TAG_SIGN1 = const(0xD2)
_MAX_BYTES = const(1024)


def opening(signed: bytes, key, protected: bytes):
    """Return the payload of `signed` where `key` (32 bytes; None: none is pinned) has signed it under `protected`.

    A generator, that yields so that others can work meanwhile. Raises TrustError(MALFORMED) or
    TrustError(BAD_SIGNATURE); nothing looks into the payload before.
    """
    try:
        if not 0 < len(signed) <= _MAX_BYTES or signed[0] != _TAG_SIGN1:
            raise ValueError
        header, unprotected, payload, signature = cbor.decode(memoryview(signed)[1:])
        if header != protected or unprotected != {} or type(payload) is not bytes or type(signature) is not bytes:
            raise ValueError
    except (ValueError, TypeError):
        raise TrustError(MALFORMED)
    from vigil.crypto.ed25519_verify import verifying  # here, so that it can be forgotten when this is done

    good = yield from verifying(key or b"", to_be_signed(protected, payload), signature)
    if not good:
        raise TrustError(BAD_SIGNATURE)
    return payload
