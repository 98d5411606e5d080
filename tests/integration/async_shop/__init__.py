"""The example shop with an asynchronous view that sends a task."""
