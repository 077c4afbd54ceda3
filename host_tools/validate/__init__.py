"""Accuracy on recorded hearts. `python -m host_tools.validate ecg` prints figures in seconds, `vigil validate ecg`
runs the whole campaign beside peers and writes a report."""
