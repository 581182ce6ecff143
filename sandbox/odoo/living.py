"""How time passes in a database: a day is a plan of events at moments, and advancing carries out those that fall due.

What a day holds depends on the seed and the day alone, so advancing in one step or in ten gives the same events; what
an event does depends on the records it meets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from random import Random
from typing import Any

from sandbox.clock import stamp
from sandbox.days import days_between, moment_of_day, often
from sandbox.odoo.records import Changes, Records
from sandbox.odoo.store import Database, Row
from sandbox.odoo.tenant import Tenant
from sandbox.world import World


@dataclass(frozen=True)
class Event:
    """Something that happens. `act(records, random)` carries it out."""

    moment: datetime
    uid: int
    act: Callable[[Records, Random], Any]
    random: Random


def pick(random: Random, database: Database, model: str, wanted: Callable[[Row], bool], tries: int = 60) -> int | None:
    """A random record that is `wanted`, newer ones more often; None after so many tries."""
    table = database[model]
    for _ in range(tries):
        if not table.ids:
            return None
        record_id = table.ids[int(len(table.ids) * (1 - random.random() ** 2 * 0.999)) - 1]
        if wanted(table.rows[record_id]):
            return record_id
    return None


class Story:
    """What happens in a database day by day. A subclass tells the `plan` of a day."""

    def __init__(self, world: World, people: Sequence[int], rates: Mapping[str, float]) -> None:
        """`people`: the users who act; `rates`: how often a day each of the story's methods happens."""
        self.world, self.people, self.rates = world, people, rates

    def activity(self, day: date) -> float:
        """How busy the day is."""
        return 0.2 if day.weekday() >= 5 else 1.0

    def plan(self, day: date) -> list[Event]:
        """The day's events."""
        random = self.world.random("day", day.isoformat())
        events = []
        for name, rate in self.rates.items():
            for number in range(often(random, rate * self.activity(day))):
                own = self.world.random(name, f"{day}/{number}")
                events.append(Event(moment_of_day(own, day), own.choice(self.people), getattr(self, name), own))
        return events

    def live(self, tenant: Tenant, to: datetime) -> Changes:
        """Carry out what happens from where the database stands up to `to`; returns what changed."""
        changes = Changes()
        begin = tenant.database.lived_until or tenant.clock.start
        if to <= begin:
            return changes
        for day in days_between(begin, to):
            events = sorted(self.plan(day), key=lambda event: event.moment)
            for event in events:
                if begin <= event.moment < to:
                    event.act(Records(tenant.database, stamp(event.moment), event.uid, changes), event.random)
        tenant.database.lived_until = to
        return changes
