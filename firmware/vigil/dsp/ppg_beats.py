"""Pulse onsets from the high-passed pulse at 25 Hz, one sample at a time.

The rise over 160 ms is compared with half of a decaying average of the rises of past beats: a dicrotic wave rises
less than its systole and comes before that average has faded. A peak of the rise waits for the refractory time;
a larger one that comes meanwhile takes its place. The onset is where the tangent at the steepest place meets the
level of the foot (intersecting tangents). docs/adr/0005 tells what else was considered.
"""

import micropython
from micropython import const

# Words of the state, array('i', 10).
LEVEL_Q4 = const(0)  # decaying average of the beats' rises
LEARN = const(1)  # samples until beats are emitted
REFRACTORY = const(2)  # samples; the channel sets it from the period
_RISE1 = const(3)  # rise one and two samples ago, + _BIAS
_RISE2 = const(4)
_WAIT = const(5)  # samples since the waiting peak; 0: none waits
_PEAK = const(6)  # its rise
_FRAC_Q8 = const(7)  # its refinement, + _BIAS
WORDS = const(8)
_BIAS = const(1 << 20)  # keeps stored words positive, so that a plain 32-bit load is right on every port

SETTLE = const(25)  # samples after a start in which the high-pass still swings
LEARN_FROM = const(75)  # LEARN after a start: 1 s to settle, 2 s to learn the level

# Words of a beat.
ONSET_BACK_Q8 = const(0)  # samples from the onset to now
HEIGHT = const(1)  # foot to peak, half counts
RISE = const(2)  # steepest rise over 160 ms, half counts


def restart(state):
    """Forget all."""
    for i in range(WORDS):
        state[i] = 0
    state[_RISE1] = state[_RISE2] = state[_FRAC_Q8] = _BIAS
    state[LEARN] = LEARN_FROM
    state[REFRACTORY] = 6


@micropython.viper
def step(ring, column: int, count: int, state, beat) -> int:
    """Look at the newest sample (ring[column * 256 + count % 256]). Returns 1 when it made a beat certain.

    beat: int32, 3 words, written then. A beat is certain at the latest REFRACTORY (at most 13) samples after its
    steepest place.
    Scaling and overflow: |ring| <= 2**15, so |rise| < 2**16; rise * 16 < 2**20; 512 * 2**16 = 2**25.
    """
    r = ptr16(ring)
    s = ptr32(state)
    o = ptr32(beat)
    base = column * 256
    v = (int(r[base + (count & 255)]) ^ 0x8000) - 0x8000
    rise = v - ((int(r[base + ((count - 4) & 255)]) ^ 0x8000) - 0x8000)
    rise1 = int(s[_RISE1]) - _BIAS
    rise2 = int(s[_RISE2]) - _BIAS
    s[_RISE1] = rise + _BIAS
    s[_RISE2] = rise1 + _BIAS
    level = int(s[LEVEL_Q4])
    learn = int(s[LEARN])
    if learn:
        s[LEARN] = learn - 1
        if learn <= 50 and rise > 0 and rise * 12 > level:
            s[LEVEL_Q4] = rise * 12  # three quarters of the largest
        return 0
    level -= level >> 7
    s[LEVEL_Q4] = level
    wait = int(s[_WAIT])
    if wait:
        wait += 1
        s[_WAIT] = wait
    refractory = int(s[REFRACTORY])
    made = 0
    if wait > refractory:
        # Certain. Its steepest place lies `wait` - 1 samples back, minus 2 for the span of the rise.
        peak = int(s[_PEAK])
        at = count - wait
        foot = 32767
        i = 3
        while i < 11:
            v = (int(r[base + ((at - i) & 255)]) ^ 0x8000) - 0x8000
            if v < foot:
                foot = v
            i += 1
        top = 0 - 32768
        i = 0
        while i <= 8 and i < wait:
            v = (int(r[base + ((at + i) & 255)]) ^ 0x8000) - 0x8000
            if v > top:
                top = v
            i += 1
        # The tangent's slope is taken over the middle 80 ms, where it is steepest.
        slope = (int(r[base + ((at - 1) & 255)]) ^ 0x8000) - (int(r[base + ((at - 3) & 255)]) ^ 0x8000)
        if slope <= peak >> 2:
            slope = (peak >> 2) + 1
        v = (int(r[base + ((at - 2) & 255)]) ^ 0x8000) - 0x8000
        back = ((v - foot) * 512) // slope
        if back > 1280:
            back = 1280  # at most 200 ms before the steepest place
        if back < 0:
            back = 0
        o[0] = (wait << 8) + 512 + back - (int(s[_FRAC_Q8]) - _BIAS)
        o[1] = top - foot
        o[2] = peak
        if peak * 8 > level:
            peak = level >> 3  # one artefact may not raise the level by more than a quarter
        s[LEVEL_Q4] = level + ((peak * 16 - level) >> 2)
        s[_WAIT] = 0
        wait = 0
        made = 1
    if rise1 > rise2 and rise1 >= rise and rise1 > 5 and rise1 * 32 > level:
        if wait == 0 or rise1 > int(s[_PEAK]):
            s[_PEAK] = rise1
            s[_WAIT] = 1
            s[_FRAC_Q8] = ((rise - rise2) * 128) // (2 * rise1 - rise - rise2) + _BIAS
    return made
