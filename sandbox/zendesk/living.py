"""How days pass in a Zendesk account: tickets are written, answered, solved and deleted; people come, companies get other names.

What a day holds depends on the seed and the day alone, so advancing in one step or in ten gives the same events.
"""

from collections.abc import Callable
from datetime import date, datetime
from random import Random

from sandbox.days import days_between, moment_of_day, often
from sandbox.zendesk.account import Account
from sandbox.zendesk.seed import AGENTS, GROUPS

_RATES = {"ticket_written": 6.0, "ticket_moved": 12.0, "ticket_deleted": 0.5}
"""A day, for 600 tickets; they grow with the account."""
_RARE = {
    "user_came": 1.0, "user_left": 0.1, "organization_renamed": 0.4, "organization_left": 0.05, "group_renamed": 0.05,
    "option_added": 0.1,
}  # fmt: skip
_NEXT = {"new": "open", "open": "pending", "pending": "solved", "hold": "open", "solved": "closed"}


def plan(account: Account, day: date) -> list[tuple[datetime, str, Random]]:
    """The day's events in order: (moment, what, its own chance)."""
    world = account.world
    random = world.random("zendesk day", day.isoformat())
    activity = 0.2 if day.weekday() >= 5 else 1.0
    size = account.story.amount / 600
    rates = {name: rate * max(1.0, size) for name, rate in _RATES.items()} | _RARE
    events = []
    for name, rate in rates.items():
        for number in range(often(random, rate * activity)):
            own = world.random(f"zendesk {name}", f"{day}/{number}")
            events.append((moment_of_day(own, day), name, own))
    return sorted(events, key=lambda event: event[0])


def live(account: Account, to: datetime) -> dict[str, dict[str, list[int]]]:
    """Carry out what happens from where the account stands up to `to`; per object the ids created, updated and deleted."""
    account.take_changes()
    if to > account.lived_until:
        for day in days_between(account.lived_until, to):
            for moment, name, random in plan(account, day):
                if account.lived_until <= moment < to:
                    _ACTS[name](account, random, int(moment.timestamp()))
        account.lived_until = to
    return account.take_changes()


def _pick(account: Account, random: Random, entity: str) -> int | None:
    """One that lists show, newer ones more often."""
    ids = account.tables[entity].listed
    return ids[int(len(ids) * (1 - random.random() ** 2 * 0.999)) - 1] if ids else None


def _ticket_written(account: Account, random: Random, moment: int) -> None:
    story = account.story
    fields = story.values(random, 0)
    asks = story.requester(random)
    account.create(
        "tickets",
        {
            "subject": f"New question {random.randrange(10**6)}", "description": "Hello & thanks", "custom_fields": fields,
            "fields": fields, "group_id": random.choice(list(GROUPS)), **asks, "submitter_id": asks["requester_id"],
        },
        moment,
    )  # fmt: skip


def _ticket_moved(account: Account, random: Random, moment: int) -> None:
    for _ in range(8):  # closed tickets do not move
        if (number := _pick(account, random, "tickets")) is None:
            return
        status = account.tables["tickets"].get(number)["status"]
        if status not in _NEXT:
            continue
        account.update("tickets", number, {"status": _NEXT[status], "assignee_id": random.choice(AGENTS)}, moment)
        if _NEXT[status] == "solved":
            account.event(number, "requester_wait_time", "fulfill", moment)
        return


def _ticket_deleted(account: Account, random: Random, moment: int) -> None:
    if (number := _pick(account, random, "tickets")) is not None:
        account.delete("tickets", number, moment)


def _user_came(account: Account, random: Random, moment: int) -> None:
    account.create("users", {"name": f"Newcomer {random.randrange(10**6)}", "user_fields": {"segment": "new"}}, moment)


def _user_left(account: Account, random: Random, moment: int) -> None:
    if (number := _pick(account, random, "users")) is not None and number not in AGENTS:
        account.delete("users", number, moment)


def _organization_renamed(account: Account, random: Random, moment: int) -> None:
    if (number := _pick(account, random, "organizations")) is not None:
        name = account.tables["organizations"].get(number)["name"]
        account.update("organizations", number, {"name": f"{name} ({random.randrange(100)})"}, moment)


def _organization_left(account: Account, random: Random, moment: int) -> None:
    if (number := _pick(account, random, "organizations")) is not None:
        account.delete("organizations", number, moment)


def _group_renamed(account: Account, random: Random, moment: int) -> None:
    account.update("groups", random.choice(list(GROUPS)), {"name": f"Team {random.randrange(1000)}"}, moment)


def _option_added(account: Account, random: Random, moment: int) -> None:
    record = account.tables["ticket_fields"].get(account.story.fields[0])
    number = len(record["custom_field_options"])
    name, value = f"Area {number}", f"area_{number}"
    option = {"id": record["id"] * 10 + number, "name": name, "raw_name": name, "value": value, "default": False}
    account.update(
        "ticket_fields", record["id"], {"custom_field_options": [*record["custom_field_options"], option]}, moment
    )


_ACTS: dict[str, Callable[[Account, Random, int], None]] = {
    "ticket_written": _ticket_written, "ticket_moved": _ticket_moved, "ticket_deleted": _ticket_deleted, "user_came": _user_came,
    "user_left": _user_left, "organization_renamed": _organization_renamed, "organization_left": _organization_left,
    "group_renamed": _group_renamed, "option_added": _option_added,
}  # fmt: skip
