"""The virtual board: board, clock, link, tasks and run run under MicroPython, the rest in the host's process."""
