"""Documents that are made of the code, and a check that they still match it."""
