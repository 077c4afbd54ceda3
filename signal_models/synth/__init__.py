"""Signals made up, with what is true of them: seeded, so that a seed names a signal."""
