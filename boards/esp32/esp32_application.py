"""Where MicroPython's successor goes, on boards whose partition table has room for two: loaded while it is written."""

import esp32


class Application:
    """The two partitions of MicroPython. label: of the one that runs. bytes: of the other."""

    def __init__(self, running, other):
        self.label = running.info()[4]
        self.bytes = other.info()[3]
        self._other = other

    def write(self, block, data):
        """Erase and write 4096 bytes of the other."""
        self._other.writeblocks(block, data)

    def read_into(self, at, buf):
        """Read the other from byte `at` on."""
        self._other.readblocks(at // 4096, buf, at % 4096)

    def choose(self):
        """Start from the other next time, on trial where the bootloader can roll back. OSError: it holds no image."""
        self._other.set_boot()

    def keep(self):
        """Whatever happens, the bootloader shall stay with the one that runs."""
        esp32.Partition.mark_app_valid_cancel_rollback()


def application():
    """Return the two partitions, None where there is one alone."""
    running = esp32.Partition(esp32.Partition.RUNNING)
    try:
        return Application(running, running.get_next_update())
    except OSError:
        return None
