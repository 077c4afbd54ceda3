"""Vigil's host tools: flash, run, validate, receive, verify, show."""

from boards.cpython import install

install()
