"""What the firmware costs: bytes of .mpy, heap a module, time and allocations a block, time to seal a batch.

`make bench` prints the tables and writes build/bench.json. Every stage returns something that is checked, so that a
benchmark of a broken stage fails instead of looking fast.
"""
