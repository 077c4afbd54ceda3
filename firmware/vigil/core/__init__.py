"""Layer 0: records, errors, rings. Imports nothing of ours."""
