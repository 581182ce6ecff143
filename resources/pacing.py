"""How fast a source is asked: evenly spaced starts, and no more than so many requests in any span of time.

What belongs here: waiting, over threads. What does not: what a day may cost (`resources/budget.py`), requests themselves.
"""

import math
import threading
from collections.abc import Callable, Iterator
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


LOOK_AGAIN_SECONDS = 0.25
"""While every place is held by a request under way, perhaps another process's."""

Times = list[float]
Edit = Callable[[Callable[[Times], Times]], None]
"""Replaces a list of times by what a function makes of it, with nobody else between."""


class RateLimit:
    """At most `count` requests in any `seconds`, as the server sees it.

    A place is free again `seconds` after the *answer* to its request came: counted from its start, a request that was slow on
    its way could reach the server together with one of the next span.

    Parameters:
        clock: the time; of a limit that processes share, one that they share too.
        edit: where the times of answers are kept; by default here.
        longest: a request under way without an answer counts as answered after so many seconds: its process may be gone.
    """

    def __init__(
        self,
        count: int,
        seconds: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        edit: Edit | None = None,
        longest: float = math.inf,
    ) -> None:
        self._count, self._seconds, self._clock, self._sleep = count, seconds, clock, sleep
        self._edit, self._longest = edit or self._edit_here, longest
        self._times: Times = []
        self._own = threading.Lock()
        self._answered = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place, and hold it while the request is under way."""
        while (place := self._take()) is None:
            pass
        try:
            yield
        finally:
            self._edit(lambda times: [*_without(times, place), self._clock()])
            with self._answered:
                self._answered.notify_all()

    def _take(self) -> float | None:
        """The time that stands for this request, if there was a place; else wait for one."""
        wait, place = 0.0, None

        def change(times: Times) -> Times:
            nonlocal wait, place
            now = self._clock()
            # Times far ahead are of a clock that was put back since.
            held = sorted(min(at, now + self._longest) for at in times if at + self._seconds > now)
            if len(held) < self._count:
                place = now + self._longest
                return [*held, place]
            wait = held[-self._count] + self._seconds - now
            return held

        self._edit(change)
        if place is None and wait > self._seconds:
            with self._answered:
                self._answered.wait(LOOK_AGAIN_SECONDS)
        elif place is None:
            self._sleep(wait)
        return place

    def _edit_here(self, change: Callable[[Times], Times]) -> None:
        with self._own:
            self._times = change(self._times)


def _without(times: Times, one: float) -> Times:
    place = times.index(one) if one in times else len(times)
    return times[:place] + times[place + 1 :]
