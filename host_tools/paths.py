"""Where things are, in a checkout and in an installed package alike (both keep the four folders side by side)."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
BOARDS = ROOT / "boards"


def cache_dir() -> Path:
    """Folder for what can be made again (compiled firmware). Override with VIGIL_CACHE."""
    path = Path(os.environ.get("VIGIL_CACHE") or platformdirs.user_cache_dir("vigil"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def keys_dir() -> Path:
    """Folder with the user's own keys: the authority, releases, commands. VIGIL_HOME/keys where that is set."""
    home = os.environ.get("VIGIL_HOME")
    return Path(home) / "keys" if home else Path(platformdirs.user_config_dir("vigil")) / "keys"


def gateway_dir() -> Path:
    """Folder with the user's own gateway: database, broker, settings. VIGIL_HOME/gateway where that is set."""
    home = os.environ.get("VIGIL_HOME")
    return Path(home) / "gateway" if home else Path(platformdirs.user_data_dir("vigil")) / "gateway"


def data_dir() -> Path | None:
    """Folder with recordings: VIGIL_DATA, else `../shared/data` beside a checkout; None when there is none."""
    named = os.environ.get("VIGIL_DATA")
    if named:
        return Path(named) if Path(named).is_dir() else None
    beside = ROOT.parent / "shared" / "data"
    return beside if beside.is_dir() else None
