"""Layer 3: one chip a file; bus objects are passed in."""
