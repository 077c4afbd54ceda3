"""Recordings, one way in and out: of known data sets, and of one's own as WFDB, EDF+ and BDF+, csv, npz.

from host_tools import recordings
file = recordings.read(Path("night.edf"))           # everything in it
heart = recordings.load(Path("night.edf"))          # what of it Vigil hears, as a Recording
recordings.write(file, Path("night.hea"))           # returns what the format cannot hold
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from host_tools.errors import UserError

if TYPE_CHECKING:  # the command line imports this package: numpy comes when it is used
    from host_tools.recordings.signals import Options, Signals
    from signal_models.recording import Recording

HINT = "a recording is a WFDB record (name.hea), EDF+, BDF+, a csv with a header line, or an npz; see `vigil data`"


def _formats() -> list:
    from host_tools.recordings import csv_file, edf_file, npz_file, wfdb_file

    return [npz_file, edf_file, wfdb_file, csv_file]


def read(path: Path, options: Options | None = None) -> Signals:
    """All that a file holds. Raises UserError when it is no recording, or something is missing."""
    from host_tools.recordings.signals import Options

    options = options or Options()
    for one in _formats():
        if one.claims(path):
            try:
                return one.read(path, options)
            except UserError:
                raise
            except Exception as e:  # parsers of others raise anything on a broken file
                raise UserError(f"`{path}` cannot be read: {e or type(e).__name__}", "is the file complete?") from e
    if not path.exists():
        raise UserError(f"there is no recording at `{path}`", HINT)
    raise UserError(f"`{path}` is not a recording", HINT)


def load(path: str | Path, options: Options | None = None) -> Recording:
    """The signals of a file that the firmware can hear. Raises UserError that names what was found.

    options: what the file does not say itself; with any, a file of a known data set is read like another.
    """
    from host_tools.recordings import roles
    from host_tools.recordings.signals import Options
    from signal_models import datasets

    if not options and (known := datasets.known(Path(path))):
        return known
    options = options or Options()
    return roles.recording(read(Path(path), options), options)


def write(file: Signals, path: Path) -> list[str]:
    """Write a file in the format of its suffix; returns what that cannot hold, in words. Raises UserError."""
    if not file.channels:
        raise UserError(f"`{file.name}` holds no signal", "there is nothing to write")
    for one in _formats():
        if path.suffix.lower() in one.SUFFIXES:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                return one.write(file, path)
            except OSError as e:
                raise UserError(f"cannot write to `{path}`", e.strerror or "") from e
    raise UserError(f"`{path.suffix or path}` is not a format", "one of .hea (WFDB), .edf, .bdf, .csv, .npz")
