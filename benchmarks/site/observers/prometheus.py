"""django-prometheus with its middleware, database and cache back-ends."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.site.observers import Observer


class Prometheus(Observer):
    def configure(self, settings: dict[str, Any]) -> None:
        settings["INSTALLED_APPS"].append("django_prometheus")
        settings["MIDDLEWARE"].insert(0, "django_prometheus.middleware.PrometheusBeforeMiddleware")
        settings["MIDDLEWARE"].append("django_prometheus.middleware.PrometheusAfterMiddleware")
        settings["DATABASES"]["default"]["ENGINE"] = "django_prometheus.db.backends.sqlite3"
        settings["CACHES"]["default"]["BACKEND"] = (
            "django_prometheus.cache.backends.locmem.LocMemCache"
        )

    def seen(self) -> dict[str, int]:
        registry = import_module("prometheus_client").REGISTRY
        requests = registry.get_sample_value("django_http_requests_before_middlewares_total")
        queries = registry.get_sample_value(
            "django_db_execute_total", {"alias": "default", "vendor": "sqlite"}
        )
        return {"requests": int(requests or 0), "queries": int(queries or 0)}


observer = Prometheus()
