"""Alerts: rules as data, what they say of a moment, and what becomes of that over time."""
