"""The sandbox's own time.

It starts at a given moment (default: now), runs on in real time, and can be moved forward. Everything the
stand-ins stamp (write dates, the HTTP `Date` header, when a held transaction commits) reads this clock, so that
a week can be lived in a second.
"""

import time
from datetime import UTC, datetime, timedelta

FORMAT = "%Y-%m-%d %H:%M:%S.%f"
"""How moments are stored: UTC, microseconds, 26 characters, so that text order is time order."""


def stamp(moment: datetime) -> str:
    """The stored form of a moment."""
    return moment.astimezone(UTC).strftime(FORMAT)


def parse_moment(text: str) -> datetime:
    """A day or an ISO date-time (UTC unless it says otherwise)."""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Clock:
    """A clock that runs in real time from `start` and can only be moved forward."""

    def __init__(self, start: datetime | None = None) -> None:
        self.start = start or datetime.now(UTC)
        self._origin = self.start
        self._ticks = time.monotonic()
        self._last = self.start

    def now(self) -> datetime:
        """The current moment of the sandbox."""
        return self._origin + timedelta(seconds=time.monotonic() - self._ticks)

    def stamp(self) -> str:
        """The current moment as stored; strictly increasing, as two transactions never share one."""
        moment = max(self.now(), self._last + timedelta(microseconds=1))
        self._last = moment
        return stamp(moment)

    def move_to(self, moment: datetime) -> None:
        """Let time jump forward; a moment already past changes nothing."""
        if moment > self.now():
            self._origin, self._ticks = moment, time.monotonic()
