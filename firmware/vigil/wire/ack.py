"""Application acknowledgement: what the host has committed, by sequence and digest (SPEC.md section 4)."""

from micropython import const

from vigil.wire import cbor

_VERSION = const(1)
_MAX_ITEMS = const(64)
_DIGEST_BYTES = const(32)


def encode(items) -> bytes:
    """Return the acknowledgement of `items`, pairs (sequence, envelope digest); 1 to 64 of them."""
    if not 0 < len(items) <= _MAX_ITEMS:
        raise ValueError("ack: number of items")
    return cbor.encode([_VERSION] + [[seq, digest] for seq, digest in items])


def decode(data: bytes) -> list:
    """Return the list of pairs (sequence, digest) in `data`; raises ValueError where it is not an acknowledgement.

    The reader must free an envelope only when both its sequence and its digest are named.
    """
    value = cbor.decode(data)
    if type(value) is not list or not 1 < len(value) <= _MAX_ITEMS + 1:
        raise ValueError("ack: form")
    if type(value[0]) is not int or value[0] != _VERSION:
        raise ValueError("ack: version")
    items = []
    for item in value[1:]:
        if type(item) is not list or len(item) != 2:
            raise ValueError("ack: form")
        seq, digest = item
        if type(seq) is not int or seq < 0 or type(digest) is not bytes or len(digest) != _DIGEST_BYTES:
            raise ValueError("ack: form")
        items.append((seq, digest))
    return items
