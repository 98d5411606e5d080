"""Writes the dashboards: ``python -m dashboards.generator`` from the project's top folder."""
