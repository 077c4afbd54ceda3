"""Each kernel's integers against its float64 reference (signal_models/reference), by the kernel's name. `result`:

    engine, left_out, targets; kernels: [{name, what, unit, values: compared, snr_db: null where nothing differs, worst,
    mean: absolute errors, least_snr_db, most: limits, met}]

The inputs are synthetic and seeded. The integers are the int64 mirror's, which equals the firmware bit for bit: `make
property` says so of the firmware at hand, kernel by kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from host_tools.replay import frontend
from host_tools.validate.page import Prose, number, summary, table, verdict
from host_tools.validate.study import Section, judged
from signal_models.design import fft as design_fft
from signal_models.design import motion as design_motion
from signal_models.design import resp as design_resp
from signal_models.fixed import beat_class, ecg, motion, ppg, resp
from signal_models.reference import ecg as ecg_float
from signal_models.reference import motion as motion_float
from signal_models.reference import ppg as ppg_float
from signal_models.reference import resp as resp_float
from signal_models.synth.ecg import ecg as heart
from signal_models.synth.motion import exerciser
from signal_models.synth.ppg import ppg as light
from signal_models.synth.ppg import regular_beats

Both = tuple[np.ndarray, np.ndarray]  # the kernel's integers in the unit, and the reference's numbers
_STRONG = 160 - 16 * 8  # of a log spectrum: 24 dB below its largest


@dataclass(frozen=True)
class Kernel:
    """name: module and function in the firmware. least_snr_db, most (largest error): what it must keep; None: free."""

    name: str
    what: str
    unit: str
    compare: Callable[[], Both]
    least_snr_db: float | None
    most: float | None


@dataclass(frozen=True)
class Error:
    """How far a kernel's values are from the reference's. snr_db: infinite where nothing differs."""

    values: int
    snr_db: float
    worst: float
    mean: float


@lru_cache
def _lead() -> tuple[np.ndarray, np.ndarray]:
    signal = heart(60, np.random.default_rng(11), muscle_mv=0.02)
    return np.rint(signal.ecg * 1000).astype(np.int16), np.asarray(signal.beats_s)


def _r_peak() -> Both:
    x, _ = _lead()
    found, wide = ecg.detect(x), ecg_float.wide_view(x)
    exact = np.array([ecg_float.peak(wide, int(at) + 35, 10) - 35 for at in found.at])
    return (found.at + found.frac_q8 / 256) * 4.0, exact * 4.0


@lru_cache
def _light(perfusion_pct: float) -> np.ndarray:
    return light(20, np.random.default_rng(1), regular_beats(20, 75), perfusion_pct=perfusion_pct).counts


def _highpass(perfusion_pct: float) -> Both:
    counts = _light(perfusion_pct)
    got = ppg.front(ppg.decimate(counts), 1, relative=False).pulse / 2
    return got, ppg_float.pulse(counts)[: len(got)]


def _dc() -> Both:
    got = ppg.front(ppg.decimate(_light(1.0)), 1, relative=False).dc_q8 / 2048
    return got, ppg_float.dc(_light(1.0))[: len(got)]


def _autocorrelation() -> Both:
    pulse = ppg.front(ppg.decimate(_light(1.0)), 1, relative=False).pulse[-200:, 1]
    lags = np.arange(ppg.FIRST, ppg.LAST + 1)
    x = pulse.astype(float)
    pairs = [(x[: len(x) - k], x[k:]) for k in lags]
    want = [2 * (a * b).sum() / (a * a + b * b).sum() for a, b in pairs]
    return ppg.autocorrelation_q10(ppg.scaled(pulse)[0])[lags] / 1024, np.array(want)


def _spo2() -> Both:
    got, want = [], []
    for spo2_pct in (70.5, 80, 90, 97, 99):
        rng = np.random.default_rng(int(spo2_pct * 10))
        counts = light(15, rng, regular_beats(15, 75), spo2_pct=spo2_pct, perfusion_pct=1.0).counts
        tick = ppg.run(counts, pulse=1, red=0, ir=1).ticks[-1]
        got.append(tick.spo2_x10 / 10)
        want.append(ppg_float.spo2_pct(counts[: 4 * (tick.count + 1)]))
    return np.array(got), np.array(want)


def _skewness() -> Both:
    pulse = ppg.front(ppg.decimate(_light(1.0)), 1, relative=False).pulse[100:, 1]
    rows = [pulse[i : i + 200] for i in range(0, len(pulse) - 200, 25)]
    centred = [r - r.mean() for r in rows]
    return (
        np.array([ppg.shape(r)[1] / 64 for r in rows]),
        np.array([(c**3).mean() / (c**2).mean() ** 1.5 for c in centred]),
    )


@lru_cache
def _runner() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Acceleration (mg), and normalised windows of the light and of the acceleration."""
    wearer = exerciser((("walk", 25.0), ("run", 40.0)), 3)
    stream = frontend.ppg_stream(wearer.ppg, wearer.ppg_fs, wearer.ppg_channels, wearer.ppg_unit)  # type: ignore[arg-type]
    pulse = ppg.front(ppg.decimate(stream.data, 0), 1, relative=False).pulse
    mg = frontend.accel_stream(wearer.accel, wearer.accel_fs).data  # type: ignore[arg-type]
    x, acc = motion.windows(pulse, motion.acceleration(mg))[:2]
    assert acc is not None
    return mg, x, acc


def _acceleration() -> Both:
    got = motion.acceleration(_runner()[0])
    return got / 4, motion_float.acceleration(_runner()[0])[: len(got)] / 4


def _transform() -> Both:
    x = motion.normalise(_runner()[1][:, 1])
    y = (x * design_fft.window_q10() + 512) >> 10
    re, im = motion.transform(x)
    return (re + 1j * im).view(float), np.fft.fft(y[:, 0::2] + 1j * y[:, 1::2], 512).view(float)


def _motion_spectrum() -> Both:
    x = motion.normalise(_runner()[1][:, 1])
    got, want = motion.spectrum(x), motion_float.spectrum(x, motion.BAND, motion.LAST)
    strong = want > _STRONG
    strong[:, 0] = False
    return got[strong] * 3.01 / 16, want[strong] * 3.01 / 16


def _cancel() -> Both:
    x, acc = (motion.normalise(v) for v in (_runner()[1][:, 1], _runner()[2]))
    left = (motion.cancel(x, acc), motion_float.cancelled(x, acc))
    got, want = (10 * np.log10(np.mean(np.square(v, dtype=float), axis=1)) for v in left)
    return got, want


@lru_cache
def _judged() -> tuple[list[np.ndarray], list[np.ndarray]]:
    columns, moved, _ = motion.spectra(*_runner()[1:])
    net = design_motion.network()
    inputs = [motion.inputs(own, left, moved) for own, left in columns]
    got = [motion.judge(u, net, shift) for u, shift in zip(inputs, (12, 12, 11), strict=True)]
    return got, [motion_float.judged(u, net) / part for u, part in zip(inputs, (2, 2, 1), strict=True)]


def _judge() -> Both:
    got, want = _judged()
    return np.array(got) / 16, np.array(want)


def _motion_rate() -> Both:
    got, want = _judged()
    rate, sure = motion.track(np.sum(got, axis=0))
    return (rate / 10)[sure > 65], motion_float.followed(np.sum(want, axis=0), motion.LOW)[sure > 65]


@lru_cache
def _breath() -> np.ndarray:
    """Slopes (n, 5, 100) of light that breathes 16 times a minute."""
    rng = np.random.default_rng(4)
    t_s = np.arange(100 * 25) / 25
    onsets_s = np.cumsum(0.75 * (1 + 0.04 * rng.normal(size=130)))
    breath = np.sin(2 * np.pi * 16 / 60 * t_s)
    turns = 2 * np.pi * np.interp(t_s, onsets_s, np.arange(130))
    x = np.rint(30_000 * (1 + 0.08 * breath) * np.sin(turns) + 6000 * breath + 1500 * rng.normal(size=len(t_s)))
    known = np.ceil(onsets_s * 25).astype(int) + 8
    beats = [(n, int((n - 25 * s) * 256)) for n, s in zip(known.tolist(), onsets_s, strict=True) if 32 < n < len(t_s)]
    return resp.of_pulse(x.astype(int), beats, relative=True).windows(np.arange(16 * 50, len(t_s), 50))  # type: ignore[arg-type]


def _resp_spectrum() -> Both:
    x = _breath().reshape(-1, resp.WINDOW)
    rates = slice(design_resp.FIRST_BIN, design_resp.FIRST_BIN + design_resp.BINS)
    got, want = resp.spectra(x)[:, rates], resp_float.spectrum(x.astype(float))[:, rates]
    return got[want > _STRONG] * 3.01 / 16, want[want > _STRONG] * 3.01 / 16


def _resp_rate() -> Both:
    x = _breath().reshape(-1, resp.WINDOW)
    got, want = (s.reshape(len(_breath()), 5, -1) for s in (resp.spectra(x), resp_float.spectrum(x.astype(float))))
    weights = design_resp.weights_q5()[:5]
    scores = resp.score(got, weights)
    rate, _ = resp.read(resp.follow(scores, [0] * len(scores)))
    return rate / 10, resp_float.followed(resp_float.score(want, weights))[0]


@lru_cache
def _beats() -> np.ndarray:
    y = beat_class.halved(_lead()[0])
    at = (_lead()[1][2:-2] * 125).astype(int)
    return y[at[:, None] + np.arange(-13, 14)] >> 2


def _norm() -> Both:
    v = _beats()
    return beat_class.norm_q4(v) / 4, 4 * np.sqrt(((v - v.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))


def _qrs(x: np.ndarray) -> Both:
    return ecg.qrs_view(x), ecg_float.qrs_view(x)


KERNELS = (
    Kernel("dsp.ecg.fir_q15", "QRS view, 8-20 Hz", "µV", lambda: _qrs(_lead()[0]), 48, 1.0),
    Kernel(
        "dsp.ecg.views",
        "energy over 80 ms",
        "µV",
        lambda: (ecg.energy(_lead()[0]), ecg_float.energy(_lead()[0])),
        48,
        20,
    ),
    Kernel(
        "dsp.ecg.views",
        "wide view",
        "µV",
        lambda: (ecg.wide_view(_lead()[0]) * 32 / 41, ecg_float.wide_view(_lead()[0])),
        48,
        2.0,
    ),
    Kernel("dsp.ecg.refine", "time of the R peak", "ms", _r_peak, None, 1.0),
    Kernel("dsp.beat_shape.norm_q4", "norm of a beat's shape", "µV", _norm, None, 32),
    Kernel(
        "dsp.ppg_front.decimate",
        "sums of 8 samples",
        "counts",
        lambda: (ppg.decimate(_light(1.0)) / 8, ppg_float.decimated(_light(1.0))[: len(_light(1.0)) // 4 - 1]),
        None,
        1e-6,
    ),
    *(
        Kernel(
            "dsp.ppg_front.highpass", f"pulse, perfusion {p:g} %", "counts", lambda p=p: _highpass(p), snr, most
        )  # rounding, then the coefficients' 14 bits
        for p, snr, most in ((0.3, 50, 0.75), (1.0, 60, 0.75), (10.0, 60, 4.0))
    ),
    Kernel("dsp.ppg_front.highpass", "DC", "counts", _dc, 100, 0.2),
    Kernel("dsp.ppg_window.autocorrelate", "autocorrelation at each lag", "of 1", _autocorrelation, 40, 0.01),
    Kernel("dsp.ppg_window.moments", "SpO2 by regression, 70 to 99 %", "%", _spo2, None, 0.3),
    Kernel("dsp.pulse_shape.moments", "skewness of 8 s", "of 1", _skewness, None, 0.1),
    Kernel("dsp.fft.transform", "512 complex points", "of 16 bits", _transform, 40, 32),
    Kernel("dsp.fft.log_power", "spectrum of a running wrist, upper 24 dB", "dB", _motion_spectrum, None, 0.6),
    Kernel("dsp.motion.decimate", "acceleration without gravity", "mg", _acceleration, 48, 0.25),
    Kernel("dsp.motion.cancel", "what is left of the pulse", "dB", _cancel, None, 0.4),
    Kernel("dsp.motion.judge", "likelihood of a rate", "octave", _judge, None, 0.125),
    Kernel("dsp.motion.follow", "pulse rate where it is sure", "/min", _motion_rate, None, 0.3),
    Kernel("dsp.resp.gather", "spectrum of a breath's views, upper 24 dB", "dB", _resp_spectrum, None, 0.76),
    Kernel("dsp.resp.follow", "respiration rate", "/min", _resp_rate, None, 0.15),
)


def measure(kernel: Kernel) -> Error:
    """Compare the kernel with its reference."""
    got, want = (np.ravel(np.asarray(v, float)) for v in kernel.compare())
    error = np.abs(got - want)
    noise = float(np.sum(error**2))
    snr_db = float(10 * np.log10(np.sum(want**2) / noise)) if noise else float("inf")
    return Error(len(got), snr_db, float(error.max()), float(error.mean()))


@dataclass(frozen=True)
class Task:
    """Number of a kernel in KERNELS."""

    index: int

    @property
    def case(self) -> str:
        """Kernels of a module share their inputs."""
        return KERNELS[self.index].name.split(".")[1]

    def __str__(self) -> str:
        return KERNELS[self.index].name


@dataclass(frozen=True)
class FixedPointStudy:
    """All of KERNELS."""

    name = "fixed-point"
    title = "Vigil fixed point: every kernel against float64"

    def tasks(self) -> list[Task]:
        """A kernel each."""
        return [Task(i) for i in range(len(KERNELS))]

    def key(self, task: Task) -> str:
        """See Study."""
        return f"fixed-point {KERNELS[task.index].name} {KERNELS[task.index].what}"

    def run(self, task: Task) -> Error:
        """Measure it."""
        return measure(KERNELS[task.index])

    def summarise(self, results: list[tuple[Task, Error]]) -> dict:
        """See the module's docstring."""
        rows: list[dict[str, Any]] = []
        targets = []
        for task, error in results:
            k = KERNELS[task.index]
            name = f"{k.name}, {k.what}"
            if k.most is not None:
                targets.append(judged(f"{name}: largest error", error.worst, k.unit, k.most, False))
            if k.least_snr_db is not None:
                targets.append(judged(f"{name}: SNR", error.snr_db, "dB", k.least_snr_db, True))
            rows.append(
                {"name": k.name, "what": k.what, "unit": k.unit, **asdict(error)}
                | {"least_snr_db": k.least_snr_db, "most": k.most}
                | {"met": all(t["met"] for t in targets if t["name"].startswith(name))}
            )
        return {"engine": "mirror", "left_out": [], "targets": targets, "kernels": rows}

    def sections(self, result: dict) -> list[Section]:
        """Draw it."""
        rows = [
            [
                k["name"],
                Prose(k["what"]),
                k["values"],
                "exact" if k["snr_db"] is None else number(k["snr_db"], 1),
                number(k["least_snr_db"], 0),
                f"{k['worst']:.3g} {k['unit']}",
                number(k["most"], 2),
                f"{k['mean']:.2g}",
                verdict(k["met"]),
            ]
            for k in result["kernels"]
        ]
        heads = ["Kernel", "what", "values", "SNR dB", "at least", "largest error", "at most", "mean", ""]
        missed = sum(t["met"] is False for t in result["targets"])
        said = f"{missed} of them missed" if missed else "all of them kept"
        return [
            summary(result | {"targets": [t for t in result["targets"] if not t["met"]]}, f"Bounds: {said}.")
            if missed
            else Section(
                "Summary", f"<p>{len(result['targets'])} bounds on {len(rows)} outputs, all of them kept.</p>"
            ),
            Section(
                "Integers against float64, by kernel",
                table(heads, rows),
                "The same input through the fixed-point kernel and through its unquantised float64 reference. The "
                "integers are the int64 mirror's, equal to the firmware bit for bit.",
            ),
        ]


def main(argv: list[str] | None = None) -> int:
    """Print a line a kernel; exit status 1 where a bound is missed."""
    study = FixedPointStudy()
    result = study.summarise([(t, study.run(t)) for t in study.tasks()])
    for k in result["kernels"]:
        print(
            f"{k['name']:30} {k['what']:42} SNR {k['snr_db']:6.1f} dB  largest error {k['worst']:8.3g} {k['unit']:10}"
            f" {'kept' if k['met'] else 'MISSED'}"
        )
    return int(not all(k["met"] for k in result["kernels"]))
