"""Application acknowledgement: what the host has committed, by sequence and digest (SPEC.md section 4)."""

from micropython import const

from vigil.wire import cbor

_VERSION = const(1)
_MAX_ITEMS = const(64)
_DIGEST_BYTES = const(32)
_MAX_UTC_MS = 4_102_444_800_000  # 2100


def encode(items, utc_ms=None) -> bytes:
    """Return the acknowledgement of `items`, pairs (sequence, envelope digest); 1 to 64 of them.

    utc_ms: the host's time at this moment, milliseconds since 1970.
    """
    if not 0 < len(items) <= _MAX_ITEMS:
        raise ValueError("ack: number of items")
    return cbor.encode([_VERSION] + ([] if utc_ms is None else [utc_ms]) + [[seq, digest] for seq, digest in items])


def decode(data: bytes) -> tuple:
    """Return (the host's UTC in ms or None, list of pairs (sequence, digest)); ValueError where `data` is neither.

    The reader must free an envelope only when both its sequence and its digest are named.
    """
    value = cbor.decode(data)
    if type(value) is not list or not value or type(value[0]) is not int or value[0] != _VERSION:
        raise ValueError("ack: version")
    value.pop(0)
    utc_ms = value.pop(0) if value and type(value[0]) is int else None
    if not 0 < len(value) <= _MAX_ITEMS or (utc_ms is not None and not 0 <= utc_ms < _MAX_UTC_MS):
        raise ValueError("ack: form")
    items = []
    for item in value:
        if type(item) is not list or len(item) != 2:
            raise ValueError("ack: form")
        seq, digest = item
        if type(seq) is not int or seq < 0 or type(digest) is not bytes or len(digest) != _DIGEST_BYTES:
            raise ValueError("ack: form")
        items.append((seq, digest))
    return utc_ms, items
