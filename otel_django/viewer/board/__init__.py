"""What the dashboard shows: each part of the system with its state, its figures and its course."""
