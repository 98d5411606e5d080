"""``manage.py otel doctor``: follows telemetry from the settings to where it is looked at."""
