"""How days pass in the stories: which days there are, when something happens in one, how often."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random


def days_between(begin: datetime, end: datetime) -> Iterator[date]:
    """Every UTC day that [begin, end) touches."""
    day = begin.date()
    while datetime.combine(day, time(), UTC) < end:
        yield day
        day += timedelta(days=1)


def moment_of_day(random: Random, day: date, opens: int = 6, closes: int = 18) -> datetime:
    """A moment in working hours (UTC), with microseconds."""
    seconds = random.uniform(opens * 3600, closes * 3600)
    return datetime.combine(day, time(), UTC) + timedelta(seconds=seconds)


def often(random: Random, rate: float) -> int:
    """How many times something with that daily rate happens today."""
    whole = int(rate)
    return whole + (random.random() < rate - whole)
