"""skyfit: a chain of gyms that sells memberships to companies. Records are told from the story's companies, people
and deals.

What real data has wrong is here in small numbers: nulls where the docs promise values, a status and an activity type
nobody listed, ids beyond 2^31 and one beyond 2^53, empty names, and imports: every fourth block of deals shares one
second.
"""

from datetime import datetime, timedelta
from random import Random

from sandbox.context import Context
from sandbox.pipedrive.account import Account, users_time
from sandbox.pipedrive.fields import address, value
from sandbox.pipedrive.lists import stored
from sandbox.world import World, ascii_slug

TENANT = "skyfit"
USERS = (
    "Nina Berg",
    "Tom Okafor",
    "Inês Duarte",
    "Yuki Tanaka",
    "Clara Winter",
    "Marc Demo",
    "API Reader",
    "Ola Lindqvist",
)
PIPELINES = {"Corporate memberships": ("Lead in", "Contacted", "Site visit", "Proposal", "Negotiation"),
             "Renewals": ("Due", "Offer sent", "Agreed"), "Partner studios": ("Applied", "Audit", "Contract")}  # fmt: skip
PRODUCTS = (
    "Day pass", "Corporate flat", "Personal training", "Yoga course", "Sauna add-on", "Towel service", "Body scan",
    "Kids corner", "Boxing class", "Nutrition plan", "Locker rent", "Parking",
)  # fmt: skip
ACTIVITY_TYPES = ("call", "meeting", "task", "deadline", "email", "lunch")
ODD_COMPANY = 7
"""The company whose organization has an id beyond 2^31."""


class Story:
    """Tells records into an account."""

    def __init__(self, context: Context) -> None:
        options = context.options
        self.start: datetime = context.clock.start
        self.total = options.amount(400)
        self.context = context
        companies = round(60 * options.scale) if options.records is None else min(3000, round(0.15 * self.total))
        self.world = World(TENANT, options.seed, companies=max(10, companies))
        self.account = Account(TENANT, context.clock)
        self.users = [13055001 + 7 * number for number in range(len(USERS))]
        self.block = max(50, min(5000, self.total // 4 or 50))
        self._imports: dict[int, datetime] = {}
        self.deals_told = self.companies_told = self.people_told = 0

    def tell(self) -> Account:
        """The account as it stands at the start."""
        self._users()
        self._pipelines()
        self._products()
        for number in range(self.world.companies):
            self.company(number, self.moment(self.world.random("pipedrive company", number), 700))
        for number in range(self.world.companies * 2):
            if number % 3 != 2:
                self.person(number, self.moment(self.world.random("pipedrive person", number), 600))
        for number in range(self.total):
            self.deal(number)
        self.companies_told, self.people_told, self.deals_told = (
            self.world.companies,
            self.world.companies * 2,
            self.total,
        )
        for number in range(max(5, round(0.6 * self.total))):
            self.activity(number, self.moment(self.world.random("pipedrive activity", number), 400))
        return self.account

    def moment(self, random: Random, days: float) -> datetime:
        """Some time within so many days before the start."""
        return self.start - timedelta(seconds=1 + random.random() * days * 86400)

    def _load(self, entity: str, record: dict) -> None:
        table = self.account.tables[entity]
        blank = {} if entity == "users" else self.account.blank(entity, record["update_time"])
        table.load(blank | record)
        if record["id"] < 2**31:
            table.next_id = max(table.next_id, record["id"] + 1)

    def _users(self) -> None:
        for number, (user_id, name) in enumerate(zip(self.users, USERS, strict=True)):
            made = users_time(self.start - timedelta(days=900 - number))
            last = self.users[0] == user_id
            self._load("users", {
                "id": user_id, "name": name, "default_currency": "EUR", "locale": "de_DE", "lang": 1,
                "email": f"{ascii_slug(name)}@skyfit.example", "phone": None if number % 3 else "+49 30 5550100",
                "activated": True, "last_login": users_time(self.start - timedelta(hours=5 * number)), "created": made,
                "modified": made, "has_created_company": last, "is_admin": int(last),
                "access": [{"app": "sales", "admin": last, "permission_set_id": "62cc4d7f-4038-4352-abf3-a8c1c822b631"}],
                "active_flag": number != 5, "timezone_name": "Europe/Berlin", "timezone_offset": "+01:00", "role_id": 1,
                "icon_url": None, "is_you": name == "API Reader", "is_deleted": False,
            })  # fmt: skip

    def _pipelines(self) -> None:
        stamp, stage = stored(self.start - timedelta(days=880)), 0
        for number, (name, stages) in enumerate(PIPELINES.items(), 1):
            self._load("pipelines", {
                "id": number, "name": name, "order_nr": number, "is_deleted": False, "is_deal_probability_enabled": True,
                "add_time": stamp, "update_time": stamp,
            })  # fmt: skip
            for place, title in enumerate(stages, 1):
                stage += 1
                self._load("stages", {
                    "id": stage, "order_nr": place, "name": title, "is_deleted": False, "deal_probability": 100 * place // 6,
                    "pipeline_id": number, "is_deal_rot_enabled": place == 2, "days_to_rotten": 30 if place == 2 else None,
                    "add_time": stamp, "update_time": stamp,
                })  # fmt: skip

    def _products(self) -> None:
        for number in range(max(len(PRODUCTS), min(500, self.total // 20))):
            random = self.world.random("pipedrive product", number)
            name = PRODUCTS[number % len(PRODUCTS)] + (
                f" {number // len(PRODUCTS) + 1}" if number >= len(PRODUCTS) else ""
            )
            moment = self.moment(random, 500)
            price = random.randrange(400, 20_000) / 4
            self._load("products", {
                "id": number + 1, "name": name, "code": f"SKY-{number:03d}" if number % 5 else "", "description": None,
                "unit": random.choice(("", "pcs", "month")), "tax": random.choice((0, 7, 19)), "category": None,
                "is_linkable": True, "owner_id": random.choice(self.users),
                "add_time": stored(moment - timedelta(days=30)), "update_time": stored(moment),
                "billing_frequency": random.choice(("one-time", "monthly", "annually")), "billing_frequency_cycles": None,
                "prices": [{"product_id": number + 1, "price": price, "currency": "EUR", "cost": price / 2,
                            "direct_cost": None, "notes": ""}],
                "custom_fields": self.custom("products", random, moment),
            })  # fmt: skip

    def custom(self, entity: str, random: Random, moment: datetime) -> dict:
        """Values of all custom fields of an object."""
        some = [1, 2, 3, 4, 5]
        return {
            field["field_code"]: value(field, random, self.world, some, self.users, moment.date())
            for field in self._custom_of(entity)
        }

    def _custom_of(self, entity: str) -> list[dict]:
        if not hasattr(self, "_custom"):
            self._custom: dict[str, list[dict]] = {}
        return self._custom.setdefault(entity, self.account.custom_fields(entity))

    @staticmethod
    def organization_id(company: int) -> int:
        """The id of a company's organization."""
        return 2**31 + 11 if company == ODD_COMPANY else company + 1

    def company(self, number: int, moment: datetime) -> int:
        """A company as an organization; its name as people typed it."""
        company, random = self.world.company(number), self.world.random("pipedrive organization", number)
        record_id = self.organization_id(number)
        self._load("organizations", {
            "id": record_id, "name": self.world.alias(company.name, "pipedrive", number),
            "owner_id": random.choice(self.users), "add_time": stored(moment - timedelta(days=20)),
            "update_time": stored(moment), "address": None if number % 9 == 4 else address(self.world, number),
            "visible_to": random.choice((3, 3, 7)), "label_ids": random.choice(([], [], [1], [2, 3])),
            "website": f"https://www.{company.domain}" if random.random() < 0.7 else None, "linkedin": None,
            "industry": random.choice((1, 2, 3, None)), "annual_revenue": None, "employee_count": company.employees,
            "custom_fields": self.custom("organizations", random, moment),
        })  # fmt: skip
        self.context.identities.tell(TENANT, "company", number, "pipedrive", "organizations", record_id)
        return record_id

    def person(self, number: int, moment: datetime) -> int:
        """Someone at a company."""
        person, random = self.world.person(number), self.world.random("pipedrive contact", number)
        first, _, last = person.name.partition(" ")
        phones = [{"value": person.phone, "primary": True, "label": "work"}]
        if person.mobile:
            phones.append({"value": person.mobile, "primary": False, "label": "mobile"})
        mail = person.email.upper() if number % 23 == 5 else person.email
        self._load("persons", {
            "id": number + 1, "name": person.name, "first_name": first, "last_name": last or None,
            "owner_id": random.choice(self.users), "org_id": self.organization_id(person.company),
            "add_time": stored(moment - timedelta(days=10)), "update_time": stored(moment),
            "emails": [] if number % 17 == 3 else [{"value": mail, "primary": True, "label": "work"}],
            "phones": phones if number % 13 else [{"value": "", "primary": True, "label": "work"}],
            "label_ids": [], "picture_id": None, "custom_fields": self.custom("persons", random, moment),
        })  # fmt: skip
        self.context.identities.tell(TENANT, "person", number, "pipedrive", "persons", number + 1)
        return number + 1

    def import_moment(self, number: int) -> datetime | None:
        """Every fourth block of deals was imported at once."""
        block = number // self.block
        if block % 4:
            return None
        if block not in self._imports:
            self._imports[block] = self.moment(self.world.random("pipedrive import", block), 90) - timedelta(days=5)
        return self._imports[block]

    def deal_id(self, number: int) -> int:
        """Mostly the number; the last ones at the start of the story are beyond 2^53 and 2^31."""
        odd = {self.total - 1: 2**53 + 1, self.total - 2: 2**31 + 5}
        return odd.get(number, number + 1)

    def deal(self, number: int) -> None:
        """A deal of the time before the start."""
        deal, random = self.world.deal(number, self.start.year), self.world.random("pipedrive deal", number)
        imported = self.import_moment(number)
        made = imported or self.start - timedelta(days=deal.age_days + 1, seconds=1)
        moved = imported or self.start - timedelta(days=deal.age_days * random.random(), seconds=1)
        status, closed = deal.outcome, None if deal.outcome == "open" else stored(moved)
        deleted = not imported and number % 97 == 41
        archived = not imported and status != "open" and number % 4 == 1
        if deleted:
            status, moved = "deleted", self.start - timedelta(days=1 + 25 * random.random())
        day = closed and closed[:10]
        pipeline = 1 + (number % 7 == 3) + (number % 11 == 5) * (number % 7 != 3)
        first = (0, 5, 8)[pipeline - 1]
        stages = (5, 3, 3)[pipeline - 1]
        person = deal.person - (deal.person % 3 == 2)
        record = {
            "id": self.deal_id(number), "title": "" if number % 331 == 17 else deal.title,
            "creator_user_id": self.users[number % len(self.users)],
            "owner_id": None if number % 307 == 9 else random.choice(self.users), "value": deal.amount,
            "person_id": person + 1 if number % 29 else None, "org_id": self.organization_id(deal.company),
            "stage_id": first + 1 + int(deal.course * stages), "pipeline_id": pipeline,
            "currency": self.world.company(deal.company).currency, "archive_time": stored(moved) if archived else None,
            "add_time": stored(made), "update_time": stored(moved), "stage_change_time": stored(made), "status": status,
            "is_archived": archived, "is_deleted": deleted, "probability": random.choice((None, 10, 50, 90)),
            "lost_reason": random.choice((None, "Price", "Competitor", "Kein Bedarf")) if status == "lost" else None,
            "visible_to": 3, "close_time": closed, "won_time": closed if status == "won" else None,
            "lost_time": closed if status == "lost" else None, "local_won_date": day if status == "won" else None,
            "local_lost_date": day if status == "lost" else None, "local_close_date": day,
            "expected_close_date": stored(made + timedelta(days=90))[:10],
            "label_ids": random.choice(([], [], [1], [2, 3])), "origin": "Import" if imported else "ManuallyCreated",
            "origin_id": None, "channel": random.choice((None, None, 1, 52)), "channel_id": None, "source_lead_id": None,
            "acv": None, "arr": None, "mrr": random.choice((None, 10, 49.9)),
            "custom_fields": self.custom("deals", random, made),
        }  # fmt: skip
        if number % 211 == 20:
            record |= {"value": None, "currency": None}  # null where the docs promise values
        if number % 499 == 44 and not deleted:
            record["status"] = "on_hold"  # a status that no documentation has
        self._load("deals", record)
        self.context.identities.tell(TENANT, "deal", number, "pipedrive", "deals", record["id"])

    def activity(self, number: int, moment: datetime) -> dict:
        """Something that somebody did or should do about a deal."""
        random = self.world.random("pipedrive task", number)
        deal = self.account.tables["deals"].get(self.deal_id(random.randrange(self.total))) or {}
        done = random.random() < 0.7
        kind = "sauna_visit" if number % 199 == 7 else random.choice(ACTIVITY_TYPES)
        person = deal.get("person_id")
        record = {
            "id": number + 1, "subject": f"{kind.capitalize()} {deal.get('title', '')}".strip(), "type": kind,
            "owner_id": random.choice(self.users), "creator_user_id": random.choice(self.users), "is_deleted": False,
            "add_time": stored(moment - timedelta(days=3)), "update_time": stored(moment), "deal_id": deal.get("id"),
            "lead_id": None, "person_id": person, "org_id": deal.get("org_id"), "project_id": None,
            "due_date": stored(moment + timedelta(days=2))[:10], "due_time": random.choice((None, "15:00", "09:30:00")),
            "duration": random.choice((None, "01:00")), "busy": bool(number % 2), "done": done,
            "marked_as_done_time": stored(moment) if done else None, "location": None,
            "participants": [{"person_id": person, "primary": True}] if person else [],
            "attendees": None, "public_description": None, "priority": random.choice((None, 263)),
            "conference_meeting_client": None, "conference_meeting_url": None, "conference_meeting_id": None,
            "note": random.choice((None, "", "<b>Rückruf</b> am Montag", "見積もりを送る")),
        }  # fmt: skip
        self._load("activities", record)
        return record
