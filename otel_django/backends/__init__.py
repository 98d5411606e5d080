"""Readers of telemetry: one module a backend, all held to the contracts in ``contracts``."""
