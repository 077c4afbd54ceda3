"""Releases on the host: made of an image, signed, read; what is wrong with one is named; who gets one, and rotation."""

import json

import cbor2
import firmware_bin
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from host_tools import cli
from host_tools.board import load
from host_tools.errors import UserError
from host_tools.image import image
from host_tools.ingest.store import Store
from host_tools.paths import FIRMWARE
from host_tools.trust.home import Home
from host_tools.trust.keys import NEXT, SigningKeys, nobody
from host_tools.updates import release
from host_tools.updates.rollout import Pushes, Serving, in_share
from vigil.crypto.signer import Signer, device_id
from vigil.wire import cbor, update

FILES = {"board.mpy": b"M\x06\x2b\x1f" + bytes(700), "vigil/__init__.mpy": b"M\x06\x00\x1f"}
BOARD = "ESP32_GENERIC"


def vigil(*arguments):
    """A command in this process; its exit status."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in arguments])
    return end.value.code or 0


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with two devices, an image and its release key."""
    monkeypatch.setenv("VIGIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VIGIL_PASSPHRASE", "")
    with Home(make=True, passphrase=nobody) as home:
        home.signing.public("release")
        for i, (name, board) in enumerate((("Anna", BOARD), ("Ben", "ESP32_GENERIC_S3"), ("Cleo", BOARD))):
            key = Signer(bytes(range(i, 32 + i))).public_key
            about = {"name": name, "board": board, "hardware": "", "certificate": f"urn:{i}", "end_ms": 1 << 42}
            home.register.begin(device_id(key), key, **about)
            home.register.finish(device_id(key))
        key = Signer(bytes(range(9, 41))).public_key
        home.register.begin(device_id(key), key, **{**about, "name": "Dora", "board": BOARD})
    about = {"number": 0, "version": "0.1.0", "model": BOARD, "profile": "lean", "files": FILES}
    files = {f"a/lib/{path}": content for path, content in FILES.items()} | {"a/release": release.manifest(**about)}
    (tmp_path / "image.littlefs").write_bytes(image.pack(files, 0x40000))
    return tmp_path


def test_signed_pushed_followed(home, capsys):
    line = ("--image", home / "image.littlefs", "--out", home / "r", "--number", 7, "--version", "0.7", "--json")
    assert vigil("release", "sign", *line) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["number"], said["version"], said["files"]) == (7, "0.7", 2)
    assert vigil("release", "push", home / "r", "--cohort", "all", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["devices"]) == 2 and said["of"] == 4  # Ben's is another board, Dora's is not there yet
    assert vigil("release", "status", "--json") == 0
    assert {(p["name"], p["state"]) for p in json.loads(capsys.readouterr().out)} == {
        ("Anna", "offered"),
        ("Cleo", "offered"),
    }
    assert vigil("release", "cohort", "ward 3", "--add", "Anna", "--add", "Cleo", "--remove", "Cleo") == 0
    assert capsys.readouterr().out == "ward 3: Anna\n"
    assert vigil("release", "push", home / "r", "--cohort", "ward 3") == 0
    assert "offered to 1 of 1 devices" in capsys.readouterr().out
    assert vigil("release", "status") == 0
    assert "offered" in capsys.readouterr().out


def test_micropython_itself(home, capsys):
    """For one kind of board; served as any release; what is no application is refused."""
    apps = {chip: firmware_bin.make(chip, body_bytes=5000)[0x10000 - firmware_bin.MADE_FOR[chip][1] :]
            for chip in ("esp32", "esp32c3")}  # fmt: skip
    image = apps["esp32"]
    (home / "app.bin").write_bytes(image)
    (home / "short.bin").write_bytes(image[:-1])
    (home / "c3.bin").write_bytes(apps["esp32c3"])
    (home / "merged.bin").write_bytes(b"\xff" * 5000)
    line = ("--out", home / "m", "--number", 8, "--json", "--micropython")
    assert vigil("release", "sign", *line, home / "app.bin", "--board", BOARD) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 0
    made = release.read(home / "m", SigningKeys(home / "home" / "keys", nobody).public("release"))
    assert made.bundle == image and made.manifest.version == "app"
    for arguments, says in (
        ((home / "merged.bin", "--board", BOARD), "not an application image"),
        ((home / "short.bin", "--board", BOARD), "is cut short or damaged"),
        ((home / "c3.bin", "--board", BOARD), "is made for ESP32-C3"),
        ((home / "app.bin",), "for one kind of board"),
        ((home / "app.bin", "--board", BOARD, "--image", home / "image.littlefs"), "not clear what"),
        ((home / "absent.bin", "--board", BOARD), "cannot read"),
        ((home / "app.bin", "--board", BOARD, "--rotate"), "brings no key"),
    ):
        assert vigil("release", "sign", *line, *arguments)
        assert says in capsys.readouterr().err
    assert vigil("release", "push", home / "m", "--cohort", "all") == 0


def test_the_same_image_gives_the_same_release(home):
    for name in ("r", "s"):
        assert vigil("release", "sign", "--image", home / "image.littlefs", "--out", home / name, "--number", 7) == 0
    assert (home / "r").read_bytes() == (home / "s").read_bytes()


def test_key_rotation(home, capsys):
    keys = SigningKeys(home / "home" / "keys", nobody)
    old, line = keys.public("release"), ("--image", home / "image.littlefs", "--out", home / "r")
    assert vigil("release", "sign", *line, "--number", 7, "--rotate") == 0
    made = release.read(home / "r", old)
    assert made.manifest.next_key == keys.public(NEXT) != old
    assert vigil("release", "push", home / "r", "--device", "Anna") == 0
    assert vigil("release", "rotate") == 2  # Anna has not confirmed
    assert "1 devices have not confirmed" in capsys.readouterr().err
    anna = Signer(bytes(range(32))).device_id
    with Home(passphrase=nobody) as opened:
        assert Pushes(opened.store).set(anna, 7, "confirmed")
    assert vigil("release", "rotate") == 0
    assert keys.public("release") == made.manifest.next_key and not keys.has(NEXT)
    assert (home / "home" / "keys" / "old release.key").exists()
    assert vigil("release", "sign", *line, "--number", 8) == 0
    assert release.read(home / "r", made.manifest.next_key).number == 8
    with pytest.raises(UserError, match="bad signature"):
        release.read(home / "r", old)


WRONG = [
    # name, arguments ({} is the folder), what the sentence says
    ("image absent", "sign --image {}/absent --out {}/r", "cannot read"),
    ("image is none", "sign --image {}/notes --out {}/r", "not a file system image"),
    ("image without slots", "sign --image {}/old.littlefs --out {}/r", "has no slots"),
    ("number zero", "sign --image {}/image.littlefs --out {}/r --number 0", "0 is not a release number"),
    ("number beyond all", "sign --image {}/image.littlefs --out {}/r --number 536870912", "is not a release number"),
    ("expired before it is made", "sign --image {}/image.littlefs --out {}/r --expires 0", "is of no use"),
    ("nowhere to write", "sign --image {}/image.littlefs --out /dev/null/r", "cannot write"),
    ("push nothing", "push {}/absent --device Anna", "cannot read"),
    ("push what is none", "push {}/notes --device Anna", "this is not a release"),
    ("push to nobody", "push {}/good", "not clear for whom"),
    ("push to two", "push {}/good --device Anna --cohort all", "not clear for whom"),
    ("push to a stranger", "push {}/good --device Zoe", "there is no device `Zoe`"),
    ("push to an empty cohort", "push {}/good --cohort empty", "nobody is in the cohort `empty`"),
    ("push to no share", "push {}/good --cohort all --percent 0", "0 % is not a share"),
    ("push to more than all", "push {}/good --cohort all --percent 101", "101 % is not a share"),
    ("push to another board", "push {}/good --device Ben", "Ben is a ESP32_GENERIC_S3"),
    ("push to one not yet there", "push {}/good --device Dora", "Dora is pending"),
    ("push to one beyond the share", "push {}/good --device Anna --percent 0.0001", "Anna is not among the first"),
    ("push unsigned", "push {}/unsigned --device Anna", "bad signature"),
    ("push by a stranger's key", "push {}/strange --device Anna", "bad signature"),
    ("push truncated", "push {}/truncated --device Anna", "hash mismatch"),
    ("push changed", "push {}/changed --device Anna", "hash mismatch"),
    ("cohort called all", "cohort all", "is not a name for a cohort"),
    ("rotate to nothing", "rotate", "there is no next release key"),
]


@pytest.mark.parametrize(("arguments", "sentence"), [c[1:] for c in WRONG], ids=[c[0] for c in WRONG])
def test_wrong_use(home, capsys, arguments, sentence):
    assert vigil("release", "sign", "--image", home / "image.littlefs", "--out", home / "good", "--number", 7) == 0
    signed, bundle = cbor2.loads((home / "good").read_bytes())
    payload = cbor2.loads(signed).value[2]
    made = {
        "unsigned": [signed[:-64] + bytes(64), bundle],
        "strange": [release.sign(payload, Ed25519PrivateKey.generate()), bundle],
        "truncated": [signed, bundle[:-1]],
        "changed": [signed, bundle[:-1] + b"\x01"],
    }
    for name, content in made.items():
        (home / name).write_bytes(cbor2.dumps(content))
    (home / "notes").write_text("milk, eggs\n")
    (home / "old.littlefs").write_bytes(image.pack({"lib/board.mpy": b"M"}, 0x40000))
    capsys.readouterr()
    assert vigil("release", *arguments.replace("{}", str(home)).split()) == 2
    said = capsys.readouterr()
    assert sentence in said.err and len(said.err.splitlines()) == 2 and said.out == ""


def test_a_share_is_stable_and_grows():
    devices = [device_id(bytes([i, j]) * 16) for i in range(20) for j in range(50)]
    ten, half = ({d for d in devices if in_share(d, percent)} for percent in (10, 50))
    assert ten < half and 70 < len(ten) < 130 and 450 < len(half) < 550
    assert all(in_share(d, 100) for d in devices)


class Source:
    def __init__(self):
        self.sent = []

    def ask_device(self, device, payload):
        self.sent.append((device, cbor.decode(payload)))


def test_serving(home):
    """Pieces go to whom the release was offered, to nobody else; what is malformed is noted."""
    assert vigil("release", "sign", "--image", home / "image.littlefs", "--out", home / "r", "--number", 7) == 0
    assert vigil("release", "push", home / "r", "--device", "Anna") == 0
    anna, cleo = Signer(bytes(range(32))).device_id, Signer(bytes(range(2, 34))).device_id
    _, bundle = cbor2.loads((home / "r").read_bytes())
    logged = []
    with Home(passphrase=nobody) as opened, Store(opened.config.store) as store:
        source = Source()
        serving = Serving(store, source, lambda name, **fields: logged.append(name))
        serving.heard([anna, cleo], {})
        serving.heard([anna], {})  # not again at once
        assert [(device, message[:2]) for device, message in source.sent] == [(anna, [1, 2])]
        source.sent.clear()
        for device, number, offset, length in (
            (anna, 7, 0, 1024),
            (anna, 7, 100, 5),
            (anna, 7, len(bundle), 5),
            (anna, 6, 0, 5),
            (cleo, 7, 0, 5),
            (anna, 7, 0, 1 << 40),
        ):
            serving.answer(device, update.want(number, offset, length))
        assert source.sent == [
            (anna, [1, 3, 7, 0, bundle[:1024]]),
            (anna, [1, 3, 7, 100, bundle[100:105]]),
            (anna, [1, 3, 7, 0, bundle[:2048]]),
        ]
        for payload in (b"", b"hello", cbor.encode([1, 1, 7, 0]), cbor.encode([1, 1, 7, -1, 5]), cbor.encode({0: 1})):
            serving.answer(anna, payload)
        assert logged.count("update_malformed") == 5
        serving.heard([anna], {anna: {13: 7, 16: 1}})
        assert Pushes(store).all()[0].state == "fetching"  # it runs, on trial: nothing is decided
        serving.heard([anna], {anna: {13: 7}})
        assert Pushes(store).all()[0].state == "confirmed"
        serving.answer(anna, update.tell(0, update.REFUSED, 2))  # an end is final
        assert Pushes(store).all()[0].state == "confirmed"
        assert [line.reason for line in store.audit_lines()] == ["update offered", "update confirmed"]
        assert store.counts()["rejected"] == 0


def test_who_has_it_is_not_offered_it_again_and_who_is_revoked_gets_nothing(home, capsys):
    """A share that grows, and a device that is lost meanwhile."""
    assert vigil("release", "sign", "--image", home / "image.littlefs", "--out", home / "r", "--number", 7) == 0
    assert vigil("release", "push", home / "r", "--cohort", "all") == 0
    anna, cleo = Signer(bytes(range(32))).device_id, Signer(bytes(range(2, 34))).device_id
    with Home(passphrase=nobody) as opened, Store(opened.config.store) as store:
        assert Pushes(store).set(anna, 7, "confirmed")
        opened.register.revoke(cleo)
        source = Source()
        serving = Serving(store, source, lambda name, **fields: None)
        serving.heard([cleo], {})
        serving.answer(cleo, update.want(7, 0, 100))
        assert source.sent == []
    capsys.readouterr()
    assert vigil("release", "push", home / "r", "--cohort", "all") == 0
    assert "offered to 0 of 4 devices" in capsys.readouterr().out
    assert vigil("release", "push", home / "r", "--device", "Anna") == 2
    assert "Anna has confirmed release 7 already" in capsys.readouterr().err
    assert vigil("release", "push", home / "r", "--device", "Cleo") == 2
    assert "Cleo is revoked" in capsys.readouterr().err


# requirement: UPD-1
def test_reasons_are_those_of_the_device():
    """The host's table of reasons, against the numbers in the firmware's source."""
    import re

    found = {}
    parts = ("wire/signed", "ota/release", "app/trial", "app/update", "app/fetch")
    for file in (f"vigil/{part}.py" for part in parts):
        found |= dict(re.findall(r"^_?([A-Z_]+) = const\((\d+)\)", (FIRMWARE / file).read_text(), re.M))
    names = [
        "MALFORMED",
        "BAD_SIGNATURE",
        "OTHER_MODEL",
        "OTHER_PROFILE",
        "OTHER_MPY",
        "OTHER_LOADER",
        "NOT_NEWER",
        "FAILED_BEFORE",
        "EXPIRED",
        "TOO_LARGE",
        "TOO_MANY",
        "BAD_PATH",
        "TWICE",
        "TRUNCATED",
        "MISMATCH",
        "NO_ROOM",
    ]
    assert [int(found[name]) for name in names] == list(range(1, 17))
    late = ["NO_SENSORS", "CRASHED", "NO_MEMORY", "NO_SEAL", "NO_LINK", "NO_SLOTS", "FAULT", "NO_PARTITION"]
    assert [int(found[name]) for name in late] == list(range(18, 26))
    assert set(release.REASONS) == set(range(1, 26))
    assert "USED_UP = 17" in (FIRMWARE / "loader.py").read_text()


def test_an_image_makes_a_release(tmp_path):
    built = image.build(load(BOARD))
    (tmp_path / "i").write_bytes(built.filesystem)
    key = Ed25519PrivateKey.generate()
    made = release.of_image(tmp_path / "i", key, number=3)
    assert (made.manifest.model, made.manifest.profile, made.manifest.mpy) == (BOARD, "lean", [6, 3, 10])
    assert made.manifest.files == len(image.slot_files(built.files))
