"""The user's keys in files: encrypted when there is a passphrase, refused when others could have read them."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from host_tools import paths
from host_tools.errors import UserError
from host_tools.trust import keys
from host_tools.trust.home import Home
from host_tools.trust.pki import Authority


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VIGIL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VIGIL_PASSPHRASE", raising=False)
    return tmp_path / "home"


def word(secret):
    return lambda what, new: secret


def test_encrypted_when_there_is_a_passphrase(monkeypatch):
    monkeypatch.setenv("VIGIL_PASSPHRASE", "correct horse")
    with Home(make=True) as made:
        public = made.signing.public("release")
        made.signing.public("command")
    for name in ("ca", "release", "command"):
        path = paths.keys_dir() / f"{name}.key"
        assert b"ENCRYPTED" in path.read_bytes() and path.stat().st_mode & 0o777 == 0o600
        load_pem_private_key(path.read_bytes(), b"correct horse")
    assert paths.keys_dir().stat().st_mode & 0o777 == 0o700
    message = b"a release"
    signature = keys.SigningKeys(paths.keys_dir(), keys.from_user).private("release").sign(message)
    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    # Receiving needs no passphrase: the gateway's own certificate was made when the authority was open.
    monkeypatch.delenv("VIGIL_PASSPHRASE")
    with Home() as again:
        again.authority.server()
        assert again.signing.public("release") == public


def test_without_a_passphrase_keys_are_plain_but_private(monkeypatch):
    with Home(make=True):
        pass
    assert b"ENCRYPTED" not in (paths.keys_dir() / "ca.key").read_bytes()


def damage(name):
    folder = paths.keys_dir()
    key = folder / "ca.key"
    if name == "loose":
        key.chmod(0o640)
    elif name == "half":
        (folder / "ca.pem").unlink()
    elif name == "elsewhere":
        key.unlink()
    elif name == "not a key":
        key.write_bytes(b"milk, eggs\n")
    elif name == "not a certificate":
        (folder / "ca.pem").write_text("milk, eggs\n")
    elif name == "another pair":
        other = Authority(folder.parent / "other")
        key.write_bytes((other.folder / "ca.key").read_bytes())


WRONG = [
    # name, made with, opened with, sentence
    ("wrong passphrase", b"one", b"two", "the passphrase does not open the authority"),
    ("no passphrase", b"one", None, "the authority is encrypted and there is no passphrase"),
    ("loose", None, None, "others on this machine may read"),
    ("half", None, None, "is incomplete: ca.key and ca.pem belong together"),
    ("elsewhere", None, None, "the authority's key is not here"),
    ("not a key", None, None, "is not a private key"),
    ("not a certificate", None, None, "is not a certificate"),
    ("another pair", None, None, "are not a pair"),
]


@pytest.mark.parametrize(("name", "made", "opened", "sentence"), WRONG, ids=[w[0] for w in WRONG])
def test_wrong(name, made, opened, sentence):
    with Home(make=True, passphrase=word(made)):
        pass
    damage(name)
    with pytest.raises(UserError) as e, Home(make=True, passphrase=word(opened)) as home:
        home.authority.open()
    assert sentence in e.value.sentence and e.value.hint


def test_another_users_keys(monkeypatch):
    with Home(make=True):
        pass
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(UserError, match="belongs to another user"):
        Home(make=True)


def test_signing_keys_that_are_damaged(tmp_path):
    signing = keys.SigningKeys(tmp_path / "k")
    signing.public("command")
    (tmp_path / "k" / "command.pub").write_text("not hex")
    with pytest.raises(UserError, match="the key for commands in"):
        signing.public("command")
    (tmp_path / "k" / "command.pub").unlink()  # interrupted between the two files
    assert signing.public("command") == signing.private("command").public_key().public_bytes_raw()
    with pytest.raises(UserError, match="cannot read"):
        signing.private("release")


def test_the_passphrase_is_asked_for_twice_when_new(monkeypatch):
    said = iter(["one", "two", "one", "one", ""])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(said))
    with pytest.raises(UserError, match="differ"):
        keys.from_user("it", True)
    assert keys.from_user("it", True) == b"one"
    assert keys.from_user("it", True) is None
