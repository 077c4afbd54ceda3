"""Settings of the link, read from the keystore and the file system, refused in plain words."""

import os

from vigil.core.errors import ConfigError

_PROVISION = ": provision the device"


class LinkSettings:
    """Where the broker is and how both sides prove who they are.

    host: name or address. port: 1..65535. server_name: name that the broker's certificate must carry.
    ca_path, cert_path, key_path: DER files on the device. client_id: of the MQTT session, which a broker gives to
    whoever names it: provisioning makes it unguessable. None: the device id.
    """

    def __init__(self, host, port, server_name, tls_path, client_id=None):
        self.host = host
        self.port = port
        self.server_name = server_name
        self.ca_path = tls_path + "/ca.der"
        self.cert_path = tls_path + "/client.der"
        self.key_path = tls_path + "/client.key"
        self.client_id = client_id


def _text(board, name: str) -> str:
    value = board.keystore.get(name)
    if not value:
        raise ConfigError(name + " is not set" + _PROVISION)
    if len(value) > 253 or not all(32 < c < 127 for c in value):
        raise ConfigError(name + " is not a plain ASCII name" + _PROVISION)
    return str(value, "ascii")


def link_settings(board) -> LinkSettings:
    """Return the link's settings. Raises ConfigError with the name of the one that is missing or impossible."""
    port = _text(board, "link.port")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError("link.port is not a number from 1 to 65535" + _PROVISION)
    client_id = _text(board, "link.client") if board.keystore.get("link.client") else None
    names = _text(board, "link.host"), int(port), _text(board, "link.server_name")
    settings = LinkSettings(*names, board.fs + "/tls", client_id)
    for path in (settings.ca_path, settings.cert_path, settings.key_path):
        try:
            size = os.stat(path)[6]
        except OSError:
            size = 0
        if not size:
            raise ConfigError("tls/" + path.split("/")[-1] + " is missing" + _PROVISION)
    return settings


def stored_number(board, name: str) -> int:
    """Return the non-negative number kept under `name` in the keystore; 0 when there is none or it is damaged."""
    value = board.keystore.get(name)
    if not value or len(value) > 9 or not all(48 <= c <= 57 for c in value):
        return 0
    return int(value)


def store_number(board, name: str, value: int) -> None:
    """Keep `value` (0..999_999_999) under `name` in the keystore, as ASCII digits."""
    board.keystore.set(name, str(value).encode())
