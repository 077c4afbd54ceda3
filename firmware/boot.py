"""Runs before main.py: what must hold before any code of ours can fail."""

import gc
import sys
import time

import loader
import micropython

loader.select()  # first: whoever interrupts what follows finds the firmware, too
if sys.platform == "esp32":
    # A window in which Ctrl-C is always heard and gives a prompt: an interrupted boot.py keeps MicroPython from
    # starting main.py, so that a firmware that crashes at once or never listens can still be diagnosed and replaced.
    time.sleep_ms(1500)

# Else garbage is collected only when memory is full, and what loading leaves behind ends up between what stays:
# measured with everything running in 192 KB, 30 KB were free and no piece of 1.5 KB among them.
gc.threshold(8192)
if hasattr(micropython, "alloc_emergency_exception_buf"):  # so that a fault inside an interrupt has a traceback
    micropython.alloc_emergency_exception_buf(100)
