"""The shape of the last seconds of a pulse: its size and its skewness."""

import micropython


@micropython.viper
def moments(ring, column: int, count: int, n: int, out):
    """Put mean size, mean square and mean cube of the newest n <= 200 samples of a ring's column into out (int32, 3).

    All are about the mean: the size in the ring's units, the powers of what is left when the largest deviation is
    brought to 64..127 by a power of two (a smaller one stays).
    Scaling and overflow: sum <= 200 * 2**15 < 2**23, deviations <= 2**16; 200 cubes of 127 < 4.1e8.
    """
    r = ptr16(ring)
    o = ptr32(out)
    base = column * 256
    start = count - n + 1
    total = 0
    i = 0
    while i < n:
        total += (int(r[base + ((start + i) & 255)]) ^ 0x8000) - 0x8000
        i += 1
    mean = total // n
    total = 0
    most = 0
    i = 0
    while i < n:
        v = (int(r[base + ((start + i) & 255)]) ^ 0x8000) - 0x8000 - mean
        if v < 0:
            v = 0 - v
        total += v
        if v > most:
            most = v
        i += 1
    o[0] = total // n
    shift = 0
    while most > 127:
        most = most >> 1
        shift += 1
    square = 0
    cube = 0
    i = 0
    while i < n:
        v = ((int(r[base + ((start + i) & 255)]) ^ 0x8000) - 0x8000 - mean) >> shift
        square += v * v
        cube += v * v * v
        i += 1
    o[1] = square // n
    o[2] = cube // n
