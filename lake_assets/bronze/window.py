"""Which changes a sync of one day reads, and where the next one goes on. Pure functions over times; all times are UTC."""

from datetime import UTC, date, datetime, time, timedelta

from resources.connectors.base import Window


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """The first moment of the UTC day and of the next one."""
    start = datetime.combine(day, time.min, tzinfo=UTC)
    return start, start + timedelta(days=1)


def window_of(
    day: date,
    today: date,
    watermark: datetime | None,
    overlap: timedelta,
    cursor: str | None = None,
    rest: str | None = None,
    thrifty: bool = False,
) -> Window:
    """What a sync of `day` reads.

    A past day ends with itself. Today has no upper end: pages are keyed by id, so a record that changes while it is read is
    found in its old or its new state, and a bound taken from a clock could only hide the last second's changes. The lower end
    lies `overlap` behind the watermark, because a transaction may commit minutes after the time it stamps on its rows.

    Parameters:
        watermark: up to when everything was read before; None if the table never was.
        cursor: where the last sync left a source that hands out such tokens. A past day that was read before is read again from
            its start, so the token does not fit it.
        thrifty: do not read today's earlier changes again, where reading costs budget; the sync that closes the day does.
        rest: what an interrupted sync left unread; for the next sync of today, which has no end that it could lie beyond.
    """
    start, end = day_bounds(day)
    hi = None if day >= today else end
    lo = None if watermark is None else (watermark if thrifty and hi is None else min(start, watermark)) - overlap
    fits = hi is None or watermark is None or watermark <= start
    return Window(lo, hi, cursor if fits else None, rest if hi is None else None)


def next_watermark(day: date, watermark: datetime | None, server_time: datetime) -> datetime:
    """The watermark after the whole window of `day` was read.

    Parameters:
        server_time: the source's clock when the read began; what commits later belongs to the next sync.
    """
    reached = min(server_time, day_bounds(day)[1])
    return reached if watermark is None else max(watermark, reached)
