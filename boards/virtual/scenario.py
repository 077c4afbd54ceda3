"""What happens to a virtual wearer: whose signals, on which parts, and what goes wrong when.

Signals are functions of virtual time at the recording's own rate; after its end the wearer takes the device off
(dark photodiode, electrodes off).

Recorded PPG counts become photocurrent by a stated reference setting (REFERENCE_MA of LED current, REFERENCE_NA full
scale): that setting gives the recorded counts back, any other gives what the part would give. A recording with a
single relative pulse gets **simulated colour**: IR = DC (1 - p PI) and red = DC (1 - p PI R), where p is the recorded
pulse with its typical height made 1, PI the scenario's perfusion and R the ratio that the product's calibration
reads as the recording's reference SpO2 (97 % where it has none). Such a recording therefore tests the whole path
from light to SpO2, and says nothing about the calibration itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from boards.virtual.bus import BusFault, I2CBus, SpiBus
from boards.virtual.devices import lis3dh, max17048, max30003
from boards.virtual.devices.ad8232 import GAIN, Ad8232, LeadOffPin
from boards.virtual.devices.esp32_adc import Esp32Adc
from boards.virtual.devices.lis3dh import Lis3dh
from boards.virtual.devices.max17048 import Cell, Max17048
from boards.virtual.devices.max30003 import Max30003
from boards.virtual.devices.max30102 import ADDRESS, FULL, PART_ID, Max30102
from signal_models.design.ppg import ratio_of
from signal_models.recording import Recording

REFERENCE_MA = 7.2  # LED current at which recorded counts were taken
REFERENCE_NA = 4096  # converter range likewise
_NA_PER_MA = REFERENCE_NA / REFERENCE_MA / (FULL + 1)  # photocurrent per LED current of one count
_DC_COUNTS = 131_072  # simulated colour: middle of the range at the reference setting
_DARK = 0.004  # of the light that reaches the photodiode without skin before it
_LIFT_US = 30_000  # taking it off and putting it on


@dataclass(frozen=True)
class Missing:
    """A part is not fitted: "max30102", "max30003", "ad8232", "lis3dh" or "max17048"."""

    part: str


@dataclass(frozen=True)
class WrongId:
    """The address of the oximeter or accelerometer, or the ECG front end's chip select, answers with another id."""

    part_id: int = 0x11
    part: str = "max30102"


@dataclass(frozen=True)
class Nak:
    """Nobody acknowledges on the bus for a while."""

    from_s: float
    to_s: float


@dataclass(frozen=True)
class StuckSda:
    """SDA is held low from from_s on, until the bus is clocked free or to_s."""

    from_s: float
    to_s: float = float("inf")


@dataclass(frozen=True)
class SpiCut:
    """The wire from the MAX30003 to the processor is broken: it reads as ones or zeros."""

    from_s: float
    to_s: float
    zeros: bool = False


@dataclass(frozen=True)
class BrownOut:
    """The supply of the oximeter, the MAX30003 or the LIS3DH fails for a moment: all its registers are reset."""

    at_s: float
    part: str = "max30102"


@dataclass(frozen=True)
class OffSkin:
    """The oximeter looks into the air."""

    from_s: float
    to_s: float


@dataclass(frozen=True)
class LeadOff:
    """An electrode is off."""

    from_s: float
    to_s: float


@dataclass(frozen=True)
class Stall:
    """The processor is held up (a TLS handshake, an erase of flash): nothing runs for for_s."""

    at_s: float
    for_s: float


@dataclass(frozen=True)
class WifiOut:
    """The access point is gone, as far as the station interface can tell."""

    from_s: float
    to_s: float


@dataclass(frozen=True)
class Glare:
    """Ambient light beyond what the oximeter can cancel."""

    from_s: float
    to_s: float


@dataclass(frozen=True)
class SwappedLeds:
    """A clone board with red and infrared exchanged."""


Fault = (
    Missing | WrongId | Nak | StuckSda | SpiCut | BrownOut | OffSkin | LeadOff | Stall | WifiOut | Glare | SwappedLeds
)
FRONT_ENDS = ("max30003", "ad8232")


@dataclass
class Scenario:
    """One wearer; with an accelerometer when the recording has acceleration.

    clock_error: relative error of the oximeter's oscillator, ecg_clock_error: of the MAX30003's crystal,
    accel_clock_error: of the accelerometer's. perfusion_pct: of simulated colour. die_c: temperature of the oximeter's
    die. ecg: the ECG front end, "max30003" or "ad8232". ecg_gain: of the AD8232's circuit (1100: the breakout as sold,
    which clips at 1.3 mV). cell: function that makes the battery behind a MAX17048; None: no gauge is fitted. repeat:
    oximeter and MAX30003 begin the recording anew where it ends, for runs of days.
    """

    recording: Recording
    faults: tuple[Fault, ...] = ()
    clock_error: float = 0.0
    perfusion_pct: float = 2.0
    noise_counts: float = 2.0
    die_c: float = 31.5
    ecg: str = "max30003"
    ecg_clock_error: float = 0.0
    accel_clock_error: float = 0.0
    ecg_gain: int = GAIN
    cell: Callable[[], Cell] | None = None
    repeat: bool = False

    def __post_init__(self) -> None:
        if self.ecg not in FRONT_ENDS:
            raise ValueError(f"`{self.ecg}` is not an ECG front end: choose from {', '.join(FRONT_ENDS)}")

    def of(self, kind: type) -> list[Any]:
        """The faults of one kind."""
        return [f for f in self.faults if isinstance(f, kind)]

    def wiring(self) -> dict[str, Any]:
        """New emulated parts by "kind:name", for boards.virtual.server.Server."""
        missing = {f.part for f in self.of(Missing)}
        bus_faults = [BusFault(_us(f.from_s), _us(f.to_s)) for f in self.of(Nak)]
        bus_faults += [BusFault(_us(f.from_s), _us(f.to_s), stuck=True) for f in self.of(StuckSda)]
        parts: dict[str, Any] = {}
        devices = {}
        if "max30102" not in missing and self.recording.ppg is not None:
            devices[ADDRESS] = parts["irq:max30102"] = self._max30102()
        if "lis3dh" not in missing and self.recording.accel is not None:
            devices[lis3dh.ADDRESS] = parts["irq:lis3dh"] = self._lis3dh()
        if self.cell is not None and "max17048" not in missing:
            devices[max17048.ADDRESS] = Max17048(self.cell())
        parts["i2c:sensors"] = I2CBus(devices, tuple(bus_faults))
        if self.recording.ecg is not None:
            parts |= self._ecg_parts(missing)
        return parts

    def _ecg_parts(self, missing: set[str]) -> dict[str, Any]:
        ecg, fs = self.recording.ecg, self.recording.ecg_fs
        assert ecg is not None and fs
        off = [(f.from_s, f.to_s) for f in self.of(LeadOff)]
        if self.ecg == "max30003":
            cuts = tuple(BusFault(_us(f.from_s), _us(f.to_s), stuck=f.zeros) for f in self.of(SpiCut))
            if "max30003" in missing:
                return {"spi:ecg": SpiBus(None)}
            part = Max30003(
                ecg,
                fs,
                off_s=off,
                clock_error=self.ecg_clock_error,
                part=self._id("max30003", max30003.PART),
                brownouts_us=self._brownouts_us("max30003"),
                repeat=self.repeat,
            )
            return {"spi:ecg": SpiBus(part, cuts), "irq:max30003": part}
        if "ad8232" in missing:
            return {}
        circuit = Ad8232(ecg, fs, gain=self.ecg_gain, off_s=off)
        pins = {"pin:lod_p": LeadOffPin(circuit), "pin:lod_n": LeadOffPin(circuit)}
        return {"adc:ecg": Esp32Adc(circuit.out_uv), **pins}

    def stalls_ms(self) -> list[list[int]]:
        """[[at, for], ...] for the virtual clock."""
        return [[round(1000 * f.at_s), round(1000 * f.for_s)] for f in self.of(Stall)]

    def wifi_out_ms(self) -> list[list[int]]:
        """[[from, to], ...] for the virtual station interface."""
        return [[round(1000 * f.from_s), round(1000 * f.to_s)] for f in self.of(WifiOut)]

    def _id(self, part: str, right: int) -> int:
        return next((f.part_id for f in self.of(WrongId) if f.part == part), right)

    def _brownouts_us(self, part: str) -> tuple[int, ...]:
        return tuple(_us(f.at_s) for f in self.of(BrownOut) if f.part == part)

    def _lis3dh(self) -> Lis3dh:
        accel, fs = self.recording.accel, self.recording.accel_fs
        assert accel is not None and fs
        return Lis3dh(
            accel,
            fs,
            clock_error=self.accel_clock_error,
            part_id=self._id("lis3dh", lis3dh.PART_ID),
            brownouts_us=self._brownouts_us("lis3dh"),
        )

    def _max30102(self) -> Max30102:
        glare = self.of(Glare)

        def ambient_na(t_us: np.ndarray) -> np.ndarray:
            inside = [(t_us >= 1e6 * f.from_s) & (t_us < 1e6 * f.to_s) for f in glare]
            return np.where(np.logical_or.reduce(inside), 1e6, 0.0)

        return Max30102(
            self._light(),
            clock_error=self.clock_error,
            part_id=self._id("max30102", PART_ID),
            brownouts_us=self._brownouts_us("max30102"),
            swap_leds=bool(self.of(SwappedLeds)),
            noise_counts=self.noise_counts,
            die_c=self.die_c,
            ambient_na=ambient_na if glare else None,
        )

    def _light(self):
        """Function (t_us, led) -> nA of photocurrent per mA of LED current."""
        red, ir = (_NA_PER_MA * column for column in colours(self.recording, self.perfusion_pct))
        signals = {"red": red, "ir": ir}
        fs = self.recording.ppg_fs
        assert fs
        off_us = [(_us(f.from_s), _us(f.to_s)) for f in self.of(OffSkin)]
        repeat = self.repeat
        if not repeat:
            off_us.append((_us((len(ir) - 1) / fs), _us(float("inf"))))

        def light(t_us: np.ndarray, led: str) -> np.ndarray:
            x = signals[led]
            at = t_us * (fs * 1e-6)
            at = at % (len(x) - 1.001) if repeat else np.clip(at, 0, len(x) - 1.001)
            i = at.astype(np.int64)
            na = x[i] + (at - i) * (x[i + 1] - x[i])
            for start_us, end_us in off_us:
                lifted = np.clip((t_us - start_us) / _LIFT_US, 0, 1) * np.clip((end_us - t_us) / _LIFT_US, 0, 1)
                na = na * (1 - (1 - _DARK) * lifted)
            return na

        return light


def colours(recording: Recording, perfusion_pct: float) -> tuple[np.ndarray, np.ndarray]:
    """(red, ir) counts of a recording at the reference setting; simulated colour where it has none."""
    ppg, fs = recording.ppg, recording.ppg_fs
    assert ppg is not None and fs
    ppg = np.stack([_filled(column) for column in np.atleast_2d(ppg.T)], axis=1)
    names = recording.ppg_channels
    if recording.ppg_unit == "counts":
        if "red" not in names or "ir" not in names:
            raise ValueError(f"{recording.name}: counts of red and ir are needed, not of {', '.join(names)}")
        return ppg[:, names.index("red")], ppg[:, names.index("ir")]
    pulse = _unit_pulse(ppg[:, 0], fs)
    t_s = np.arange(len(pulse)) / fs
    ac = pulse * perfusion_pct / 100
    return _DC_COUNTS * (1 - ac * ratio_of(_spo2(recording, t_s))), _DC_COUNTS * (1 - ac)


def _unit_pulse(x: np.ndarray, fs: float) -> np.ndarray:
    """A pulse without wander slower than about 5 s, its typical height 1 and its polarity kept (up: more blood)."""
    x = x - ndimage.uniform_filter1d(x, max(3, round(5 * fs)), mode="nearest")
    second = max(2, round(2 * fs))
    pieces = x[: len(x) // second * second].reshape(-1, second) if len(x) >= second else x[None]
    height = float(np.median(np.ptp(pieces, axis=1)))
    return np.clip(x / height, -2, 2) if height > 0 else np.zeros(len(x))


def _spo2(recording: Recording, t_s: np.ndarray) -> np.ndarray:
    t, v = recording.truth.get("spo2", (np.zeros(0), np.zeros(0)))
    known = np.isfinite(v)
    return np.interp(t_s, t[known], v[known]) if known.any() else np.full(len(t_s), 97.0)


def _filled(x: np.ndarray) -> np.ndarray:
    """Lost samples (NaN) bridged by straight lines."""
    x = np.asarray(x, float)
    known = np.isfinite(x)
    if known.all():
        return x
    return np.interp(np.arange(len(x)), np.flatnonzero(known), x[known]) if known.any() else np.zeros(len(x))


def _us(t_s: float) -> int:
    return 1 << 60 if t_s == float("inf") else round(1e6 * t_s)
