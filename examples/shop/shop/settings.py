"""Settings of the example shop: plain Django, and one line of otel_django."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
# Everything the shop writes lies in this one folder.
DATA_DIR = Path(os.environ.get("DEMO_DIR") or BASE_DIR.parent.parent / ".demo").resolve()

DEBUG = True
SECRET_KEY = "an example's key, never used on a public site"  # noqa: S105
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

INSTALLED_APPS = [
    "otel_django",
    "catalogue",
    "orders",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

# All of this could be left out: the name would come from this module's package, and the data
# would lie in .otel_django/ beside manage.py.
OTEL_DJANGO = {
    "OTEL_SERVICE_NAME": "shop",
    "STORE": str(DATA_DIR / "telemetry" / "store.sqlite3"),
    "SPOOL_DIR": str(DATA_DIR / "telemetry" / "spool"),
    "RUN_DIR": str(DATA_DIR / "telemetry" / "run"),
}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "orders.cart.cart_size",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "shop.sqlite3",
        "OPTIONS": {"timeout": 20},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# No broker to install: messages are files in a folder. On a real site this is one line, such as
# CELERY_BROKER_URL = "redis://localhost:6379/0".
BROKER_DIR = DATA_DIR / "broker"
(BROKER_DIR / "messages").mkdir(parents=True, exist_ok=True)
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": BROKER_DIR / "messages",
    "data_folder_out": BROKER_DIR / "messages",
    "control_folder": BROKER_DIR / "control",
    "polling_interval": 0.1,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "shop"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "restock": {"task": "shop.tasks.restock", "schedule": 15.0, "options": {"expires": 15.0}},
}

OUTBOX_DIR = DATA_DIR / "outbox"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "order_history"
LOGOUT_REDIRECT_URL = "home"

STATIC_URL = "static/"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

# The shop asks a stock service over HTTP. In the demo that is the shop itself; when empty, no
# such service is asked.
STOCK_SERVICE_URL = os.environ.get("SHOP_STOCK_SERVICE_URL", "")
