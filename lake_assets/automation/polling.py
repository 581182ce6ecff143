"""How often each source instance may be asked "anything new?". Pure functions."""

from datetime import UTC, datetime

from lake_config import SourceSettings, source_types

POLL_SECONDS = 60
"""Where asking is free, or nearly; also how often sensors look whether a poll is due."""

POLL_SHARE = 0.05
"""Of a day's budget, at most."""


def poll_seconds(source: SourceSettings) -> float:
    """Seconds between two polls of an instance: a minute, or as many as keep them below `POLL_SHARE` of what its day may cost, by
    the vendor's limit or by `max_per_day`, whichever is lower."""
    kind = source_types()[source.type]
    budgets = [budget for budget in (kind.daily_budget(source), source.max_per_day) if budget]
    if not budgets:
        return POLL_SECONDS
    return max(POLL_SECONDS, 24 * 3600 * kind.poll_cost / (POLL_SHARE * min(budgets)))


class Polls:
    """When each instance was asked last.

    Parameters:
        asked: `tenant/source` -> Unix time.
    """

    def __init__(self, asked: dict[str, float], now: datetime | None = None) -> None:
        self.asked = asked
        self._now = (now or datetime.now(UTC)).timestamp()

    def due(self, tenant: str, name: str, source: SourceSettings) -> bool:
        """Whether the instance may be asked again; if so, this counts as asking. The sensor's own ticks keep the shortest
        interval; they come a little unevenly, so a poll may be up to a tenth early."""
        key, interval = f"{tenant}/{name}", poll_seconds(source)
        if interval > POLL_SECONDS and self._now - self.asked.get(key, 0.0) < 0.9 * interval:
            return False
        self.asked[key] = self._now
        return True
