"""Layer 2: what is kept in flash."""
