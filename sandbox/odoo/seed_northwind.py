"""northwind: a trading company with CRM, sales, accounting and projects.

Leads are told one by one from the story's deals, so that any number can be generated. What real data has wrong is here
in small numbers: invalid addresses, leads without partner, rows without write_date, a few that a required rule rejects.
"""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from sandbox.clock import stamp
from sandbox.odoo.computes import normalized_email, sanitized_phone
from sandbox.odoo.schema import reference_records
from sandbox.odoo.seed_sales import SALESPEOPLE, Sales
from sandbox.odoo.seeding import Seeder, models
from sandbox.odoo.store import Database
from sandbox.world import Deal, World

COMPANIES = [("Northwind Trading GmbH", 126, "Berlin"), ("Northwind Trading Inc.", 1, "Chicago")]
USERS = [
    (5, "clara", "Clara Winter"), (6, "marc", "Marc Demo"), (7, "ines", "Inês Duarte"), (10, "apireader", "API Reader"),
    (11, "tom", "Tom Okafor"), (12, "yuki", "Yuki Tanaka"),
]  # fmt: skip
NEW, QUALIFIED, PROPOSITION, WON, NEGOTIATION = 1, 2, 3, 4, 5
OPEN_STAGES = (NEW, QUALIFIED, PROPOSITION, NEGOTIATION)
STAGE_PROBABILITY = {NEW: 12.0, QUALIFIED: 35.0, PROPOSITION: 60.0, NEGOTIATION: 80.0, WON: 100.0}
_PROPERTIES = [
    {"name": "aa11bb22cc33dd44", "type": "char", "string": "Budget code"},
    {"name": "ee55ff66aa77bb88", "type": "integer", "string": "Seats"},
    {
        "name": "1234abcd5678ef90", "type": "selection", "string": "Tier",
        "selection": [["gold", "Gold"], ["silver", "Silver"]],
    },
]  # fmt: skip
_NO_PROPERTIES = [definition | {"value": None} for definition in _PROPERTIES]  # one list shared by all rows without


def build(seed: int, start: datetime, scale: float, leads: int | None = None) -> "tuple[Database, Leads]":
    """The database as it stands at `start`."""
    world = World("northwind", seed, companies=max(20, round(200 * scale)))
    database = Database("northwind", models())
    seeder = Seeder(database, world, start)
    seeder.master_data(COMPANIES, USERS, "product.category", "product.template", "product.product")
    _teams(seeder)
    companies, people = seeder.partners(SALESPEOPLE)
    total = round(1000 * scale) if leads is None else leads
    story = Leads(seeder, companies, people, total)
    for number in range(total):
        story.add(number)
    Sales(seeder, companies, people, total).add(round(300 * scale))
    _projects(seeder, companies)
    database.finish_loading()
    return database, story


def _teams(seeder: Seeder) -> None:
    seeder.database["crm.stage"].load(
        reference_records("crm.stage")[2]
        | {
            "id": NEGOTIATION,
            "name": "Negotiation",
            "sequence": 4,
            "create_date": seeder.setup,
            "write_date": seeder.setup,
        }
    )
    seeder.add("crm.lost.reason", id=9, name="No decision", active=True)
    for number, name, active, user in (
        (1, "Sales", True, 2), (2, "Website", False, None), (3, "Point of Sale", True, None), (4, "eBay", False, None),
        (5, "Pre-Sales", True, 5), (6, "Chicago team", True, 6),
    ):  # fmt: skip
        seeder.add(
            "crm.team", id=number, name=name, active=active, user_id=user, sequence=10, use_opportunities=name != "eBay",
            use_leads=active, company_id=2 if number == 6 else None, invoiced_target=250000.0 if number == 1 else 0.0,
            lead_properties_definition=_PROPERTIES if number == 1 else None,
        )  # fmt: skip
    members = {uid: 1 if uid in (2, 9) else 5 if uid in (5, 7, 11) else 6 for uid in SALESPEOPLE}
    users = seeder.database["res.users"]
    for uid, team in members.items():
        users.rows[uid][users.slots["sale_team_id"]] = team


class Leads:
    """Tells leads from the story's deals."""

    def __init__(self, seeder: Seeder, companies: list[int], people: list[int], total: int) -> None:
        self.seeder, self.companies, self.people, self.total = seeder, companies, people, total
        self.world, self.start = seeder.world, seeder.start
        self.countries = {
            code: seeder.country_id(code) for code in {self._code(n) for n in range(self.world.companies)}
        }
        self.block = max(50, min(5000, total // 4 or 50))
        self._imports: dict[int, str] = {}

    def _code(self, number: int) -> str:
        return self.world.company(number).country

    def import_moment(self, number: int) -> str | None:
        """Every fourth block of leads was imported at once and shares one write_date to the microsecond."""
        block = number // self.block
        if block % 4:
            return None
        if block not in self._imports:
            random = self.world.random("import", block)
            self._imports[block] = self.seeder.moment(random, 5 + 60 * random.random())
        return self._imports[block]

    def add(self, number: int) -> None:
        """Load the `number`-th lead."""
        deal = self.world.deal(number, self.start.year)
        random = self.world.random("odoo lead", number)
        imported = self.import_moment(number)
        created = imported or self.seeder.moment(random, deal.age_days + 1)
        written = imported or self.seeder.moment(random, deal.age_days * random.random())
        values = self.values(deal, random, created, written, self.start - timedelta(days=deal.age_days))
        if number % 40 == 39 and number < 1000:
            written = None  # rows a restore or a raw INSERT left without write_date: seen on 25 leads
        self._spoil(number, values)
        self.seeder.add("crm.lead", created, None, random.choice(SALESPEOPLE), id=number + 1, **values)
        if written != created:
            table = self.seeder.database["crm.lead"]
            table.rows[number + 1][table.slots["write_date"]] = written

    def _spoil(self, number: int, values: dict[str, Any]) -> None:
        """A few rows that are plainly wrong."""
        if number % 331 == 17:
            values["name"] = "" if number % 2 else None
        elif number % 409 == 23:
            values["expected_revenue"] = -values["expected_revenue"] or -1.0
        elif number % 503 == 31:
            values["probability"] = 140.0

    def values(self, deal: Deal, random: Random, created: str, written: str, opened: datetime) -> dict[str, Any]:
        """The stored values of a deal as a lead; `created` and `written` are stored moments, deadlines follow `opened`."""
        person, company = self.world.person(deal.person), self.world.company(deal.company)
        won, lost = deal.outcome == "won", deal.outcome == "lost"
        opportunity = won or deal.course > 0.25
        stage = WON if won else OPEN_STAGES[int(deal.course * 4)] if opportunity else NEW
        probability = (
            0.0 if lost else 100.0 if won else round(STAGE_PROBABILITY[stage] * (0.8 + 0.4 * random.random()), 2)
        )
        revenue = 0.0 if random.random() < 0.12 else deal.amount
        known = random.random()
        partner = (
            None if known < 0.25 else self.people[person.number] if known < 0.7 else self.companies[company.number]
        )
        email = person.email
        if (draw := random.random()) < 0.04:
            email = random.choice((email.replace("@", " at "), "n/a", f"{email};{company.domain}", "test@"))
        elif draw < 0.12:
            email = None
        phone = None if draw > 0.8 else random.choice(("0815", "??", "ask")) if draw > 0.78 else person.phone
        clean = normalized_email(email)
        team = random.choice((1, 1, 1, 5, 6))
        recurring = round(revenue / 12, 2) if random.random() < 0.1 else 0.0
        return {
            "name": f"{company.name} - {deal.title}" if random.random() < 0.3 else deal.title,
            "type": "opportunity" if opportunity else "lead",
            "active": not lost and random.random() > 0.015,
            "stage_id": stage,
            "team_id": team,
            "user_id": random.choice(SALESPEOPLE) if random.random() < 0.9 else None,
            "company_id": 2 if team == 6 else 1 if random.random() < 0.5 else None,
            "priority": random.choice("0000112" + "3"),
            "probability": probability,
            "automated_probability": probability,
            "expected_revenue": revenue,
            "prorated_revenue": round(revenue * probability / 100, 2),
            "recurring_revenue": recurring,
            "recurring_revenue_monthly": recurring,
            "partner_id": partner,
            "partner_name": company.name if random.random() < 0.8 else None,
            "contact_name": person.name if random.random() < 0.85 else None,
            "function": person.role if random.random() < 0.5 else None,
            "email_from": email,
            "email_normalized": clean,
            "email_state": None if email is None else "correct" if clean else "incorrect",
            "email_domain_criterion": f"@{company.domain}" if clean else None,
            "phone": phone,
            "phone_sanitized": sanitized_phone(phone),
            "phone_state": None if phone is None else "correct" if phone[0] == "+" else "incorrect",
            "mobile": person.mobile,
            "street": company.street if random.random() < 0.7 else None,
            "city": company.city if random.random() < 0.8 else None,
            "zip": company.zip if random.random() < 0.7 else None,
            "country_id": self.countries[company.country] if random.random() < 0.85 else None,
            "website": f"https://www.{company.domain}" if random.random() < 0.4 else None,
            "date_deadline": f"{opened + timedelta(days=random.randrange(10, 120)):%Y-%m-%d}"
            if random.random() < 0.5
            else None,
            "date_open": created if random.random() < 0.8 else None,
            "date_closed": written if won or lost else None,
            "date_last_stage_update": written,
            "date_conversion": created if opportunity and random.random() < 0.3 else None,
            "day_close": round(deal.age_days * random.random(), 1) if won or lost else 0.0,
            "day_open": round(3 * random.random(), 1),
            "lost_reason_id": random.choice((1, 2, 3, 9)) if lost else None,
            "tag_ids": tuple(sorted(random.sample(range(1, 9), random.randrange(1, 4))))
            if random.random() < 0.4
            else (),
            "campaign_id": random.choice((1, 2, 3, 4)) if random.random() < 0.2 else None,
            "medium_id": random.randrange(1, 11) if random.random() < 0.3 else None,
            "source_id": random.randrange(1, 11) if random.random() < 0.4 else None,
            "lang_id": (29 if company.country == "FR" else 1) if random.random() < 0.6 else None,
            "referred": "Friend" if random.random() < 0.03 else None,
            "description": self._description(random, company.industry),
            "lead_properties": (self._properties(random) if random.random() < 0.15 else _NO_PROPERTIES)
            if team == 1
            else (),
            "x_lead_score": round(100 * random.random(), 3) if random.random() < 0.6 else None,
            "x_channel": random.choice(self._channels()) if random.random() < 0.2 else None,
        }

    def _channels(self) -> list[str]:
        attributes = self.seeder.database["crm.lead"].fields["x_channel"].attributes
        return [key for key, _ in attributes["selection"]]

    def _description(self, random: Random, industry: str) -> str | None:
        if (draw := random.random()) < 0.55:
            return None
        if draw < 0.8:
            return f"<p>Met at the {industry} fair, wants a call back.</p>"
        return f"<p>Line1<br>Line2 — “ünïcödé”, {industry}: budget approved, decision in {random.randrange(1, 9)} weeks.</p>"

    def _properties(self, random: Random) -> list[dict[str, Any]]:
        values = (f"BC-{random.randrange(1000)}", random.randrange(1, 500), random.choice(("gold", "silver")))
        return [definition | {"value": value} for definition, value in zip(_PROPERTIES, values, strict=True)]


def _projects(seeder: Seeder, companies: list[int]) -> None:
    random = seeder.world.random("projects", 0)
    names = ("Office Design", "Research & Development", "Renovations", "Home Make Over", "Warehouse Move", "ERP Rollout",
             "Showroom Köln", "Website Relaunch", "Trade Fair", "Audit", "Fleet", "Training")  # fmt: skip
    for number, name in enumerate(names, 1):
        days = 30 + 300 * random.random()
        begin, end = seeder.start - timedelta(days=days), seeder.start + timedelta(days=120 * random.random())
        seeder.add(
            "project.project", stamp(begin), seeder.moment(random, days * random.random()), 2, id=number, name=name,
            active=number != 4, user_id=random.choice(SALESPEOPLE), partner_id=random.choice((None, *companies[:20])),
            date_start=f"{begin:%Y-%m-%d}", date=f"{end:%Y-%m-%d}", sequence=number * 10, color=number % 8,
            last_update_status=random.choice(("on_track", "at_risk", "off_track", "on_hold", "to_define", "done")),
            allow_milestones=True, privacy_visibility="portal", company_id=None,
        )  # fmt: skip
        for task in range(random.randrange(2, 6)):
            seeder.add(
                "project.task", stamp(begin), seeder.moment(random, days * random.random()), 2, project_id=number,
                name=f"{name}: step {task + 1}", stage_id=random.choice((1, 2, 3)), state="01_in_progress", priority="0",
                active=True, sequence=10,
            )  # fmt: skip
