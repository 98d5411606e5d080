"""A stand-alone OTLP/HTTP receiver: any service's telemetry into an embedded store, and its pages.

::

    a connection → connections (bounded, deadlines) → http_request → ingest: bodies → decoding
                                                                   → writing (one thread, the store)
                                                    → pages (Django's WSGI handler)
"""
