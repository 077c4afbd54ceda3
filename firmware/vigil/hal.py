"""What a board offers to the firmware. It is passed in, never imported: two devices can live in one process.

A board is `boards/<NAME>/board.py` with a function `make()` that returns an object with this shape. Nothing here
costs memory on the device: the protocols exist for readers and type checkers only, and no firmware module
imports this one at run time.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Protocol

    class I2C(Protocol):
        """The subset of `machine.I2C` that drivers use. Errors are OSError (ENODEV, ETIMEDOUT)."""

        def scan(self) -> "list[int]": ...
        def readfrom_mem_into(self, addr: int, memaddr: int, buf: bytearray) -> None: ...
        def writeto_mem(self, addr: int, memaddr: int, buf: bytes) -> None: ...
        def recover(self) -> None:
            """Free a bus whose SDA is held low by clocking SCL, then initialise it again."""

    class SPI(Protocol):
        """One part on an SPI bus, mode 0, most significant bit first. One call is one transaction.

        `machine.SPI.write_readinto` with the part's chip select held low around it: the ESP32 port does not drive
        that pin, so the board does. SPI has no acknowledgement: a part that is not there reads as ones or zeros.
        """

        def write_readinto(self, out: bytearray, into: bytearray) -> None:
            """Send `out` and fill `into`, equally long; they may be one buffer. Allocates nothing."""

    class Adc(Protocol):
        """One analogue input."""

        def read_uv(self) -> int:
            """Microvolts at the pin, corrected by the chip's calibration."""
            ...

    class Pin(Protocol):
        """One digital input."""

        def value(self) -> int: ...

    class Timer(Protocol):
        """A running periodic timer."""

        def stop(self) -> None: ...

    class Wifi(Protocol):
        """The station interface. `connect` starts and returns at once; poll `isconnected`."""

        def connect(self) -> None: ...
        def isconnected(self) -> bool: ...
        def power_cycle(self) -> None: ...
        def off(self) -> None: ...  # until `connect`; draws nothing
        def rssi(self) -> int: ...  # dBm, 0: not known

    class Keystore(Protocol):
        """Small secrets and settings that survive a reboot (NVS on the chip). Values are bytes."""

        def get(self, name: str) -> "bytes | None": ...
        def set(self, name: str, value: bytes) -> None: ...

    class Application(Protocol):
        """Two partitions for MicroPython itself, one of which runs."""

        label: str  # of the one that runs
        bytes: int  # of the other

        def write(self, block: int, data: bytearray) -> None: ...  # 4096 bytes of the other
        def read_into(self, at: int, buf: memoryview) -> None: ...
        def choose(self) -> None: ...  # start from the other next time
        def keep(self) -> None: ...  # the bootloader shall not roll back

    class Clock(Protocol):
        """Monotonic time since power-on."""

        def ticks_us(self) -> int:
            """Wraps at 2**30; compare only with `time.ticks_diff`."""
            ...

        def ms(self) -> int:
            """Milliseconds since boot; never wraps."""
            ...

    class Board(Protocol):
        """One device.

        i2c, spi, adc, pin and irq raise ValueError for a name that the board does not have: what is not fitted is
        absent, not an error. Names in use: i2c "sensors"; spi "ecg" (a MAX30003) or adc "ecg" with pin "lod_p" and
        "lod_n" (electrode off; an AD8232); pin "pair" (a button to ground, for Bluetooth); irq "max30102", "max30003"
        and "lis3dh". A board may have `until_ms`
        (int): the time at which the run ends, `power_off()`, which does not return, and `application` (Application or
        None), where MicroPython can be updated.
        """

        ecg_gain: int  # output over electrodes of the ECG circuit; the common AD8232 breakout: 1100
        name: str  # as in boards/, e.g. "ESP32_GENERIC"
        fs: str  # root folder for our files, without a trailing slash
        clock: Clock
        wifi: Wifi
        keystore: Keystore
        ble: Any  # object with the API of MicroPython's bluetooth.BLE, or None
        ble_uuid: Any  # bluetooth.UUID

        def i2c(self, name: str) -> I2C: ...
        def spi(self, name: str) -> SPI: ...
        def adc(self, name: str) -> Adc: ...
        def pin(self, name: str) -> Pin: ...
        def irq(self, name: str, handler: "Callable[[int], None]") -> None:
            """Call handler(t_us) on each falling edge of interrupt line `name`.

            t_us is `clock.ticks_us()` at the edge. Runs as a soft interrupt: it must not allocate or block.
            """

        def timer(self, period_us: int, handler: "Callable[[int], None]") -> Timer:
            """Call handler(t_us) each period_us, with the restrictions of `irq`."""
            ...

        def random(self, n: int) -> bytes:
            """n bytes from the hardware generator."""
            ...

        def reset_cause(self) -> str: ...
        def feed_watchdog(self) -> None: ...
