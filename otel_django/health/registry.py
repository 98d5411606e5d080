"""Which checks there are: built in, and the site's own through ``register``."""

from __future__ import annotations

import re
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from otel_django.errors import ConfigurationError, OtelDjangoError
from otel_django.health.check import Found, Registered
from otel_django.health.results import GROUPS, Group

if TYPE_CHECKING:
    from otel_django.conf import Settings

_T = TypeVar("_T", bound="type | Callable[[], Found | Awaitable[Found]]")
_NAME: Final = re.compile(r"[a-z_][a-z0-9_.-]{0,63}")
"""Names are seen in settings, URLs and names of files."""


class UnknownCheckError(OtelDjangoError):
    """Asked for a check that there isn't in that group."""


class Registry:
    """Checks by name, on any thread.

    Those of ``below`` are here, too, unless one of the same name takes their place. With
    ``settings``, what the site says of checks counts.
    """

    def __init__(self, settings: Settings | None = None, below: Iterable[Registry] = ()) -> None:
        self._settings = settings
        self._below = tuple(below)
        self._own: dict[str, Registered] = {}
        self._changing = threading.Lock()
        self._changes = 0
        self._known: tuple[int, dict[str, Registered]] | None = None

    def add(self, check: Registered) -> None:
        """Add it.

        Raises:
            ConfigurationError: there is one of that name, or the name or a group can't be used.
        """
        if not _NAME.fullmatch(check.name):
            raise ConfigurationError(
                f"{check.name!r} can't be a check's name: at most 64 small letters, digits, "
                "underscores, dots and hyphens, a letter first"
            )
        if not check.groups <= set(GROUPS):
            raise ConfigurationError(f"the groups of checks are {', '.join(GROUPS)}")
        with self._changing:
            if check.name in self._own:
                raise ConfigurationError(
                    f"there is a health check {check.name!r} already; register(name=…) gives "
                    "this one another name"
                )
            self._own[check.name] = check
            self._changes += 1

    def remove(self, name: str) -> None:
        """Take one away; without effect if it isn't there."""
        with self._changing:
            self._own.pop(name, None)
            self._changes += 1

    def checks(self, group: Group, names: Collection[str] | None = None) -> list[Registered]:
        """Those of a group, all or only some; also those with nothing to check in this process.

        Raises:
            UnknownCheckError: one of ``names`` isn't among them.
        """
        found = {
            name: check
            for name, check in self._all().items()
            if group == "all" or group in check.groups
        }
        if names is None:
            return list(found.values())
        unknown = sorted(set(names) - found.keys())
        if unknown:
            raise UnknownCheckError(f"not in the group {group}: {', '.join(unknown)}")
        return [check for name, check in found.items() if name in names]

    def _version(self) -> int:
        return self._changes + sum(each._version() for each in self._below)

    def _all(self) -> dict[str, Registered]:
        """As the site wants them, by name."""
        version = self._version()
        known = self._known
        if known is None or known[0] != version:
            known = self._known = version, self._combined()
        return known[1]

    def _combined(self) -> dict[str, Registered]:
        found: dict[str, Registered] = {}
        for each in self._below:
            found.update(each._all())
        with self._changing:
            found.update(self._own)
        if self._settings is None:
            return found
        wanted = found.keys() - set(self._settings.health_disabled)
        return {
            name: _as_site_says(check, self._settings)
            for name, check in found.items()
            if name in wanted
        }


def _as_site_says(check: Registered, settings: Settings) -> Registered:
    ready = _said(check.name, settings.health_ready)
    critical = _said(check.name, settings.health_critical)
    groups = check.groups if ready is None else check.groups - {"ready"}
    return replace(
        check,
        groups=groups | {"ready"} if ready else groups,
        critical=check.critical if critical is None else critical,
    )


def _said(name: str, names: Collection[str]) -> bool | None:
    """Whether ``name`` is among them; False for ``-name``, None for neither."""
    return True if name in names else False if f"-{name}" in names else None


SITE: Final = Registry()
"""The site's own."""


def register(
    name: str | None = None,
    *,
    groups: Iterable[Group] = ("ready",),
    critical: bool = False,
    timeout_s: float | None = None,
    ttl_s: float | None = None,
) -> Callable[[_T], _T]:
    """Have a function, or a class with a method ``run``, be a health check of the site.

    It looks and returns None (healthy), a Result or several; it raises CheckError for unhealthy.
    It may be asynchronous. ``name`` is the function's or the class's, unless given. All checks are
    in the group ``all``. Without ``timeout_s`` and ``ttl_s`` the site's settings count.

    Raises:
        ConfigurationError: there is one of that name, or the name or a group can't be used.
    """
    if callable(name):
        raise ConfigurationError("write @health.register() with parentheses")

    def add(check: _T) -> _T:
        run = check().run if isinstance(check, type) else check
        SITE.add(
            Registered(
                name or usual_name(check),
                run,
                frozenset(groups),
                critical,
                timeout_s,
                ttl_s,
            )
        )
        return check

    return add


def usual_name(check: object) -> str:
    """``payments`` for the function of that name, ``pay_gate`` for the class PayGate."""
    name: str = getattr(check, "__name__", type(check).__name__)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
