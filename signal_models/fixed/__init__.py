"""int64 numpy mirrors of the firmware, from the specification in its docstrings; equal bit for bit."""
