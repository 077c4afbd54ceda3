"""Layer 2: from beats and features to readings. Policy without I/O; time is an argument."""
