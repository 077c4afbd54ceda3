"""Which candidates are beats: adaptive levels, refractory time, T waves, search-back. Integers, decisions in order.

A candidate (dsp.ecg) has a time c in samples, an energy e, a height h = |w|, a slope s and a fitted height f (h before
the first beat is known). Of each, the last 8 beats' values are kept; its level M is the fourth smallest of them, but at
least half the seventh smallest (one artefact moves nothing, and levels that sank with the signal rise with the second
beat). A new value counts at most 8 M. The size of a candidate relative to a typical beat is

    q = 154 e / M(e) + 77 h / M(h) + 25 s / M(s)          256: as large as a typical beat; each term floored

but at most 4096 and at most 300/256 of the lesser of 256 e / M(e) and 256 s / M(s), these at most 2048.
noise = sixth smallest q of the last 8 candidates that were no beats, each counting at most 256;
threshold = min(230, 36 + 3 min(160, noise) / 2). rr = upper median of the last 8 RR intervals (250 samples before
the first).

Noise between the waves: floor = sixth smallest of the last 8 candidates' valleys, each 256 valley / M(e) and at most
256. On a clean lead it is mostly below 23, whatever the beats; n = floor - 18, 0..32, says how noisy the lead is.
As n rises, q turns into min(320, 256 f / M(f)) times the candidate's likeness / 256, is multiplied by 1 - 96/256 when d
(below) is under 190/256 rr, and the threshold moves to noise + 120/256 (fourth smallest q of the last 8 beats - noise).
Likeness (0..256) and f: to the one of two templates with the greater likeness, the second from its third beat on;
likeness 256 before the first. A beat's shape moves the template that it is most like by an eighth (likeness of 192/256
or more), or else replaces the one with fewer beats, and the other's count loses an eighth: what came once displaces
nothing that came often. None learns above a floor of 24, from a beat found by search-back, or when more than 8
candidates from it on are known.

The noise's colour: r1 and r2 (dsp.ecg) of each candidate that is no beat move their means by a sixteenth, in q12; then,
with r1 and r2 in q10 (floor) and a ridge of 1.6 %, z = 1040:  a1 = 256 r1 (z - r2) / (z z - r1 r1), within 511;
a2 = 256 (z r2 - r1 r1) / (z z - r1 r1), within 255: the best linear guess of a point from the two before it.

Candidate k is decided when 150 samples after it are known, in time order. d = time since the last beat:
1. search-back, while d > 3/2 rr: the largest candidate since the last beat that lies >= max(45, 2/5 rr) after it and
   >= 45 before k and is no T wave becomes a beat if q > 180/256 threshold (102/256 when d > 5/2 rr); then again;
2. k is nothing when d < 45 (180 ms, refractory);
3. k is a beat when q > threshold, and it is no T wave, no echo, not eclipsed and not extra;
4. otherwise it is noise. Without a beat for 4 s its values enter the levels, so that they can sink, if 200 samples
   have passed since the last that did so.
T wave: d < 90 and s < 90/256 of the last beat's, or d < 130 and s < 70/256 of it. Echo: d < 75 while rr > 112, and
e < 210/256 of the last beat's. Eclipsed: the next candidate comes within 50 samples and has q > 6/5 of this one's; or
within 60 while rr > 150, and has q > 11/10 of this one's, or s > 3/2 and q > 3/4 (a P wave before a low QRS). What is
eclipsed by s > 3/2 while rr > 150 is no noise either. Extra: an unlikely one between the last beat and a likelier one
that comes in time. Likely is q by likeness / 256: below 120 for k, above that and 3/2 of k's for one that is 40 to 150
samples after k and at most 282/256 rr after the last beat. Only while the heart is even: of 8 intervals the third and
the sixth smallest differ by no more than 32/256 rr.

Quality of a beat: how probably it is one, %. Among noise that hangs on the likeness alone: 6 + 7 likeness / 16, at most
99; on a clean lead unlike beats are ectopic ones, and right. So 99 less (93 - 7 likeness / 16, floor, at least 0) *
min(32, around) / 32; around: the floor, or the greatest valley of the beat's and of the later candidates that are
known, 256 valley / M(e), when that is more.
Clutter, for the channel: the noise again without T waves and echoes, which every clean lead has.
Learning: nothing is decided in the first 750 samples; then all levels are set from the candidate with the second
largest e, or with the largest when the second has less than half (the earliest of equals). Latency: 40
samples of filters, 42 until a candidate is taken, 150 until it is decided: 0.93 s. A beat found by search-back comes
later, when the gap is noticed.
"""

from array import array

from micropython import const

from vigil.dsp.ecg import (
    AT,
    BLOCK,
    CONFIRM,
    DELAY,
    FRAC_Q8,
    HEIGHT,
    POINTS,
    REFINED_N,
    SLOPE,
    EcgViews,
    blend,
    colour,
    dot8,
    fit,
    likeness,
    next_candidate,
    nth_smallest,
    refine,
    shape_at,
    valley,
    whiten,
)

_SLOTS = const(32)  # candidates kept; the oldest that search-back may use is 24 before k
_LOOK_BACK = const(24)
_LEARN = const(750)
_AHEAD = const(150)
_ECHO_AHEAD = const(60)
_REFRACTORY = const(45)
_LOST = const(1000)
_RELEARN = const(200)
_N = const(8)
_FLOOR_LEAST = const(18)
_NOISY = const(32)
_MATURE = const(3)
_TAUGHT_LEAST = const(24)  # floor above which no shape is learnt
_RIDGE = const(1040)  # q10: as if every noise held 1.6 % of white
_FITTED_MOST = const(320)
_DOUBTFUL = const(120)
_EVEN = const(32)
_DUE = const(282)


def _typical(level):
    return max(1, nth_smallest(level, _N, 3), nth_smallest(level, _N, 6) >> 1)


class QrsDetector:
    """Push samples; calls sink(at, frac_q8, quality_pct) for each beat, in order.

    at: sample of the R peak since reset; frac_q8: its refinement, -128..128. Allocates nothing in steady state.
    """

    def __init__(self, sink):
        self._sink = sink
        self._views = EcgViews()
        self._refined = array("i", bytes(4 * REFINED_N))
        self._c = array("i", bytes(4 * _SLOTS))
        self._e = array("i", bytes(4 * _SLOTS))
        self._h = array("i", bytes(4 * _SLOTS))
        self._s = array("i", bytes(4 * _SLOTS))
        self._at = array("i", bytes(4 * _SLOTS))
        self._frac = array("h", bytes(2 * _SLOTS))
        self._alike = array("h", bytes(2 * _SLOTS))
        self._fitted = array("i", bytes(4 * _SLOTS))
        self._colours = array("h", bytes(4 * _SLOTS))
        self._rho = array("h", bytes(4))
        self._ar_q8 = array("h", bytes(4))
        self._white = array("h", bytes(2 * 84))
        self._whitened = array("h", bytes(2 * 14))
        self._found = array("i", bytes(8))
        self._valley = array("i", bytes(4 * _SLOTS))
        self._shapes = array("b", bytes(8 * POINTS))  # of the candidates that are not decided yet
        self._sums = array("h", bytes(4 * POINTS))
        self._templates = array("b", bytes(2 * POINTS))
        self._used = array("B", bytes(2))
        self._part = array("h", bytes(2 * BLOCK))
        self._valleys = array("i", bytes(4 * _N))
        self._sizes = array("i", bytes(4 * _N))
        self._levels = tuple(array("i", bytes(4 * _N)) for _ in range(4))
        self._noise = array("i", bytes(4 * _N))
        self._clutter = array("i", bytes(4 * _N))
        self._rr = array("i", bytes(4 * _N))
        self.reset()

    def reset(self):
        """Forget everything; the next sample is number 0."""
        self._views.reset()
        self._scanned = 0  # candidates up to here are known
        self._known = 0  # number of candidates so far
        self._next = 0  # the one to be decided
        self._first = 0  # the oldest that search-back may still use
        self._last = -1  # sample of the last beat
        self._last_s = 0
        self._last_e = 0
        self._learnt = False
        self._beats = 0
        self._rejected = 0
        self._cluttered = 0
        self._relearnt = 0
        self._rr_n = 0
        self.rr = 250  # samples
        self.height = 0  # of the last beat's R wave
        self.clutter_q8 = 25
        for i in range(_N):
            self._noise[i] = 25
            self._clutter[i] = 25
            self._valleys[i] = 0
            self._sizes[i] = 256
        self._used[0] = self._used[1] = 0
        for i in range(2):
            self._rho[i] = self._ar_q8[i] = 0
        for i in range(2 * POINTS):
            self._templates[i] = 0
        self._accepted = 0
        self.floor_q8 = 0
        self._noisy = 0

    def push(self, data, n):
        """Take n samples of data (array "h", microvolts at 250 Hz)."""
        part = self._part
        at = 0
        while at < n:
            k = 0
            while k < BLOCK and at < n:
                part[k] = data[at]
                k += 1
                at += 1
            self._push(part, k)

    def _push(self, data, n):
        now = self._views.push(data, n) - 1 - CONFIRM  # the last sample that can be a candidate to be taken
        c = self._scanned
        while c < now:
            c = next_candidate(self._views.energy, c, now)
            if c <= now:
                self._decide_before(c)
                self._take(c)
        if now > self._scanned:
            self._scanned = now
        self._decide_before(now + 1)

    def _decide_before(self, c):
        """Decide what can be decided with the candidates before sample c."""
        while self._next < self._known:
            until = self._c[self._next & 31] + _AHEAD
            if not self._learnt and until < _LEARN:
                until = _LEARN
            if until >= c:
                return
            if not self._learnt:
                self._learn(until)
            self._decide(self._next)
            self._next += 1

    @property
    def since_beat(self):
        """Samples from the last beat (or from the reset) to the newest candidate that could be known."""
        return self._scanned - max(self._last, 0)

    @property
    def since_candidate(self):
        """Samples from the last candidate (or from the reset) to the newest that could be known."""
        return self._scanned - (self._c[(self._known - 1) & 31] if self._known else 0)

    def _take(self, c):
        out = self._refined
        refine(self._views.wide, c, out)
        i = self._known & 31
        self._known += 1
        self._c[i] = c
        self._e[i] = self._views.energy[c & 127]
        self._h[i] = abs(out[HEIGHT])
        self._s[i] = out[SLOPE]
        self._at[i] = out[AT]
        self._frac[i] = out[FRAC_Q8]
        wide = self._views.wide
        self._valley[i] = valley(self._views.energy, c)
        shift = fit(wide, c)
        colour(wide, c, shift, self._colours, 2 * i)
        alike = 256
        fitted = self._h[i]
        if self._used[0]:
            found = self._found
            white = self._white
            ar_q8 = self._ar_q8
            whiten(wide, c, shift, white, ar_q8[0], ar_q8[1])
            alike = fitted = 0
            for k in range(2 if self._used[1] >= _MATURE else 1):
                likeness(white, self._templates, POINTS * k, ar_q8, self._whitened, found)
                if found[0] > alike:
                    alike = found[0]
                    fitted = min(found[1], 65535 >> shift) << shift
        self._alike[i] = alike
        self._fitted[i] = fitted
        shape_at(wide, out[AT], shift, self._shapes, (i & 7) << 4)

    def _learn(self, until):
        """Set all levels from one of the candidates up to sample `until`; they are the first ones, at most 32."""
        e = self._e
        n = 1
        while n < self._known and self._c[n] <= until:
            n += 1
        most = nth_smallest(e, n, n - 1)
        second = nth_smallest(e, n, n - 2) if n > 1 else 0
        wanted = second if 2 * second >= most else most
        i = 0
        while e[i] != wanted:
            i += 1
        for k in range(_N):
            self._levels[0][k] = wanted
            self._levels[1][k] = self._h[i]
            self._levels[2][k] = self._s[i]
            self._levels[3][k] = self._h[i]
        self._measure()
        self._learnt = True

    def _measure(self):
        levels = self._levels
        self._me = _typical(levels[0])
        self._mh = _typical(levels[1])
        self._ms = _typical(levels[2])
        self._mf = _typical(levels[3])

    def _level(self, i):
        """Let candidate i enter the levels, each value at most 8 times the present one."""
        k = self._beats & 7
        self._beats += 1
        levels = self._levels
        levels[0][k] = min(self._e[i], 8 * self._me)
        levels[1][k] = min(self._h[i], 8 * self._mh)
        levels[2][k] = min(self._s[i], 8 * self._ms)
        levels[3][k] = min(self._fitted[i], 8 * self._mf)
        self._measure()

    def _size(self, i):
        # e <= 2**20, w and s <= 2**16: the products are within 2**28.
        e = self._e[i]
        s = self._s[i]
        q = 154 * e // self._me + 77 * self._h[i] // self._mh + 25 * s // self._ms
        q = min(4096, q, 300 * min(2048, (e << 8) // self._me, (s << 8) // self._ms) >> 8)
        noisy = self._noisy
        if noisy:
            fitted = min(_FITTED_MOST, (self._fitted[i] << 8) // self._mf) * self._alike[i] >> 8
            q = (q * (_NOISY - noisy) + fitted * noisy) >> 5
            if self._last >= 0 and (self._c[i] - self._last) << 8 < 190 * self.rr:
                q = q * ((_NOISY << 8) - 96 * noisy) >> 13
        return q

    def _is_t_wave(self, i):
        d = self._c[i] - self._last
        s_q8 = self._s[i] << 8
        return self._last >= 0 and ((d < 90 and s_q8 < 90 * self._last_s) or (d < 130 and s_q8 < 70 * self._last_s))

    def _threshold(self):
        level = nth_smallest(self._noise, _N, 5)
        threshold = min(230, 36 + (3 * min(160, level) >> 1))
        noisy = self._noisy
        if noisy:
            level += 120 * max(0, nth_smallest(self._sizes, _N, 3) - level) >> 8
            threshold = (threshold * (_NOISY - noisy) + level * noisy) >> 5
        return threshold

    def _decide(self, k):
        i = k & 31
        c = self._c[i]
        if self._first < k - _LOOK_BACK:
            self._first = k - _LOOK_BACK
        self._valleys[k & 7] = min(256, (self._valley[i] << 8) // self._me)
        self.floor_q8 = nth_smallest(self._valleys, _N, 5)
        self._noisy = min(_NOISY, max(0, self.floor_q8 - _FLOOR_LEAST))
        threshold = self._threshold()
        while self._last >= 0 and 2 * (c - self._last) > 3 * self.rr:
            found = self._search_back(k, threshold)
            if found < 0:
                break
            self._first = found + 1
            self._accept(found)
        d = c - self._last if self._last >= 0 else 1 << 20
        if d < _REFRACTORY:
            return
        q = self._size(i)
        late = self._is_t_wave(i) or (d < 75 and self.rr > 112 and self._e[i] << 8 < 210 * self._last_e)
        beat = q > threshold and not late
        steeper = False
        if beat and k + 1 < self._known:
            j = (k + 1) & 31
            ahead = self._c[j] - c
            if ahead < _ECHO_AHEAD:
                after = self._size(j)
                if ahead < 50 and 5 * after > 6 * q:
                    beat = False
                if self.rr > 150:
                    steep = 2 * self._s[j] > 3 * self._s[i] and 2 * self._noisy <= _NOISY
                    if 10 * after > 11 * q or (steep and 4 * after > 3 * q):
                        beat = False
                    steeper = steep and not beat
        if beat and not self._is_extra(k, q):
            self._first = k + 1
            self._accept(k)
            if self._known - k <= 8:
                self._learn_shape((i & 7) << 4)
            return
        if not steeper:
            self._learn_noise(2 * i)
            self._noise[self._rejected & 7] = min(q, 256)
            self._rejected += 1
        if not late and not steeper:
            self._clutter[self._cluttered & 7] = min(q, 256)
            self._cluttered += 1
            self.clutter_q8 = nth_smallest(self._clutter, _N, 5)
        if c - max(self._last, 0) > _LOST and c - self._relearnt >= _RELEARN:
            self._relearnt = c
            self._level(i)

    def _is_extra(self, k, q):
        """Is k an unlikely one between the last beat and a likelier one that comes in time?"""
        own = q * self._alike[k & 31] >> 8
        rr = self._rr
        if own >= _DOUBTFUL or self._rr_n < _N:
            return False
        if (nth_smallest(rr, _N, 5) - nth_smallest(rr, _N, 2)) << 8 > _EVEN * self.rr:
            return False
        c = self._c[k & 31]
        for j in range(k + 1, self._known):
            i = j & 31
            at = self._c[i]
            if at > c + _AHEAD or (at - self._last) << 8 > _DUE * self.rr:
                break
            other = self._size(i) * self._alike[i] >> 8
            if at - c >= 40 and other > _DOUBTFUL and 2 * other > 3 * own:
                return True
        return False

    def _learn_noise(self, first):
        """Let the colour of a candidate that is no beat enter the noise's, and make a1 and a2 of it."""
        rho = self._rho
        for i in range(2):
            rho[i] += (self._colours[first + i] - rho[i]) >> 4
        a = rho[0] >> 2
        b = rho[1] >> 2
        # |a|, |b| <= 2**10: the products are below 2**21, times 256 below 2**29; the divisor is above 0.
        divisor = _RIDGE * _RIDGE - a * a
        self._ar_q8[0] = max(-511, min(511, a * (_RIDGE - b) * 256 // divisor))
        self._ar_q8[1] = max(-255, min(255, (_RIDGE * b - a * a) * 256 // divisor))

    def _search_back(self, k, threshold):
        c = self._c[k & 31]
        found = -1
        most = threshold * (102 if 2 * (c - self._last) > 5 * self.rr else 180) >> 8
        for j in range(self._first, k):
            i = j & 31
            d = self._c[i] - self._last
            if d >= _REFRACTORY and 5 * d >= 2 * self.rr and c - self._c[i] >= _REFRACTORY and not self._is_t_wave(i):
                q = self._size(i)
                if q > most:
                    found = j
                    most = q
        return found

    def _learn_shape(self, first):
        """Let the shape of the beat just accepted enter the template that it is most like, or replace the elder one."""
        used = self._used
        fresh = not used[0]
        i = 0
        if not fresh:
            if self.floor_q8 > _TAUGHT_LEAST:
                return
            alike = dot8(self._shapes, first, self._templates, 0) >> 6
            other = dot8(self._shapes, first, self._templates, POINTS) >> 6
            if other > alike:
                i = 1
                alike = other
            if alike < 192:
                i = 1 if used[0] >= used[1] else 0
                used[1 - i] -= used[1 - i] >> 3
                fresh = True
        blend(self._sums, self._templates, i << 4, self._shapes, first, fresh)
        used[i] = 1 if fresh else min(255, used[i] + 1)

    def _accept(self, k):
        i = k & 31
        c = self._c[i]
        around = 0
        for j in range(k, self._known):
            around = max(around, self._valley[j & 31])
        around = min(_NOISY, max(self.floor_q8, (around << 8) // self._me))
        quality_pct = 99 - (max(0, 93 - (7 * self._alike[i] >> 4)) * around >> 5)
        self._sizes[self._accepted & 7] = self._size(i)
        self._accepted += 1
        if self._last >= 0:
            self._rr[self._rr_n & 7] = c - self._last
            self._rr_n += 1
            n = min(self._rr_n, _N)
            self.rr = nth_smallest(self._rr, n, n >> 1)
        self._last = c
        self._last_s = self._s[i]
        self._last_e = self._e[i]
        self._level(i)
        self.height = self._h[i]
        self._sink(self._at[i] - DELAY, self._frac[i], quality_pct)
