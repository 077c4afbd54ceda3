"""Errors by whose fault it is. A type exists only if something catches it; bad data is flags and quality instead."""


class VigilError(Exception):
    """Base of all errors raised by the firmware. Carries no key and nothing about the wearer."""


class SensorError(VigilError):
    """A part on a bus does not answer, is another part, or is in a state it cannot leave."""


class LinkError(VigilError):
    """The network, the broker or the radio failed; retrying later may work."""


class StoreError(VigilError):
    """Flash is full, unreadable or holds something that is not ours."""


class TrustError(VigilError):
    """A signature, digest or sequence is wrong. Never retried."""


class ConfigError(VigilError):
    """A setting is missing or impossible; a person has to change it."""
