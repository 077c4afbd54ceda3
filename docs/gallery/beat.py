"""See a beat detected: one lead with muscle noise, what the detector looks at, and the beats it finds."""

import numpy as np
from canvas import BLUE, GREEN, INK, ORANGE, RED, panels, save

from host_tools.replay import replay
from signal_models.metrics.beats import score
from signal_models.reference.ecg import energy, wide_view
from signal_models.synth.ecg import ecg


def main():
    """Draw it; return what is on it."""
    heart = ecg(30, np.random.default_rng(11), rate_bpm=72, muscle_mv=0.12, motion_mv=0.08)
    heard = replay(ecg=heart.ecg, ecg_fs=250)  # the firmware's own code under MicroPython
    truth_s = heart.beats_s[heart.beats_s < 30]
    result = score(truth_s, heard.ecg_beats_s, 0.15, end_s=30)
    figure, (lead, seen, burst) = panels(
        3, "A beat in muscle noise and electrode motion: synthetic lead, the firmware's beats"
    )
    t_s = np.arange(len(heart.ecg)) / 250
    lead.plot(t_s, heart.ecg, color=INK, lw=0.7)
    lead.plot(truth_s, np.full(len(truth_s), 1.6), "v", color=GREEN, ms=5, label="where they are")
    lead.plot(
        heard.ecg_beats_s, np.full(len(heard.ecg_beats_s), -0.9), "o", color=BLUE, ms=5, label="where they are found"
    )
    lead.set_ylim(-1.1, 2.3)
    lead.set_ylabel("lead, mV")
    uv = heart.ecg * 1000
    seen.plot(t_s - 35 / 250, wide_view(uv) / 1000, color=ORANGE, lw=0.8)
    seen.set_ylabel("wide view")
    burst.plot(t_s - 20 / 250 - 10 / 250, energy(uv) / 1000, color=RED, lw=0.9)
    burst.set_ylabel("energy, 8-20 Hz")
    burst.set_xlabel("seconds")
    burst.set_xlim(16, 24)
    lead.legend(loc="upper right", fontsize=8, ncols=2, frameon=False)
    return {"picture": save(figure, __file__), "missed": result.fn, "false": result.fp, "beats": len(truth_s)}


if __name__ == "__main__":
    print(main())
