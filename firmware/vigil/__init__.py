"""Vigil: an open wearable vital-signs monitor. The firmware's package; `firmware/boot.py` starts it."""

VERSION = "0.1.0"
