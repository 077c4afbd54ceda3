"""Where the LED current should be: the photodiode's DC in the middle of the converter, changed as rarely as can be.

Every change disturbs the pulse for a second, so it happens only outside a wide window, and never to chase the
faint light of a sensor that is not on skin.
"""

from micropython import const

DEFAULT_UA = const(7200)

_LOW = const(65536)  # window: a quarter to three quarters of 2**18
_HIGH = const(196608)
_DARK = const(8192)  # below: not on skin
_MIN_UA = const(600)
_MAX_UA = const(30000)
_STEP_UA = const(200)


def next_ua(ua, mean):
    """Current for the next second, given the current `ua` and the mean count (0 .. 2**18-1) it led to."""
    if _LOW <= mean <= _HIGH:
        return ua
    if mean < _DARK:
        # At least the default, so that skin is seen when it comes back.
        return ua if ua >= DEFAULT_UA else DEFAULT_UA
    # ua * 2**17 / mean; ua * 128 <= 3840000, mean >> 10 >= 8.
    wanted = ua * 128 // (mean >> 10) // _STEP_UA * _STEP_UA
    return min(max(wanted, _MIN_UA), _MAX_UA)
