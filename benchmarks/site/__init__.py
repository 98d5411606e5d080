"""The small Django site that every contestant serves."""
