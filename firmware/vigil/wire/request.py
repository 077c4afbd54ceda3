"""A request of the gateway's: send sequences again, or say that they are gone (SPEC.md section 4)."""

from vigil.wire import cbor

_VERSION = 1
_RESEND = 1


def encode(first: int, last: int) -> bytes:
    """Return the request for the sequences first..last."""
    return cbor.encode([_VERSION, _RESEND, first, last])


def decode(data: bytes) -> tuple:
    """Return (first, last); ValueError where `data` is no such request."""
    value = cbor.decode(data)
    if type(value) is not list or len(value) != 4 or value[:2] != [_VERSION, _RESEND]:
        raise ValueError("request: form")
    _, _, first, last = value
    if type(first) is not int or type(last) is not int or not 0 <= first <= last:
        raise ValueError("request: range")
    return first, last
