"""Python's cyclic garbage collector while records stream through."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT_AFTER = 200_000
"""New containers that set the collector off; a page of 1,000 records of 74 fields makes about 26,000."""

_lock = threading.Lock()
_users = 0
_before = gc.get_threshold()


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let the collector look less often, in all threads, until the last such block ends.

    Decoded records are trees, which die without its help, but at its usual pace (every 700 containers) looking at them again and
    again took longer than decoding them.
    """
    global _users, _before
    with _lock:
        _users += 1
        if _users == 1:
            _before = gc.get_threshold()
            gc.set_threshold(COLLECT_AFTER, *_before[1:])
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                gc.set_threshold(*_before)
