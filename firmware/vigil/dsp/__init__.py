"""Layer 1: fixed-point kernels and chains in the portable viper subset; integers only."""
