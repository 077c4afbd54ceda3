"""`vigil release`: new firmware for devices in the field."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from host_tools import options
from host_tools.errors import UserError

if TYPE_CHECKING:
    from host_tools.trust.registry import Device, Register
    from host_tools.updates.release import ReleaseFile
    from host_tools.updates.rollout import Pushes

app = typer.Typer()
_release = typer.Typer(no_args_is_help=True, help="New firmware for devices in the field: signed, offered, followed.")
app.add_typer(_release, name="release")
_DAY_MS = 86_400_000


@_release.command("sign")
def release_sign(
    out: Annotated[Path, typer.Option(help="file for the release")],
    image: Annotated[Path | None, typer.Option(help="the .littlefs file that `vigil image` has made")] = None,
    micropython: Annotated[Path | None, typer.Option(help="instead: an application image of MicroPython")] = None,
    board: Annotated[str | None, typer.Option(help="for which board that one is")] = None,
    number: Annotated[int | None, typer.Option(help="above all before (minutes since 1970, without)")] = None,
    name: Annotated[str | None, typer.Option("--version", help="for people (the image's own, without)")] = None,
    expires: Annotated[int | None, typer.Option(help="days in which a device may take it (for ever, without)")] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="it brings devices your next release key")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a release of an image, or of MicroPython itself, signed with your release key."""
    made_of = _material(image, micropython, board)
    from host_tools import paths
    from host_tools.trust.keys import NEXT, SigningKeys, from_user
    from host_tools.updates import release

    if expires is not None and expires <= 0:
        raise UserError(f"a release that expires in {expires} days is of no use", "name a number above 0")
    keys = SigningKeys(paths.keys_dir(), from_user)
    if not keys.has("release"):
        raise UserError(f"there is no release key in `{keys.folder}`", "vigil provision makes it; VIGIL_HOME names it")
    now_ms = time.time_ns() // 1_000_000
    number = now_ms // 60_000 if number is None else number
    expires_ms = None if expires is None else now_ms + expires * _DAY_MS
    if isinstance(made_of, tuple):
        if rotate:
            raise UserError("a release of MicroPython brings no key", "sign one of an image with --rotate")
        file, board = made_of
        about = {"number": number, "version": name or file.stem, "model": board, "expires_ms": expires_ms}
        made = release.of_micropython(file, keys.private("release"), **about)
    else:
        next_key = keys.public(NEXT) if rotate else None
        about = {"number": number, "version": name, "expires_ms": expires_ms, "next_key": next_key}
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


def _material(image: Path | None, micropython: Path | None, board: str | None) -> Path | tuple[Path, str]:
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


@_release.command("push")
def release_push(
    file: Annotated[Path, typer.Argument(help="a release that `vigil release sign` has made")],
    device: Annotated[str | None, typer.Option(help="name, id, or the beginning of an id")] = None,
    cohort: Annotated[str | None, typer.Option(help="a group of devices; `all`: every device")] = None,
    percent: Annotated[float, typer.Option(help="share of them; the same ones first each time")] = 100,
    state: options.State = None,
    as_json: options.AsJson = False,
) -> None:
    """Offer a release; each device fetches it from the running gateway, tries it, and stays or goes back."""
    from host_tools.trust.home import Home
    from host_tools.updates import release
    from host_tools.updates.rollout import Pushes, in_share

    if (device is None) == (cohort is None):
        raise UserError("it is not clear for whom this release is", "name one of --device and --cohort (`all`: all)")
    if not 0 < percent <= 100:
        raise UserError(f"{percent:g} % is not a share", "more than 0, at most 100")
    with Home(state) as home:
        made = release.read(file, home.signing.public("release"))
        pushes = Pushes(home.store)
        chosen = _chosen(home.register, pushes, device, cohort)
        taken = pushes.push(made, [d for d in chosen if in_share(d.device, percent)])
    if device is not None and not taken:  # one device, and nothing for it
        (one,) = chosen
        why = _why_not(one, made, percent)
        raise UserError(f"{one.name} {why}", "vigil device list and vigil release status say how it stands")
    if as_json:
        print(json.dumps({"number": made.number, "devices": [d.device for d in taken], "of": len(chosen)}))
    else:
        print(f"release {made.number} is offered to {len(taken)} of {len(chosen)} devices; vigil release status")


def _why_not(device: Device, made: ReleaseFile, percent: float) -> str:
    """Why a device is not offered a release."""
    from host_tools.updates.rollout import in_share

    if not in_share(device.device, percent):
        return f"is not among the first {percent:g} %"
    if device.state != "active":
        return f"is {device.state}"
    if device.board not in ("", made.manifest.model):
        return f"is a {device.board}, this is for {made.manifest.model}"
    return f"has confirmed release {made.number} already"


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


@_release.command("status")
def release_status(state: options.State = None, as_json: options.AsJson = False) -> None:
    """How the newest update of each device stands: offered, fetching, trial, confirmed, rolled back or refused, why."""
    from host_tools.trust.home import Home
    from host_tools.updates.rollout import Pushes

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


@_release.command("cohort")
def release_cohort(
    name: Annotated[str, typer.Argument(help="of the cohort")],
    add: Annotated[list[str] | None, typer.Option(help="a device; may be given again")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="a device; may be given again")] = None,
    state: options.State = None,
    as_json: options.AsJson = False,
) -> None:
    """Show a cohort, or change who is in it."""
    from host_tools.trust.home import Home
    from host_tools.trust.registry import NAME
    from host_tools.updates.rollout import Pushes

    if not NAME.fullmatch(name) or name == "all":
        raise UserError(f"`{name}` is not a name for a cohort", "up to 40 letters, digits, blanks, dots and dashes")
    with Home(state) as home:
        find = home.register.find
        members = Pushes(home.store).group(
            name, [find(d).device for d in add or []], [find(d).device for d in remove or []]
        )
        names = {device.device: device.name for device in home.register.all()}
    if as_json:
        print(json.dumps(members))
        return
    print(f"{name}: {', '.join(names.get(device, device) for device in members) or 'nobody'}")


@_release.command("rotate")
def release_rotate(
    state: options.State = None,
    yes: Annotated[bool, typer.Option("--yes", help="also where devices have not confirmed")] = False,
) -> None:
    """Sign with the next release key from now on, once every device has confirmed a release that brings it."""
    from host_tools import paths
    from host_tools.trust.home import Home
    from host_tools.trust.keys import NEXT, SigningKeys, from_user
    from host_tools.updates.rollout import Pushes

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
