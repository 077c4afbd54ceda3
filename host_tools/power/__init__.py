"""Where a device's charge goes."""
