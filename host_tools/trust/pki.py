"""A certificate authority in a folder: who may open a connection. (Who is believed: see host_tools.trust.verify.)

P-256 throughout, because mbedTLS on the device has no Ed25519 for TLS. The folder and every key in it belong to
the owner alone. A device's TLS key is made here, handed over once and not kept. Each certificate of a device has a
name of its own (a URI, urn:vigil:<device id>:<serial number>), so that the broker can admit one and refuse the one
before it, and says where to ask whether it is revoked (host_tools.trust.ocsp). Certificates of this machine's own
servers and clients are renewed before they end.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from host_tools.errors import UserError
from host_tools.trust.keys import Passphrase, nobody, private_folder, read_key, write_key, write_private

SERVER_NAME = "localhost"  # what a device expects the embedded broker to be called
_AUTHORITY_DAYS = 3650
_LEAF_DAYS = 825
_RENEW = datetime.timedelta(days=60)  # before its end
_BACKDATE = datetime.timedelta(days=1)  # a device whose clock runs late still accepts us


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_bytes(key: ec.EllipticCurvePrivateKey, encoding: Encoding) -> bytes:
    return key.private_bytes(encoding, PrivateFormat.TraditionalOpenSSL, NoEncryption())


class Authority:
    """The authority kept in `folder`: made on first use, loaded afterwards; its key is opened when it has to sign.

    `ca_path` is the PEM certificate that clients and the broker trust; `ca_der` the same for a device. `responder_url`
    is what certificates of devices name as the place to ask whether they are revoked; empty: none. A gateway's machine
    can do without `ca.key`. Raises UserError for a key without its certificate, and where it has to sign and the key is
    elsewhere or cannot be opened (host_tools.trust.keys).
    """

    def __init__(self, folder: Path, passphrase: Passphrase = nobody):
        self.folder = private_folder(folder)
        self.responder_url = ""
        self.ca_path = folder / "ca.pem"
        self._key_path = folder / "ca.key"
        self._passphrase = passphrase
        self._opened = None
        if self._key_path.exists() and not self.ca_path.exists():
            raise UserError(
                f"the authority in `{folder}` is incomplete: ca.key and ca.pem belong together",
                "restore both from your backup; with new ones every device has to be provisioned again",
            )
        if self.ca_path.exists():
            try:
                self._certificate = x509.load_pem_x509_certificate(self.ca_path.read_bytes())
            except (OSError, ValueError) as e:
                raise UserError(f"`{self.ca_path}` is not a certificate", "restore it from your backup") from e
            return
        self._opened = ec.generate_private_key(ec.SECP256R1())
        # The name carries a nonce: two authorities on one machine must not be mistaken for each other.
        name = _name(f"Vigil local CA {secrets.token_hex(4)}")
        builder = self._builder(name, name, self._opened.public_key(), _AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
        self._certificate = builder.sign(self._opened, hashes.SHA256())
        write_key(self._key_path, self._opened, "the authority", passphrase)
        self.ca_path.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    @property
    def _key(self):
        if self._opened is None:
            if not self._key_path.exists():
                raise UserError(
                    f"the authority's key is not here: there is no `{self._key_path}`",
                    "do this on the machine that has it, or restore it from your backup",
                )
            self._opened = read_key(self._key_path, "the authority", self._passphrase)
        return self._opened

    def open(self) -> None:
        """Open the key now, so that what is wrong with it is said before anything else is done."""
        if self._key.public_key() != self._certificate.public_key():
            raise UserError(f"ca.key and ca.pem in `{self.folder}` are not a pair", "restore both from your backup")

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

    def responder(self) -> tuple[Path, Path]:
        """Certificate and key file (PEM) of who may say in the authority's name which certificates are revoked."""
        return self._pem_pair("responder", ExtendedKeyUsageOID.OCSP_SIGNING, x509.OCSPNoCheck())

    def device(self, device_id: str) -> tuple[bytes, bytes]:
        """A fresh certificate (CN = device id) and its key, both DER, for the device to keep."""
        serial = x509.random_serial_number() >> 96  # 63 bits: as many as its name holds
        name = x509.UniformResourceIdentifier(f"urn:vigil:{device_id}:{serial:016x}")
        extensions: list[x509.ExtensionType] = [x509.SubjectAlternativeName([name])]
        if self.responder_url:
            self.responder()  # made where the authority's key is open
            url = x509.UniformResourceIdentifier(self.responder_url)
            asked = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, url)
            extensions.append(x509.AuthorityInformationAccess([asked]))
        certificate, key = self._leaf(device_id, ExtendedKeyUsageOID.CLIENT_AUTH, *extensions, serial=serial)
        return certificate.public_bytes(Encoding.DER), _key_bytes(key, Encoding.DER)

    def _pem_pair(self, name: str, purpose, *extensions: x509.ExtensionType) -> tuple[Path, Path]:
        """The pair in the folder, made where there is none that is good or its end is near.

        One that is near its end stays where the authority's key cannot be opened, as in a gateway whose user has a
        passphrase.
        """
        certificate_path, key_path = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        end = self._pair_end(certificate_path, key_path)
        if end is None or end - _RENEW < datetime.datetime.now(datetime.UTC):
            try:
                certificate, key = self._leaf(name, purpose, *extensions)
            except UserError:
                if end is None:
                    raise
                return certificate_path, key_path
            certificate_path.unlink(missing_ok=True)  # whoever is interrupted here makes both again
            write_private(key_path, _key_bytes(key, Encoding.PEM))
            certificate_path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return certificate_path, key_path

    def _pair_end(self, certificate_path: Path, key_path: Path) -> datetime.datetime | None:
        """Until when a certificate and its key are good; None: damaged, not a pair, or of another authority."""
        try:
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
            key = load_pem_private_key(key_path.read_bytes(), None)
            certificate.verify_directly_issued_by(self._certificate)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return None
        return certificate.not_valid_after_utc if key.public_key() == certificate.public_key() else None

    def _leaf(self, name: str, purpose, *extensions: x509.ExtensionType, serial: int | None = None):
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(name), self._certificate.subject, key.public_key(), _LEAF_DAYS, serial)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._certificate.public_key())  # type: ignore[arg-type]
        builder = builder.add_extension(issuer_key, critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256()), key  # type: ignore[arg-type]

    @staticmethod
    def _builder(subject, issuer, public_key, days: int, serial: int | None = None) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )


def certificate_name(certificate_der: bytes) -> str:
    """The name by which the broker tells this certificate of a device from its others. ValueError without one."""
    certificate = x509.load_der_x509_certificate(certificate_der)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.UniformResourceIdentifier)[0]
    except (x509.ExtensionNotFound, IndexError):
        raise ValueError("a certificate without a name of its own") from None


def certificate_serial(name: str) -> int:
    """The serial number in the name of a certificate. 0 where it has none."""
    serial = name.rpartition(":")[2]
    return int(serial, 16) if re.fullmatch("[0-9a-f]{16}", serial) else 0


def certificate_end_ms(certificate_der: bytes) -> int:
    """UTC at which a certificate ends, in milliseconds."""
    return round(1000 * x509.load_der_x509_certificate(certificate_der).not_valid_after_utc.timestamp())


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
