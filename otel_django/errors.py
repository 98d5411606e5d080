"""Typed errors: each says what to do and holds no secret."""

from __future__ import annotations


class OtelDjangoError(Exception):
    """Base of every error that leaves this package."""


class ConfigurationError(OtelDjangoError):
    """A setting has a value that can't be used; the text names the setting and what is allowed."""


class StoreError(OtelDjangoError):
    """The embedded store can't be opened, read or written."""


class SpoolError(OtelDjangoError):
    """The spool on disk can't be opened, read or written."""


class TransportError(OtelDjangoError):
    """A request to the receiver failed before an answer came (connection, TLS, time-out)."""


class ForbiddenAddressError(TransportError):
    """A host has only addresses that must not be connected to."""


class ReadError(OtelDjangoError):
    """A backend could not answer; the text says what to do."""


class UnknownPlaceError(ReadError):
    """A cursor or key that isn't one of this backend's."""


class ReadTimeoutError(ReadError):
    """A backend had nothing to show when the time was up; a narrower question may do."""


class UnansweredError(ReadError):
    """Nobody who is asked knows such things; the text says who would."""
