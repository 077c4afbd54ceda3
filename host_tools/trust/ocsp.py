"""Which certificates are revoked, told to our own broker by OCSP (RFC 6960), so that it ends their TLS handshakes.

A certificate made by `Authority.device` with a responder's address names it, and the broker asks there while the
handshake waits. Whoever is admitted is `good`; whoever is not is `revoked`: revoked, replaced by a rotation, or never
registered, which section 2.2 of the RFC has us say by a date of 1970 and the reason "certificate hold". Answers are
signed by a key that the authority has named for it, so the authority's own key stays closed. Nothing is kept
between requests: what `admits` says now is the answer.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import ocsp

from host_tools.children import endpoint
from host_tools.errors import UserError
from host_tools.trust.keys import read_private
from host_tools.trust.pki import Authority

_MOST_BYTES = 2048  # of a request; the broker's have 70
_PATIENCE_S = 5  # for one that is slow to ask
_VALID = datetime.timedelta(minutes=1)
_NEVER_ISSUED = datetime.datetime(1970, 1, 1)
_EXTENDED_REVOKE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.9"), b"\x05\x00")

Admits = Callable[[int], bool]  # serial number of a certificate -> whether its handshake may go on
Told = Callable[[int], None]  # is told of each certificate that is refused


class Answers:
    """What is said to a request, without I/O. Raises UserError where the authority can name no key for it."""

    def __init__(self, authority: Authority, admits: Admits, on_refused: Told = lambda serial: None):
        certificate_path, key_path = authority.responder()
        self._certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = load_pem_private_key(read_private(key_path), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        issuer = x509.load_der_x509_certificate(authority.ca_der)
        self._issuer_key = issuer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._issuer_name = issuer.subject.public_bytes()
        self._admits = admits
        self._on_refused = on_refused

    def to(self, request_der: bytes) -> bytes:
        """The response in DER: signed, or an error for what is no request or asks about another authority's."""
        try:
            request = ocsp.load_der_ocsp_request(request_der)
            asked = hashlib.new(request.hash_algorithm.name, self._issuer_key).digest()
            named = hashlib.new(request.hash_algorithm.name, self._issuer_name).digest()
            nonces = [e.value for e in request.extensions if isinstance(e.value, x509.OCSPNonce)]
            serial = request.serial_number
        except (ValueError, NotImplementedError, UnsupportedAlgorithm):
            return _error(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        if (request.issuer_key_hash, request.issuer_name_hash) != (asked, named):
            return _error(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        if serial <= 0:
            return _error(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        good = self._admits(serial)
        if not good:
            self._on_refused(serial)
        now = datetime.datetime.now(datetime.UTC)
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=named,
            issuer_key_hash=asked,
            serial_number=serial,
            algorithm=request.hash_algorithm,
            cert_status=ocsp.OCSPCertStatus.GOOD if good else ocsp.OCSPCertStatus.REVOKED,
            this_update=now,
            next_update=now + _VALID,
            revocation_time=None if good else _NEVER_ISSUED,
            revocation_reason=None if good else x509.ReasonFlags.certificate_hold,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self._certificate)
        builder = builder.certificates([self._certificate]).add_extension(_EXTENDED_REVOKE, critical=False)
        for nonce in nonces:
            builder = builder.add_extension(nonce, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)


def _error(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


class Responder:
    """A context: answers over HTTP at `address` ("127.0.0.1:port"), by GET and by POST (RFC 6960, appendix A).

    Raises UserError when somebody else has that port.
    """

    def __init__(self, answers: Answers, address: str):
        where = endpoint(address, "responder", 'responder = "127.0.0.1:8884"')

        class Handler(_Handler):
            to = staticmethod(answers.to)

        try:
            self._server = _Server(where, Handler)
        except OSError as e:
            raise UserError(f"port {where[1]} on {where[0]} is in use", e.strerror or "") from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="ocsp", daemon=True)

    def __enter__(self) -> Responder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256  # every device at once, after the broker's restart

    def handle_error(self, request, client_address) -> None:
        """Say what went wrong, unless who asked has gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE_S
    to: Callable[[bytes], bytes]

    def do_GET(self) -> None:
        try:
            request = base64.b64decode(unquote(self.path[1:][: 2 * _MOST_BYTES]), validate=True)
        except (binascii.Error, ValueError):
            request = b""
        self._answer(request)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        self._answer(self.rfile.read(int(length)) if length.isdigit() and int(length) <= _MOST_BYTES else b"")

    def _answer(self, request: bytes) -> None:
        response = self.to(request)
        self.send_response(200)
        self.send_header("Content-Type", "application/ocsp-response")
        self.send_header("Content-Length", str(len(response)))
        self.end_headers()
        self.wfile.write(response)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the gateway's log says who was refused."""
