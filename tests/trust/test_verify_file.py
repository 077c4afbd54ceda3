"""`vigil verify`: what it says of files that are right and of files that are not."""

import json

import pytest
from stand_in import Sealer, certificate_files

from host_tools import cli
from host_tools.ingest.gateway import CONFIG_NAME, Config, Gateway
from host_tools.ingest.store import Store, sqlite_url
from host_tools.sources.mqtt import Message
from host_tools.trust.pki import Authority


def said(arguments, capsys):
    """Exit status and the JSON lines of `vigil verify`."""
    with pytest.raises(SystemExit) as end:
        cli.main(["verify", *map(str, arguments), "--json"])
    return end.value.code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "device.pub"
    path.write_text(Sealer().public_key.hex() + "\n")
    return path


def test_genuine_envelopes_back_to_back(tmp_path, capsys, key):
    sealer = Sealer()
    file = tmp_path / "envelopes"
    file.write_bytes(sealer.seal() + sealer.seal())
    code, lines = said([file, "--key", key], capsys)
    assert code == 0
    assert [(line["verdict"], line["seq"], line["device"]) for line in lines] == [
        ("accepted", 0, sealer.device_id),
        ("accepted", 1, sealer.device_id),
    ]
    assert [(r["kind"], r["value"], r["absent_reason"]) for r in lines[0]["readings"]] == [
        ("heart_rate", 72.1, None),
        ("pulse_rate", 71.9, None),
        ("spo2", None, "low perfusion"),
    ]


def altered(envelope):
    return envelope[:-1] + bytes([envelope[-1] ^ 1])


REFUSED = [
    # name, what is made of a genuine envelope, reason
    ("altered", altered, "bad signature"),
    ("truncated", lambda e: e[:-5], "malformed envelope"),
    ("with a tail", lambda e: e + b"\x00", None),
    ("of another device", lambda _: Sealer(seed=bytes(32)).seal(), "unknown device"),
    ("text", lambda _: b"a letter to my aunt", "malformed envelope"),
]


@pytest.mark.parametrize(("make", "reason"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_refused(tmp_path, capsys, key, make, reason):
    file = tmp_path / "envelope"
    file.write_bytes(make(Sealer().seal()))
    code, lines = said([file, "--key", key], capsys)
    assert code == 1 and lines[-1]["verdict"] == "rejected"
    assert reason in (None, lines[-1]["reason"])


def test_text_for_people(tmp_path, capsys, key):
    file = tmp_path / "envelope"
    file.write_bytes(Sealer().seal())
    with pytest.raises(SystemExit) as end:
        cli.main(["verify", str(file), "--key", str(key)])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert f"{Sealer().device_id} boot 1 seq 0: accepted" in text
    assert "72.1 /min" in text and "low perfusion" in text


def test_a_store_is_verified_again_and_knows_its_keys(tmp_path, capsys):
    sealer = Sealer()
    sent = [sealer.seal() for _ in range(3)]
    url = sqlite_url(tmp_path / "vigil.db")
    Config("mqtts://localhost:1", url).write(tmp_path / CONFIG_NAME)
    with Store(url) as store:
        store.add_device(sealer.device_id, sealer.public_key)
        gateway = Gateway(store, None, print)
        gateway._commit([Message(sealer.device_id, e, 0, i) for i, e in enumerate(sent)])
    code, lines = said(["--state", tmp_path], capsys)
    assert code == 0 and [line["seq"] for line in lines] == [0, 1, 2]
    file = tmp_path / "second"
    file.write_bytes(sent[1])
    code, lines = said([file, "--state", tmp_path], capsys)
    assert code == 0 and lines[0]["notes"] == ["gap 0..0"]


def test_device_certificates_carry_the_id_and_nothing_else(tmp_path):
    from cryptography import x509

    certificate, _ = certificate_files(Authority(tmp_path / "pki"), tmp_path, Sealer().device_id)
    subject = x509.load_pem_x509_certificate(certificate.read_bytes()).subject
    assert subject.rfc4514_string() == f"CN={Sealer().device_id}"
