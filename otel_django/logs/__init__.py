"""Structured logs: every record of a process as a line and as an OpenTelemetry log record."""
