"""Who is believed: keys, certificates, the register of devices, and the verification of envelopes."""
