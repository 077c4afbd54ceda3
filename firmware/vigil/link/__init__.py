"""Layers 2 and 3: protocols (sans I/O) and the adapters that carry them."""
