"""A stand-alone OTLP/HTTP receiver: any service's telemetry into an embedded store, and its pages.

::

    run → server → connection ┬→ intake: door → bodies → decoding → writing → the store
                              └→ pages: door, login → the viewer, by Django
"""
