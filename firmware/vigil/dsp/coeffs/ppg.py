"""Made by `python -m signal_models.design` from signal_models/design/ppg.py; change it there."""

from array import array

# Butterworth high-pass, order 2, 0.5 Hz at 25 Hz: b0, -a1, -a2; numerator b0 (1, -2, 1)
#   14991 29863 -13716
HIGHPASS_Q14 = array(
    "h",
    b"\x8f\x3a\xa7\x74\x6c\xca",
)

# SpO2 in 0.01 % at R = 0, 1/16 ... 2; Maxim UG7087 Rev 0 section 3.2, MAX30101, finger; valid 70..100 %
#   10000 10000 10000 10000 10000 10000 9992 9783 9576 9370 9165 8962 8759 8558 8358 8160 7963 7767 7572
#   7378 7186 6995 6805 6616 6429 6243 6058 5875 5692 5511 5331 5153 4975
SPO2_X100 = array(
    "h",
    b"\x10\x27\x10\x27\x10\x27\x10\x27\x10\x27\x10\x27\x08\x27\x37\x26\x68\x25\x9a\x24\xcd\x23\x02\x23"
    b"\x37\x22\x6e\x21\xa6\x20\xe0\x1f\x1b\x1f\x57\x1e\x94\x1d\xd2\x1c\x12\x1c\x53\x1b\x95\x1a\xd8\x19"
    b"\x1d\x19\x63\x18\xaa\x17\xf3\x16\x3c\x16\x87\x15\xd3\x14\x21\x14\x6f\x13",
)
