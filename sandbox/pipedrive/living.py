"""How days pass at skyfit: what is created, moved, won, archived, deleted, renamed.

What a day holds depends on the seed and the day alone; what an event does depends on the records it meets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from sandbox.days import days_between, moment_of_day, often
from sandbox.pipedrive.account import Changes
from sandbox.pipedrive.fields import value
from sandbox.pipedrive.lists import stored
from sandbox.pipedrive.seed import TENANT, Story
from sandbox.pipedrive.table import LIVE

RATES = {
    "new_deal": 6.0, "move_deal": 11.0, "win_deal": 2.0, "lose_deal": 2.0, "archive_deal": 1.5, "unarchive_deal": 0.2,
    "delete_deal": 1.0, "edit_custom": 3.0, "new_organization": 0.6, "rename_organization": 0.4, "delete_organization": 0.1,
    "new_person": 1.0, "edit_person": 2.0, "delete_person": 0.3, "new_activity": 7.0, "finish_activity": 5.0,
    "delete_activity": 1.0, "reprice_product": 0.4, "rename_stage": 0.15, "new_user": 0.05,
}  # fmt: skip
"""Event -> how often on a working day."""
RENAME, RELABEL, ADD = 1, 2, 3
"""Days after the start on which a custom field of deals is renamed, an option relabelled, a field added."""


@dataclass(frozen=True)
class Event:
    """Something that happens."""

    moment: datetime
    act: Callable[["Day"], Any]
    random: Random


@dataclass
class Day:
    """What an event works with."""

    moment: datetime
    random: Random
    changes: Changes


class Living:
    """Lets an account live."""

    def __init__(self, story: Story) -> None:
        self.story, self.account, self.world = story, story.account, story.world
        self.factor = min(25.0, max(1.0, story.total / 400))

    def plan(self, day: date) -> list[Event]:
        """The day's events in order."""
        dice = self.world.random("pipedrive day", day.isoformat())
        busy = 0.2 if day.weekday() >= 5 else 1.0
        events = []
        for name, rate in RATES.items():
            for number in range(often(dice, rate * self.factor * busy)):
                own = self.world.random(f"pipedrive {name}", f"{day}/{number}")
                events.append(Event(moment_of_day(own, day), getattr(self, name), own))
        events += self._field_events(day)
        return sorted(events, key=lambda event: event.moment)

    def live(self, to: datetime) -> Changes:
        """Carry out what happens from where the account stands up to `to`."""
        changes, begin = Changes(), self.account.lived_until
        if to <= begin:
            return changes
        for day in days_between(begin, to):
            for event in self.plan(day):
                if begin <= event.moment < to:
                    event.act(Day(event.moment, event.random, changes))
        self.account.lived_until = to
        self.account.purge(to)
        return changes

    def _field_events(self, day: date) -> list[Event]:
        at = datetime.combine(day, time(9), UTC)
        random = self.world.random("pipedrive fields", day.isoformat())
        acts = {RENAME: self.rename_field, RELABEL: self.relabel_option, ADD: self.add_field}
        act = acts.get((day - self.story.start.date()).days)
        return [Event(at, act, random)] if act else []

    def _pick(
        self, day: Day, entity: str, wanted: Callable[[dict], bool] = lambda row: True, part: str = LIVE
    ) -> int | None:
        """A record, newer ones more often; None if none is found."""
        order = self.account.tables[entity].order(part, "id")
        for _ in range(40 if order else 0):
            number = order[int(len(order) * (1 - day.random.random() ** 2 * 0.999)) - 1][1]
            if wanted(self.account.tables[entity].collection.rows[number]):
                return number
        return None

    def _update(self, day: Day, entity: str, record_id: int | None, **values: Any) -> None:
        if record_id is not None:
            self.account.update(entity, record_id, values, day.moment, day.changes)

    def _delete(self, day: Day, entity: str, record_id: int | None) -> None:
        if record_id is not None:
            self.account.delete(entity, record_id, day.moment, day.changes)

    # -- deals -------------------------------------------------------------------------------------------------------

    def new_deal(self, day: Day) -> None:
        """Somebody asks for an offer."""
        number = self.story.deals_told
        self.story.deals_told += 1
        deal, users = self.world.deal(number, day.moment.year), self.story.users
        person = deal.person - (deal.person % 3 == 2)
        record_id = self.account.create("deals", {
            "title": deal.title, "value": deal.amount, "currency": self.world.company(deal.company).currency,
            "person_id": person + 1, "org_id": self.story.organization_id(deal.company), "owner_id": day.random.choice(users),
            "creator_user_id": day.random.choice(users), "origin": "ManuallyCreated", "custom_fields": self._custom(day),
        }, day.moment, day.changes)  # fmt: skip
        self.story.context.identities.tell(TENANT, "deal", number, "pipedrive", "deals", record_id)

    def _custom(self, day: Day) -> dict[str, Any]:
        return {
            field["field_code"]: value(field, day.random, self.world, [1, 2, 3], self.story.users, day.moment.date())
            for field in self.account.custom_fields("deals")
        }

    def move_deal(self, day: Day) -> None:
        """On to another stage of its pipeline."""
        number = self._pick(day, "deals", lambda row: row["status"] == "open")
        if number is not None:
            pipeline = self.account.tables["deals"].collection.rows[number]["pipeline_id"]
            stages = [row["id"] for row in self.account.tables["stages"] if row["pipeline_id"] == pipeline]
            self._update(day, "deals", number, stage_id=day.random.choice(stages))

    def win_deal(self, day: Day) -> None:
        """Signed."""
        stamp = stored(day.moment)
        times = {"won_time": stamp, "close_time": stamp, "local_won_date": stamp[:10], "local_close_date": stamp[:10]}
        self._update(day, "deals", self._pick(day, "deals", lambda row: row["status"] == "open"), status="won", **times)

    def lose_deal(self, day: Day) -> None:
        """Lost."""
        stamp = stored(day.moment)
        times = {"lost_time": stamp, "close_time": stamp, "local_lost_date": stamp[:10], "local_close_date": stamp[:10]}
        number = self._pick(day, "deals", lambda row: row["status"] == "open")
        self._update(day, "deals", number, status="lost", lost_reason="Price", **times)

    def archive_deal(self, day: Day) -> None:
        """Out of sight."""
        number = self._pick(day, "deals", lambda row: row["status"] in ("won", "lost"))
        self._update(day, "deals", number, is_archived=True)

    def unarchive_deal(self, day: Day) -> None:
        """Back in sight."""
        number = self._pick(day, "deals", part="archived " + LIVE)
        self._update(day, "deals", number, is_archived=False, archive_time=None)

    def delete_deal(self, day: Day) -> None:
        """A mistake; sometimes an archived one."""
        self._delete(
            day, "deals", self._pick(day, "deals", part=LIVE if day.random.random() < 0.8 else "archived " + LIVE)
        )

    def edit_custom(self, day: Day) -> None:
        """A custom field gets another value."""
        number = self._pick(day, "deals")
        field = day.random.choice(self.account.custom_fields("deals"))
        new = value(field, day.random, self.world, [1, 2, 3], self.story.users, day.moment.date())
        self._update(day, "deals", number, custom_fields={field["field_code"]: new})

    # -- fields ------------------------------------------------------------------------------------------------------

    def _field(self, kind: str) -> dict[str, Any]:
        return next(field for field in self.account.custom_fields("deals") if field["field_type"] == kind)

    def rename_field(self, day: Day) -> None:
        """A custom field gets another name; no record moves."""
        code = self._field("int")["field_code"]
        self.account.put_field("deals", {"field_code": code, "field_name": "Memberships"}, day.changes)

    def relabel_option(self, day: Day) -> None:
        """An option gets another label; no record moves."""
        field = self._field("enum")
        first, *others = field["options"]
        options = [first | {"label": "Inbound (Website)"}, *others]
        self.account.put_field("deals", {"field_code": field["field_code"], "options": options}, day.changes)

    def add_field(self, day: Day) -> None:
        """A custom field that no record knows yet."""
        self.account.put_field("deals", {"field_name": "Renewal risk", "field_type": "varchar"}, day.changes)

    # -- others ------------------------------------------------------------------------------------------------------

    def new_organization(self, day: Day) -> None:
        """A company nobody knew."""
        number = self.story.companies_told
        self.story.companies_told += 1
        company = self.world.company(number)
        record_id = self.account.create("organizations", {
            "name": self.world.alias(company.name, "pipedrive", number), "owner_id": day.random.choice(self.story.users),
            "label_ids": [], "employee_count": company.employees,
        }, day.moment, day.changes)  # fmt: skip
        self.story.context.identities.tell(TENANT, "company", number, "pipedrive", "organizations", record_id)

    def rename_organization(self, day: Day) -> None:
        """Typed better, or worse."""
        number = self._pick(day, "organizations")
        if number is not None:
            name = self.account.tables["organizations"].collection.rows[number]["name"]
            self._update(day, "organizations", number, name=f"{name} (neu)" if "(neu)" not in name else name.upper())

    def delete_organization(self, day: Day) -> None:
        """A duplicate."""
        self._delete(day, "organizations", self._pick(day, "organizations"))

    def new_person(self, day: Day) -> None:
        """A new contact."""
        number = self.story.people_told
        self.story.people_told += 1
        person = self.world.person(number)
        first, _, last = person.name.partition(" ")
        record_id = self.account.create("persons", {
            "name": person.name, "first_name": first, "last_name": last, "org_id": self.story.organization_id(person.company),
            "emails": [{"value": person.email, "primary": True, "label": "work"}],
            "owner_id": day.random.choice(self.story.users),
        }, day.moment, day.changes)  # fmt: skip
        self.story.context.identities.tell(TENANT, "person", number, "pipedrive", "persons", record_id)

    def edit_person(self, day: Day) -> None:
        """Another telephone number."""
        phone = f"+49 30 {day.random.randrange(10**7):07d}"
        phones = [{"value": phone, "primary": True, "label": "work"}]
        self._update(day, "persons", self._pick(day, "persons"), phones=phones)

    def delete_person(self, day: Day) -> None:
        """Left the company."""
        self._delete(day, "persons", self._pick(day, "persons"))

    def new_activity(self, day: Day) -> None:
        """A call to make."""
        users = self.story.users
        self.account.create("activities", {
            "subject": "Follow up", "type": day.random.choice(("call", "meeting", "task")), "owner_id": day.random.choice(users),
            "creator_user_id": day.random.choice(users), "deal_id": self._pick(day, "deals"), "done": False, "busy": False,
            "due_date": stored(day.moment + timedelta(days=3))[:10], "participants": [],
        }, day.moment, day.changes)  # fmt: skip

    def finish_activity(self, day: Day) -> None:
        """Done."""
        number = self._pick(day, "activities", lambda row: not row["done"])
        self._update(day, "activities", number, done=True, marked_as_done_time=stored(day.moment))

    def delete_activity(self, day: Day) -> None:
        """Not needed any more."""
        self._delete(day, "activities", self._pick(day, "activities"))

    def reprice_product(self, day: Day) -> None:
        """Another price."""
        number = self._pick(day, "products")
        if number is not None:
            old = self.account.tables["products"].collection.rows[number]["prices"][0]
            price = day.random.randrange(400, 20_000) / 4
            self._update(day, "products", number, prices=[old | {"price": price}])

    def rename_stage(self, day: Day) -> None:
        """Deals keep the stage's id, so its new name reaches them without a change of theirs."""
        number = self._pick(day, "stages")
        if number is not None:
            name = self.account.tables["stages"].collection.rows[number]["name"]
            self._update(day, "stages", number, name=name.removesuffix(" *") if name.endswith(" *") else f"{name} *")

    def new_user(self, day: Day) -> None:
        """A colleague."""
        name = day.random.choice(("Lea Brandt", "Jonas Weber", "Mia Rossi"))
        blank = next(iter(self.account.tables["users"])) | {
            "is_admin": 0,
            "is_you": False,
            "has_created_company": False,
        }
        blank |= {name: self.account.blank("users", stored(day.moment))[name] for name in ("created", "modified")}
        self.account.create("users", blank | {"id": None, "name": name, "email": f"{ascii_name(name)}@skyfit.example"},
                            day.moment, day.changes)  # fmt: skip


def ascii_name(name: str) -> str:
    """lea.brandt"""
    return name.lower().replace(" ", ".")
