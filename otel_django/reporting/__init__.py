"""A site's report over a range of time: for the terminal, as JSON, as a mail."""
