"""What every database starts from: companies, users, partners of the story, recorded master data.

`Seeder` bulk-loads rows (no hooks, indexes at the end). The master data is as recorded, with the demo company renamed;
labels of models that were not recorded become rows of their own.
"""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from sandbox.clock import stamp
from sandbox.odoo import access
from sandbox.odoo.computes import normalized_email, sanitized_phone
from sandbox.odoo.schema import (
    BRAND_FIELD,
    brand_models,
    invented_models,
    partner_models,
    recorded_fields,
    recorded_labels,
    reference_records,
)
from sandbox.odoo.store import Database
from sandbox.world import Company, Person, World

MASTER_DATA = (
    "res.country", "res.country.state", "res.currency", "crm.stage", "crm.tag", "crm.lost.reason", "uom.uom",
    "utm.campaign", "utm.medium", "utm.source", "account.account", "account.journal", "mail.activity.type",
    "project.task.type",
)  # fmt: skip

# Recorded tables hold the first 200 rows only; these are the rows beyond that the story needs.
_MORE_COUNTRIES = ((231, "United Kingdom", "GB", 44, 147), (233, "United States", "US", 1, 1))
TAXES = {1: "15%", 2: "15%", 3: "19%", 4: "7%"}

FIRST_COMPANY_PARTNER = 100
"""Partner ids below are the own companies' and users'."""


def models(brands: bool = False, aws_partner: bool = False) -> dict[str, dict[str, dict[str, Any]]]:
    """The models a database has."""
    answer = {name: dict(fields) for name, fields in recorded_fields().items()} | invented_models()
    if brands:
        answer |= brand_models()
        answer["product.template"]["product_brand_id"] = BRAND_FIELD
    if aws_partner:
        answer |= partner_models()
    return answer


class Seeder:
    """Loads one database. Moments are given as days before the start."""

    def __init__(self, database: Database, world: World, start: datetime) -> None:
        self.database, self.world, self.start = database, world, start
        self.setup = stamp(start - timedelta(days=800))
        self.users: dict[int, str] = {}

    def moment(self, random: Random, days_ago: float) -> str:
        """A stored moment so many days before the start, with microseconds of its own."""
        return stamp(self.start - timedelta(days=days_ago, microseconds=random.randrange(1_000_000)))

    def add(
        self, model: str, created: str | None = None, written: str | None = None, uid: int = 1, **values: Any
    ) -> int:
        """Load one row with its four stamps."""
        created = created or self.setup
        stamps = {"create_date": created, "create_uid": uid, "write_date": written or created, "write_uid": uid}
        return self.database[model].load(stamps | values)

    # -- master data -----------------------------------------------------------------------------------------------

    def master_data(
        self, companies: list[tuple[str, int, str]], users: list[tuple[int, str, str]], *extra: str
    ) -> None:
        """Own companies as (name, currency, city), users as (id, login, name), and the recorded tables."""
        for model, labels in recorded_labels().items():
            for record_id, name in labels.items():
                self.add(model, id=int(record_id), name=name)
        for record_id, name in TAXES.items():
            self.add("account.tax", id=record_id, name=name)
        for model in (*MASTER_DATA, *extra):
            self._recorded(model)
        for record_id, name, code, phone, currency in _MORE_COUNTRIES:
            self.add("res.country", id=record_id, name=name, code=code, phone_code=phone, currency_id=currency)
        self._companies(companies)
        self._users(users)

    def _recorded(self, model: str) -> None:
        table = self.database[model]
        for record in reference_records(model):
            values = {name: tuple(v) if isinstance(v, list) else v for name, v in record.items() if name in table.slots}
            for name in ("create_date", "write_date"):
                if name in table.slots:
                    values[name] = self.setup
            for name, value in list(values.items()):
                if table.fields[name].type == "datetime" and isinstance(value, str) and len(value) == 19:
                    values[name] = f"{value}.000000"
            table.load(values)

    def _companies(self, companies: list[tuple[str, int, str]]) -> None:
        for number, (name, currency, city) in enumerate(companies, 1):
            self.add("res.company", id=number, name=name, currency_id=currency, partner_id=number, active=True)
            self.add(
                "res.partner", id=number, name=name, complete_name=name, is_company=True, city=city,
                commercial_partner_id=number, commercial_company_name=name,
            )  # fmt: skip

    def _users(self, users: list[tuple[int, str, str]]) -> None:
        own = [(1, "__system__", "OdooBot"), *((uid, login, access.NAMES[uid]) for login, uid in _LOGINS.items())]
        for uid, login, name in [*own, *users]:
            partner = 10 + uid
            self.users[uid] = name
            self.add(
                "res.partner", id=partner, name=name, complete_name=name, email=f"{login}@example.com",
                email_normalized=f"{login}@example.com", commercial_partner_id=partner, partner_share=False,
            )  # fmt: skip
            self.add(
                "res.users", id=uid, login=login, partner_id=partner, active=uid != 1, company_id=1, company_ids=(1,),
                notification_type="email", signature=f"<p>--<br>{name}</p>",
            )  # fmt: skip

    # -- partners of the story ---------------------------------------------------------------------------------------

    def country_id(self, code: str) -> int:
        """The id of a country by its code."""
        table = self.database["res.country"]
        return next(row[0] for row in table.rows.values() if table.value(row, "code") == code)

    def partners(self, salespeople: list[int]) -> tuple[list[int], list[int]]:
        """One partner per company of the story and one per person; returns both id lists by number."""
        world = self.world
        codes = {code: self.country_id(code) for code in {world.company(n).country for n in range(world.companies)}}
        states = self._states()
        companies = [self._company(world.company(n), codes, states, salespeople) for n in range(world.companies)]
        people = [self._person(world.person(n), companies, codes) for n in range(world.companies * 2)]
        return companies, people

    def _states(self) -> dict[int, list[int]]:
        table, found = self.database["res.country.state"], {}
        for row in table.rows.values():
            found.setdefault(table.value(row, "country_id"), []).append(row[0])
        return found

    def _company(self, company: Company, codes: dict[str, int], states: dict[int, list[int]], sales: list[int]) -> int:
        random = self.world.random("odoo company", company.number)
        created = self.moment(random, 60 + 660 * random.random())
        country = codes[company.country]
        email = f"info@{company.domain}"
        if random.random() < 0.04:
            email = random.choice(
                (f"info_at_{company.domain}", "n/a", f"info@{company.domain}; sales@{company.domain}")
            )
        return self.add(
            "res.partner", created, self.moment(random, 60 * random.random()), 2,
            id=FIRST_COMPANY_PARTNER + company.number, name=company.name, complete_name=company.name,
            commercial_company_name=company.name, commercial_partner_id=FIRST_COMPANY_PARTNER + company.number,
            is_company=True, email=email, email_normalized=normalized_email(email), phone=company.phone,
            phone_sanitized=sanitized_phone(company.phone), street=company.street, city=company.city, zip=company.zip,
            country_id=country, state_id=random.choice(states.get(country, [None])) if random.random() < 0.3 else None,
            website=f"https://www.{company.domain}", user_id=random.choice(sales) if random.random() < 0.5 else None,
            vat=f"{company.country}{random.randrange(10**8, 10**9)}" if random.random() < 0.6 else None,
            lang="fr_FR" if company.country == "FR" else "en_US", tz="Europe/Berlin",
            customer_rank=1 if random.random() < 0.7 else 0, supplier_rank=1 if random.random() < 0.15 else 0,
            active=random.random() > 0.03,
        )  # fmt: skip

    def _person(self, person: Person, companies: list[int], codes: dict[str, int]) -> int:
        random = self.world.random("odoo person", person.number)
        company = self.world.company(person.company)
        parent = companies[person.company]
        email = person.email
        if (draw := random.random()) < 0.05:
            email = random.choice((email.replace("@", " at "), "unknown", email.upper(), f"{email}, {company.domain}"))
        elif draw < 0.12:
            email = None
        phone = person.phone if draw < 0.8 else random.choice((None, "", "0815", "ask reception", person.phone))
        created = self.moment(random, 30 + 600 * random.random())
        return self.add(
            "res.partner", created, self.moment(random, 30 * random.random()), 2,
            id=FIRST_COMPANY_PARTNER + self.world.companies + person.number, name=person.name,
            complete_name=f"{company.name}, {person.name}", commercial_company_name=company.name,
            commercial_partner_id=parent, parent_id=parent, email=email, email_normalized=normalized_email(email),
            phone=phone, phone_sanitized=sanitized_phone(phone), mobile=person.mobile, function=person.role,
            street=company.street, city=company.city, zip=company.zip, country_id=codes[company.country],
            lang="fr_FR" if company.country == "FR" else "en_US", tz="Europe/Berlin", active=random.random() > 0.05,
            comment="<p>Note with <b>html</b> &amp; “quotes” 😀</p>" if random.random() < 0.05 else None,
        )  # fmt: skip


_LOGINS = {"admin": access.ADMIN, "lowpriv": access.LOWPRIV, "salesown": access.SALESOWN}
