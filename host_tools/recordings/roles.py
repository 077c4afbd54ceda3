"""Which channel is what: names and units of any file to the fields of a Recording. Where a file leaves it open, the
error names what was found and the option that settles it.
"""

from __future__ import annotations

import re

import numpy as np

from host_tools.errors import UserError
from host_tools.recordings.signals import Channel, Options, Signals
from signal_models.datasets.wfdb_record import BEAT_SYMBOLS
from signal_models.recording import Recording

# ECG: the field's leads. The first that matches is taken.
_LEADS = (
    "ecg",
    "ekg",
    "mli",
    "mlii",
    "mliii",
    "i",
    "ii",
    "iii",
    "avr",
    "avl",
    "avf",
    "v",
    *(f"v{n}" for n in range(1, 7)),
)
ROLES = {  # role to the names that it has in files, in lower case
    "ecg": (*_LEADS, *(f"{kind} {lead}" for kind in ("ecg", "ekg", "lead", "ecg lead") for lead in _LEADS[2:])),
    "red": ("red", "ppg red", "led red"),
    "ir": ("ir", "infrared", "ppg ir", "led ir"),
    "green": ("green", "ppg green", "led green"),
    "ppg": ("ppg", "pleth", "plethysmogram", "pulse wave"),
    "ax": ("ax", "acc x", "accx", "accel x", "x acc"),
    "ay": ("ay", "acc y", "accy", "accel y", "y acc"),
    "az": ("az", "acc z", "accz", "accel z", "z acc"),
    "t": ("t", "time", "timestamp", "utc", "device", "elapsed time"),
    "beat": ("beat", "beats", "r peak", "rpeak"),
    "mark": ("mark", "annotation"),
}
SIGNALS = ("ecg", "red", "ir", "green", "ppg", "ax", "ay", "az")
_TO_MV = {"mv": 1.0, "uv": 1e-3, "v": 1e3, "nv": 1e-6}
_TO_G = {"g": 1.0, "mg": 1e-3, "m/s2": 1 / 9.80665, "ms2": 1 / 9.80665, "m/s^2": 1 / 9.80665}
_TO_COUNTS: dict[str, float] = dict.fromkeys(("counts", "count", "nu", "adu", "au", "lsb", ""), 1.0)
LEAST_HZ, MOST_HZ = {"ECG": 25.0, "light": 8.0, "acceleration": 4.0}, 100_000.0  # else a unit is wrong
TO_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_KNOWN_UNITS = {*_TO_MV, *_TO_G, *_TO_COUNTS, *TO_S, "relative"} - {""}


def split(name: str) -> tuple[str, str]:
    """(name, unit) of a column: `ecg_mv`, `ECG [mV]`, `acc x (m/s^2)`; the unit is "" where there is none."""
    name = name.strip().strip('"').strip()
    bracketed = re.fullmatch(r"(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]", name)
    if bracketed:
        return bracketed[1].strip(), bracketed[2]
    head, _, tail = name.rpartition("_")
    return (head, tail) if head and plain(tail) in _KNOWN_UNITS else (name, "")


def plain(unit: str) -> str:
    """A unit as the tables have it."""
    return unit.strip().lower().replace("µ", "u").replace("μ", "u").replace("²", "2").replace(" ", "")


def role_of(name: str) -> str | None:
    """The role that a channel's name means, None when it means none."""
    known = plain_name(name)
    return next((role for role, names in ROLES.items() if known in names), None)


def plain_name(name: str) -> str:
    """A name as the tables have it."""
    return re.sub(r"[\s_,.\-]+", " ", name.lower()).strip()


def chosen(names: list[str], role: str, options: Options, where: str) -> int | None:
    """Which of `names` (without units) plays a role; None when none does. Raises UserError for an option in vain."""
    wanted = options.columns.get(role)
    if wanted is None:
        taken = [find(names, name) for name in options.columns.values()]
        return next((i for i, name in enumerate(names) if role_of(name) == role and i not in taken), None)
    at = find(names, wanted)
    if at is None:
        raise UserError(
            f"{where} has no column `{wanted}`",
            f"it has {len(names)}: " + ", ".join(f"{i + 1} {name}" for i, name in enumerate(names)),
        )
    return at


def time_unit(said: str, options: Options) -> str:
    """Unit of a column of time: what its name says, else the option (which may be meant for another file)."""
    return plain(said) if plain(said) in TO_S else plain(options.units.get("t", said))


def find(names: list[str], wanted: str) -> int | None:
    """Index of a column by its name, with or without its unit, or by its number from 1 on."""
    for asked in (wanted, split(wanted)[0]):
        for i, name in enumerate(names):
            if name.lower() == asked.lower():
                return i
    return int(wanted) - 1 if wanted.isdigit() and 0 < int(wanted) <= len(names) else None


def recording(file: Signals, options: Options) -> Recording:
    """The Recording of a file. Raises UserError when nothing in it is a signal, or a unit is missing."""
    names = [c.name for c in file.channels]
    columns = file.columns or names
    found: dict[str, Channel] = {}
    for role in SIGNALS:
        at = chosen(columns, role, options, f"`{file.name}`")
        if at is not None and columns[at] in names:
            found[role] = file.channels[names.index(columns[at])]
    if not found:
        raise UserError(
            f"`{file.name}` holds no signal with a known name; it has {file.named()}",
            "say which one it is, e.g. --column ecg=NAME (or red, ir, green, ppg, ax, ay, az), and its --unit ecg=mV",
        )
    made = Recording(file.name)
    if "ecg" in found:
        lead = found["ecg"]
        made.ecg, made.ecg_fs = lead.values * _scale(lead, "ecg", _TO_MV, options), lead.fs
        made.meta["signal"] = lead.name
    colours = [role for role in ("red", "ir", "green") if role in found]
    if colours:
        light = [found[role] for role in colours]
        _alike(light, "light", file)
        relative = any(plain(options.units.get(r, found[r].unit)) == "relative" for r in colours)
        if not relative:
            scales = [_scale(found[role], role, _TO_COUNTS, options) for role in colours]
            made.ppg = np.stack([c.values * s for c, s in zip(light, scales, strict=True)], axis=1)
        else:
            made.ppg, made.ppg_unit = np.stack([c.values for c in light], axis=1), "relative"
        made.ppg_channels, made.ppg_fs = tuple(colours), light[0].fs
    elif "ppg" in found:  # a pulse without colours: its unit and its level mean nothing
        made.ppg, made.ppg_fs = found["ppg"].values[:, None], found["ppg"].fs
        made.ppg_channels, made.ppg_unit = ("ir",), "relative"
    axes = [found[role] for role in ("ax", "ay", "az") if role in found]
    if len(axes) == 3:
        _alike(axes, "acceleration", file)
        scales = [_scale(found[role], role, _TO_G, options) for role in ("ax", "ay", "az")]
        made.accel = np.stack([c.values * s for c, s in zip(axes, scales, strict=True)], axis=1)
        made.accel_fs = axes[0].fs
    elif axes and not made.duration_s:
        raise UserError(f"`{file.name}` has {len(axes)} of the three axes of acceleration", "e.g. --column az=NAME")
    for signal, fs in (("ECG", made.ecg_fs), ("light", made.ppg_fs), ("acceleration", made.accel_fs)):
        if fs is not None and not LEAST_HZ[signal] <= fs <= MOST_HZ:
            raise UserError(
                f"the {signal} of `{file.name}` has {fs:g} samples a second",
                "is its rate, or its unit of time, another? e.g. --fs 250, or --unit t=ms",
            )
    made.truth = dict(file.truth)
    beats = [mark for mark in file.marks if mark.symbol in BEAT_SYMBOLS]
    if beats:
        made.beats_s = np.array([mark.t_s for mark in beats])
        made.beat_labels = [mark.symbol for mark in beats]
    if file.start is not None:
        made.meta["start"] = file.start.isoformat()
    return made


def rename(file: Signals, options: Options) -> None:
    """Give channels the names and units that the user says, so that a copy needs to be told no more."""
    columns = file.columns or [c.name for c in file.channels]
    for role in [*options.columns, *[r for r in options.units if r not in options.columns]]:
        at = chosen(columns, role, options, f"`{file.name}`")
        for c in file.channels:
            if at is not None and c.name == columns[at] and role in SIGNALS:
                c.unit = options.units.get(role, c.unit)
                c.name = c.name if role_of(c.name) == role else role


def _scale(channel: Channel, role: str, known: dict[str, float], options: Options) -> float:
    unit = options.units.get(role, channel.unit)
    if plain(unit) in known:
        return known[plain(unit)]
    low, high = (float(np.nanpercentile(channel.values, p)) for p in (0.5, 99.5))
    choices = " or ".join(name for name in ("mV", "uV", "g", "mg", "m/s2", "counts") if plain(name) in known)
    what = f"has the unit `{unit}`" if unit else "has no unit"
    raise UserError(
        f"`{channel.name}` {what}",
        f"say --unit {role}={_guess(high - low, known)} (of {choices}), or name the column so, e.g. "
        f"{role}_{_guess(high - low, known).replace('/', '')}; its values lie between {low:.4g} and {high:.4g}",
    )


def _guess(span: float, known: dict[str, float]) -> str:
    if known is _TO_MV:
        return "V" if span < 0.05 else ("mV" if span < 50 else "uV")
    return "counts" if known is _TO_COUNTS else ("g" if span < 8 else ("m/s2" if span < 80 else "mg"))


def _alike(channels: list[Channel], what: str, file: Signals) -> None:
    if len({(c.fs, len(c.values)) for c in channels}) > 1:
        said = ", ".join(f"{c.name} {len(c.values)} samples at {c.fs:g} Hz" for c in channels)
        raise UserError(f"the columns of {what} in `{file.name}` differ: {said}", "they must be sampled together")
