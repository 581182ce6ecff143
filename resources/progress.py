"""How far long work is, for whoever watches this process: a command with a progress bar, or nobody."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str, str, int], None]
"""(what, which, how many more), e.g. ("rows", "odoo.crm_lead", 1000)."""

_listeners: list[Listener] = []


def report(what: str, which: str, count: int = 1) -> None:
    """Tell every listener; may be called from any thread."""
    for listener in tuple(_listeners):
        listener(what, which, count)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send what is reported meanwhile to `listener`."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
