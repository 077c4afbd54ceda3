"""Runs the inputs in a file under MicroPython: one line an input, accepted, refused, or what went wrong."""

import gc
import struct
import sys

import parsers

names = sorted(parsers.TARGETS)
with open(sys.argv[1], "rb") as file:
    while True:
        head = file.read(5)
        if not head:
            break
        which, n = struct.unpack("<BI", head)
        data = file.read(n)
        try:
            print("accepted" if parsers.run(names[which], data) else "refused")
        except Exception as e:
            print(type(e).__name__, e)
        gc.collect()
