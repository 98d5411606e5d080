"""What drivers say, in words that may be shown."""

from __future__ import annotations

import pytest

from otel_django.health.failure_words import in_words

SECRET = "s3cr3tv4lu3"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (f'connection to server at "{SECRET}" failed: Connection refused', "Nothing listens"),
        (f'FATAL:  password authentication failed for user "{SECRET}"', "refused the cred"),
        (f'FATAL:  database "{SECRET}" does not exist', "no such database"),
        ("FATAL:  sorry, too many clients already", "no connection left"),
        ("FATAL:  the database system is starting up", "starting or shutting down"),
        ("LOADING Redis is loading the dataset in memory", "starting or shutting down"),
        (f"Access denied for user '{SECRET}'@'localhost' (using password: YES)", "credentials"),
        ("Lost connection to MySQL server during query (timed out)", "in time"),
        (f"(2002, \"Can't connect to server on '{SECRET}' (111)\")", "Nothing listens"),
        ("Lost connection to server at 'handshake: …', system error: 110", "in time"),
        ("[Errno -2] Name or service not known", "can't be resolved"),
        (f"(1130, \"Host '{SECRET}' is not allowed to connect to this server\")", "from here"),
        (f"(1203, \"User {SECRET} has more than 'max_user_connections'\")", "no connection left"),
        ("(1053, 'Server shutdown in progress')", "starting or shutting down"),
        (f"(2005, \"Unknown MySQL server host '{SECRET}' (-2)\")", "can't be resolved"),
        ("SSL: CERTIFICATE_VERIFY_FAILED", "No TLS"),
        (f"something else about {SECRET}", "It failed (OSError)."),
    ],
)
def test_what_drivers_say_is_told_in_words_without_hosts_and_users(said: str, words: str) -> None:
    told = in_words(OSError(said))
    assert words in told
    assert SECRET not in told


def test_a_cause_is_looked_for_behind_what_says_nothing() -> None:
    error = RuntimeError(SECRET)
    error.__cause__ = ConnectionRefusedError()
    assert in_words(error) == "Nothing listens there."


def test_causes_in_a_ring_end() -> None:
    error, other = RuntimeError(), RuntimeError()
    error.__cause__, other.__cause__ = other, error
    assert in_words(error) == "It failed (RuntimeError)."
