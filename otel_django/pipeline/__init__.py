"""From the end of a span to the receiver: queue, worker thread, encoding, retry, spool, transport."""
