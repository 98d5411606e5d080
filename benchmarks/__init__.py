"""What the package costs, beside bare Django and its peers: ``python -m benchmarks``."""
