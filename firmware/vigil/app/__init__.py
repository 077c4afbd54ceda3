"""Layer 4: composition and tasks."""
