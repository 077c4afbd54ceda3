"""See SpO2 fall: a wearer whose saturation sinks from 98 to 80 % and comes back, and what is shown."""

import numpy as np
from canvas import BLUE, GREEN, RED, SOFT, VIOLET, panels, save
from scipy import ndimage

from host_tools.replay import replay
from signal_models.synth.ppg import ppg, regular_beats


def main():
    """Draw it; return what is on it."""
    seconds, fs = 120, 100.0
    t_s = np.arange(round(seconds * fs)) / fs
    spo2 = np.interp(t_s, [0, 25, 65, 85, 105, seconds], [98, 98, 80, 80, 97, 97])
    beats_s = regular_beats(seconds, 74)
    light = ppg(seconds, np.random.default_rng(5), beats_s, fs=fs, spo2_pct=spo2, perfusion_pct=1.2)
    heard = replay(ppg=light.counts, ppg_fs=fs)
    figure, (pulse, value) = panels(2, "SpO2 falls: the red pulse grows beside the infrared one, and what is shown")
    for column, colour, name in ((0, RED, "red"), (1, VIOLET, "infrared")):
        level = light.counts[:, column].astype(float)
        slow = ndimage.uniform_filter1d(level, 300, mode="nearest")
        size = np.sqrt(ndimage.uniform_filter1d((100 * (level - slow) / slow) ** 2, 400, mode="nearest"))
        pulse.plot(t_s, size, color=colour, lw=1.2, label=name)
    pulse.set_ylim(0, None)
    pulse.set_ylabel("pulse, % of the light (rms)")
    pulse.legend(loc="lower right", fontsize=8, ncols=2, frameon=False)
    readings = heard.of("spo2")
    shown = [r for r in readings if not r.withheld]
    value.plot(t_s, spo2, color=GREEN, lw=1.2, ls="--", label="true")
    value.plot([r.t_end_s for r in shown], [r.value for r in shown], "o-", color=BLUE, ms=3, lw=0.8, label="shown")
    held = [r for r in readings if r.withheld]
    value.plot([r.t_end_s for r in held], np.full(len(held), 78), "|", color=SOFT, label="withheld")
    value.set_ylabel("SpO2, %")
    value.set_xlabel("seconds")
    value.legend(loc="lower left", fontsize=8, ncols=3, frameon=False)
    middle = [abs(r.value - np.interp((r.t_start_s + r.t_end_s) / 2, t_s, spo2)) for r in shown]
    return {"picture": save(figure, __file__), "worst_pct": round(float(max(middle)), 2), "shown": len(shown)}


if __name__ == "__main__":
    print(main())
