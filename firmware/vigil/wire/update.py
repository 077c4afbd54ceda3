"""Messages of an update (SPEC.md section 10): an offer and pieces to the device; what it wants and how it goes back."""

from micropython import const

from vigil.wire import cbor

_VERSION = const(1)
_OFFER = const(2)  # on the command topic: [1, 2, signed manifest]
_PIECE = const(3)  # [1, 3, number, offset, bytes]
_WANT = const(1)  # on the update topic: [1, 1, number, offset, length]
_STATE = const(2)  # [1, 2, number, state, why]

FETCHING = const(1)  # states
TRIAL = const(2)
CONFIRMED = const(3)
ROLLED_BACK = const(4)
REFUSED = const(5)


def decode(payload: bytes) -> tuple:
    """Return (signed manifest,) or (number, offset, piece). Raises ValueError for anything else."""
    value = cbor.decode(payload)
    kinds = tuple(map(type, value)) if type(value) is list else ()
    if kinds == (int, int, bytes) and value[:2] == [_VERSION, _OFFER]:
        return (value[2],)
    if kinds == (int, int, int, int, bytes) and value[:2] == [_VERSION, _PIECE]:
        return tuple(value[2:])
    raise ValueError("update: form")


def want(number: int, offset: int, length: int) -> bytes:
    """Return the message that asks for a piece."""
    return cbor.encode([_VERSION, _WANT, number, offset, length])


def tell(number: int, state: int, why: int) -> bytes:
    """Return the message that tells how the update to release `number` stands."""
    return cbor.encode([_VERSION, _STATE, number, state, why])
