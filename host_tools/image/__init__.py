"""The firmware as an image: compiled, folded, linked, laid out as the chip expects it."""
