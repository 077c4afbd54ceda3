"""MAX17048 fuel gauge (Maxim 19-6171 Rev 7): voltage and state of charge of one lithium cell.

The part keeps its own model of the cell; nothing has to be set, and it draws 23 uA (page 1).
"""

from micropython import const

from vigil.core.errors import ConfigError, SensorError

ADDRESS = const(0x36)

_VCELL = const(0x02)  # 16-bit registers, the high byte first
_SOC = const(0x04)
_VERSION = const(0x08)
_CONFIG = const(0x0C)
_CRATE = const(0x16)
_STATUS = const(0x1A)

_PART = const(0x0010)  # VERSION, the lower four bits aside
_ALERT = const(0x0020)  # CONFIG: the alert line is low until this is cleared
_RESET = const(0x0100)  # STATUS: the part came up and has not been set since


class Max17048:
    """i2c: hal.I2C. Raises SensorError when nothing answers at the address or another part does, and on a bus fault."""

    def __init__(self, i2c):
        self._i2c = i2c
        self._two = bytearray(2)
        version = self._get(_VERSION)
        if version & 0xFFF0 != _PART:
            raise SensorError("version 0x{:04x} at 0x36, not a MAX17048".format(version))

    def configure(self, alert_pct=5):
        """Let the alert line fall below alert_pct of charge, 1 .. 32. Raises ConfigError for another number."""
        if not 1 <= alert_pct <= 32:
            raise ConfigError("the alert of a MAX17048 is at 1..32 %")
        self._put(_CONFIG, self._get(_CONFIG) & 0xFFC0 | (32 - alert_pct))  # ATHD
        self._put(_STATUS, self._get(_STATUS) & ~_RESET)

    def was_reset(self):
        """Tell whether the part lost its settings: the cell was taken out, or browned out."""
        return self._get(_STATUS) & _RESET != 0

    def voltage_mv(self):
        """Voltage of the cell, in steps of 78.125 uV."""
        return self._get(_VCELL) * 5 >> 6

    def charge_permille(self):
        """State of charge, 0 .. about 1000; a full cell may read a little more."""
        return self._get(_SOC) * 1000 // 25600

    def rate_permille_per_h(self):
        """How fast the charge changes, in steps of 0.208 %/h, negative while it falls."""
        return ((self._get(_CRATE) ^ 0x8000) - 0x8000) * 208 // 100

    def alert(self):
        """Tell whether the charge fell below the alert's level since the last call, and release the line."""
        config = self._get(_CONFIG)
        if not config & _ALERT:
            return False
        self._put(_CONFIG, config & ~_ALERT)
        return True

    def _get(self, register):
        try:
            self._i2c.readfrom_mem_into(ADDRESS, register, self._two)
        except OSError as e:
            raise SensorError("MAX17048 does not answer") from e
        return self._two[0] << 8 | self._two[1]

    def _put(self, register, value):
        self._two[0] = value >> 8
        self._two[1] = value & 255
        try:
            self._i2c.writeto_mem(ADDRESS, register, self._two)
        except OSError as e:
            raise SensorError("MAX17048 does not answer") from e
