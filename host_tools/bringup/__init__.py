"""From an empty board to a trusted device: ports, flashing, provisioning, diagnosis."""
