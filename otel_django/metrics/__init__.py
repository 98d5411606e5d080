"""Measurements: recorded cheaply by every thread, summed when somebody asks."""
