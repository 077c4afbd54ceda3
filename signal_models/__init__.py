"""Models of the signals and of the firmware: synthesis, filter design, float64 reference, int64 mirror, metrics, data sets."""
