"""Layer 1: the bytes that leave the device (firmware/SPEC.md is normative)."""
