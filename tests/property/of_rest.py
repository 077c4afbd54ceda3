"""The waveform codec, the signature, and the estimators: each against its mirror, its reader or another's library."""

import binascii
import hashlib
from array import array

import numpy as np
from cases import equal, ints, oracle, signal
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from host_tools.ingest.waveform import decode
from signal_models.design.waveform import PREDICTORS_Q8
from signal_models.fixed import ecg as fixed_ecg
from signal_models.fixed import ppg as fixed_ppg
from signal_models.fixed import rhythm as fixed_rhythm
from tests.differential import test_beat_class_mirror as beat_class
from tests.differential import test_ecg_mirror as ecg
from tests.differential import test_motion_mirror as motion
from tests.differential import test_ppg_mirror as ppg
from tests.differential import test_resp_mirror as resp
from tests.differential import test_rhythm_mirror as beat_rhythm
from tests.differential.test_waveform_reader import blocks_of
from vigil.core.records import IR, RED
from vigil.crypto.sha512 import sha512
from vigil.crypto.signer import Signer
from vigil.dsp import waveform
from vigil.dsp.coeffs.waveform import PREDICTORS_Q8 as TABLE
from vigil.estimators.rhythm import Rhythm

COUNT = (0, 2**18 - 1)


@oracle("dsp.waveform.take")
def take(case):
    wide, n, start, to = case.a % 2, case.n, case.b % 50, case.c % 50
    x = signal(case, start + n, *((-(2**31), 2**31 - 1) if wide else (-32768, 32767)))
    words = array("i", bytes(4 * (to + n)))
    waveform.take(ints(x, "i" if wide else "h"), start, wide, words, to, n)
    equal(words[to:], x[start:])


@oracle("dsp.waveform.steps")
def steps(case):
    n, gain, apply = 1 + case.n % 250, case.a % 16, case.b % 2
    x = signal(case, (n, 2), *COUNT)
    words = ints(x, "i")
    total = waveform.steps(words, 0, 1, 2, n, gain, apply)
    left = x[:, 0] - (gain * x[:, 1] >> 3)
    equal([total, *words[::2]], [np.abs(np.diff(left)).sum(), *(left if apply else x[:, 0])])


@oracle("dsp.waveform.residue")
def residue(case):
    n, code, apply = 2 + case.n % 249, case.a % 16, case.b % 2
    x = signal(case, (n, 2), -(2**17), 2**17 - 1)
    step = np.diff(x[:, 0])
    before = np.concatenate([np.zeros(6, np.int64), step])
    said = [(int(before[i : i + 6][::-1] @ np.array(PREDICTORS_Q8[code])) + 128) >> 8 for i in range(len(step))]
    left = step - said
    words = ints(x, "i")
    total = waveform.residue(words, 0, 2, n, TABLE, code, 0x3FFFFFFF, apply)
    equal([total, *words[2::2]], [np.abs(left).sum(), *(left if apply else x[1:, 0])])


@oracle("dsp.waveform.pack")
def pack(case):
    columns = 1 + case.a % 4
    wide = columns > 1 or bool(case.b % 2)
    x = signal(case, (1 + case.n, columns), *(COUNT if wide else (-32768, 32767)))
    equal(np.concatenate([decode(block, columns) for block in blocks_of(x, wide)]), x)


@oracle("dsp.waveform.crc16")
def crc16(case):
    data = case.rng.bytes(case.n)
    start = case.a % case.n
    equal(waveform.crc16(data, start, case.n), binascii.crc_hqx(data[start:], 0))


@oracle("crypto.sha512", dear=True)
def digest(case):
    message = case.rng.bytes(case.n)
    assert sha512(message) == hashlib.sha512(message).digest(), f"{case.n} bytes"


@oracle("crypto.ed25519", dear=True)
def signature(case):
    seed, message = case.rng.bytes(32), case.rng.bytes(case.n)
    assert Signer(seed).sign(message) == Ed25519PrivateKey.from_private_bytes(seed).sign(message)


@oracle("estimators.qrs", dear=True)
def qrs(case):
    x = ecg.beats_of(case.rng, 3000, case.a, case.b % 400)
    equal(ecg.firmware(x, case.rng), ecg.mirror(x))
    assert len(fixed_ecg.detect(x).at) == len(ecg.mirror(x))


@oracle("estimators.ppg_channel", dear=True)
def ppg_channel(case):
    noise = {"snr_db": 6 + case.b % 30, "perfusion_pct": 0.1 + case.a % 100 / 10, "motion": case.c % 3}
    counts = ppg.made(case.seed, 10, rate=30 + case.a % 210, **noise)
    ppg.agree(counts, (RED, IR), (1 + case.n % 64,))
    wild = signal(case, (500, 2), 0, 0x3FFFF)
    ppg.agree(wild, (RED, IR), (1 + case.n % 64,))


@oracle("estimators.motion_rate", dear=True)
def motion_rate(case):
    light, acc = motion.runner(8, case.seed, scale=1 + case.a, g=case.b % 32000)
    pulse = fixed_ppg.front(fixed_ppg.decimate(light, 3), 0, relative=True).pulse
    want = motion.mirror.run(pulse, motion.mirror.acceleration(acc))
    rows = list(zip(want.bpm_x10.tolist(), want.sure_pct.tolist(), want.moving.tolist(), strict=True))
    assert motion.firmware(light, acc, 10) == rows


@oracle("estimators.resp_rate", dear=True)
def resp_rate(case):
    resp.test_estimator_equals_the_mirror(case.seed, 1 + case.a * 16)


@oracle("estimators.rhythm", dear=True)
def rhythm(case):
    kinds = ("anything", "plausible", "steady", "af", "episodes", "patterns")
    rr_ms = np.clip(beat_rhythm._series(case.rng, kinds[case.a % 6], case.n), 0, 65535)
    ours = Rhythm()
    equal([ours.push(int(rr)) for rr in rr_ms], fixed_rhythm.rhythm(rr_ms))


@oracle("estimators.beat_class", dear=True)
def classes(case):
    x, at, rr, quality_pct = beat_class._lead(case.rng, 40, case.a, case.b % 1000)
    found = beat_class.mirror.classify(x, at, rr, quality_pct)
    said = beat_class._firmware(x, at, rr, quality_pct, case.rng)
    assert said == list(zip(found.codes.tolist(), found.atrial.tolist(), strict=True))


@oracle("estimators.heart_rhythm", dear=True)
def heart_rhythm(case):
    beat_class.test_the_wearers_rhythm_is_equal(case.seed)
