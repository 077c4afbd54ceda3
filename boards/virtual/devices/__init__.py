"""Register-level models of the parts, written from their datasheets."""
