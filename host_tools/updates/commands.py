"""`vigil release` at a terminal: sign, push, status, cohort, rotate."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from host_tools import paths
from host_tools.errors import UserError
from host_tools.trust.home import Home
from host_tools.trust.keys import NEXT, SigningKeys, from_user
from host_tools.trust.registry import NAME, Device, Register
from host_tools.updates.rollout import Pushes, in_share

_DAY_MS = 86_400_000


def material(image: Path | None, micropython: Path | None, board: str | None) -> Path | tuple[Path, str]:
    """What a release is made of: an image, or (MicroPython's application, board). UserError where it is neither."""
    if (image is None) == (micropython is None):
        raise UserError("it is not clear what to release", "name one of --image and --micropython")
    if image is not None:
        return image
    from host_tools.board import load

    if board is None:
        raise UserError("an application of MicroPython is for one kind of board", "--board NAME")
    assert micropython is not None
    return micropython, load(board).name


def sign(
    made_of: Path | tuple[Path, str],
    out: Path,
    *,
    number: int | None,
    version: str | None,
    expires_days: int | None,
    rotate: bool,
    as_json: bool,
) -> None:
    """The command. A number that is not named is the minutes since 1970: it rises by itself."""
    from host_tools.updates import release

    if expires_days is not None and expires_days <= 0:
        raise UserError(f"a release that expires in {expires_days} days is of no use", "name a number above 0")
    keys = SigningKeys(paths.keys_dir(), from_user)
    if not keys.has("release"):
        raise UserError(f"there is no release key in `{keys.folder}`", "vigil provision makes it; VIGIL_HOME names it")
    now_ms = time.time_ns() // 1_000_000
    number = now_ms // 60_000 if number is None else number
    expires_ms = None if expires_days is None else now_ms + expires_days * _DAY_MS
    if isinstance(made_of, tuple):
        if rotate:
            raise UserError("a release of MicroPython brings no key", "sign one of an image with --rotate")
        file, board = made_of
        about = {"number": number, "version": version or file.stem, "model": board, "expires_ms": expires_ms}
        made = release.of_micropython(file, keys.private("release"), **about)
    else:
        next_key = keys.public(NEXT) if rotate else None
        about = {"number": number, "version": version, "expires_ms": expires_ms, "next_key": next_key}
        made = release.of_image(made_of, keys.private("release"), **about)
    try:
        out.write_bytes(made.encoded())
    except OSError as e:
        raise UserError(f"cannot write `{out}`", e.strerror or "") from None
    said = made.manifest
    about = {
        "file": str(out),
        "number": said.number,
        "version": said.version,
        "model": said.model,
        "profile": said.profile,
        "files": said.files,
        "bytes": said.total_bytes,
        "next_key": said.next_key.hex() if said.next_key else None,
    }
    if as_json:
        print(json.dumps(about))
        return
    what = said.profile if said.files else "MicroPython"
    print(f"release {said.number} ({said.version}) for {said.model}, {what}: {said.total_bytes} bytes in {out}")
    if said.next_key:
        print("it brings a new release key: when every device has confirmed it, vigil release rotate")


def push(
    file: Path,
    *,
    device: str | None,
    cohort: str | None,
    percent: float,
    state: Path | None,
    as_json: bool,
) -> None:
    """The command: offer a release to a device, to a cohort, or to a share of either."""
    from host_tools.updates import release

    if (device is None) == (cohort is None):
        raise UserError("it is not clear for whom this release is", "name one of --device and --cohort (`all`: all)")
    if not 0 < percent <= 100:
        raise UserError(f"{percent:g} % is not a share", "more than 0, at most 100")
    with Home(state) as home:
        made = release.read(file, home.signing.public("release"))
        pushes = Pushes(home.store)
        chosen = _chosen(home.register, pushes, device, cohort)
        taken = pushes.push(made, [d for d in chosen if in_share(d.device, percent)])
    if device is not None and not taken:
        odd = (
            "is revoked"
            if chosen[0].state == "revoked"
            else f"is a {chosen[0].board}, this is for {made.manifest.model}"
        )
        raise UserError(f"{chosen[0].name} {odd}", "vigil device list says who is there")
    if as_json:
        print(json.dumps({"number": made.number, "devices": [d.device for d in taken], "of": len(chosen)}))
    else:
        print(f"release {made.number} is offered to {len(taken)} of {len(chosen)} devices; vigil release status")


def _chosen(register: Register, pushes: Pushes, device: str | None, cohort: str | None) -> list[Device]:
    if device is not None:
        return [register.find(device)]
    everyone = register.all()
    if cohort == "all":
        return everyone
    members = set(pushes.group(cohort or ""))
    if not members:
        raise UserError(f"nobody is in the cohort `{cohort}`", "vigil release cohort NAME --add DEVICE")
    return [d for d in everyone if d.device in members]


def status(state: Path | None, *, as_json: bool) -> None:
    """The command."""
    with Home(state) as home:
        names = {device.device: device.name for device in home.register.all()}
        found = Pushes(home.store).all()
    if as_json:
        print(json.dumps([asdict(push) | {"name": names.get(push.device, "")} for push in found]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("device", "release", "state", "why")
    for push in found:
        state_ = f"fetching {push.percent} %" if push.state == "fetching" else push.state
        table.add_row(names.get(push.device, push.device), f"{push.number} ({push.version})", state_, push.why)
    Console().print(table)


def cohort(name: str, add: list[str], remove: list[str], state: Path | None, *, as_json: bool) -> None:
    """The command."""
    if not NAME.fullmatch(name) or name == "all":
        raise UserError(f"`{name}` is not a name for a cohort", "up to 40 letters, digits, blanks, dots and dashes")
    with Home(state) as home:
        find = home.register.find
        members = Pushes(home.store).group(name, [find(d).device for d in add], [find(d).device for d in remove])
        names = {device.device: device.name for device in home.register.all()}
    if as_json:
        print(json.dumps(members))
        return
    print(f"{name}: {', '.join(names.get(device, device) for device in members) or 'nobody'}")


def rotate(state: Path | None, *, yes: bool) -> None:
    """The command: the release key that devices have learned becomes the one that signs, and is pinned from now on."""
    keys = SigningKeys(paths.keys_dir(), from_user)
    if not keys.has(NEXT):
        raise UserError(
            "there is no next release key", "vigil release sign --rotate makes it, and a release that brings it"
        )
    with Home(state) as home:
        waiting = [push.device for push in Pushes(home.store).all() if push.state != "confirmed"]
    if waiting and not yes:
        raise UserError(
            f"{len(waiting)} devices have not confirmed their newest release",
            "one that does not know the new key takes no release until it is provisioned again; --yes does it anyway",
        )
    keys.private(NEXT)
    keys.succeed()
    print("releases are signed by the new key from now on; the old one is kept as `old release`", file=sys.stderr)
