"""Locks that a crash releases: one holder per name among all processes that share the lake.

On a local lake they are `flock`s on files under `_locks/`, which the kernel drops with the process. A lake in an object store
has no such thing, so there they are advisory locks of Postgres, which the server drops with the connection.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

Locker = Callable[[str, str, float], AbstractContextManager[None]]
"""(name, what is being done, seconds to wait) -> a context manager that holds the lock."""


class LockHeld(Exception):
    """Somebody else holds the lock; the message says who."""


_threads: dict[str, threading.Lock] = {}
_threads_guard = threading.Lock()


def _thread_lock(path: str) -> threading.Lock:
    with _threads_guard:
        return _threads.setdefault(path, threading.Lock())


@contextmanager
def file_lock(path: Path, purpose: str, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock file `path`.

    Parameters:
        purpose: written into the file, so that who waits can say who holds it.
        wait_seconds: how long to wait for another holder.

    Raises:
        LockHeld: it was not free in that time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    # flock is per open file, so two threads of one process would exclude each other anyway, but only by polling.
    within = _thread_lock(str(path))
    if not within.acquire(timeout=max(wait_seconds, 0.001)):
        raise LockHeld(_held(path, purpose))
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise LockHeld(_held(path, purpose)) from None
                    time.sleep(0.05)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}, {purpose}".encode(), 0)
            yield
        finally:
            os.close(handle)
    finally:
        within.release()


def _held(path: Path, purpose: str) -> str:
    holder = path.read_text(errors="replace").strip() if path.exists() else ""
    return f"{purpose}: already being done by {holder or 'another process'}. Wait for it to end, or end it."
