"""Runs before main.py: what must hold before any code of ours can fail."""

import micropython

if hasattr(micropython, "alloc_emergency_exception_buf"):  # so that a fault inside an interrupt has a traceback
    micropython.alloc_emergency_exception_buf(100)
