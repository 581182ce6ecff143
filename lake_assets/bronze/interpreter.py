"""Python itself while records stream through: its garbage collector and its threads' turns."""

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT_AFTER = 200_000
"""New containers that set the collector off; a page of 1,000 records of 74 fields makes about 26,000."""

TURN_SECONDS = 0.0005
"""How long a thread at work keeps the others waiting."""

_lock = threading.Lock()
_users = 0
_before = (gc.get_threshold(), sys.getswitchinterval())


@contextmanager
def streaming() -> Iterator[None]:
    """Let the collector look less often and threads take shorter turns, in all threads, until the last such block ends.

    Decoded records are trees, which die without the collector's help, but at its usual pace (every 700 containers) looking at
    them again and again took longer than decoding them. And a thread that receives an answer needs a turn for each of some
    hundred parts of it: at the usual 5 ms beside one that decodes, ten answers of 3 MB waited 0.15 s.
    """
    global _users, _before
    with _lock:
        _users += 1
        if _users == 1:
            _before = (gc.get_threshold(), sys.getswitchinterval())
            gc.set_threshold(COLLECT_AFTER, *_before[0][1:])
            sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                gc.set_threshold(*_before[0])
                sys.setswitchinterval(_before[1])
