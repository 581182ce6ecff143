"""How many requests AWS takes: rates per account, and for Partner Central a number a day.

AWS documents, for an account: Partner Central's selling reads 10 a second together and 100,000 in a rolling 24 hours; the
Marketplace operations each a rate of its own. INVENTED: how much of a burst a rate forgives, the benefits' rate, and that the 24
hours are the sandbox's own, which `advance` moves.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Limit:
    """A bucket that fills at `per_second` up to `burst` requests, and a number a day; None: no limit."""

    per_second: float | None = 10.0
    burst: float = 100.0
    per_day: int | None = 100_000
    ticks: Callable[[], float] = time.monotonic
    filled: float = field(default=100.0, init=False)
    at: float | None = field(default=None, init=False)
    used: list[tuple[float, int]] = field(default_factory=list, init=False)
    """Requests of the last 24 hours as (hour, how many)."""

    def take(self, now: float) -> bool:
        """Whether one more request is let through; `now`: the sandbox's time in seconds since 1970."""
        if self.per_second is not None:
            tick = self.ticks()
            self.filled = self.burst if self.at is None else self.filled + (tick - self.at) * self.per_second
            self.filled, self.at = min(self.filled, self.burst), tick
            if self.filled < 1:
                return False
        if self.per_day is not None and not self._day(now):
            return False
        self.filled -= 1
        return True

    def _day(self, now: float) -> bool:
        hour = now // 3600
        self.used = [entry for entry in self.used if entry[0] > hour - 24]
        if sum(count for _, count in self.used) >= (self.per_day or 0):
            return False
        if self.used and self.used[-1][0] == hour:
            self.used[-1] = (hour, self.used[-1][1] + 1)
        else:
            self.used.append((hour, 1))
        return True

    def change(self, per_second: float | None, burst: float | None, per_day: int | None) -> None:
        """Other numbers from now on, with a full bucket and a new day."""
        self.per_second, self.per_day = per_second, per_day
        self.burst = burst if burst is not None else max(1.0, per_second or 1.0)
        self.at, self.used = None, []


RATES = {
    "partnercentral-selling": (10.0, 100_000), "partnercentral-benefits": (10.0, None), "ListEntities": (10.0, None),
    "DescribeEntity": (20.0, None), "SearchAgreements": (5.0, None), "DescribeAgreement": (5.0, None),
    "GetAgreementTerms": (10.0, None), "GetAgreementEntitlements": (10.0, None),
}  # fmt: skip
"""What a limit is about, a service or an operation -> requests a second, and a day."""


class Limits:
    """All of an account's."""

    def __init__(self) -> None:
        self.by_name = {name: Limit(per_second, per_day=per_day) for name, (per_second, per_day) in RATES.items()}

    def take(self, service: str, operation: str, now: float) -> bool:
        """Whether a request is let through."""
        return self.by_name[operation if operation in self.by_name else service].take(now)

    def change(self, name: str | None, per_second: float | None, burst: float | None, per_day: int | None) -> None:
        """Other numbers for one limit, or for all.

        Raises:
            KeyError: there is no limit of that name.
        """
        for limit in [self.by_name[name]] if name else self.by_name.values():
            limit.change(per_second, burst, per_day)

    def describe(self) -> dict[str, dict[str, float | None]]:
        """Name -> numbers."""
        return {name: {"per_second": limit.per_second, "burst": limit.burst, "per_day": limit.per_day}
                for name, limit in self.by_name.items()}  # fmt: skip
