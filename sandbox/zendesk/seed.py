"""The story as a Zendesk account has it: its agents, the companies' people, and the tickets they wrote.

Also the dirt of real accounts: imports that share one second, ids beyond 2^31 and 2^53, values no documentation knows.
"""

from collections.abc import Iterator
from datetime import datetime
from random import Random
from typing import Any

from sandbox.identities import Identities
from sandbox.world import World, ascii_slug
from sandbox.zendesk.records import (
    BASE_ID,
    FORM_ID,
    Record,
    group,
    metric_event,
    organization,
    ticket,
    ticket_field,
    ticket_form,
    user,
)
from sandbox.zendesk.table import Table

DAY = 86400
ARCHIVED_AFTER = 120
"""Days after which lists no longer show a closed ticket; exports do. Here only those of the start: what is closed later stays."""
AGES = 720
"""The oldest ticket is that many days old."""
ENTITIES = (
    "tickets", "users", "organizations", "groups", "ticket_fields", "ticket_forms", "ticket_metric_events",
    "deleted_tickets",
)  # fmt: skip
AGENTS = tuple(BASE_ID + 907_993_114 + 1000 * number for number in range(8))
"""The first is the owner, the others answer tickets."""
GROUPS = {
    BASE_ID + 852_536_346 + 1000 * number: name
    for number, name in enumerate(("Support", "Billing", "🎯 Onboarding", "IT & Tools"))
}
FIRST_USER = BASE_ID + 1_000_000_000
FIRST_ORGANIZATION = BASE_ID + 2_000_000_000
FIRST_FIELD = BASE_ID + 3_000_000_000
FIRST_EVENT = 926_232_000_000
HUGE = 2**53 + 1
"""An id that a float can't hold: every object but the events has one."""

_SYSTEM_FIELDS = (
    ("subject", "Subject"), ("description", "Description"), ("status", "Status"), ("tickettype", "Type"),
    ("priority", "Priority"), ("group", "Group"), ("assignee", "Assignee"), ("custom_status", "Ticket status"),
)  # fmt: skip
_AREAS = (
    ("Billing::Invoices", "billing__invoices"), ("Billing::Refunds", "billing__refunds"), ("Login & access", "login_access"),
    ("Größe/Maß", "size"), ("Shipping", "shipping"), ("", "unlabelled"),
)  # fmt: skip
_CHANNELS = (("Phone", "ch_phone"), ("E-mail", "ch_email"), ("Chat", "ch_chat"), ("Store", "ch_store"))
CUSTOM_FIELDS = (
    ("tagger", "Product area"), ("multiselect", "Channels affected"), ("checkbox", "VIP"), ("date", "Renewal date"),
    ("integer", "Seats affected"), ("decimal", "Credit amount"), ("text", "Order number"), ("textarea", "Steps to reproduce"),
    ("regexp", "Serial number"), ("partialcreditcard", "Card"), ("lookup", "Related asset"), ("text", "Region"),
    ("text", "Region"), ("text", "Status"), ("text", "Priorität (Kunde) 🎯"), ("text", ""), ("text", "Old notes"),
)  # fmt: skip
"""Types and titles, among them two of one title, one titled like a ticket's own key, one without a title."""
_SUBJECTS = (
    "Invoice {n} is wrong", "Can't log in", "Delivery {n} is late", "Frage zur Rechnung {n}", "Chair {n} arrived broken",
    "Où est ma commande {n} ?", "Change of address", "Refund for order {n}", "製品について {n}", "Need a quote & a demo",
    "<b>Urgent</b> {n}",
)  # fmt: skip
_THANKS = {"score": "good", "id": None, "comment": "Thanks", "reason": None}
_CHANNEL_KINDS = ("web", "email", "api", "chat", "sample_ticket", "native_messaging")


class Story:
    """Fills the tables of one tenant.

    Parameters:
        start: where the story stands; nothing is newer.
        amount: of tickets.
        base: the address records' urls start with.
    """

    def __init__(
        self, world: World, start: datetime, amount: int, base: str, tables: dict[str, Table], identities: Identities
    ) -> None:
        self.world, self.amount, self.base, self.tables, self.identities = world, amount, base, tables, identities
        self.start = int(start.timestamp()) - 300
        self.block = min(2500, max(40, amount // 8))
        self.strangers = amount // 5
        self.fields = [FIRST_FIELD + 100 + number for number in range(len(CUSTOM_FIELDS))]
        self.options = {"tagger": [value for _, value in _AREAS], "multiselect": [value for _, value in _CHANNELS]}
        self.next_event = FIRST_EVENT

    def fill(self) -> None:
        """Everything the account holds at the start."""
        self.tables["groups"].load((row, self.start - AGES * DAY, True) for row in self._groups())
        self.tables["ticket_fields"].load((row, self.start - AGES * DAY, True) for row in self._fields())
        self.tables["ticket_forms"].load((row, self.start - AGES * DAY, True) for row in self._forms())
        self.tables["organizations"].load(self._organizations())
        self.tables["users"].load(self._users())
        self.tables["tickets"].load(self._tickets())
        self.tables["ticket_metric_events"].sort()

    # -- what changes rarely -------------------------------------------------------------------------------------------

    def _groups(self) -> Iterator[Record]:
        born = self.start - AGES * DAY
        for number, (record_id, name) in enumerate(GROUPS.items()):
            yield group(self.base, record_id, born, born, name=name, default=number == 0)
        yield group(self.base, HUGE, born, born, name="", is_public=False, description=None)

    def _fields(self) -> Iterator[Record]:
        born = self.start - AGES * DAY
        for number, (kind, title) in enumerate(_SYSTEM_FIELDS):
            more: dict[str, Any] = {"type": kind, "title": title, "position": number}
            if kind == "priority":
                more["system_field_options"] = [
                    {"name": n.title(), "value": n} for n in ("low", "normal", "high", "urgent")
                ]
            yield ticket_field(self.base, FIRST_FIELD + number, born, born, **more)
        for number, (kind, title) in enumerate(CUSTOM_FIELDS):
            more = {"type": kind, "title": title, "removable": True, "active": title != "Old notes"}
            if kind in ("tagger", "multiselect"):
                more["custom_field_options"] = [
                    {
                        "id": self.fields[number] * 10 + place,
                        "name": name,
                        "raw_name": name,
                        "value": value,
                        "default": False,
                    }
                    for place, (name, value) in enumerate(_AREAS if kind == "tagger" else _CHANNELS)
                ]
            elif kind == "checkbox":
                more["tag"] = "vip"
            elif kind == "regexp":
                more["regexp_for_validation"] = "[A-Z]{2}-[0-9]{6}"
            elif kind == "lookup":
                more["relationship_target_type"] = "zen:custom_object:asset"
            yield ticket_field(self.base, self.fields[number], born, born, **more)
        yield ticket_field(self.base, HUGE, born, born, type="text", title="Beyond doubles", removable=True)

    def _forms(self) -> Iterator[Record]:
        born = self.start - AGES * DAY
        fields = [FIRST_FIELD + number for number in range(len(_SYSTEM_FIELDS))]
        yield ticket_form(
            self.base, FORM_ID, born, born, name="Default", default=True, ticket_field_ids=fields + self.fields
        )
        yield ticket_form(self.base, FORM_ID + 128, born, born, name="フォーム", position=2, ticket_field_ids=fields)
        yield ticket_form(self.base, HUGE, born, born, name="", position=3, active=False, end_user_visible=False)

    def organization_of(self, company: int) -> Record:
        """The organization that a company of the story is."""
        random = self.world.random("zendesk organization", company)
        story = self.world.company(company)
        born = self.start - int((60 + 600 * random.random()) * DAY)
        updated = born + int(random.random() * 50 * DAY)
        record_id = FIRST_ORGANIZATION + company * 1024
        return organization(
            self.base, record_id, born, updated, name=self.world.alias(story.name, "zendesk", company),
            domain_names=[story.domain] if random.random() < 0.8 else [],
            external_id=f"C{company}" if random.random() < 0.3 else None,
            tags=[ascii_slug(story.industry)] if random.random() < 0.5 else [], details=story.city,
            organization_fields={
                "region": story.country.lower(), "annual_revenue": round(random.lognormvariate(12, 1), 2), "renewal": None,
            },
        )  # fmt: skip

    def _organizations(self) -> Iterator[tuple[Record, int, bool]]:
        for company in range(self.world.companies):
            record = self.organization_of(company)
            self.identities.tell(self.world.tenant, "company", company, "zendesk", "organizations", record["id"])
            yield record, unix(record["updated_at"]), True
        born = self.start - 500 * DAY
        yield organization(self.base, HUGE, born, born, name="Beyond doubles"), born, True
        gone = organization(
            self.base, FIRST_ORGANIZATION - 1, born, born + DAY, name="Left us", deleted_at="2024-01-01T00:00:00Z"
        )
        yield gone, born + DAY, False

    # -- users ---------------------------------------------------------------------------------------------------------

    def _users(self) -> Iterator[tuple[Record, int, bool]]:
        born = self.start - AGES * DAY
        for number, record_id in enumerate(AGENTS):
            record = user(
                self.base, record_id, born, born + number * DAY, name=f"Agent {number}", email=f"agent{number}@skyfit.example",
                role="admin" if number == 0 else "agent", verified=True, role_type=4, moderator=True, restricted_agent=False,
                ticket_restriction=None, default_group_id=list(GROUPS)[number % len(GROUPS)], user_fields={"shift": "early"},
            )  # fmt: skip
            yield record, born + number * DAY, True
        for number in range(self.world.companies * 2):
            record = self.person_of(number)
            self.identities.tell(self.world.tenant, "person", number, "zendesk", "users", record["id"])
            yield record, unix(record["updated_at"]), record["active"]
        imported = self.start - 200 * DAY
        for number in range(self.strangers):
            yield self._stranger(number, imported), imported if number % 3 else imported + number, True
        yield user(self.base, HUGE, born, born, name="Beyond doubles", email=""), born, True

    def person_of(self, number: int) -> Record:
        """The user that a person of the story is."""
        person = self.world.person(number)
        random = self.world.random("zendesk user", number)
        born = self.start - int((30 + 600 * random.random()) * DAY)
        updated = born + int(random.random() * 29 * DAY)
        employer = self.organization_of(person.company)["id"] if random.random() < 0.85 else None
        return user(
            self.base, FIRST_USER + number * 512, born, updated, name=person.name if random.random() < 0.95 else person.email,
            email=person.email if random.random() < 0.92 else None, phone=person.phone if random.random() < 0.5 else None,
            organization_id=employer, verified=random.random() < 0.7, active=random.random() > 0.03, notes=person.role,
            locale="de" if random.random() < 0.3 else "en-US",
            user_fields={"segment": random.choice(("a", "b", None)), "score": random.randrange(100)},
        )  # fmt: skip

    def _stranger(self, number: int, imported: int) -> Record:
        """Someone the story does not know; two in three came with one import and share a second."""
        record_id = FIRST_USER + 10**9 + number * 256
        stamp = imported if number % 3 else imported + number
        return user(self.base, record_id, imported, stamp, name=f"Visitor {number}", user_fields={"segment": None})

    # -- tickets -------------------------------------------------------------------------------------------------------

    def moments(self, number: int, random: Random) -> tuple[int, int, int]:
        """When the `number`-th ticket was created, updated and generated; every fourth block was imported in one second."""
        block = number // self.block
        if block % 4 == 3:
            number = min(block * self.block + self.block // 2, self.amount - 1)
            stamp = self.start - int(AGES * DAY * (1 - number / self.amount) ** 2)
            return stamp, stamp, stamp
        created = self.start - int(AGES * DAY * (1 - number / self.amount) ** 2)
        updated = min(self.start, created + int(random.lognormvariate(11, 1.5)))
        generated = updated if random.random() < 0.95 else min(self.start, updated + random.randrange(30 * DAY))
        return created, updated, generated

    def ticket_of(self, number: int) -> Record:
        """The `number`-th ticket."""
        random = self.world.random("zendesk ticket", number)
        created, updated, generated = self.moments(number, random)
        draw = random.random()
        age = (self.start - updated) / DAY
        status = (
            "deleted"
            if draw < 0.02
            else "closed"
            if age > 28
            else ("new", "open", "pending", "hold", "solved")[int(draw * 5)]
        )
        subject = random.choice(_SUBJECTS).format(n=number)
        description = (
            f"Hello,\n\n{subject}. Please help, order {random.randrange(10**6)} / “{self.world.tenant}”.\n\nRegards 🙂"
        )
        if status == "deleted" and age > 30:
            subject = description = "SCRUBBED"  # INVENTED: after 30 days, as the documentation says; none was recorded
        fields = self.values(random, age)
        return ticket(
            self.base, self.id_of(number), created, updated, subject=subject, description=description, status=status,
            via={"channel": random.choice(_CHANNEL_KINDS), "source": {"from": {}, "to": {}, "rel": None}},
            type=random.choice(("problem", "incident", "question", "task", None)), custom_fields=fields, fields=fields,
            priority=random.choice(("urgent", "high", "normal", "low", None)), generated_timestamp=generated,
            assignee_id=random.choice(AGENTS) if status != "new" else None, group_id=random.choice(list(GROUPS)),
            tags=["vip"] if draw > 0.9 else [], external_id="" if draw > 0.97 else None, **self.requester(random),
            satisfaction_rating=_THANKS | {"id": BASE_ID + number} if draw > 0.8 else None,
            due_at=None if draw < 0.9 else "2026-12-24T12:00:00Z",
        )  # fmt: skip

    def id_of(self, number: int) -> int:
        """Small and ascending; but one is beyond 2^31, one beyond 2^53."""
        return {self.amount // 2: 2**31 + 7, self.amount // 3: HUGE}.get(number, number + 1)

    def requester(self, random: Random) -> dict[str, int | None]:
        """Who asks: a person of the story, with their company, or a stranger."""
        if self.strangers and random.random() < 0.4:
            return {
                "requester_id": FIRST_USER + 10**9 + random.randrange(self.strangers) * 256,
                "organization_id": None,
            }
        number = random.randrange(self.world.companies * 2)
        company = self.world.person(number).company
        return {"requester_id": FIRST_USER + number * 512, "organization_id": FIRST_ORGANIZATION + company * 1024}

    def values(self, random: Random, age: float) -> list[dict[str, Any]]:
        """Of the custom fields, in older tickets numbers as text; most are not set."""
        draw = random.random()
        seats, credit = random.randrange(1, 500), round(random.random() * 900, 2)
        if age > 500:
            seats, credit = str(seats), str(credit)
        area = self.options["tagger"][int(draw * len(self.options["tagger"]))]
        filled = (
            area if draw < 0.9 else "retired_option", ["ch_phone", "ch_chat"] if draw < 0.3 else [], draw < 0.1,
            "2026-12-31" if draw < 0.4 else None, seats if draw < 0.5 else None, credit if draw > 0.6 else None,
            f"SO{int(draw * 10**6)}" if draw > 0.3 else None, "1. open\n2. <click> & wait" if draw > 0.9 else "",
            f"SN-{int(draw * 899999) + 100000}" if draw > 0.5 else None, "XXXXXXXXXXXX4242" if draw > 0.95 else None,
            f"01H{int(draw * 10**9)}" if draw > 0.8 else None, "EMEA" if draw < 0.5 else None, "north" if draw < 0.2 else None,
            "blocked" if draw < 0.1 else None, "hoch" if draw > 0.7 else None, None, None,
        )  # fmt: skip
        return [{"id": field, "value": value} for field, value in zip(self.fields, filled, strict=True)]

    def _tickets(self) -> Iterator[tuple[Record, int, bool]]:
        events = self.tables["ticket_metric_events"]
        for number in range(self.amount):
            record = self.ticket_of(number)
            for event in self.events(record, self.start):
                events.append(event, unix(event["time"]))
            archived = record["status"] == "closed" and self.start - unix(record["updated_at"]) > ARCHIVED_AFTER * DAY
            yield record, record["generated_timestamp"], record["status"] != "deleted" and not archived

    def events(self, record: Record, until: int) -> Iterator[Record]:
        """What a ticket's metrics went through: opened, and answered and solved where it was."""
        created = unix(record["created_at"])
        steps = [("requester_wait_time", "activate", created)]
        if record["status"] in ("solved", "closed"):
            steps.append(("requester_wait_time", "fulfill", min(until, max(created, unix(record["updated_at"])))))
        for metric, kind, moment in steps:
            self.next_event += 1
            yield metric_event(self.next_event, record["id"], metric, kind, moment)


def unix(text: str) -> int:
    """Unix seconds of a moment as Zendesk writes it."""
    return int(datetime.fromisoformat(text).timestamp())
