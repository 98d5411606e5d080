"""How a worker's processes end, so that what they recorded leaves with them.

Celery's children leave by ``os._exit``, past every exit hook; what they do offer is a signal,
each time one ends in an orderly way, recycled ones included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard

if TYPE_CHECKING:
    from otel_django.contracts import ProcessLife

_UID: Final = "otel_django-life"

_life: ProcessLife | None = None
_is_child = False


def install(life: ProcessLife) -> Callable[[], None]:
    """Listen to Celery's signals; Celery is imported already. Returns the undoing."""
    from celery import signals

    global _life
    _life = life
    wiring = (
        (signals.worker_ready, _worker_ready),
        (signals.worker_process_init, _child_begins),
        (signals.worker_process_shutdown, _child_ends),
        (signals.worker_shutdown, _worker_ends),
    )
    for signal, receiver in wiring:
        signal.connect(receiver, weak=False, dispatch_uid=_UID)

    def undo() -> None:
        global _life
        _life = None
        for signal, receiver in wiring:
            signal.disconnect(receiver, dispatch_uid=_UID)

    return undo


def child_is_stopped() -> None:
    """A signal or ``sys.exit`` unwinds this child: it may have a tenth of a second left."""
    if _life is not None and _is_child:
        with guard.guarded("celery.child_is_stopped"):
            _life.keep_all()


def _worker_ready(**_: Any) -> None:
    """Recycled children live too short to look after what others have left."""
    if _life is not None:
        with guard.guarded("celery.worker_ready"):
            _life.adopt()


def _child_begins(**_: Any) -> None:
    global _is_child
    _is_child = True


def _child_ends(**_: Any) -> None:
    if _life is not None:
        with guard.guarded("celery.child_ends"):
            _life.end_soon()


def _worker_ends(**_: Any) -> None:
    """On SIGHUP the main process becomes another program before exit hooks run."""
    if _life is not None:
        with guard.guarded("celery.worker_ends"):
            _life.keep_all()
