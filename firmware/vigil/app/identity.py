"""Who the device is: an Ed25519 key made on first boot by the hardware generator, which never leaves the device."""

from vigil.core.errors import ConfigError
from vigil.crypto.signer import Signer

_SEED = "sign.seed"  # keystore: 32 bytes
_PROOF = b"vigil proof of possession 1\x00"  # no envelope begins so: a nonce cannot be made into a forged reading


def load_or_create(board) -> Signer:
    """Return the device's signer; the first call of a device's life makes its key.

    Raises ConfigError when the stored seed is damaged: the device then needs a new identity, which a person decides.
    """
    seed = board.keystore.get(_SEED)
    if seed is None:
        seed = board.random(32)
        if len(seed) != 32 or seed == bytes(32):
            raise ConfigError("the random generator gives no key: do not wear this device")
        board.keystore.set(_SEED, seed)
        if board.keystore.get(_SEED) != seed:
            raise ConfigError("the keystore does not keep what is written to it")
    elif len(seed) != 32:
        raise ConfigError("sign.seed is damaged: erase the keystore and provision again")
    return Signer(seed)


def proof_message(nonce: bytes) -> bytes:
    """Return what `prove` signs for `nonce` (16..64 bytes). The host checks the signature over the same bytes."""
    if not 16 <= len(nonce) <= 64:
        raise ConfigError("a provisioning nonce has 16 to 64 bytes")
    return _PROOF + nonce


def prove(board, nonce: bytes):
    """Return (public_key, signature of proof_message(nonce)): proof that this device holds the private key."""
    signer = load_or_create(board)
    return signer.public_key, signer.sign(proof_message(nonce))
