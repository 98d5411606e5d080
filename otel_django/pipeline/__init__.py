"""From the end of a span to the receiver: queue, worker, encoding, retry, spool, transport."""
