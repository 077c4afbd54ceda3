"""Who tells the broker of revocations: what it says to which question, by OpenSSL as well as by our own reading."""

import base64
import datetime
import http.client
import shutil
import socket
import struct
import subprocess
import threading
from random import Random
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from host_tools import children
from host_tools.errors import UserError
from host_tools.ingest.gateway import Config
from host_tools.trust import pki
from host_tools.trust.ocsp import Answers, Responder
from host_tools.trust.pki import Authority, certificate_name, certificate_serial

DEVICE = "00000000000000aa"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ocsp")


@pytest.fixture(scope="module")
def authority(folder):
    made = Authority(folder / "pki")
    made.responder_url = f"http://127.0.0.1:{children.free_port()}"
    return made


@pytest.fixture(scope="module")
def issuer(authority):
    return x509.load_der_x509_certificate(authority.ca_der)


@pytest.fixture(scope="module")
def certificates(authority):
    return {name: x509.load_der_x509_certificate(authority.device(DEVICE)[0]) for name in ("good", "revoked")}


@pytest.fixture(scope="module")
def refused():
    return []


@pytest.fixture(scope="module")
def answers(authority, certificates, refused):
    return Answers(authority, lambda serial: serial == certificates["good"].serial_number, refused.append)


@pytest.fixture(scope="module")
def address(authority, answers):
    where = authority.responder_url.removeprefix("http://")
    with Responder(answers, where):
        yield where


def question(certificate, issuer, algorithm=None, nonce=None):
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm or hashes.SHA1())
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def test_a_certificates_name_carries_its_serial_number(authority, certificates):
    for certificate in certificates.values():
        name = certificate_name(certificate.public_bytes(Encoding.DER))
        assert certificate_serial(name) == certificate.serial_number > 0
    assert certificate_serial("CN=00000000000000aa") == certificate_serial("") == 0


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()], ids=["SHA-1", "SHA-256"])
@pytest.mark.parametrize("which", ["good", "revoked"])
def test_answers(answers, authority, issuer, certificates, refused, which, algorithm):
    refused.clear()
    response = ocsp.load_der_ocsp_response(answers.to(question(certificates[which], issuer, algorithm, b"n" * 16)))
    assert response.certificate_status.name.lower() == which
    assert response.serial_number == certificates[which].serial_number
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 16
    [signer] = response.certificates
    signer.verify_directly_issued_by(issuer)
    assert x509.ExtendedKeyUsageOID.OCSP_SIGNING in signer.extensions.get_extension_for_class(
        x509.ExtendedKeyUsage
    ).value  # fmt: skip
    signer.public_key().verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    assert refused == ([certificates["revoked"].serial_number] if which == "revoked" else [])


def test_questions_that_are_none(answers, issuer, certificates, folder):
    genuine = question(certificates["good"], issuer)
    stranger = x509.load_der_x509_certificate(Authority(folder / "other").ca_der)
    cases = {
        "nothing": (b"", "MALFORMED_REQUEST"),
        "nonsense": (b"\x30\x82\xff\xff" + bytes(40), "MALFORMED_REQUEST"),
        "cut": (genuine[:-1], "MALFORMED_REQUEST"),
        "more after it": (genuine + b"\0", "MALFORMED_REQUEST"),
        "another authority's": (question(certificates["good"], stranger), "UNAUTHORIZED"),
        "a genuine one": (genuine, "SUCCESSFUL"),
    }
    said = {
        name: ocsp.load_der_ocsp_response(answers.to(asked)).response_status.name for name, (asked, _) in cases.items()
    }
    assert said == {name: status for name, (_, status) in cases.items()}


def test_any_bytes_get_an_answer_and_none_that_is_good_for_another_certificate(answers, issuer, certificates):
    """A question with bits changed, cut, or with bytes more. The seed is fixed: the same ones each time."""
    random = Random(6960)
    made = [
        question(certificates["revoked"], issuer, algorithm, nonce)
        for algorithm, nonce in ((hashes.SHA1(), None), (hashes.SHA256(), None), (hashes.SHA1(), b"n" * 16))
    ]
    kinds = set()
    for _ in range(3000):
        asked = bytearray(random.choice(made))
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(asked) + 1)
            what = random.randrange(3)
            if what == 0 and at < len(asked):
                asked[at] ^= 1 << random.randrange(8)
            elif what == 1:
                asked.insert(at, random.randrange(256))
            elif len(asked) > 1:
                del asked[max(at - 1, 0) : at if random.randrange(4) else None]
        said = ocsp.load_der_ocsp_response(answers.to(bytes(asked)))
        kinds.add(said.response_status.name)
        if said.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL:
            assert said.certificate_status == ocsp.OCSPCertStatus.REVOKED
    assert kinds == {"SUCCESSFUL", "MALFORMED_REQUEST", "UNAUTHORIZED"}


def ask(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request(method, path, body, {"Content-Type": "application/ocsp-request"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_over_http(address, issuer, certificates):
    asked = question(certificates["revoked"], issuer)
    path = "/" + quote(base64.b64encode(asked).decode(), safe="")
    for status, response in (ask(address, "GET", path), ask(address, "POST", "/", asked)):
        assert status == 200
        assert ocsp.load_der_ocsp_response(response).certificate_status == ocsp.OCSPCertStatus.REVOKED
    for status, response in (
        ask(address, "GET", "/"),
        ask(address, "GET", "/favicon.ico"),
        ask(address, "GET", "/" + "A" * 60_000),
        ask(address, "POST", "/", bytes(5000)),
    ):
        assert status == 200
        assert ocsp.load_der_ocsp_response(response).response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    assert ask(address, "DELETE", "/")[0] == 501


def test_who_asks_slowly_holds_up_nobody(address, issuer, certificates):
    host, _, port = address.partition(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(20)]
    try:
        assert ask(address, "POST", "/", question(certificates["good"], issuer))[0] == 200
    finally:
        for one in slow:
            one.close()


def test_who_asks_and_goes_is_nothing_to_speak_of(address, issuer, certificates, capsys):
    host, _, port = address.partition(":")
    for _ in range(5):
        with socket.create_connection((host, int(port))) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves with a reset
            rude.sendall(b"POST / HTTP/1.0\r\nContent-Length: 70\r\n\r\n" + bytes(10))
    assert ask(address, "POST", "/", question(certificates["good"], issuer))[0] == 200
    assert capsys.readouterr().err == ""


def test_what_it_adds_to_a_certificate(authority, certificates):
    bare = Authority(authority.folder).device(DEVICE)[0]
    grown = len(certificates["good"].public_bytes(Encoding.DER)) - len(bare)
    print(f"{grown} bytes more in a certificate of {len(bare)}")
    assert 40 < grown < 64


def test_many_at_once(address, issuer, certificates):
    """Every device after the broker's restart."""
    asked = question(certificates["good"], issuer)
    said = []
    threads = [threading.Thread(target=lambda: said.append(ask(address, "POST", "/", asked)[0])) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [200] * 64


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not on PATH")
def test_openssl_believes_it(address, authority, certificates, folder):
    for which, certificate in certificates.items():
        path = folder / f"{which}.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        assert f"OCSP - URI:http://{address}" in subprocess.check_output(
            ["openssl", "x509", "-in", path, "-noout", "-text"], text=True
        )
        command = ["openssl", "ocsp", "-issuer", authority.ca_path, "-cert", path, "-url", f"http://{address}"]
        said = subprocess.run([*command, "-CAfile", authority.ca_path], capture_output=True, text=True, timeout=20)
        assert "Response verify OK" in said.stderr, said.stderr
        assert f"{which}.pem: {which}" in said.stdout


def test_a_port_in_use_or_none_is_one_sentence(answers):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 is in use"):
            Responder(answers, f"127.0.0.1:{port}")
    for wrong in ("127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", ":x"):
        with pytest.raises(UserError, match="is not where a responder could listen"):
            Responder(answers, wrong)


def test_where_certificates_say_to_ask():
    def url(**settings):
        return Config("mqtts://localhost:8883", "sqlite://", **settings).responder_url

    assert url(listen="0.0.0.0:8883") == "http://127.0.0.1:8884"
    assert url(listen="0.0.0.0:8883", responder=":9") == "http://127.0.0.1:9"
    assert url(listen="0.0.0.0:8883", responder="") == url(listen="") == ""  # another's broker asks whom it likes
    with pytest.raises(UserError, match="`nowhere` is not where a responder could listen"):
        url(listen="0.0.0.0:8883", responder="nowhere")


def test_certificates_of_this_machine_are_renewed_before_they_end(tmp_path, monkeypatch):
    authority = Authority(tmp_path, lambda what, new: b"secret")
    monkeypatch.setattr(pki, "_LEAF_DAYS", 59)
    makers = (authority.server, lambda: authority.client("gateway"), authority.responder)
    before = [tuple(path.read_bytes() for path in make()) for make in makers]
    closed = Authority(tmp_path)  # a gateway's, who cannot ask for the passphrase: what is there still serves
    assert [tuple(path.read_bytes() for path in make()) for make in (closed.server, closed.responder)] == before[::2]
    (tmp_path / "ca.key").rename(tmp_path / "elsewhere")  # nor has it to have the key
    assert Authority(tmp_path).server()[0].read_bytes() == before[0][0]
    (tmp_path / "elsewhere").rename(tmp_path / "ca.key")
    monkeypatch.setattr(pki, "_LEAF_DAYS", 825)
    for make, old in zip(makers, before, strict=True):
        certificate, key = make()
        assert certificate.read_bytes() != old[0] and key.read_bytes() != old[1]
        end = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
        assert end - datetime.datetime.now(datetime.UTC) > datetime.timedelta(days=800)
        assert make()[0].read_bytes() == certificate.read_bytes()  # once


SPOILT = [
    # name, what becomes of responder.pem and responder.key, when they are those of a pair or of another authority
    ("certificate cut", lambda pem, key, other: pem.write_text("cut")),
    ("key cut", lambda pem, key, other: key.write_text("cut")),
    ("key gone", lambda pem, key, other: key.unlink()),
    ("key of another pair", lambda pem, key, other: key.write_bytes(other[1].read_bytes())),
    ("another authority's", lambda pem, key, other: [pem.write_bytes(other[0].read_bytes()),
                                                     key.write_bytes(other[1].read_bytes())]),
]  # fmt: skip


@pytest.mark.parametrize("spoil", [row[1] for row in SPOILT], ids=[row[0] for row in SPOILT])
def test_a_pair_that_is_none_is_made_anew_or_said_and_never_used(tmp_path, spoil):
    """With a signature that nobody believes, the broker would refuse every device."""
    authority = Authority(tmp_path / "pki", lambda what, new: b"secret")
    spoil(*authority.responder(), Authority(tmp_path / "other").responder())
    with pytest.raises(UserError, match="the authority is encrypted"):
        Answers(Authority(tmp_path / "pki"), lambda serial: True)  # a gateway then does without
    certificate = x509.load_pem_x509_certificate(authority.responder()[0].read_bytes())
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(authority.ca_der))
    Answers(Authority(tmp_path / "pki"), lambda serial: True)
