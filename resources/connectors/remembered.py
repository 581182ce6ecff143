"""A failure that every table would run into, one after the other, told to all of them at once."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy

from resources.connectors.base import PermanentError, TransientError

REMEMBERED_SECONDS = 60.0
"""So long it stands. Long enough for the tables of one sync, short enough for who has just mended it."""


class Remembered:
    """The last failure. Safe to use from many threads.

    Parameters:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failure: tuple[PermanentError | TransientError, float] | None = None

    def note(self, error: PermanentError | TransientError) -> None:
        """Have it stand from now on."""
        self._failure = (error, self._clock())

    def again(self) -> None:
        """Raise the failure, if there was one a moment ago."""
        known = self._failure
        if known is not None and self._clock() - known[1] < REMEMBERED_SECONDS:
            raise copy(known[0])  # an exception gathers the trace of whoever raises it

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Fail at once if it stands; note what fails now."""
        self.again()
        try:
            yield
        except (TransientError, PermanentError) as error:  # a spent budget knows itself until when
            self.note(error)
            raise
