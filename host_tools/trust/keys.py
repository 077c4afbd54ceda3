"""Private keys in files: the owner's alone, encrypted where there is a passphrase, refused where others may read them.

    keys = SigningKeys(paths.keys_dir())
    keys.public("release")        # 32 bytes that a device pins; made on first use
    keys.private("release")       # asks for the passphrase when the file is encrypted

The passphrase comes from VIGIL_PASSPHRASE, else from the person at the terminal; never from the command line, which
other users of the machine can read.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from host_tools.errors import UserError

PURPOSES = ("release", "command")  # what a device believes: new firmware, and orders
NEXT = "next release"  # a key that devices learn by a release of the present one's
Passphrase = Callable[[str, bool], "bytes | None"]  # (what it is for, is it a new one) -> passphrase; None: none


def nobody(what: str, new: bool) -> bytes | None:
    """No passphrase: keys of throw-away authorities, and of machines where nobody can be asked."""
    return None


def from_user(what: str, new: bool) -> bytes | None:
    """VIGIL_PASSPHRASE, else what the person at the terminal types; None where there is neither or it is empty."""
    known = os.environ.get("VIGIL_PASSPHRASE")
    if known is not None:
        return known.encode() or None
    if not sys.stdin.isatty():
        return None
    import getpass

    if not new:
        return getpass.getpass(f"passphrase of {what}: ").encode() or None
    first = getpass.getpass(f"new passphrase for {what} (empty: none): ")
    if first and getpass.getpass("the same again: ") != first:
        raise UserError("the two passphrases differ", "nothing was made; try again")
    return first.encode() or None


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can enter. Raises UserError where that is impossible, or it is another's."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(path)
        path.chmod(0o700)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError
    except OSError as e:
        raise UserError(f"cannot write to the folder `{path}`", "name a folder of your own with --state") from e
    return path


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only the owner can read, from the first byte on; whole or not at all."""
    scratch = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        scratch.unlink()
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def read_private(path: Path) -> bytes:
    """Read a private file. Raises UserError when it is another user's, or others may read it."""
    try:
        _check_owner(path)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise UserError(
                f"others on this machine may read `{path}`", f"if nobody did: chmod 600 {path}; else make new keys"
            )
        return path.read_bytes()
    except OSError as e:
        raise UserError(f"cannot read `{path}`", e.strerror or "") from None


def _check_owner(path: Path) -> None:
    if os.name == "posix" and path.stat().st_uid != os.geteuid():
        raise UserError(f"`{path}` belongs to another user", "keys belong to who uses them: VIGIL_HOME names a folder")


def write_key(path: Path, key: Any, what: str, passphrase: Passphrase) -> None:
    """Write a new private key as PKCS 8, encrypted when `passphrase` gives one."""
    secret = passphrase(what, True)
    encryption = BestAvailableEncryption(secret) if secret else NoEncryption()
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def read_key(path: Path, what: str, passphrase: Passphrase) -> Any:
    """Read a private key, encrypted or not. Raises UserError: absent, loose, another's, locked, wrong, damaged."""
    pem = read_private(path)
    locked = b"ENCRYPTED" in pem
    secret = passphrase(what, False) if locked else None
    if locked and not secret:
        raise UserError(f"{what} is encrypted and there is no passphrase", "set VIGIL_PASSPHRASE, or use a terminal")
    try:
        return load_pem_private_key(pem, secret)
    except ValueError:
        if locked:
            raise UserError(f"the passphrase does not open {what}", f"try again; the key is `{path}`") from None
        raise UserError(f"`{path}` is not a private key", "restore it from your backup") from None


class SigningKeys:
    """The Ed25519 keys whose public halves devices pin, one for each of PURPOSES, in `folder`."""

    def __init__(self, folder: Path, passphrase: Passphrase = nobody):
        self.folder = private_folder(folder)
        self._passphrase = passphrase

    def public(self, purpose: str) -> bytes:
        """Public key, 32 bytes; the pair is made on first use."""
        path, public_path = self._paths(purpose)
        if public_path.exists():
            with contextlib.suppress(ValueError, OSError):
                found = bytes.fromhex(public_path.read_text().strip())
                if len(found) == 32 and path.exists():
                    return found
            raise UserError(f"the key for {purpose}s in `{self.folder}` is damaged", "restore it from your backup")
        if path.exists():  # interrupted between the two files
            key = self.private(purpose)
        else:
            key = Ed25519PrivateKey.generate()
            write_key(path, key, f"the key for {purpose}s", self._passphrase)
        found = key.public_key().public_bytes_raw()
        public_path.write_text(found.hex() + "\n")
        return found

    def private(self, purpose: str) -> Ed25519PrivateKey:
        """Private key. Raises UserError when it is absent or cannot be opened."""
        return read_key(self._paths(purpose)[0], f"the key for {purpose}s", self._passphrase)

    def has(self, purpose: str) -> bool:
        """Whether there is such a key."""
        return self._paths(purpose)[0].exists()

    def succeed(self) -> None:
        """The next release key takes the place of the present one, which is kept under the name `old release`."""
        for old, new in zip(self._paths("release"), self._paths(NEXT), strict=True):
            if new.exists():
                if old.exists():
                    old.replace(old.with_stem("old release"))
                new.replace(old)

    def _paths(self, purpose: str) -> tuple[Path, Path]:
        assert purpose in (*PURPOSES, NEXT)
        return self.folder / f"{purpose}.key", self.folder / f"{purpose}.pub"
