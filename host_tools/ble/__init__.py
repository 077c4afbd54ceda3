"""Bluetooth on the host: links to devices, and the readings of any standard monitor."""
