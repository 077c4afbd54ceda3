"""Pulse onsets from the pulse at 25 Hz, one sample at a time.

The rise over 160 ms, less the rise that went on before it (breathing), is compared with the level of past strong beats.
Time tells a dicrotic wave from a weak beat better than height: within 0.65 of the period (at most 0.48 s) after a beat
only a pulse as strong as a beat follows; later any rise of a seventh of the level is one, as the weak pulse of an
extrasystole is, unless it is no larger than the noise. A peak of the rise waits for that time; a larger one that comes
meanwhile takes its place. The onset is where the tangent at the steepest place meets the level of the foot
(intersecting tangents). docs/adr/0005 and 0016 tell what else was considered.
"""

import micropython
from micropython import const

# Words of the state, array('i', WORDS).
LEVEL_Q4 = const(0)  # rise of strong beats
NOISE_Q4 = const(1)  # median of the third difference: what no pulse does
_LEARN = const(2)  # samples until beats are emitted
_PERIOD_Q4 = const(3)  # samples between strong beats, 0: not known
_RISE1 = const(4)  # rise one and two samples ago, + _BIAS
_RISE2 = const(5)
_WAIT = const(6)  # samples since the waiting peak; 0: none waits
_PEAK = const(7)  # its rise
_FRAC_Q8 = const(8)  # its refinement, + _BIAS
_SINCE = const(9)  # samples since the last beat
_STRONG = const(10)  # samples since the last strong one
WORDS = const(11)
_BIAS = const(1 << 20)  # keeps stored words positive, so that a plain 32-bit load is right on every port

# Words of a beat.
ONSET_BACK_Q8 = const(0)  # samples from the onset to now
HEIGHT = const(1)  # foot to peak, half counts
RISE = const(2)  # steepest rise over 160 ms, half counts


def restart(state):
    """Forget all: 1 s to settle, 2 s to learn the level."""
    for i in range(WORDS):
        state[i] = 0
    state[_RISE1] = state[_RISE2] = state[_FRAC_Q8] = _BIAS
    state[_LEARN] = 75


@micropython.viper
def step(ring, column: int, count: int, state, beat) -> int:
    """Look at the newest sample (ring[column * 256 + count % 256]). Returns 1 when it made a beat certain.

    beat: int32, 3 words, written then. A beat is certain at the latest 13 samples after its steepest place.
    Scaling and overflow: |ring| <= 2**15, so |rise| < 2**17 and the third difference < 2**18; the level in Q4
    <= 2**21; rise * 32 < 2**22; 512 * 2**16 = 2**25.
    """
    r = ptr16(ring)
    s = ptr32(state)
    o = ptr32(beat)
    base = column * 256
    v = (int(r[base + (count & 255)]) ^ 0x8000) - 0x8000
    rough = v - ((int(r[base + ((count - 3) & 255)]) ^ 0x8000) - 0x8000)
    rough -= 3 * ((int(r[base + ((count - 1) & 255)]) ^ 0x8000) - (int(r[base + ((count - 2) & 255)]) ^ 0x8000))
    if rough < 0:
        rough = 0 - rough
    noise = int(s[NOISE_Q4])
    if rough << 4 > noise:
        noise += (noise >> 5) + 1
    else:
        noise -= noise >> 5
    s[NOISE_Q4] = noise
    foot = (int(r[base + ((count - 4) & 255)]) ^ 0x8000) - 0x8000
    rise = v - foot
    foot -= (int(r[base + ((count - 8) & 255)]) ^ 0x8000) - 0x8000
    if foot > 0:
        rise -= foot
    rise1 = int(s[_RISE1]) - _BIAS
    rise2 = int(s[_RISE2]) - _BIAS
    s[_RISE1] = rise + _BIAS
    s[_RISE2] = rise1 + _BIAS
    level = int(s[LEVEL_Q4])
    learn = int(s[_LEARN])
    if learn:
        s[_LEARN] = learn - 1
        if learn <= 50 and rise > 0 and rise * 12 > level:
            s[LEVEL_Q4] = rise * 12  # three quarters of the largest
        return 0
    since = int(s[_SINCE]) + 1
    s[_SINCE] = since
    strong = int(s[_STRONG]) + 1
    s[_STRONG] = strong
    if since > 60:
        level -= level >> 5
        s[LEVEL_Q4] = level
    wait = int(s[_WAIT])
    if wait:
        wait += 1
        s[_WAIT] = wait
    period = int(s[_PERIOD_Q4])
    refractory = period * 21 >> 9
    if refractory > 12 or period == 0:
        refractory = 12
    if refractory < 5:
        refractory = 5
    peak = int(s[_PEAK])
    due = wait > refractory
    takes = 0
    if rise1 > rise2 and rise1 >= rise and rise1 > 5:
        if wait == 0 or due:
            least = noise * 5
            if least > level >> 1:
                least = level >> 1
            floor = level // 7
            if period > 512 or period == 0:
                floor = level >> 2  # a slow heart's long diastole, in which breathing looks like a pulse
            if rise1 << 4 > least and rise1 << 4 > floor:
                takes = 1
        elif rise1 > peak:
            takes = 1
            due = rise1 * 23 > level and peak * 5 >= rise1 * 3 and wait >= 7
        elif rise1 * 23 > level and wait >= 7:
            takes = 1
            due = True
    made = 0
    if due:
        # Certain. Its steepest place lies `wait` - 1 samples back, minus 2 for the span of the rise.
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
        s[_SINCE] = wait
        if peak << 5 > level:
            # The period between strong beats follows by a sixteenth of itself at most, the level up by a quarter.
            strong = strong - wait << 4
            s[_STRONG] = wait
            if strong > 64 and strong < 992:
                if period == 0:
                    period = strong + 320 >> 1  # half way from 0.8 s
                strong -= period
                if strong > period >> 2:
                    strong = period >> 2
                if strong < 0 - (period >> 2):
                    strong = 0 - (period >> 2)
                s[_PERIOD_Q4] = period + (strong >> 2)
            v = (peak << 4) - level
            if v > level:
                v = level
            if v > 0:
                level += v >> 2
            else:
                level += v >> 3
            s[LEVEL_Q4] = level
        s[_WAIT] = 0
        made = 1
    if takes:
        s[_PEAK] = rise1
        s[_WAIT] = 1
        s[_FRAC_Q8] = ((rise - rise2) * 128) // (2 * rise1 - rise - rise2) + _BIAS
    return made
