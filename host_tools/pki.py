"""A certificate authority in a folder: who may open a connection. (Who is believed: see host_tools.verify.)

P-256 throughout, because mbedTLS on the device has no Ed25519 for TLS. The folder and every key in it belong to
the owner alone. A device's TLS key is made here, handed over once and not kept.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from host_tools.errors import UserError

SERVER_NAME = "localhost"  # what a device expects the embedded broker to be called
_AUTHORITY_DAYS = 3650
_LEAF_DAYS = 825
_BACKDATE = datetime.timedelta(days=1)  # a device whose clock runs late still accepts us


def write_private(path: Path, content: bytes) -> None:
    """Write `content` so that only the owner can read it, from the first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can enter. Raises UserError when that is impossible."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError
    except OSError as e:
        raise UserError(f"cannot write to the folder `{path}`", "name a folder of your own with --state") from e
    return path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_bytes(key: ec.EllipticCurvePrivateKey, encoding: Encoding) -> bytes:
    return key.private_bytes(encoding, PrivateFormat.TraditionalOpenSSL, NoEncryption())


class Authority:
    """The authority kept in `folder`: made on first use, loaded afterwards.

    `ca_path` is the PEM certificate that clients and the broker trust; `ca_der` the same for a device.
    """

    def __init__(self, folder: Path):
        self.folder = private_folder(folder)
        self.ca_path = folder / "ca.pem"
        key_path = folder / "ca.key"
        if key_path.exists() and self.ca_path.exists():
            self._key = load_pem_private_key(key_path.read_bytes(), None)
            self._certificate = x509.load_pem_x509_certificate(self.ca_path.read_bytes())
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())
            # The name carries a nonce: two authorities on one machine must not be mistaken for each other.
            name = _name(f"Vigil local CA {secrets.token_hex(4)}")
            builder = self._builder(name, name, self._key.public_key(), _AUTHORITY_DAYS)
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
            self._certificate = builder.sign(self._key, hashes.SHA256())
            write_private(key_path, _key_bytes(self._key, Encoding.PEM))
            self.ca_path.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    @property
    def ca_der(self) -> bytes:
        """The authority's certificate in DER."""
        return self._certificate.public_bytes(Encoding.DER)

    def server(self, name: str = "server", hosts: tuple[str, ...] = (SERVER_NAME, "127.0.0.1")) -> tuple[Path, Path]:
        """Certificate and key file (PEM) of a server reached as any of `hosts` (names or addresses)."""
        alternatives: list[x509.GeneralName] = []
        for host in hosts:
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                alternatives.append(x509.DNSName(host))
        return self._pem_pair(name, ExtendedKeyUsageOID.SERVER_AUTH, x509.SubjectAlternativeName(alternatives))

    def client(self, name: str) -> tuple[Path, Path]:
        """Certificate and key file (PEM) of a client with common name `name`, e.g. the gateway."""
        return self._pem_pair(name, ExtendedKeyUsageOID.CLIENT_AUTH)

    def device(self, device_id: str) -> tuple[bytes, bytes]:
        """A fresh certificate (CN = device id) and its key, both DER, for the device to keep."""
        certificate, key = self._leaf(device_id, ExtendedKeyUsageOID.CLIENT_AUTH)
        return certificate.public_bytes(Encoding.DER), _key_bytes(key, Encoding.DER)

    def _pem_pair(self, name: str, purpose, *extensions: x509.ExtensionType) -> tuple[Path, Path]:
        certificate_path, key_path = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        if not (certificate_path.exists() and key_path.exists()):
            certificate, key = self._leaf(name, purpose, *extensions)
            write_private(key_path, _key_bytes(key, Encoding.PEM))
            certificate_path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return certificate_path, key_path

    def _leaf(self, name: str, purpose, *extensions: x509.ExtensionType):
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(name), self._certificate.subject, key.public_key(), _LEAF_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._certificate.public_key())  # type: ignore[arg-type]
        builder = builder.add_extension(issuer_key, critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256()), key  # type: ignore[arg-type]

    @staticmethod
    def _builder(subject, issuer, public_key, days: int) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
