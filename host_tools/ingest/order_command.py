"""`vigil waveform` at a terminal: start, stop, status."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from host_tools.errors import UserError
from host_tools.ingest.orders import OPEN, Order, Orders
from host_tools.trust.home import Home


def stream(who: str, seconds: int, state: Path | None, *, as_json: bool) -> None:
    """Order waveforms of a device for `seconds`, 0: no longer. Raises UserError."""
    with Home(state) as home:
        device = home.register.find(who)
        if device.state == "revoked":
            raise UserError(f"{device.name} is revoked", "nothing that it says is believed")
        if not home.signing.has("command"):
            raise UserError(f"there is no command key in `{home.signing.folder}`", "vigil provision makes it")
        order = Orders(home.store).stream(device.device, seconds, home.signing.private("command"))
    _say(device.name, order, as_json)


def status(who: str, state: Path | None, *, as_json: bool) -> None:
    """Say how the newest order of a device stands. Raises UserError."""
    with Home(state) as home:
        device = home.register.find(who)
        order = Orders(home.store).get(device.device)
    if order is None:
        raise UserError(f"{device.name} was never given an order", "vigil waveform start --device NAME")
    _say(device.name, order, as_json)


def _say(name: str, order: Order, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(order)))
    elif order.state == OPEN:
        print(f"{name}: {order.what}; it hears that when the gateway next hears from it")
    else:
        print(f"{name}: {order.what}; {order.state}" + (f": {order.why}" if order.why else ""))
