"""Made by `python -m signal_models.design` from signal_models/design/resp.py; change it there."""

from array import array

# 7 views x (at the rate, at its double, at its half)
#   8 2 -4 12 3 -1 9 3 0 -2 2 0 1 3 -1 6 3 -3 3 2 -1
WEIGHTS_Q5 = array(
    "h",
    b"\x08\x00\x02\x00\xfc\xff\x0c\x00\x03\x00\xff\xff\x09\x00\x03\x00\x00\x00\xfe\xff\x02\x00\x00\x00"
    b"\x01\x00\x03\x00\xff\xff\x06\x00\x03\x00\xfd\xff\x03\x00\x02\x00\xff\xff",
)
