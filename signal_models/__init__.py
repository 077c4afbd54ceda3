"""Models of signals and firmware: synthesis, filter design, float64 reference, int64 mirror, metrics, data sets."""
