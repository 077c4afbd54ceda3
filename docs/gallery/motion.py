"""See motion removed: rest, walk, run, rest at the wrist; the light's spectrum before and after, and the rate."""

import numpy as np
from canvas import BLUE, GREEN, RED, SOFT, panels, save
from scipy import signal

from host_tools.replay import replay_recording
from signal_models.synth.motion import exerciser

PHASES = (("rest", 15.0), ("walk", 15.0), ("run", 35.0), ("rest", 25.0))


def main():
    """Draw it; return what is on it."""
    wearer = exerciser(PHASES, seed=2)
    heard = replay_recording(wearer)
    alone = replay_recording(without_acceleration(wearer))
    t_s, bpm = wearer.truth["pulse_rate"]
    figure, (swing, light, rate) = panels(
        3, "Rest, walk, run, rest: the arm's swing in the light, and the pulse through it"
    )
    f, at_s, power = signal.spectrogram(wearer.accel[:, 0] - np.mean(wearer.accel[:, 0]), 50, nperseg=400, noverlap=350)
    swing.pcolormesh(at_s, f * 60, np.log10(power + 1e-7), cmap="Oranges", rasterized=True)
    f, at_s, power = signal.spectrogram(signal.detrend(wearer.ppg[:, 1]), 100, nperseg=800, noverlap=700)
    light.pcolormesh(at_s, f * 60, np.log10(power / power.sum(axis=0) + 1e-4), cmap="Purples", rasterized=True)
    for axes, name in ((swing, "acceleration, /min"), (light, "light, /min")):
        axes.set_ylim(30, 240)
        axes.set_ylabel(name)
        axes.plot(t_s, bpm, color=GREEN, lw=1, ls="--")
    rate.plot(t_s, bpm, color=GREEN, lw=1.2, ls="--", label="true")
    errors = {}
    for name, result, colour in (("with acceleration", heard, BLUE), ("light alone", alone, RED)):
        shown = [r for r in result.of("pulse_rate") if not r.withheld]
        rate.plot([r.t_end_s for r in shown], [r.value for r in shown], ".", color=colour, ms=5, label=f"{name}, shown")
        wrong = [abs(r.value - wearer.truth_mean("pulse_rate", r.t_start_s, r.t_end_s)) for r in shown]
        errors[name] = round(float(np.mean(wrong)), 2) if wrong else None
    held = [r for r in alone.of("pulse_rate") if r.withheld]
    rate.plot([r.t_end_s for r in held], np.full(len(held), 50), "|", color=SOFT, ms=6, label="light alone, withheld")
    rate.set_ylim(40, 180)
    rate.set_ylabel("pulse rate, /min")
    rate.set_xlabel("seconds")
    rate.legend(loc="upper right", fontsize=8, ncols=4, frameon=False)
    return {"picture": save(figure, __file__), "error_bpm": errors, "withheld_alone": len(held)}


def without_acceleration(wearer):
    """The same wearer with a board that has no accelerometer."""
    bare = exerciser(PHASES, seed=2)
    bare.accel = bare.accel_fs = None
    return bare


if __name__ == "__main__":
    print(main())
