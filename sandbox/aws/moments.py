"""Moments as AWS writes and reads them: ISO texts of seconds (Partner Central), with fractions (engagements), epoch numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any


def iso(moment: datetime) -> str:
    """`2024-11-14T19:32:03Z`: seconds are cut off."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def nanos(moment: datetime) -> str:
    """`2025-01-15T16:34:26.049325970Z`, as GetEngagement writes it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}970Z"


def hundredths(text: str) -> str:
    """A time of GetEngagement as ListEngagements writes it (recorded): cut to two digits of a second."""
    return f"{text[:22]}Z"


def parse(value: Any) -> datetime:
    """A time in a request: an ISO text or seconds since 1970.

    Raises:
        ValueError, TypeError: it is neither.
    """
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def at_or_after(value: Any) -> str:
    """The first whole second that is not before this time, as `iso` writes it: the lower end of an inclusive window."""
    moment = parse(value)
    return iso(moment + timedelta(seconds=1) if moment.microsecond else moment)


def next_second(value: Any) -> str:
    """The whole second after this time: the upper end of an inclusive window, itself outside."""
    return iso(parse(value) + timedelta(seconds=1))
