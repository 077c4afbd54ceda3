"""Runs on the interpreter that is measured: prints one JSON line a stage. No argument: everything.

    micropython stages.py MODULE...      heap that each module takes, imported in this order
    micropython stages.py                the stages

Signals are made here from integers, so that every interpreter is fed the same.
"""

import gc
import json
import sys
import time
from array import array

try:
    from time import ticks_diff, ticks_us
except ImportError:  # CPython

    def ticks_us():
        """Microseconds of a monotonic clock."""
        return time.perf_counter_ns() // 1000

    def ticks_diff(a, b):
        """Return a - b."""
        return a - b


SECONDS = 30


def rest():
    """Called between stages; replaced on a chip whose watchdog already runs."""


def tell(**fields):
    """Print one line of JSON."""
    print(json.dumps(fields))
    rest()


def allocated():
    """Bytes of heap in use, 0 where the interpreter does not tell."""
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


def counts_allocations():
    """Tell whether `allocated` says what the chip would: pointer casts in bytecode allocate."""
    return "vigil_pointers" not in sys.modules and hasattr(gc, "mem_alloc")


def heap_of_modules(names):
    """Import each module and tell by how many bytes the heap grew."""
    for name in names:
        gc.collect()
        before = allocated()
        __import__(name)
        gc.collect()
        tell(stage="heap", module=name, bytes=allocated() - before)


class _Noise:
    """Uniform integers from a linear congruential generator."""

    def __init__(self):
        self._state = 1

    def __call__(self, span):
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 8) % (2 * span + 1) - span


def ecg_blocks():
    """SECONDS of 75 bpm: a triangular R wave of 1 mV and 40 ms with a rounded T wave, 10 uV of noise; blocks of 25."""
    noise = _Noise()
    for start in range(0, 250 * SECONDS, 25):
        data = array("h", bytes(50))
        for i in range(25):
            phase = (start + i) % 200
            r = 1000 - 100 * abs(phase - 50) if 40 < phase < 60 else 0
            t = 15 * (20 - abs(phase - 120)) if 100 < phase < 140 else 0
            data[i] = r + t + noise(10)
        yield start * 4, data


def swing(t, half=35):
    """An arm's swing of 0.7 s, -1000..1000, at t in 10 ms: a parabola for each half, which lasts `half`."""
    at = t % half
    size = at * (half - at) * 4000 // (half * half)
    return size if t % (2 * half) < half else -size


def ppg_blocks(leak=0, breath=0):
    """SECONDS of 75 bpm in red and IR at 1 % perfusion, R about 0.5; blocks of 10.

    leak: counts of the arm's swing; breath: of 15 breaths a minute.
    """
    noise = _Noise()
    for start in range(0, 100 * SECONDS, 10):
        data = array("i", bytes(80))
        for i in range(10):
            phase = (start + i) % 80
            pulse = 50 * phase if phase < 20 else 1000 - 50 * (phase - 20) * 20 // 60
            moved = (leak * swing(start + i) + breath * swing(start + i, 200)) // 1000
            data[2 * i] = 100000 - pulse // 2 - moved + noise(8)
            data[2 * i + 1] = 100000 - pulse - moved + noise(8)
        yield start * 10, data


class Runner:
    """The PPG channel with its accelerometer, which delivers 100 ms of the arm's swing, 0.7 g, before each block."""

    def __init__(self):
        from vigil.core.records import ACC, SampleBlock
        from vigil.estimators.acc_channel import AccChannel
        from vigil.estimators.motion_rate import MotionRate
        from vigil.estimators.ppg_channel import PpgChannel

        self._acc = AccChannel()
        self.channel = PpgChannel()
        self.channel.hand_over.motion = MotionRate(self._acc)
        self._block = SampleBlock(ACC, (0, 1, 2), array("h", [0, 300, 900] * 5), period_us=20000, n=5)
        self.report = self.channel.report

    def push(self, block):
        """Push both."""
        mine = self._block
        mine.t0_ms = block.t0_ms
        for i in range(5):
            mine.data[3 * i] = 7 * swing(block.t0_ms // 10 + 2 * i) // 10
        self._acc.push(mine)
        self.channel.push(block)


def _chain(name):
    if name == "ecg channel":
        from vigil.estimators.ecg_channel import EcgChannel as Channel
    elif name == "ppg channel":
        from vigil.estimators.ppg_channel import PpgChannel as Channel
    elif name == "ecg waveform":
        Channel = Waveform
    else:
        Channel = Runner
    return Channel()


def channel(name, source, columns, period_us, blocks):
    """Time a channel's push, and count what it allocates in its last third (steady state)."""
    from vigil.core.records import SampleBlock

    chain = _chain(name)
    made = list(blocks)
    block = SampleBlock(source, columns, None, period_us=period_us)
    spent_us = worst_us = pushed = taken = samples = 0
    gc.collect()
    counted = counts_allocations()
    if counted:
        gc.disable()
    for t0_ms, data in made:
        block.data, block.t0_ms, block.n, block.seq = data, t0_ms, len(data) // len(columns), pushed
        before = allocated()
        start = ticks_us()
        chain.push(block)
        took = ticks_diff(ticks_us(), start)
        if pushed * 3 >= 2 * len(made):
            taken += allocated() - before
        spent_us += took
        worst_us = max(worst_us, took)
        pushed += 1
        samples += block.n
    gc.enable()
    out = []
    chain.report(made[-1][0], out)
    tell(
        stage=name,
        us_per_block=round(spent_us / pushed, 1),
        block_us=samples // pushed * period_us,
        worst_us=worst_us,
        ns_per_sample=round(1000 * spent_us / samples),
        bytes_allocated_per_block=round(taken / (pushed - 2 * pushed // 3), 1) if counted else None,
        rate=out[0].mantissa * 10 ** (out[0].exp10 + 1) if out and out[0].mantissa is not None else None,
    )


class Waveform:
    """The lossless encoder behind the interface of a channel."""

    def __init__(self):
        from vigil.wire.waveform import MOST_BYTES, Encoder

        self._encoder = Encoder(1, False)
        self._out = bytearray(MOST_BYTES)

    def push(self, block):
        """Collect; each tenth block is encoded."""
        self._encoder.put(block.data, 0, block.n)
        if self._encoder.rows == self._encoder.limit:
            self._encoder.finish_into(self._out, 0)

    def report(self, _t_ms, _out):
        """Nothing to report."""


def seal():
    """Time to encode and seal a batch of 10 s of vitals; the envelope comes back for the host to verify."""
    from vigil.core import records as r
    from vigil.crypto.signer import Signer
    from vigil.wire import batch, envelope

    signer = Signer(bytes(range(32)))
    readings = [
        r.Reading(kind, 720 + i, -1, unit, 95, 2000 * i, 2000 * i + 8000)
        for kind, unit in (
            (r.HEART_RATE, r.BEAT_PER_MIN),
            (r.PULSE_RATE, r.BEAT_PER_MIN),
            (r.SPO2, r.PERCENT),
            (r.PERFUSION_INDEX, r.PERCENT),
        )
        for i in range(5)
    ]
    gc.collect()
    runs, sealed, spent = 5, b"", 0
    for i in range(runs):
        start = ticks_us()
        payload = batch.encode(boot=1, seq=i + 1, prev_digest=bytes(32), oldest_seq=1, t0_ms=100000, readings=readings)
        sealed = envelope.seal(signer, payload)
        spent += ticks_diff(ticks_us(), start)
    tell(stage="seal", us=spent // runs, envelope_bytes=len(sealed), envelope=sealed.hex(), key=signer.public_key.hex())


def heap(stage):
    """Free and used heap at this point."""
    gc.collect()
    if hasattr(gc, "mem_free"):
        tell(stage=stage, free=gc.mem_free(), used=gc.mem_alloc())


def main(modules, stages=True):
    """Tell the heap that `modules` take, then the stages."""
    try:
        import vigil_pointers  # type: ignore[import-not-found]  # the bytecode engine

        vigil_pointers.install()
    except ImportError:
        pass
    heap_of_modules(modules)
    if stages:
        channel("ecg channel", 1, (0,), 4000, ecg_blocks())
        channel("ppg channel", 2, (1, 2), 10000, ppg_blocks())
        try:  # noqa: SIM105 - MicroPython has no contextlib
            channel("ppg in motion", 2, (1, 2), 10000, ppg_blocks(1500))
        except ImportError:  # a board without the accelerometer's modules
            pass
        try:  # noqa: SIM105
            channel("ecg waveform", 1, (0,), 4000, ecg_blocks())
        except ImportError:
            pass
        seal()
        heap("heap after stages")


if __name__ == "__main__":
    main(sys.argv[1:], stages=len(sys.argv) == 1)
