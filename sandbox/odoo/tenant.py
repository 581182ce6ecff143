"""One Odoo database with everything around it: users' rights, the clock, transactions that have not committed yet."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sandbox.clock import Clock
from sandbox.odoo.access import Access
from sandbox.odoo.records import Changes
from sandbox.odoo.store import Database


@dataclass
class Held:
    """A write that has begun and is not visible yet."""

    commits_at: datetime
    commit: Callable[[], None]


@dataclass
class Tenant:
    """What a request needs to know about the database it is about."""

    name: str
    database: Database
    clock: Clock
    live: Callable[["Tenant", datetime], Changes]
    """Lets time pass in this database up to a moment."""
    access: Access = field(default_factory=Access)
    held: list[Held] = field(default_factory=list)

    def settle(self) -> None:
        """Commit what is due: called before every request, so nobody sees a moment between."""
        if not self.held:
            return
        now = self.clock.now()
        due = sorted((held for held in self.held if held.commits_at <= now), key=lambda held: held.commits_at)
        self.held = [held for held in self.held if held.commits_at > now]
        for held in due:
            held.commit()
