"""Start the site, answer one request, leave at once: what start-up costs."""

from __future__ import annotations

import os

from benchmarks.site.wsgi_call import environ_for, serve

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.site.settings")
    from benchmarks.site.wsgi import application

    serve(application, environ_for("/trivial/"))
    # What is sent at exit is no part of starting.
    os._exit(0)
