"""Layer 1: SHA-512 and Ed25519."""
