"""The running service: one process evaluates alerts, tells of them and tidies up."""
