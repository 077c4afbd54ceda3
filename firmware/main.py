"""The program of the device: this board's contract, then the monitor. A release on trial that cannot even start is
started again, until the loader gives it up."""

import sys

import loader

loader.start()
try:
    import board

    from vigil.app.main import run

    run(board.make())
except Exception as e:
    if not loader.trial:
        raise
    sys.print_exception(e)
    loader.reset()
