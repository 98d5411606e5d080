"""What is looked at outside the process from time to time, by one process of all."""
