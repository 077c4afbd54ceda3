"""Ed25519: the vectors of RFC 8032 section 7.1, and what verification must refuse."""

from binascii import hexlify, unhexlify

from vigil.crypto import ed25519, ed25519_verify
from vigil.crypto.sha512 import sha512
from vigil.crypto.signer import Signer, device_id

VECTORS = (  # seed, public key, message, signature
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        b"",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        b"\x72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        b"\xaf\x82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        sha512(b"abc"),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
)

SMALL_ORDER = (  # every encoding of the eight points whose order divides 8, y not below P included
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
)


def test_rfc_8032_vectors():
    for seed, public_key, message, signature in VECTORS:
        signer = Signer(unhexlify(seed))
        assert hexlify(signer.public_key).decode() == public_key
        assert hexlify(signer.sign(message)).decode() == signature


def test_device_id_follows_from_the_key():
    public_key = unhexlify(VECTORS[0][1])
    assert Signer(unhexlify(VECTORS[0][0])).device_id == device_id(public_key) == "21fe31dfa154a261"


def test_seed_has_32_bytes():
    for n in (0, 31, 33, 64):
        try:
            Signer(bytes(n))
        except ValueError:
            continue
        raise AssertionError(n)


def test_verification():
    _, public_key, message, signature = (
        VECTORS[1][0],
        unhexlify(VECTORS[1][1]),
        VECTORS[1][2],
        unhexlify(VECTORS[1][3]),
    )
    assert ed25519_verify.verify(public_key, message, signature)
    assert not ed25519_verify.verify(public_key, message + b"\x00", signature)
    assert not ed25519_verify.verify(public_key, message, signature[:63])
    assert not ed25519_verify.verify(public_key[:31], message, signature)
    for at in (0, 31, 32, 63):
        changed = bytearray(signature)
        changed[at] ^= 1
        assert not ed25519_verify.verify(public_key, message, bytes(changed))


def test_verification_refuses_a_second_form_of_s():
    public_key, message, signature = unhexlify(VECTORS[0][1]), VECTORS[0][2], unhexlify(VECTORS[0][3])
    s = int.from_bytes(signature[32:], "little") + ed25519.ORDER
    assert not ed25519_verify.verify(public_key, message, signature[:32] + s.to_bytes(32, "little"))


def test_keys_of_small_order_are_unsound():
    for key in SMALL_ORDER:
        assert not ed25519_verify.is_sound_key(unhexlify(key)), key
    assert ed25519_verify.is_sound_key(unhexlify(VECTORS[0][1]))


def test_key_of_mixed_order_is_unsound():
    x, y = ed25519_verify.decompress(unhexlify(VECTORS[0][1]))
    # Adding the point (0, -1) of order 2 negates both coordinates.
    mixed = ed25519.encode((ed25519.P - x, ed25519.P - y, 1, x, y))
    assert not ed25519_verify.is_sound_key(mixed)


def test_comb_at_the_ends_of_the_scalars():
    base = unhexlify("5866666666666666666666666666666666666666666666666666666666666666")
    assert ed25519.encode(ed25519.multiply_base(1)) == base
    assert ed25519_verify.is_identity(ed25519.multiply_base(0))
    minus = bytearray(base)
    minus[31] |= 0x80
    assert ed25519.encode(ed25519.multiply_base(ed25519.ORDER - 1)) == minus


def test_blinds_change_nothing_but_the_coordinates():
    scalar = 0x1234567890ABCDEF << 180
    plain = ed25519.multiply_base(scalar)
    for blind in (2, 3, ed25519.P - 7, ed25519.ORDER):
        blinded = ed25519.multiply_base(scalar, blind)
        assert ed25519.encode(blinded) == ed25519.encode(plain)
        assert blinded[:3] != plain[:3]


def test_inversion():
    for z in (1, 2, ed25519.P - 1, ed25519.ORDER, 0x1234567890ABCDEF << 180):
        assert z * ed25519.inverse(z) % ed25519.P == 1
