"""Where a device's charge goes: a model of average currents, each with its source, and the hours that follow.

Every figure is a current times the share of time for which it flows; nothing else is in the model. A `Figure` says
where its number is from and whether it is an estimate of ours: whoever measures a board knows what to replace first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from host_tools import board as boards
from host_tools.errors import UserError

USABLE = 0.85  # of a cell's rated charge, above the voltage at which 3.3 V can no longer be made, after some ageing
BEACON_MS = 102.4


@dataclass(frozen=True)
class Figure:
    """A number that the model rests on, and where it is from."""

    value: float
    unit: str
    source: str
    estimate: bool = False


def _own(value: float, unit: str, why: str) -> Figure:
    return Figure(value, unit, why, estimate=True)


_ESP32 = "ESP32 Series Datasheet"
_S3 = "ESP32-S3 Series Datasheet"
_C3 = "ESP32-C3 Series Datasheet"
_MODES, _RF = "table Power Consumption by Power Modes", "table RF Power-Consumption Specifications"
_LIGHT = "Espressif, ESP Low Power Introduction (esp-techpedia), base current in light-sleep"

# By chip, as board.toml calls it. busy, idle: the processor at its full clock with the radio off, working or waiting.
CHIPS: dict[str, dict[str, Figure]] = {
    "esp32": {
        "busy": Figure(49.0, "mA", f"{_ESP32}, {_MODES}: modem-sleep at 240 MHz, 30..68 mA, the middle"),
        "idle": Figure(30.0, "mA", f"{_ESP32}, {_MODES}: modem-sleep at 240 MHz, the lower end"),
        "idle_slow": Figure(20.0, "mA", f"{_ESP32}, {_MODES}: modem-sleep at 80 MHz, 20..31 mA, the lower end"),
        "busy_slow": Figure(25.5, "mA", f"{_ESP32}, {_MODES}: modem-sleep at 80 MHz, the middle"),
        "sleep": Figure(0.8, "mA", f"{_ESP32}, {_MODES}: light-sleep"),
        "receive": Figure(97.5, "mA", f"{_ESP32}, {_RF}: receive 802.11b/g/n, 95..100 mA"),
        "send": Figure(240.0, "mA", f"{_ESP32}, {_RF}: transmit 802.11b, 1 Mbit/s, +19.5 dBm"),
    },
    "esp32s3": {
        "busy": _own(45.0, "mA", f"of the order of {_S3}, modem-sleep at 240 MHz, one core at work"),
        "idle": _own(33.0, "mA", f"of the order of {_S3}, modem-sleep at 240 MHz, both cores waiting"),
        "idle_slow": _own(22.0, "mA", f"of the order of {_S3}, modem-sleep at 80 MHz"),
        "busy_slow": _own(26.0, "mA", f"of the order of {_S3}, modem-sleep at 80 MHz"),
        "sleep": Figure(0.24, "mA", _LIGHT),
        "receive": _own(88.0, "mA", f"of the order of {_S3}, receive 802.11b/g/n, HT20"),
        "send": _own(340.0, "mA", f"of the order of {_S3}, transmit 802.11b, 1 Mbit/s, at full power"),
    },
    "esp32c3": {
        "busy": _own(23.0, "mA", f"of the order of {_C3}, modem-sleep at 160 MHz, at work"),
        "idle": _own(16.0, "mA", f"of the order of {_C3}, modem-sleep at 160 MHz, waiting"),
        "idle_slow": _own(13.0, "mA", f"of the order of {_C3}, modem-sleep at 80 MHz, waiting"),
        "busy_slow": _own(17.0, "mA", f"of the order of {_C3}, modem-sleep at 80 MHz, at work"),
        "sleep": Figure(0.13, "mA", _LIGHT),
        "receive": _own(84.0, "mA", f"of the order of {_C3}, receive 802.11b/g/n, HT20"),
        "send": _own(335.0, "mA", f"of the order of {_C3}, transmit 802.11b, 1 Mbit/s, at full power"),
    },
}
# Supply currents of the other parts while they measure as our drivers set them.
PARTS: dict[str, Figure] = {
    "max30102": Figure(0.6, "mA", "MAX30102 datasheet (19-7740), Electrical Characteristics: supply current, typical"),
    "max30003": _own(0.1, "mA", "MAX30003 datasheet, front page: 85 uW at 1.1 V; through a linear regulator"),
    "ad8232": Figure(0.17, "mA", "AD8232 data sheet, page 1: supply current, typical"),
    "lis3dh": Figure(0.011, "mA", "LIS3DH DocID17530 Rev 2, supply current at 50 Hz"),
    "max17048": Figure(0.023, "mA", "MAX17048 datasheet (19-6171; Rev 7), front page: 23 uA active"),
}
# What a regulator and what sits beside it draw for themselves.
REGULATORS: dict[str, Figure] = {
    "devkit": _own(15.0, "mA", "AMS1117 (5 mA quiescent) with the USB bridge and the power light of a DevKit"),
    "wearable": _own(0.06, "mA", "a linear regulator of some 50 uA quiescent and nothing beside it"),
}
TIMES: dict[str, Figure] = {
    "beacon_ms": _own(4.0, "ms", "radio on for each beacon of the access point, DTIM 1"),
    "join_s": _own(2.5, "s", "radio on until there is an address, after it was off"),
    "tls_s": _own(2.0, "s", "TLS handshake with certificates on both sides, and MQTT until SUBACK; mostly computing"),
    "stay_s": Figure(2.0, "s", "after a burst, for what the host may want: vigil.app.bursts; dozing between beacons"),
    "send_ms": _own(6.0, "ms", "on air for an envelope of 400 bytes, its acknowledgements and TCP's, at 1 Mbit/s"),
    "linger_ms": _own(80.0, "ms", "receiver on until the gateway has acknowledged an envelope"),
    "seal_s": Figure(0.1, "s", "budget: 12 M instructions a batch at 2 cycles each, 240 MHz"),
    "wake_ms": _own(1.5, "ms", "out of light sleep, FIFO read, and back"),
}
DUTY = {
    "lean": _own(0.08, "of one core", "estimate until `vigil bench-board --json` has measured the board"),
    "full": _own(0.15, "of one core", "estimate until `vigil bench-board --json` has measured the board"),
}
READS_HZ = {"max30102": 100 / 17, "max30003": 250 / 16, "lis3dh": 10.0}  # FIFO levels of app/*_source


@dataclass(frozen=True)
class Settings:
    """What a person may choose. burst: batches a radio wake, 0: the radio stays on. duty: of one core, full clock."""

    chip: str = "esp32"
    duty: float = DUTY["lean"].value
    seal_s: float = TIMES["seal_s"].value
    batch_s: float = 10.0
    burst: int = 0
    light_sleep: bool = False
    slow_clock: bool = False
    ecg: str = "max30003"
    light: bool = True
    accelerometer: bool = False
    gauge: bool = False
    led_ma: float = 7.2
    width_us: int = 411
    rate_hz: int = 400
    regulator: str = "devkit"

    def check(self) -> None:
        """Raise UserError for what is impossible."""
        if self.chip not in CHIPS:
            raise UserError(f"nothing is known of the currents of `{self.chip}`", f"chips: {', '.join(CHIPS)}")
        if self.regulator not in REGULATORS:
            raise UserError(f"unknown regulator `{self.regulator}`", f"one of {', '.join(REGULATORS)}")
        if self.ecg not in ("max30003", "ad8232", "none"):
            raise UserError(f"unknown ECG front end `{self.ecg}`", "max30003, ad8232 or none")
        if not (self.batch_s >= 1 and 0 <= self.burst <= 360 and 0 <= self.duty <= 1 and self.seal_s >= 0):
            raise UserError("a setting is out of range", "batches of 1 s or more, bursts of 0..360, a duty of 0..1")
        if not (0 <= self.led_ma <= 51 and self.width_us > 0 and self.rate_hz > 0):
            raise UserError("the LEDs cannot do that", "0..51 mA, pulses of 69, 118, 215 or 411 us")
        if 2 * self.rate_hz * self.width_us * 1e-6 > 1:
            raise UserError("the LEDs' pulses do not fit into a sample", "a lower rate or shorter pulses")
        if self.light_sleep and self.ecg == "ad8232":
            raise UserError(
                "with an AD8232 there is no light sleep", "the processor samples it 250 times a second; use a MAX30003"
            )
        if self.light_sleep and not self.burst:
            raise UserError("light sleep needs the radio off", "give --burst, e.g. 6 batches a radio wake")
        if self.duty + self.seal_s / self.batch_s > 1:
            raise UserError("the processor has more to do than there is time", "a smaller duty or longer batches")


@dataclass(frozen=True)
class Part:
    """One consumer: average current in mA."""

    name: str
    ma: float
    why: str


@dataclass(frozen=True)
class Budget:
    """Average currents, and shares of time of the processor and of the radio, each adding up to 1."""

    parts: tuple[Part, ...]
    processor: dict[str, float]
    radio: dict[str, float]

    @property
    def total_ma(self) -> float:
        """Average current from the cell."""
        return sum(part.ma for part in self.parts)

    def hours(self, battery_mah: float) -> float:
        """How long a cell lasts."""
        return USABLE * battery_mah / self.total_ma


def budget(settings: Settings) -> Budget:
    """The average currents of these settings. Raises UserError for impossible ones."""
    settings.check()
    s = settings
    chip = CHIPS[s.chip]
    radio = _radio(s)
    on = 1 - radio["off"]
    slowdown = _slowdown(s)
    busy = min(1.0, (s.duty + s.seal_s / s.batch_s) * slowdown + _handshake(s))
    rest = 1 - busy
    if s.light_sleep:
        wakes_hz = sum(hz for part, hz in READS_HZ.items() if part in fitted(s))
        awake = min(rest, max(0.0, on - busy) + wakes_hz * TIMES["wake_ms"].value / 1000)
    else:
        awake = rest
    processor = {"busy": busy, "idle": awake, "asleep": rest - awake}
    speed = "_slow" if s.slow_clock else ""
    idle_ma, busy_ma = chip["idle" + speed].value, chip["busy" + speed].value
    parts = [
        Part("processor, at work", busy * busy_ma, f"{100 * busy:.1f} % of the time"),
        Part("processor, waiting", awake * idle_ma, f"{100 * awake:.1f} % of the time"),
        Part("processor, asleep", (rest - awake) * chip["sleep"].value, f"{100 * (rest - awake):.1f} % of the time"),
        # What the radio takes on top: its table's figures hold with the processor idle.
        Part("radio, receiving", radio["receive"] * max(0, chip["receive"].value - idle_ma), _share(radio["receive"])),
        Part("radio, sending", radio["send"] * max(0, chip["send"].value - idle_ma), _share(radio["send"])),
    ]
    if s.light:
        led = 2 * s.led_ma * s.rate_hz * s.width_us * 1e-6
        parts.append(Part("LEDs", led, f"2 x {s.led_ma:g} mA, {s.width_us} us, {s.rate_hz}/s"))
    parts += [Part(name, PARTS[name].value, "always") for name in fitted(s)]
    parts.append(Part(f"regulator ({s.regulator})", REGULATORS[s.regulator].value, "always"))
    return Budget(tuple(parts), processor, radio)


def fitted(s: Settings) -> list[str]:
    """Names of the parts beside the processor."""
    found = ["max30102"] if s.light else []
    found += [s.ecg] if s.ecg != "none" else []
    found += ["lis3dh"] if s.accelerometer else []
    return found + (["max17048"] if s.gauge else [])


def _slowdown(s: Settings) -> float:
    full_mhz = 160 if s.chip == "esp32c3" else 240
    return full_mhz / 80 if s.slow_clock else 1.0


def _handshake(s: Settings) -> float:
    return TIMES["tls_s"].value * _slowdown(s) / (s.burst * s.batch_s) if s.burst else 0.0


def _radio(s: Settings) -> dict[str, float]:
    """Shares of time in which the radio receives, sends, dozes between beacons, or is off."""
    send = TIMES["send_ms"].value / 1000 / s.batch_s
    linger = TIMES["linger_ms"].value / 1000 / s.batch_s
    if not s.burst:
        receive = min(1 - send, linger + TIMES["beacon_ms"].value / BEACON_MS)
        return {"receive": receive, "send": send, "doze": 1 - send - receive, "off": 0.0}
    period_s = s.burst * s.batch_s
    session_s = TIMES["join_s"].value + TIMES["tls_s"].value * _slowdown(s)
    stay = TIMES["stay_s"].value / period_s
    receive = session_s / period_s + linger + stay * TIMES["beacon_ms"].value / BEACON_MS
    receive = min(1 - send, receive)
    doze = min(1 - send - receive, stay * (1 - TIMES["beacon_ms"].value / BEACON_MS))
    return {"receive": receive, "send": send, "doze": doze, "off": 1 - send - receive - doze}


def _share(share: float) -> str:
    return f"{100 * share:.2f} % of the time"


def changes(settings: Settings, battery_mah: float) -> list[tuple[str, float]]:
    """What one change would bring: (words, hours gained), the best first."""
    now = budget(settings).hours(battery_mah)
    quiet = replace(settings, burst=max(settings.burst, 6), light_sleep=True, regulator="wearable")
    tries = {
        "a regulator for wearables": replace(settings, regulator="wearable"),
        "the radio on once a minute": replace(settings, burst=round(60 / settings.batch_s)),
        "the radio on every five minutes": replace(settings, burst=round(300 / settings.batch_s)),
        "light sleep between FIFO reads": replace(settings, light_sleep=True, burst=max(settings.burst, 6)),
        "processor at 80 MHz": replace(settings, slow_clock=True),
        "half the LED current": replace(settings, led_ma=settings.led_ma / 2),
        "LED pulses of 215 us": replace(settings, width_us=min(settings.width_us, 215)),
        "100 conversions a second": replace(settings, rate_hz=min(settings.rate_hz, 100)),
        "half the computing": replace(settings, duty=settings.duty / 2),
        "sleep, bursts and a good regulator together": quiet,
    }
    found = []
    for words, other in tries.items():
        try:
            found.append((words, budget(other).hours(battery_mah) - now))
        except UserError:
            continue  # not with this hardware
    return sorted(((w, h) for w, h in found if abs(h) > 0.005), key=lambda pair: -pair[1])


def of_board(name: str, profile: str | None) -> Settings:
    """Settings of a board as it is in boards/, with its profile."""
    about = boards.load(name)
    chosen = profile or about.profile
    if chosen not in DUTY:
        raise UserError(f"unknown profile `{chosen}`", f"one of {', '.join(DUTY)}")
    sensors = about.sensors
    ecg = next((part for part in ("max30003", "ad8232") if part in sensors), "none")
    return Settings(
        chip=about.chip,
        duty=DUTY[chosen].value,
        ecg=ecg,
        light="max30102" in sensors,
        accelerometer="lis3dh" in sensors,
        gauge="max17048" in sensors,
    )


def measured(path: Path) -> dict[str, float]:
    """duty and seal_s from what `vigil bench-board --json` wrote. Raises UserError."""
    try:
        stages = json.loads(path.read_text())["stages"]
        duty = sum(s["us_per_block"] / s["block_us"] for s in stages if s["stage"] in ("ecg channel", "ppg channel"))
        seal_s = next(s["us"] for s in stages if s["stage"] == "seal") / 1e6
    except OSError as e:
        raise UserError(f"cannot read `{path}`", e.strerror or "") from None
    except (ValueError, KeyError, TypeError, StopIteration):
        raise UserError(f"`{path}` is not what `vigil bench-board --json` writes") from None
    return {"duty": duty, "seal_s": seal_s}


def sources(settings: Settings) -> Iterable[tuple[str, Figure]]:
    """Every figure that the settings rest on."""
    chip = CHIPS[settings.chip]
    yield from ((f"{settings.chip} {name}", figure) for name, figure in chip.items())
    yield from ((name, PARTS[name]) for name in fitted(settings))
    yield settings.regulator, REGULATORS[settings.regulator]
    yield from TIMES.items()
    yield from ((f"computing, {profile}", figure) for profile, figure in DUTY.items())


def as_json(settings: Settings, battery_mah: float) -> dict:
    """Everything, for machines."""
    found = budget(settings)
    return {
        "settings": {f.name: getattr(settings, f.name) for f in fields(settings)},
        "battery_mah": battery_mah,
        "usable": USABLE,
        "total_ma": round(found.total_ma, 3),
        "hours": round(found.hours(battery_mah), 2),
        "parts_ma": {part.name: round(part.ma, 4) for part in found.parts},
        "processor": found.processor,
        "radio": found.radio,
        "changes_hours": {words: round(hours, 2) for words, hours in changes(settings, battery_mah)},
        "sources": {name: vars(figure) for name, figure in sources(settings)},
    }
