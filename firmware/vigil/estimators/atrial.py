"""Does the same wave come before every beat, as P does in sinus rhythm, and as nothing does in atrial fibrillation?

Of each beat that is not ventricular, the wave before it (dsp.beat_shape). agreement: the cosine, in 1/256, of each from
the fourth on and the mean of those before it (which moves to it by 1/n, n up to 16), their mean over n, up to 32 (kept
in 1/4096; floors). Known from the sixth beat on: above 135 the wave is PRESENT, below 130 ABSENT.
"""

from array import array

from micropython import const

from vigil.dsp.beat_shape import WAVE, agree, wave

UNKNOWN = const(0)
ABSENT = const(1)  # as estimators.rhythm has them
PRESENT = const(2)

_PRESENT_Q12 = const(135 << 4)
_ABSENT_Q12 = const(130 << 4)


class AtrialWave:
    """add() each beat that is not ventricular. 0.2 KB of state; allocates nothing in steady state."""

    def __init__(self):
        self._wave = array("b", bytes(WAVE))
        self._sums = array("h", bytes(2 * WAVE))
        self._scratch = array("i", bytes(4 * WAVE))
        self.reset()

    def reset(self):
        """Forget all waves."""
        self._n = 0
        self._agreement_q12 = 0
        for i in range(WAVE):
            self._sums[i] = 0

    def add(self, ring, at):
        """Take the beat at sample `at` of a halved lead of which `ring` holds the last part."""
        if at < 40:
            return
        wave(ring, at, self._scratch, self._wave)
        n = self._n = min(self._n + 1, 64)
        alike = agree(self._wave, self._sums, min(n, 16))
        if n > 3:
            self._agreement_q12 += ((alike << 4) - self._agreement_q12) // min(n - 3, 32)

    @property
    def state(self):
        """UNKNOWN, ABSENT or PRESENT."""
        a = self._agreement_q12
        if self._n < 6 or _ABSENT_Q12 <= a <= _PRESENT_Q12:
            return UNKNOWN
        return PRESENT if a > _PRESENT_Q12 else ABSENT
