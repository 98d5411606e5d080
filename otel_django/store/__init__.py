"""The embedded store: finished spans in one SQLite file, no account and no second program."""
