"""A site that uses many libraries, whose instrumentors are installed."""
