"""float64 scipy on the unquantised designs: what the integer kernels are measured against."""
