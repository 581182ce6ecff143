"""How fast a source is asked: evenly spaced starts, and no more than so many requests in any span of time.

What belongs here: waiting, over threads. What does not: what a day may cost (`resources/budget.py`), requests themselves.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class Pace:
    """Spaces the starts of requests evenly, and holds all of them back when the source asks for a pause."""

    def __init__(self, per_second: float | None, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._clock, self._sleep = clock, sleep
        self._next = -math.inf
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Until the next request may start."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next)
            self._next = start + self._interval
        if start > now:
            self._sleep(start - now)

    def hold(self, seconds: float) -> None:
        """Nothing starts for so long."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


class RateLimit:
    """At most `count` requests in any `seconds`, as the server sees it.

    A place is free again `seconds` after the *answer* to its request came: counted from its start, a request that was slow on
    its way could reach the server together with one of the next span.

    Parameters:
        ended: when earlier requests (of another process, say) were answered, by `clock`.
    """

    def __init__(
        self,
        count: int,
        seconds: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        ended: Iterable[float] = (),
    ) -> None:
        self._seconds, self._clock, self._sleep = seconds, clock, sleep
        # `-inf`: never used. One entry a place; a request takes the place that has been free for longest.
        self._free: deque[float] = deque(sorted([-math.inf] * count + list(ended))[-count:])
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place, and hold it while the request is under way."""
        with self._changed:
            while not self._free:
                self._changed.wait()
            ended = self._free.popleft()
        wait = ended + self._seconds - self._clock()
        try:
            if wait > 0:
                self._sleep(wait)
            yield
        finally:
            with self._changed:
                self._free.append(self._clock())
                self._changed.notify()

    def recent(self) -> list[float]:
        """When the requests that still count were answered, by the clock."""
        with self._changed:
            return [ended for ended in self._free if ended > self._clock() - self._seconds]
