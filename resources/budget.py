"""What a source is asked in a day, over all processes, and how much it may be.

The account lies beside the lake (`_state/budget/...`). What a process may spend it takes from there in portions, so that not
every request opens a file; what is left of a portion goes back when the connector is closed. A crash keeps its portion: the
account may say too much, never too little. Days are UTC.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from functools import partial

from resources import layout
from resources.connectors.base import BudgetSpent
from resources.lake import Lake
from resources.pacing import RateLimit, Times

PORTIONS = 100
"""A process takes this part of a day's budget at a time."""

UNCAPPED_PORTION = 500
"""Where there is no cap, the account is brought up to date every so many units."""

SHARED_FROM_SECONDS = 10
"""A rate limit over at least so long a span is kept beside the lake, which costs two small writes a request."""

LONGEST_REQUEST = 120
"""Seconds for which a place is held whose process never told of an answer."""


@dataclass(frozen=True)
class Account:
    """What one source instance was asked on `day`. `requests`; `spent`: their cost, in the unit in which the source counts;
    `recent`: of each shared rate limit, when its latest requests were answered, or will be (Unix time)."""

    day: str = ""
    requests: int = 0
    spent: float = 0.0
    recent: dict[str, list[float]] = field(default_factory=dict)


def load_account(lake: Lake, tenant: str, source: str, day: date | None = None) -> Account:
    """The account of `day` (default: today, UTC); an empty one if nothing was asked."""
    day = day or datetime.now(UTC).date()
    stored = lake.storage.read_json(layout.budget_file(tenant, source))
    account = Account(**stored) if isinstance(stored, dict) else Account()
    return account if account.day == day.isoformat() else Account(day.isoformat(), recent=account.recent)


class Budget:
    """What one connector may ask. Safe to use from many threads.

    Parameters:
        lake: where the account is kept; None: nowhere, and the cap holds for this object alone.
        per_day: the cap; None for none.
        now: the time, UTC.
    """

    def __init__(
        self,
        lake: Lake | None,
        tenant: str,
        source: str,
        per_day: float | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lake, self._tenant, self._source, self._now = lake, tenant, source, now
        self.per_day = per_day
        self._portion = max(1.0, per_day / PORTIONS) if per_day else float(UNCAPPED_PORTION)
        self._granted = 0.0
        self._granted_on: date | None = None
        self._own = Account()
        """Where there is no lake."""
        self._requests = 0
        self._limits: dict[str, RateLimit] = {}
        self._lock = threading.Lock()

    def spend(self, cost: float = 1) -> None:
        """Account for one request that is about to be made.

        Raises:
            BudgetSpent: it would cross the day's cap.
        """
        with self._lock:
            self._drop_yesterdays()
            if self._granted < cost:
                self._granted += self._take(max(cost, self._portion), at_least=cost - self._granted)
                self._granted_on = self._now().date()
            self._granted -= cost
            self._requests += 1

    def rate_limit(self, name: str, count: int, seconds: float) -> RateLimit:
        """The limit of that name. All processes share it, if its span is long enough that one might end and the next begin
        within it."""
        with self._lock:
            if name not in self._limits:
                shared = self._lake is not None and seconds >= SHARED_FROM_SECONDS
                self._limits[name] = (
                    RateLimit(count, seconds, time.time, time.sleep, partial(self._edit_recent, name), LONGEST_REQUEST)
                    if shared
                    else RateLimit(count, seconds, time.monotonic, time.sleep)
                )
            return self._limits[name]

    def _edit_recent(self, name: str, change: Callable[[Times], Times]) -> None:
        with self._account() as (before, write):
            write(replace(before, recent={**before.recent, name: change(before.recent.get(name, []))}))

    def close(self) -> None:
        """Give back what was not spent."""
        with self._lock:
            self._drop_yesterdays()
            if self._lake is not None and (self._requests or self._granted):
                self._take(-self._granted)
            self._granted = 0.0

    def _drop_yesterdays(self) -> None:
        """A portion is of the day on which it was taken."""
        if self._granted_on not in (None, self._now().date()):
            self._granted = 0.0

    def _take(self, amount: float, at_least: float = 0.0) -> float:
        if self._lake is None:
            account, granted = self._after(self._own, amount, at_least)
            self._own, self._requests = account, 0
            return granted
        with self._account() as (before, write):
            account, granted = self._after(before, amount, at_least)
            write(account)
        self._requests = 0
        return granted

    @contextmanager
    def _account(self) -> Iterator[tuple[Account, Callable[[Account], None]]]:
        """Today's account, and what replaces it, with no other process between."""
        lake, tenant, source = self._lake, self._tenant, self._source
        assert lake is not None
        with lake.lock(f"budget-{tenant}-{source}", f"accounting for {tenant}/{source}", 60):
            before = load_account(lake, tenant, source, self._now().date())
            yield before, lambda account: lake.storage.write_json(layout.budget_file(tenant, source), asdict(account))

    def _after(self, before: Account, amount: float, at_least: float) -> tuple[Account, float]:
        today = self._now().date().isoformat()
        if before.day != today:
            before = Account(today, recent=before.recent)
        granted = amount
        if self.per_day is not None and amount > 0:
            left = self.per_day - before.spent
            if left < at_least:
                raise self._spent()
            granted = min(amount, left)
        spent = max(0.0, before.spent + granted)
        return replace(before, requests=before.requests + self._requests, spent=spent), granted

    def _spent(self) -> BudgetSpent:
        resumes_at = datetime.combine(self._now().date() + timedelta(days=1), time_of_day.min, tzinfo=UTC)
        return BudgetSpent(
            f"tenant {self._tenant}, source {self._source}: the day's budget of {self.per_day:,.0f} (max_per_day) is spent",
            resumes_at,
        )
