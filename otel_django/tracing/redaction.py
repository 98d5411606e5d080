"""One function that every outgoing text passes: secrets out, meaning kept.

Masked by default: passwords, tokens, cookies and the like by their name; user names and passwords
in URLs; the values of query parameters; authorization schemes; JSON web tokens; file system paths.
Exceptions of database drivers lose their message, which holds row values.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

MASK: Final = "[redacted]"

SENSITIVE_NAMES: Final = frozenset(
    [
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "pass",
        "secret",
        "token",
        "apikey",
        "api_key",
        "auth",
        "authorization",
        "credential",
        "credentials",
        "cookie",
        "setcookie",
        "set_cookie",
        "session",
        "sessionid",
        "session_id",
        "csrf",
        "csrfmiddlewaretoken",
        "csrftoken",
        "xsrf",
        "jwt",
        "bearer",
        "otp",
        "pin",
        "cvv",
        "cvc",
        "ssn",
        "iban",
        "card",
        "cardnumber",
        "card_number",
        "privatekey",
        "private_key",
        "accesskey",
        "access_key",
        "accountkey",
        "account_key",
        "secretkey",
        "secret_key",
        "signature",
        "sig",
        "dsn",
        "connection_string",
    ]
)
"""Names whose values never leave, compared in lower case, part by part."""

_QUERY_KEYS: Final = frozenset({"url.query", "http.query"})

_PART = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])|[^\W_]+")
_URL_USERINFO = re.compile(
    r"(?<=://)(?:[^\s/?#@'\":]{0,128}:(?!\d{1,5}(?:[/?#\s]|$))[^\s'\"]{0,256}@|[^\s/?#'\"]{0,256}@)"
)
_QUERY_VALUE = re.compile(r"([?&;][\w.\-\[\]%~+]{1,100}=)[^&;\s#'\"<>)]+")
_HEADER = re.compile(r"((?:authorization|cookie)['\"]?\s*(?:=>|[:=])\s*)[^\r\n]+", re.IGNORECASE)
_AUTH_SCHEME = re.compile(
    r"\b(bearer|basic|digest|negotiate|token|apikey)\s+[\w.\-+/=~:]{4,}", re.IGNORECASE
)
_AUTH_WORDS: Final = ("bearer ", "basic ", "digest ", "negotiate ", "token ", "apikey ")
_ASSIGNMENT = re.compile(r"(?<![\w.\-])([\w.\-]{2,200})['\"]?\]?\s*(?:=>|[:=])\s*")
_VALUE = re.compile(r"[bru]?'(?:[^'\\]|\\.)*'?|[bru]?\"(?:[^\"\\]|\\.)*\"?|[^\s,;&'\"<>{}()\[\]]+")
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?")
_CLOUD_KEY = re.compile(
    r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|(?:gh[opsu]_|github_pat_|glpat-|[sr]k_(?:live|test)_|whsec_|sk-|xox[abprs]-)[\w-]{8,}"
    r"|(?:npm_|hf_)[A-Za-z0-9]{20,}|(?:pypi-|AIza)[\w-]{30,}"
    r"|(?<=hooks\.slack\.com/)[\w/-]{8,})"
)
_PEM = re.compile(r"-----BEGIN [^-]*PRIVATE KEY-----.*?(?:-----END [^-]*-----|\Z)", re.DOTALL)
_PATH = re.compile(
    r"(?:/(?:home|root|srv|var|tmp|opt|etc|usr|mnt|media|data|app|run|proc|private|Users|Volumes)"
    r"(?=/)|\b[A-Za-z]:(?=[\\/][^\\/]))[\\/][^\s'\"<>|:*?,;)\]}]+"
)


class Redactor:
    """Masks secrets in attribute values, messages and stack traces.

    ``extra_names``: further names whose values must not leave (``OTEL_DJANGO_REDACT``).
    ``project_root``: of modules below it, and of installed ones, the path inside is told.
    """

    def __init__(self, extra_names: Iterable[str] = (), project_root: Path | None = None) -> None:
        self._root = f"{project_root}{os.sep}" if project_root else None
        extra = {_flat(name) for name in extra_names if name}
        self._names = SENSITIVE_NAMES | extra
        self._sensitive: dict[str, bool] = {}

    def is_sensitive(self, name: str) -> bool:
        """Whether values under this attribute, header or parameter name must not leave."""
        known = self._sensitive.get(name)
        if known is None:
            known = self._judge(name)
            if len(self._sensitive) < 4096:
                self._sensitive[name] = known
        return known

    def _judge(self, name: str) -> bool:
        parts = [part.lower() for part in _PART.findall(name)]
        if not parts:
            return False
        pairs = {f"{a}_{b}" for a, b in itertools.pairwise(parts)}
        pairs |= {a + b for a, b in itertools.pairwise(parts)}
        return bool(self._names.intersection(parts) or self._names.intersection(pairs))

    def value(self, name: str, text: str) -> str:
        """``text`` as it may leave under the attribute ``name``."""
        if self.is_sensitive(name):
            return MASK
        if name in _QUERY_KEYS:
            return self.query(text)
        return self.text(text)

    def query(self, query: str) -> str:
        """A query string with every value masked, names kept (``a=[redacted]&b=[redacted]``)."""
        return _QUERY_VALUE.sub(rf"\1{MASK}", f"?{query}")[1:]

    def text(self, text: str) -> str:
        """Free text (a message, a description, a URL) without what looks like a secret."""
        lower = text.lower()
        if "-----begin" in lower:
            text = _PEM.sub(MASK, text)
        if "://" in text:
            text = _URL_USERINFO.sub("", text)
        if "=" in text:
            text = _QUERY_VALUE.sub(rf"\1{MASK}", text)
        if "eyj" in lower:
            text = _JWT.sub(MASK, text)
        if "authorization" in lower or "cookie" in lower:
            text = _HEADER.sub(rf"\1{MASK}", text)
        if any([word in lower for word in _AUTH_WORDS]):  # noqa: C419 - a generator is slower
            text = _AUTH_SCHEME.sub(rf"\1 {MASK}", text)
        if (
            "-" in text
            or "_" in text
            or "AKIA" in text
            or "ASIA" in text
            or "AIza" in text
            or "//hooks." in text
        ):
            text = _CLOUD_KEY.sub(MASK, text)
        if "=" in text or ":" in text:
            text = self._mask_assignments(text)
        if "/" in text or "\\" in text:
            text = _PATH.sub(self._path, text)
        return text

    def _path(self, match: re.Match[str]) -> str:
        """A module's path inside the project or ``site-packages``; of others only the suffix."""
        path = match.group()
        if path.endswith(".py"):
            if self._root is not None and path.startswith(self._root):
                return path[len(self._root) :]
            _, installed, inside = path.rpartition("site-packages" + os.sep)
            if installed:
                return inside
        return _mask_path(path)

    def _mask_assignments(self, text: str) -> str:
        """Each value after a sensitive name; after another name there may stand such a one."""
        masked = ""
        done = position = 0
        while assignment := _ASSIGNMENT.search(text, position):
            position = assignment.end()
            if self.is_sensitive(assignment[1]):
                value = _VALUE.match(text, position)
                if value is not None:
                    masked += text[done:position] + MASK
                    done = position = value.end()
        return masked + text[done:]


def _flat(name: str) -> str:
    return "_".join(part.lower() for part in _PART.findall(name))


def _mask_path(path: str) -> str:
    """Keep the suffix of a file (it tells what it was), nothing of where it lies."""
    last = re.split(r"[\\/]", path.rstrip("\\/."))[-1]
    suffix = last.rpartition(".")[2] if "." in last.strip(".") else ""
    return f"[path].{suffix}" if suffix.isalnum() and len(suffix) <= 5 else "[path]"
