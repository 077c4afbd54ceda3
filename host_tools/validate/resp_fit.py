"""Fits the weights of the respiration rate's views on bidmc, and says what they are worth on records left out.

    python -m host_tools.validate.resp_fit [--write]

Conditional logit: of all rates, the marked one should have the largest weighted sum of its spectra. Windows in which
the annotators differ by 2 a minute are not learned from; each window counts with the ECG and without. The firmware's
own channels make the views, on CPython (about ten minutes).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import optimize

from host_tools.replay import replay_recording
from host_tools.validate.pairs import events_rate
from host_tools.validate.resp import WINDOW_S
from signal_models import datasets
from signal_models.datasets import bidmc
from signal_models.design import resp as design
from signal_models.fixed import resp as mirror
from vigil.app import pipeline
from vigil.estimators import resp_rate

LIGHT = 5  # views of light, before those of the ECG
STRENGTH = 0.25  # of what overlapping windows say
_FOLDS, _EVERY, _SPREAD, _DAMP = 9, 4, 0.8, 1e-3
RATES = (np.arange(design.BINS) + design.FIRST_BIN) * design.BIN_PER_MIN


@dataclass
class Heard:
    """Of a record, a reading each: spectra (n, 7, LAST), beats' interval (slots Q8), rates of the annotators (2, n)."""

    spectra: np.ndarray
    interval_q8: np.ndarray
    marked: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """Mean of the annotators."""
        return self.marked.mean(axis=0)


class _Listener(resp_rate.RespRate):
    """Keeps the windows of what it hears."""

    kept: list[tuple[int, np.ndarray, int]]

    def report(self, sources, t_ms, out):
        self._rows = np.zeros((len(design.VIEWS), mirror.WINDOW), np.int64)
        super().report(sources, t_ms, out)
        known = [s.interval_q8 for s, _ in sources if s is not None and s.interval_q8]
        _Listener.kept.append((t_ms, self._rows, known[-1] if known else 0))

    def _hear(self, source):
        super()._hear(source)
        rings = np.array(source.rings, np.int64).reshape(-1, 128)
        rows = rings[:, np.arange(source.now - mirror.WINDOW, source.now) & 127]
        if not source.first:
            rows = np.insert(rows, 3, np.clip(rows[1] - rows[2], -32767, 32767), axis=0)
        self._rows[source.first : source.first + len(rows)] = rows


def hear(path: Path) -> Heard:
    """Play a record to the firmware and keep what its respiration rate hears."""
    _Listener.kept = []
    shipped, pipeline.RespRate = pipeline.RespRate, _Listener
    try:
        replay_recording(datasets.load(path), engine="cpython")
    finally:
        pipeline.RespRate = shipped
    kept = [k for k in _Listener.kept if k[1].any()]
    rows = np.array([k[1] for k in kept])
    spectra = mirror.spectra(rows.reshape(-1, mirror.WINDOW)).reshape(len(rows), len(design.VIEWS), -1)
    end_s = np.array([k[0] for k in kept]) / 1000
    marked = np.array([events_rate(m, end_s - WINDOW_S, end_s) for m in bidmc.breaths(path)])
    return Heard(spectra, np.array([k[2] for k in kept]), marked)


def fit(records: list[Heard]) -> np.ndarray:
    """Weights (7, 3) as the firmware holds them."""
    inputs, aims = [], []
    for heard in records:
        sure = np.flatnonzero(np.isfinite(heard.truth) & (np.ptp(heard.marked, axis=0) < 2))
        for first, with_ecg in ((0, True), (_EVERY // 2, False)):
            some = sure[first::_EVERY]
            x = mirror.inputs(heard.spectra[some]) / 160
            if not with_ecg:
                x[:, LIGHT:] = 0
            aim = np.exp(-0.5 * ((RATES[None] - heard.truth[some, None]) / _SPREAD) ** 2)
            inputs.append(x.transpose(0, 2, 1, 3).reshape(len(some), design.BINS, -1).astype(np.float32))
            aims.append(aim / aim.sum(axis=1, keepdims=True))
    x, aim = np.concatenate(inputs), np.concatenate(aims)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        value = -(aim * np.log(p + 1e-12)).sum(axis=1).mean() + _DAMP * (w**2).sum()
        return value, np.einsum("wc,wcf->f", p - aim, x) / len(x) + 2 * _DAMP * w

    found = optimize.minimize(loss, np.zeros(x.shape[-1]), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    return np.rint(found.x.reshape(-1, 3) * STRENGTH * 64 * 32 / 160).astype(int)


def worth(heard: Heard, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Absolute error (a minute) and margin of every reading that has a truth."""
    belief = mirror.follow(mirror.score(heard.spectra, weights), heard.interval_q8.tolist())
    rate, margin = mirror.read(belief)
    known = np.isfinite(heard.truth)
    return np.abs(rate / 10 - heard.truth)[known], margin[known]


def main(argv: list[str] | None = None) -> int:
    """Fit on all records, print what the same fit is worth left out, and perhaps write the weights."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.validate.resp_fit", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write signal_models/design/resp_weights.py")
    args = parser.parse_args(argv)
    records = [hear(path) for path in datasets.records("bidmc")]
    folds = [fit([r for i, r in enumerate(records) if i % _FOLDS != f]) for f in range(_FOLDS)]
    for name, views in (("light", range(LIGHT)), ("light and ECG", range(len(design.VIEWS)))):
        kept = np.isin(np.arange(len(design.VIEWS)), list(views))[:, None]
        parts = [worth(r, folds[i % _FOLDS] * kept) for i, r in enumerate(records)]
        error, margin = (np.concatenate(v) for v in zip(*parts, strict=True))
        best = np.argsort(-margin, kind="stable")[: round(0.8 * len(error))]
        print(
            f"left out, {name:14} MAE {error.mean():.2f}; best 80 % by margin {error[best].mean():.2f}, "
            f"{100 * (error[best] <= 5).mean():.1f} % within 5"
        )
    weights = fit(records)
    print(weights.tolist())
    if args.write:
        path = Path(design.__file__).with_name("resp_weights.py")
        head = path.read_text().split("WEIGHTS_Q5")[0]
        path.write_text(head + "WEIGHTS_Q5 = (\n" + "".join(f"    {tuple(r)},\n" for r in weights.tolist()) + ")\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
