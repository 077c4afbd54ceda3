"""Releases: made, signed, pushed, and how far they are."""
