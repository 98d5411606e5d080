"""From an alert to somebody's screen: what is said, to whom, and by which channel."""
