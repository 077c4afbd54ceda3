"""The shipped firmware on the real MicroPython and the virtual board, and what a run or a soak makes of it."""
