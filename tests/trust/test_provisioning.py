"""Who is enrolled and who is not: attacks on provisioning by name, and interruptions at every single step."""

import secrets
import threading

import pytest
from desk_board import DeskBoard, Device
from stand_in import FastSigner

from host_tools import paths
from host_tools.bringup import provision
from host_tools.bringup.provision import Wishes
from host_tools.errors import UserError
from host_tools.trust import registry
from host_tools.trust.home import Home
from host_tools.trust.keys import nobody
from vigil.app.identity import prove
from vigil.crypto.signer import PROOF_PREFIX, Signer

WISHES = Wishes(name="Anna", wifi_ssid="ward 3", wifi_key="secret88", host="gateway.example", port=8883, leds="normal")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(provision, "_CLOCK_S", 0.02)
    monkeypatch.setattr(provision, "_CLOCK_PPM", 10**6)
    monkeypatch.setenv("VIGIL_HOME", str(tmp_path / "home"))


@pytest.fixture
def home():
    with Home(make=True, passphrase=nobody) as opened:
        yield opened


def run(monkeypatch, home, device, wishes=WISHES, **faults):
    monkeypatch.setattr(provision, "OnBoard", DeskBoard.plug(device, **faults))
    return provision.provision("desk", wishes, home, say=lambda words: None)


def state(home):
    return {(d.device, d.state, d.name) for d in home.register.all()}, home.register.admitted()


def test_a_new_device(monkeypatch, home, tmp_path):
    device = Device(tmp_path / "device")
    made = run(monkeypatch, home, device)
    (known,) = home.register.all()
    assert known.name == "Anna" and known.state == "active" and known.device == made["device"]
    assert known.public_key == Signer(device.keystore.held["sign.seed"]).public_key
    held = device.keystore.held
    assert held["link.host"] == b"gateway.example" and held["wifi.key"] == b"secret88" and held["ppg.swap"] == b"0"
    assert held["release.key"] == home.signing.public("release") != held["command.key"]
    assert len(held["link.client"]) == 22 and held["prov.state"] == b"done"
    assert device.fed > 5, "a watchdog that runs already is fed meanwhile"
    assert home.register.admitted() == {known.device: (known.certificate,)}
    again = run(monkeypatch, home, device, Wishes(leds="swapped", radio_burst=6))
    assert again["again"] and again["name"] == "Anna" and again["host"] == "gateway.example"
    assert device.keystore.held["radio.burst"] == b"6"
    assert device.keystore.held["ppg.swap"] == b"1" and device.keystore.held["wifi.ssid"] == b"ward 3"
    (renewed,) = home.register.all()
    assert home.register.admitted() == {known.device: (renewed.certificate,)} != {known.device: (known.certificate,)}


def signed_by(seed, message):
    return Signer(seed).sign(message).hex()


SEEN: dict = {}


def _no_proof(answer, nonce):
    return {"key": answer["key"]}


def _wrong_nonce(answer, nonce):
    seed = SEEN["device"].keystore.held["sign.seed"]
    return answer | {"signature": signed_by(seed, PROOF_PREFIX + b"another nonce 16")}


def _bare_nonce(answer, nonce):
    return answer | {"signature": signed_by(SEEN["device"].keystore.held["sign.seed"], bytes.fromhex(nonce))}


def _replayed(answer, nonce):
    SEEN.setdefault("first", answer)
    return SEEN["first"]


def _borrowed_key(answer, nonce):
    """The public key of a known device, signed with one's own."""
    return answer | {"key": Signer(b"V" * 32).public_key.hex()}


def _weak_key(answer, nonce):
    """The neutral point as key, for which R = neutral point and s = 0 is a signature of anything."""
    return {"key": "01" + 31 * "00", "signature": "01" + 63 * "00"}


ATTACKS = [
    # name, what the board answers, the named reason
    ("no proof of possession", _no_proof, "no proof of possession"),
    ("proof for a nonce of one's own", _wrong_nonce, "no proof of possession"),
    ("the nonce signed without its prefix", _bare_nonce, "no proof of possession"),
    ("another device's public key", _borrowed_key, "no proof of possession"),
    ("a key of small order", _weak_key, "no proof of possession"),
    ("an answer that is no answer", lambda answer, nonce: "yes", "no proof of possession"),
]


# requirement: TRU-2
@pytest.mark.parametrize(("lie", "reason"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS])
def test_attack(monkeypatch, home, tmp_path, lie, reason):
    SEEN.clear()
    SEEN["device"] = device = Device(tmp_path / "device")
    with pytest.raises(provision.Refused) as e:
        run(monkeypatch, home, device, lies={"prove": lie})
    assert e.value.reason == reason and e.value.hint and reason in e.value.sentence
    assert state(home) == (set(), {}), "nothing half done"
    assert set(device.keystore.held) == {"sign.seed"} and not list((tmp_path / "device").iterdir())


def test_replayed_proof(monkeypatch, home, tmp_path):
    SEEN.clear()
    device = Device(tmp_path / "device")
    run(monkeypatch, home, device, lies={"prove": _replayed})
    before = state(home)
    with pytest.raises(provision.Refused, match="no proof of possession"):
        run(monkeypatch, home, device, lies={"prove": _replayed})
    assert state(home) == before


def test_duplicate_identity(monkeypatch, home, tmp_path):
    """A copy of a device's flash in another board: the same key, the same proof, another chip."""
    device, copy = Device(tmp_path / "device"), Device(tmp_path / "copy", hardware="112233445566")
    run(monkeypatch, home, device)
    copy.keystore.held = dict(device.keystore.held)
    before = state(home)
    with pytest.raises(UserError, match="duplicate identity: the key of device"):
        run(monkeypatch, home, copy)
    assert state(home) == before


def test_known_with_another_key(monkeypatch, home, tmp_path):
    device = Device(tmp_path / "device")
    name = Signer(device.keystore.held.setdefault("sign.seed", b"S" * 32)).device_id
    home.store.add_device(name, secrets.token_bytes(32))
    with pytest.raises(UserError, match=r"duplicate identity: device .* is known with another key"):
        run(monkeypatch, home, device)
    assert set(device.keystore.held) == {"sign.seed"}


# requirement: TRU-2
def test_a_revoked_device_does_not_come_back(monkeypatch, home, tmp_path):
    device = Device(tmp_path / "device")
    made = run(monkeypatch, home, device)
    home.register.revoke(made["device"])
    with pytest.raises(UserError, match="was revoked") as e:
        run(monkeypatch, home, device)
    assert "rotate --key" in e.value.hint and home.register.admitted() == {}


def test_a_name_in_use(monkeypatch, home, tmp_path):
    run(monkeypatch, home, Device(tmp_path / "one", hardware="01"))
    with pytest.raises(UserError, match="`Anna` is the name of device"):
        run(monkeypatch, home, Device(tmp_path / "two", hardware="02"))


def test_rotation_and_a_new_identity(monkeypatch, home, tmp_path):
    device = Device(tmp_path / "device")
    run(monkeypatch, home, device)
    (first,) = home.register.all()
    monkeypatch.setattr(provision, "OnBoard", DeskBoard.plug(device))
    done = provision.rotate("desk", first, home, say=lambda words: None)
    (second,) = home.register.all()
    assert done["device"] == first.device and second.certificate != first.certificate
    assert home.register.admitted() == {first.device: (second.certificate,)}
    (tmp_path / "device" / "journal").mkdir()
    (tmp_path / "device" / "journal" / "1").write_bytes(b"signed with the old key")
    seed = device.keystore.held["sign.seed"]
    new = provision.rotate("desk", second, home, new_key=True, say=lambda words: None)
    assert device.keystore.held["sign.seed"] != seed and not (tmp_path / "device" / "journal").exists()
    states = {d.device: (d.state, d.name, d.successor) for d in home.register.all()}
    assert states[new["device"]] == ("active", "Anna", None)
    assert states[first.device][::2] == ("revoked", new["device"])
    assert list(home.register.admitted()) == [new["device"]]
    other = Device(tmp_path / "other", hardware="02")
    monkeypatch.setattr(provision, "OnBoard", DeskBoard.plug(other))
    with pytest.raises(UserError, match=r"is device .*, not"):
        provision.rotate("desk", home.register.find("Anna"), home, say=lambda words: None)


def test_the_cable_is_pulled_at_every_step(monkeypatch, home, tmp_path):
    """Of a new device, and of one in use: at no step is a device locked out, or its key pair a mixture."""
    proof = {}

    def cheap(board, nonce):  # the same seed and nonce, the same answer
        if board.keystore.get("sign.seed") is None:
            board.keystore.set("sign.seed", board.random(32))
        key = board.keystore.get("sign.seed"), nonce
        return proof[key] if key in proof else proof.setdefault(key, prove(board, nonce))

    monkeypatch.setattr("vigil.app.identity.prove", cheap)
    monkeypatch.setattr(provision.secrets, "token_bytes", lambda n: b"N" * n)
    run(monkeypatch, home, Device(tmp_path / "whole", hardware="whole"), Wishes(**{**vars(WISHES), "name": "whole"}))
    steps = len(provision.OnBoard.board.calls)
    assert steps > 20
    fresh, used = 0, 0
    for at in range(steps):
        device = Device(tmp_path / f"{at}", hardware=f"{at}")
        device.keystore.held["sign.seed"] = b"%032d" % (at % 3)  # few keys: signing on CPython takes its time
        wishes = Wishes(**{**vars(WISHES), "name": f"device {at}"})
        name = Signer(device.keystore.held["sign.seed"]).device_id if at < 3 else None
        with pytest.raises(UserError):
            run(monkeypatch, home, device, wishes, lost_at=at)
        board_holds = tls(device)
        known = [d for d in home.register.all() if d.hardware == f"{at}"]
        if not known:
            fresh += 1
            assert board_holds is None
        else:
            assert known[0].state == "pending" and (board_holds is None or board_holds in admitted(home)), at
        run(monkeypatch, home, device, wishes)  # takes up where it stopped
        assert tls(device) in admitted(home)
        with pytest.raises(UserError):
            run(monkeypatch, home, device, wishes, lost_at=at)
        used += 1
        assert (tls(device) or tls(device, "tls.old")) in admitted(home), f"locked out at step {at}"
        made = run(monkeypatch, home, device, wishes)
        assert admitted(home) == {tls(device), *(c for c in admitted(home) if c)} and name in (None, made["device"])
        forget(home, made["device"])
    assert fresh > 15 and used == steps


def test_a_new_identity_interrupted_at_every_step(monkeypatch, home, tmp_path):
    """At no step is there an identity that is believed and that no board holds; said again, it goes on."""

    def quick_prove(board, nonce):
        seed = board.keystore.get("sign.seed") or board.random(32)
        board.keystore.set("sign.seed", seed)
        signer = FastSigner(seed)
        return signer.public_key, signer.sign(PROOF_PREFIX + nonce)

    def anew(device, old, **faults):
        monkeypatch.setattr(provision, "OnBoard", DeskBoard.plug(device, **faults))
        who = home.register.find(old)
        return provision.rotate("desk", who, home, new_key=True, say=lambda words: None)

    def believed():
        return {d.device for d in home.register.all() if d.state != "revoked"}

    monkeypatch.setattr("vigil.app.identity.prove", quick_prove)
    whole = Device(tmp_path / "whole")
    anew(whole, run(monkeypatch, home, whole)["device"])
    steps = len(provision.OnBoard.board.calls)
    others = believed()
    ways = set()
    for at in range(steps):
        wishes = Wishes(**{**vars(WISHES), "name": f"device {at}"})
        device = Device(tmp_path / f"{at}", hardware=f"{at}")
        old = run(monkeypatch, home, device, wishes)["device"]
        with pytest.raises(UserError):
            anew(device, old, lost_at=at)
        held = FastSigner(device.keystore.held["sign.seed"]).device_id
        assert believed() - others <= {held}, f"an identity that nobody holds, at step {at}"
        try:
            made = anew(device, old)
            ways.add("again")
        except UserError as e:
            assert "its new identity was interrupted: vigil provision" in e.hint
            ways.add("provision")
            made = run(monkeypatch, home, device, wishes)
        held = FastSigner(device.keystore.held["sign.seed"]).device_id
        assert made["device"] == held and believed() - others == {held}
        others |= believed()
    assert ways == {"again", "provision"} and steps > 10


def test_since_when_a_device_is_revoked_does_not_change(monkeypatch, home, tmp_path):
    made = run(monkeypatch, home, Device(tmp_path / "device"))
    home.register.revoke(made["device"])
    first = home.register.find(made["device"]).revoked_ms
    monkeypatch.setattr(registry, "now_ms", lambda: first + 1000)
    home.register.revoke(made["device"], successor="00000000000000bb")
    home.register.revoke(made["device"])
    known = home.register.find(made["device"])
    assert known.revoked_ms == first and known.successor == "00000000000000bb"


def test_a_chip_does_not_look_for_the_gateway_in_itself(monkeypatch, home, tmp_path):
    device = Device(tmp_path / "device")
    run(monkeypatch, home, device)
    with pytest.raises(UserError, match="cannot reach `127"):
        run(monkeypatch, home, device, Wishes(host="127.0.0.1"))  # the network is the one that it knows
    assert device.keystore.held["link.host"] == b"gateway.example"


def tls(device, folder="tls"):
    """Name of the certificate that a device holds, after a check that the pair is one; None without."""
    from pathlib import Path

    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    from host_tools.trust.pki import certificate_name

    held = Path(device.fs) / folder
    if not held.exists():
        return None
    certificate = (held / "client.der").read_bytes()
    key = load_der_private_key((held / "client.key").read_bytes(), None)
    assert key.public_key() == x509.load_der_x509_certificate(certificate).public_key(), "a mixed pair"
    return certificate_name(certificate)


def admitted(home):
    return {name for names in home.register.admitted().values() for name in names}


def forget(home, device):
    """So that the next turn may use the same key in another board."""
    with home.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM provisioned WHERE device = ?", (device,))
        connection.exec_driver_sql("DELETE FROM devices WHERE device = ?", (device,))


BLIND = {"i2c": [], "max30102": "no answer", "ecg": "no answer", "ecg_part": None}
FAILURES = [
    # name, what the board says instead of the truth, sentence
    ("the generator repeats", "random", lambda said: False, "random generator, it repeats"),
    ("flash that forgets", "flash", lambda said: [False, 0], "flash, it does not keep what is written"),
    ("too little memory", "memory", lambda said: 9_000, "memory, 8 KB of heap free"),
    ("a dead LED", "light", lambda said: [[1, 1], [9000, 1], [1, 1]], "the second LED is dark"),
    ("one light in both columns", "light", lambda said: [[1, 1], [9000, 9000], [9000, 9000]], "in both columns"),
    ("no sensor at all", "parts", lambda said: BLIND, "MAX30102, no answer"),
    ("NVS that is full", "put", lambda said, name, value: name != "link.port", "does not keep the setting link.port"),
    ("flash that is worn out", "stage_file", lambda said, name, content: "00", "does not keep the file ca.der"),
]


@pytest.mark.parametrize(("function", "lie", "sentence"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES])
def test_a_board_that_fails(monkeypatch, home, tmp_path, function, lie, sentence):
    device = Device(tmp_path / "device")
    with pytest.raises(UserError) as e:
        run(monkeypatch, home, device, lies={function: lie})
    assert sentence in e.value.sentence and e.value.hint
    assert state(home) == (set(), {}) and tls(device) is None


LIGHT = [
    # dark, first LED, second LED; does it glow red (None: nobody is there); result, exchanged
    ([[20, 20], [9000, 30], [30, 9000]], True, "good", 0),
    ([[20, 20], [9000, 30], [30, 9000]], False, "good", 1),
    ([[20, 20], [9000, 30], [30, 9000]], None, "good", None),
    ([[20, 20], [30, 9000], [9000, 30]], None, "good", 2),
    ([[20, 20], [25, 22], [22, 25]], None, "warning", None),
    ([[20, 20], [9000, 30], [30, 30]], None, "failed", None),
]


# requirement: LED-1
@pytest.mark.parametrize(("levels", "red", "result", "exchanged"), LIGHT)
def test_red_and_infrared_are_told_apart(tmp_path, levels, red, result, exchanged):
    device = Device(tmp_path / "device")
    device.levels = levels
    slow = threading.Event()

    def person(question):
        assert "red" in question and not slow.wait(0.3)
        return red

    line, found = provision.light(DeskBoard(device), Wishes(), None if red is None else person)
    assert (line.result, found) == (result, exchanged)
    assert red is None or device.fed >= 1, "people are slower than a watchdog"


# requirement: TRU-4
def test_keys_stay_where_they_are(monkeypatch, home, tmp_path):
    """Neither the device's key nor the Wi-Fi key leaves the device; no private key of ours goes on to it."""
    device = Device(tmp_path / "device")
    run(monkeypatch, home, device)
    board = provision.OnBoard.board
    said = str([board.call(f) for f in ("settings", "tls", "crash")])
    seed = device.keystore.held["sign.seed"]
    assert seed.hex() not in said and "secret88" not in said and b"secret88".hex() not in said
    everything = b"".join(device.keystore.held.values())
    everything += b"".join(f.read_bytes() for f in (tmp_path / "device").rglob("*") if f.is_file())
    for file in paths.keys_dir().glob("*.key"):
        secret = file.read_bytes().splitlines()[1]
        assert secret not in everything
