"""Updates: what is accepted, and the slot that it is written to."""
