"""Runs on the interpreter that is measured: one JSON line for each unit of the light's chain, with its answer.

The units are called as the channel calls them, on what 44 s of a breathing wearer whose arm swings have left in it; the
host knows what each must answer (host_tools.bench.__main__).
"""

import gc
from array import array

try:
    from host_tools.bench import stages
except ImportError:  # on MicroPython it lies beside this file
    import stages  # type: ignore[import-not-found,no-redef]

RUNS = 20


def unit(name, every_ms, call, answer, runs=RUNS):
    """Time call(), which the device makes each every_ms, and count what it allocates."""
    spent_us = worst_us = allocated = 0
    gc.collect()
    counted = stages.counts_allocations()
    if counted:
        gc.disable()
    for _ in range(runs):
        before = stages.allocated()
        start = stages.ticks_us()
        call()
        took = stages.ticks_diff(stages.ticks_us(), start)
        allocated += stages.allocated() - before
        spent_us += took
        worst_us = max(worst_us, took)
    gc.enable()
    stages.tell(
        unit=name,
        every_ms=every_ms,
        us=round(spent_us / runs, 1),
        worst_us=worst_us,
        bytes_allocated=allocated // runs if counted else None,
        answer=answer(),
    )


def worn():
    """A PPG channel with acceleration that has been worn for 44 s."""
    from vigil.core.records import SampleBlock

    stages.SECONDS = 44
    runner = stages.Runner()
    for t0_ms, data in stages.ppg_blocks(leak=30, breath=100):
        runner.push(SampleBlock(2, (1, 2), data, t0_ms=t0_ms, period_us=10000, n=10))
    return runner.channel


def front(channel):
    """A second of two columns: decimate 100 rows, high-pass 25; answers the pulse from foot to peak, in counts."""
    from vigil.dsp import ppg_front
    from vigil.dsp.coeffs.ppg import HIGHPASS_Q14

    decimator, state, ring = channel._decimator, channel._front, channel._ring
    out = array("i", bytes(4 * 2 * 26))
    stages.SECONDS = 1
    data = array("i")
    for _, block in stages.ppg_blocks():
        data.extend(block)

    def second():
        for j in range(ppg_front.decimate(data, 100, 2, 0, decimator, out)):
            ppg_front.highpass(out, j, 2, state, HIGHPASS_Q14, ring)

    def height():
        at = state[ppg_front.COUNT]
        last = [ring[256 + ((at - i) & 255)] for i in range(20)]
        return (max(last) - min(last)) // 2

    unit("PPG front, 2 columns", 1000, second, height)


def beats(channel):
    """The last 8 s again, sample by sample; answers how many beats are in them."""
    from vigil.dsp import ppg_beats, ppg_front

    ring, newest = channel._ring, channel._front[ppg_front.COUNT]
    state, beat = array("i", bytes(4 * ppg_beats.WORDS)), array("i", bytes(12))
    found = [0]

    def seconds():
        ppg_beats.restart(state)
        found[0] = 0
        for i in range(200):
            found[0] += ppg_beats.step(ring, 2, newest - 199 + i, state, beat)

    unit("PPG beats", 8000, seconds, lambda: found[0])


def each_second(channel):
    """Pulse rate, SpO2, contact and hand-over, as the channel asks them."""
    from vigil.dsp import ppg_front

    ring, state = channel._ring, channel._front
    count, age = state[ppg_front.COUNT], state[ppg_front.AGE]
    dc_red, dc = state[ppg_front.DC] >> 8, state[ppg_front.DC + 5] >> 8
    pulse, spo2, contact, hand_over = channel.pulse, channel.spo2, channel.contact, channel.hand_over
    pi, clarity, skew = channel._pi_x1000, pulse.clarity_q10, 64
    unit("pulse rate", 1000, lambda: pulse.evaluate(ring, 1, count, age, 0), lambda: pulse.bpm_x10)
    unit(
        "SpO2",
        1000,
        lambda: spo2.evaluate(ring, 0, 1, dc_red, dc, count, age, pi, clarity, skew),
        lambda: spo2.spo2_x10,
    )
    unit("contact", 1000, lambda: contact.evaluate(age, dc, True, pi), lambda: contact.state)
    unit("hand-over", 1000, lambda: hand_over.evaluate(ring, 1, count, age), lambda: hand_over.skew_q6)


def motion(channel):
    """One evaluation of two columns and their sum, with acceleration."""
    from vigil.dsp import ppg_front

    ring, state, rate = channel._ring, channel._front, channel.hand_over.motion
    count, age, t_ms = state[ppg_front.COUNT], state[ppg_front.AGE], rate.acc.t_ms
    call = lambda: rate.evaluate(ring, 2, count, age, t_ms, 10000)  # noqa: E731
    unit("pulse rate in motion", 2000, call, lambda: rate.bpm_x10)


def spectrum(_channel):
    """One spectrum of 1024 points; answers the bin of a sine of 20 turns in it."""
    from vigil.dsp import fft
    from vigil.dsp.coeffs.fft import SINE_Q14, WINDOW_Q10

    x = array("h", [stages.swing(i * 1000, 25600) for i in range(200)])
    buffer, out = array("h", bytes(2 * fft.WORDS)), array("h", bytes(2 * 329))

    def run():
        fft.load(x, 0, WINDOW_Q10, buffer)
        fft.transform(buffer, SINE_Q14)
        fft.log_power(buffer, SINE_Q14, out, 10, 240, 329)

    def peak():
        best = 10
        for i in range(10, 240):
            if out[i] > out[best]:
                best = i
        return best

    unit("spectrum", 2000, run, peak)


def breath(channel):
    """What breathing leaves in the light, a second of it with a beat; and the rate."""
    from vigil.core.records import PRESENT
    from vigil.estimators.resp_rate import RespRate

    light, rate, out = channel.breath, RespRate(), []

    def report():
        out.clear()
        rate.report(((light, PRESENT),), 44000, out)

    unit("respiration rate", 2000, report, lambda: out[0].mantissa)

    def second():
        for i in range(25):
            light.sample(4000 + i)
        light.beat(2600)

    unit("breath's views", 1000, second, lambda: light.interval_q8)


def fusion(_channel):
    """One pulse of an ECG and a light that agree, with beats to match."""
    from vigil.core import records as r
    from vigil.estimators.fusion import Fusion

    pulse, out = Fusion(), []
    for i in range(40):
        pulse.heart_beat(800 * i)
        pulse.pulse_beat(800 * i + 250)
    of_heart = r.Reading(r.HEART_RATE, 752, -1, r.BEAT_PER_MIN, 90, 20000, 32000)
    of_light = r.Reading(r.PULSE_RATE, 748, -1, r.BEAT_PER_MIN, 90, 20000, 32000)

    def report():
        out.clear()
        pulse.report(of_heart, of_light, 32000, out)

    unit("fusion", 2000, report, lambda: out[0].mantissa)


def main():
    """Tell each unit."""
    try:
        import vigil_pointers  # type: ignore[import-not-found]  # the bytecode engine

        vigil_pointers.install()
    except ImportError:
        pass
    channel = worn()
    for part in (beats, each_second, motion, spectrum, breath, fusion, front):  # the front changes what the others read
        part(channel)


if __name__ == "__main__":
    main()
