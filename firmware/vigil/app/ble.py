"""Bluetooth instead of Wi-Fi: what joins the peripheral to the monitor. Imported where the setting link.kind is ble."""

import os

from micropython import const

import vigil
from vigil.core.errors import ConfigError
from vigil.core.log import WARN, log
from vigil.link.ble_peripheral import ACK, BlePeripheral
from vigil.link.ble_vitals import Vitals
from vigil.store.bonds import Bonds
from vigil.wire import gatt

_SETTINGS = ("wifi.ssid", "wifi.key", "link.kind", "link.host", "link.port")  # what a bonded central may set
_LONGEST = const(253)
_DAY_MS = const(86_400_000)


def date_time(utc_ms: int) -> bytes:
    """Return milliseconds since 1970 as a Date Time, UTC. Days to date after Hinnant's civil_from_days."""
    second = utc_ms % _DAY_MS // 1000
    days = utc_ms // _DAY_MS + 719_468  # since 0000-03-01
    era = days // 146_097
    day = days - era * 146_097
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    month += 3 if month < 10 else -9
    year += era * 400 + (month <= 2)
    return gatt.date_time(year, month, day + 1, second // 3600, second // 60 % 60, second % 60)


def open_link(monitor, device_id: str, pipeline):
    """Return the link's client for `monitor` (app.main.Monitor). Raises ConfigError on a board without a radio."""
    board = monitor.board
    if board.ble is None:
        raise ConfigError("link.kind is ble, and this board or its MicroPython has no Bluetooth")
    uplink = monitor.uplink
    bonds = Bonds(board.fs + "/bonds", os)
    if bonds.damaged:
        log(WARN, "ble", "the bonds are damaged: pair again")
    vitals = Vitals()
    pipeline.watch(vitals.take, vitals.beat)

    def hear(kind, payload):
        uplink.on_message(uplink.ack_topic if kind == ACK else uplink.command_topic, payload)

    def take(name, value):
        name = str(name, "utf-8")
        if name not in _SETTINGS or not 0 < len(value) <= _LONGEST:
            return False
        board.keystore.set(name, bytes(value))
        return True

    def now():
        found = monitor.utc.at(board.clock.ms())
        return date_time(board.clock.ms() + found[0]) if found else None

    def show(text):
        tell = getattr(board, "show", None)
        if tell:
            tell(text)
        else:
            print("VIGIL-PASSKEY", text)  # on the console: it holds for one pairing

    compare = board.keystore.get("ble.compare") == b"1"
    about = board.name, vigil.VERSION, device_id
    battery = getattr(monitor, "battery", None)
    client = BlePeripheral(board, bonds, vitals, about, hear, take, uplink.wake, show, compare, now, battery)
    uplink.client = client
    return client
