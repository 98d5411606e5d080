"""Print a .env for docker-compose.yml, with secrets made anew.

python3 examples/shop/make_env.py > .env
python3 examples/shop/make_env.py minimal > .env
"""

import os
import secrets
import stat
import sys

PROFILES = ("full", "minimal", "ha")
SECRETS = (
    "SHOP_SECRET_KEY",
    "SHOP_DEMO_PASSWORD",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "GRAFANA_PASSWORD",
    "OTEL_DJANGO_TOKENS",
    "COLLECTOR_TOKEN",
)


def main(arguments: list[str]) -> None:
    profile = arguments[0] if arguments else PROFILES[0]
    if profile not in PROFILES or len(arguments) > 1:
        sys.exit(f"One of these profiles, or none: {', '.join(PROFILES)}.")
    if stat.S_ISREG(os.fstat(1).st_mode):
        os.fchmod(1, 0o600)  # the shell has made it for everybody to read
    print(f"COMPOSE_PROFILES={profile}")
    for name in SECRETS:
        print(f"{name}={secrets.token_urlsafe(24)}")


if __name__ == "__main__":
    main(sys.argv[1:])
