"""``python -m otel_django receive``: what needs no Django project."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from otel_django.cli import receive


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m otel_django", allow_abbrev=False)
    commands = parser.add_subparsers(metavar="command", title="commands", required=True)
    command = commands.add_parser("receive", help=receive.HELP, description=receive.HELP)
    receive.add_arguments(command)
    options = vars(parser.parse_args())

    import django
    from django.conf import settings
    from django.core.management.base import OutputWrapper

    settings.configure(
        ALLOWED_HOSTS=["*"],  # the receiver looks at the Host itself
        BASE_DIR=Path.cwd(),
        ROOT_URLCONF="otel_django.receiver.urls",
        SECRET_KEY=secrets.token_urlsafe(),
        USE_TZ=True,
    )
    django.setup()
    return receive.run(options, OutputWrapper(sys.stdout), OutputWrapper(sys.stderr))


if __name__ == "__main__":
    sys.exit(main())
