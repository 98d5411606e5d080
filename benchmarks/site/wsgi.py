from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from benchmarks.site.observers import current

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.site.settings")
current().start()
application = get_wsgi_application()
