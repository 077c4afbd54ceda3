"""A MicroPython whose words are as wide as the chip's: `python -m host_tools.virtual.micropython32` prints where it is.

The interpreter of the suite has 64-bit words. What only 32-bit words show (a small integer that no longer is one and
allocates, a product that wraps in viper, what a structure really takes) shows on Debian's MicroPython for i386,
which runs on any x86-64 Linux beside its own C library. It is fetched once into the cache, checked against the
SHA-256 of Debian's package list, and started by a script that VIGIL_MICROPYTHON may name; `make test32` does both.

It lacks what Debian leaves out: LittleFS and the `ssl` module, for which a stand-in over `tls` is written.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from host_tools.errors import UserError
from host_tools.paths import cache_dir

ARCHIVE = os.environ.get("VIGIL_DEBIAN", "http://deb.debian.org/debian")
SUITE = "trixie"
PACKAGES = ("micropython", "libc6", "libffi8", "libgcc-s1", "libmbedcrypto16", "libmbedtls21", "libmbedx509-7")
_TIMEOUT_S = 60
_AR_MAGIC = b"!<arch>\n"
_SSL = """# Debian freezes no ssl module: what the firmware uses of it, over tls.
import tls
from tls import CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED, PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER


def _content(file):
    with open(file, "rb") as opened:
        return opened.read()


class SSLContext:
    def __init__(self, protocol):
        self._context = tls.SSLContext(protocol)

    @property
    def verify_mode(self):
        return self._context.verify_mode

    @verify_mode.setter
    def verify_mode(self, mode):
        self._context.verify_mode = mode

    def load_verify_locations(self, cafile=None, cadata=None):
        self._context.load_verify_locations(cadata or _content(cafile))

    def load_cert_chain(self, certfile, keyfile):
        self._context.load_cert_chain(_content(certfile), _content(keyfile))

    def wrap_socket(self, sock, server_side=False, do_handshake_on_connect=True, server_hostname=None):
        return self._context.wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=do_handshake_on_connect,
            server_hostname=server_hostname,
        )
"""
_START = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
lib=$here/usr/lib/i386-linux-gnu
export MICROPYPATH=${MICROPYPATH:-.frozen}:$here/modules
exec "$lib/ld-linux.so.2" --library-path "$lib" "$here/usr/bin/micropython" "$@"
"""


def fetched() -> Path:
    """Path of the script that starts it; fetched on the first call. Raises UserError where it cannot be had."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "i686"):
        raise UserError("a 32-bit MicroPython runs on x86 Linux only", "the suite without it is `make test`")
    home = cache_dir() / f"micropython32-{SUITE}"
    start = home / "micropython32"
    if start.exists():
        return start
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        tree = Path(scratch) / "tree"
        try:
            index = _index(_get(f"dists/{SUITE}/main/binary-i386/Packages.xz"))
            for name in PACKAGES:
                unpack(_checked(*index[name]), tree)
        except (OSError, KeyError, lzma.LZMAError, tarfile.TarError) as e:
            hint = "it needs the network, once; VIGIL_DEBIAN names another mirror"
            raise UserError(f"cannot fetch a 32-bit MicroPython: {e}", hint) from None
        (tree / "modules").mkdir()
        (tree / "modules" / "ssl.py").write_text(_SSL)
        script = tree / start.name
        script.write_text(_START)
        script.chmod(0o755)
        shutil.rmtree(home, ignore_errors=True)
        tree.rename(home)
    return start


def unpack(package: bytes, folder: Path) -> None:
    """Write the files of a Debian package, an `ar` archive with data.tar.xz in it, below `folder`."""
    if not package.startswith(_AR_MAGIC):
        raise tarfile.TarError("not a Debian package")
    at = len(_AR_MAGIC)
    while at + 60 <= len(package):
        name, size = package[at : at + 16].decode().strip().rstrip("/"), int(package[at + 48 : at + 58])
        at += 60
        if name == "data.tar.xz":
            with tarfile.open(fileobj=io.BytesIO(lzma.decompress(package[at : at + size]))) as tar:
                tar.extractall(folder, filter="tar")
            return
        at += size + size % 2
    raise tarfile.TarError("a Debian package without data.tar.xz")


def _index(packages: bytes) -> dict[str, tuple[str, str]]:
    """Path and SHA-256 of each package, by name."""
    found = {}
    for stanza in lzma.decompress(packages).decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Package") in PACKAGES:
            found[fields["Package"]] = fields["Filename"], fields["SHA256"]
    return found


def _checked(path: str, sha256: str) -> bytes:
    content = _get(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise OSError(f"{path} is not what the package list says")
    return content


def _get(path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"{ARCHIVE}/{path}", timeout=_TIMEOUT_S) as answer:
            return answer.read()
    except urllib.error.URLError as e:
        raise OSError(f"{path}: {e.reason}") from None


if __name__ == "__main__":
    try:
        print(fetched())
    except UserError as e:
        sys.exit(f"vigil: {e}")
