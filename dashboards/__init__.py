"""Grafana dashboards: the generated files, and what generates them."""
