"""northwind's org as the story begins: the companies, people and deals that its Odoo knows too, under the names that
people typed here.

Opportunities are told one by one from the story's deals, so that any number can be generated. What real data has
wrong is here in small numbers: texts that are empty, picklist values that `describe` does not know, thousands of
records with one stamp, nulls.
"""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from sandbox.collection import Record
from sandbox.identities import Identities
from sandbox.odoo.seed_northwind import USERS
from sandbox.salesforce.org import Org, formulas, second
from sandbox.world import Company, Deal, Person, World

STAGES = {
    "Prospecting": 10.0,
    "Qualification": 10.0, "Needs Analysis": 20.0, "Value Proposition": 50.0, "Proposal/Price Quote": 75.0,
    "Negotiation/Review": 90.0, "Closed Won": 100.0, "Closed Lost": 0.0,
}  # fmt: skip
OPEN = list(STAGES)[:6]
_REGIONS = {"US": "AMER", "BR": "AMER", "JP": "APAC"}
_BEYOND_53 = 9007199254740993.0
_BEYOND_31 = 5_000_000_017.0


class Seed:
    """Fills the org of northwind."""

    def __init__(self, org: Org, world: World, start: datetime, total: int, identities: Identities) -> None:
        self.org, self.world, self.start, self.total, self.identities = org, world, start, total, identities
        self.block = max(50, min(5000, total // 4 or 50))
        self._imports: dict[int, str] = {}
        self.users: list[str] = []
        self.accounts: list[str] = []
        self.contacts: list[str] = []

    def fill(self) -> None:
        """All objects."""
        self._users()
        self.accounts = [self._account(self.world.company(number)) for number in range(self.world.companies)]
        self.contacts = [self._contact(self.world.person(number)) for number in range(self.world.companies * 2)]
        for number in range(self.total):
            self.opportunity(number)
        for number in range(max(1, self.total // 3)):
            self.lead(number)
        for number in range(max(1, self.total // 4)):
            self._case(number)
        for number in range(max(1, self.total // 5)):
            self._subscription(number)
        self._small_objects()

    def moment(self, random: Random, days_ago: float) -> datetime:
        """So many days before the start."""
        return self.start - timedelta(days=days_ago, seconds=random.randrange(1000))

    def stamps(self, created: datetime, modified: datetime, user: str) -> Record:
        """The audit fields of a record; now and then automation has touched it after the last person."""
        return {
            "CreatedDate": second(created), "CreatedById": user, "LastModifiedDate": second(modified),
            "LastModifiedById": user,
            "SystemModstamp": second(modified),
        }  # fmt: skip

    def _tell(self, kind: str, number: int, entity: str, record_id: str) -> None:
        self.identities.tell(self.org.tenant, kind, number, "salesforce", entity, record_id)

    def _users(self) -> None:
        table = self.org.tables["User"]
        people = [
            ("integration", "Integration User"),
            *((login, name) for _, login, name in USERS),
            ("gone", "Zoë Left"),
        ]
        for number, (login, name) in enumerate(people):
            given, _, family = name.partition(" ")
            created = self.start - timedelta(days=900 - number)
            record_id = table.new_id()
            self.users.append(record_id)
            self.org.integration_user = self.users[0]
            values = self.stamps(created, created, self.users[0])
            table.put(
                table.complete(
                    values | {
                        "Id": record_id, "Username": f"{login}@{self.org.tenant}.example", "LastName": family,
                        "FirstName": given,
                        "Name": name, "Email": f"{login}@example.com", "Alias": login[:8], "IsActive": login != "gone",
                        "CommunityNickname": login, "TimeZoneSidKey": "Europe/Berlin", "LocaleSidKey": "de_DE",
                        "EmailEncodingKey": "UTF-8", "UserType": "Standard", "LanguageLocaleKey": "en_US",
                        "Country": "Germany",
                        "City": "Berlin", "Title": None if number % 3 else "Account Executive",
                        "ManagerId": self.users[0],
                        "LastLoginDate": second(self.start - timedelta(days=number)),
                    }
                )
            )  # fmt: skip

    def owner(self, random: Random) -> str:
        """Somebody of sales."""
        return random.choice(self.users[1:])

    def _address(self, prefix: str, company: Company) -> Record:
        return {
            f"{prefix}Street": company.street, f"{prefix}City": company.city, f"{prefix}PostalCode": company.zip,
            f"{prefix}Country": company.country,
        }  # fmt: skip

    def _account(self, company: Company) -> str:
        random = self.world.random("salesforce account", company.number)
        created = self.moment(random, 60 + 660 * random.random())
        owner = self.owner(random)
        address = self._address("Billing", company) if random.random() < 0.8 else {}
        if random.random() < 0.1:
            address |= {
                "BillingLatitude": round(random.uniform(36, 60), 6),
                "BillingLongitude": round(random.uniform(-9, 20), 6),
            }
        values = {
            "Name": self.world.alias(company.name, "salesforce", company.number), **address,
            "Type": random.choice(("Prospect", "Customer - Direct", "Customer - Channel", None)),
            "Phone": company.phone if random.random() < 0.8 else "", "Website": f"www.{company.domain}",
            "AccountNumber": f"A-{company.number:05d}" if random.random() < 0.5 else None, "Industry": company.industry,
            "AnnualRevenue": round(random.lognormvariate(15, 1.6), 2) if random.random() < 0.6 else None,
            "NumberOfEmployees": company.employees, "OwnerId": owner,
            "Rating": random.choice(("Hot", "Warm", "Cold", None)),
            "Description": random.choice((None, None, f"Met at the {company.industry} fair — “ünïcödé” 😀")),
            "ERP_Number__c": f"{company.country}{company.number:06d}" if random.random() < 0.7 else None,
            "Payment_Terms_Days__c": random.choice((None, 14.0, 30.0)),
            "Products_Used__c": random.choice((None, "Desks;Chairs", "Lamps")),
            "AccountSource": random.choice(("Web", "Other")),
            "PhotoUrl": None,
            "ParentId": random.choice(self.accounts) if self.accounts and random.random() < 0.05 else None,
        }  # fmt: skip
        modified = self.moment(random, 60 * random.random())
        record_id = self.org.create("Account", values | self.stamps(created, max(created, modified), owner), created)
        self._tell("company", company.number, "account", record_id)
        return record_id

    def _contact(self, person: Person) -> str:
        random = self.world.random("salesforce contact", person.number)
        created = self.moment(random, 30 + 600 * random.random())
        owner = self.owner(random)
        record_id = self.org.create("Contact", self.contact_values(person, random, owner), created)
        record = self.org.tables["Contact"].rows[record_id]
        modified = max(created, self.moment(random, 30 * random.random()))
        self.org.tables["Contact"].put(record | self.stamps(created, modified, owner))
        self._tell("person", person.number, "contact", record_id)
        return record_id

    def contact_values(self, person: Person, random: Random, owner: str) -> Record:
        """A person as a contact."""
        given, _, family = person.name.rpartition(" ")
        email: str | None = person.email
        if (draw := random.random()) < 0.1:
            email = random.choice((None, person.email.upper(), f"sf.{person.email}"))
        return {
            "AccountId": self.accounts[person.company] if random.random() > 0.03 else None,
            "LastName": family or person.name,
            "FirstName": given or None, "Name": person.name, "Salutation": random.choice((None, "Mr.", "Ms.", "Mx.")),
            "Email": email, "Phone": person.phone if draw < 0.8 else None, "MobilePhone": person.mobile,
            "Title": person.role,
            "Department": random.choice((None, "", "Einkauf")), "OwnerId": owner,
            "LeadSource": random.choice(("Web", "Other", None)),
            "Birthdate": f"19{random.randrange(55, 99)}-0{random.randrange(1, 10)}-1{random.randrange(10)}"
            if draw < 0.1 else None,
            "HasOptedOutOfEmail": draw > 0.95, "Languages__c": random.choice((None, "de", "de;en", "en;fr")),
            **(self._address("Mailing", self.world.company(person.company)) if draw < 0.6 else {}),
        }  # fmt: skip

    # -- opportunities -------------------------------------------------------------------------------------------------

    def import_moment(self, number: int) -> str | None:
        """Every fourth block of opportunities was updated (or created) in bulk and shares one SystemModstamp."""
        block = number // self.block
        if block % 4 or self.total < 4:
            return None
        if block not in self._imports:
            random = self.world.random("salesforce import", block)
            self._imports[block] = second(self.moment(random, 5 + 60 * random.random()))
        return self._imports[block]

    def opportunity(self, number: int) -> str:
        """Load the `number`-th deal."""
        deal = self.world.deal(number, self.start.year)
        random = self.world.random("salesforce opportunity", number)
        created = self.moment(random, deal.age_days + 1)
        modified = max(created, self.moment(random, deal.age_days * random.random()))
        owner = self.owner(random)
        values = self.opportunity_values(deal, random, owner, created) | self.stamps(created, modified, owner)
        if (imported := self.import_moment(number)) is not None:
            values |= {"LastModifiedDate": imported, "LastModifiedById": self.users[0], "SystemModstamp": imported}
            values["CreatedDate"] = min(values["CreatedDate"], imported)
        elif random.random() < 0.05:
            values["SystemModstamp"] = second(min(self.start, modified + timedelta(hours=30)))
        self._spoil(number, values)
        record_id = self.org.tables["Opportunity"].new_id()
        values |= {"Id": record_id} | formulas(values, self.org.tables["Account"].rows, self.start)
        table = self.org.tables["Opportunity"]
        table.put(table.complete(values))
        self._tell("deal", number, "opportunity", record_id)
        return record_id

    def _spoil(self, number: int, values: Record) -> None:
        """A few rows that are odd."""
        if number % 331 == 17:
            values["Name"] = ""
        elif number % 409 == 23:
            values["LeadSource"] = "Messe"  # a value that nobody told `describe` of
        elif number % 211 == 7:
            values["Legacy_Number__c"] = _BEYOND_31 + number
        elif number % 211 == 8:
            values["Legacy_Number__c"] = _BEYOND_53
        elif number % 97 == 5:
            values |= {"CloseDate": None, "OwnerId": None}  # required by the docs

    def opportunity_values(self, deal: Deal, random: Random, owner: str, created: datetime) -> Record:
        """A deal as an opportunity."""
        company = self.world.company(deal.company)
        closed = deal.outcome != "open"
        stage = {"won": "Closed Won", "lost": "Closed Lost"}.get(deal.outcome) or OPEN[int(deal.course * len(OPEN))]
        amount = None if random.random() < 0.08 else deal.amount
        if random.random() < 0.01:
            amount = 24_120_000.0
        close = (created + timedelta(days=random.randrange(20, 140))).date()
        name = self.world.alias(company.name, "salesforce", company.number)
        located = random.random() < 0.05
        return stage_values(stage, amount) | {
            "AccountId": self.accounts[company.number] if random.random() > 0.02 else None,
            "Name": f"{name} - {deal.title}" if random.random() < 0.6 else deal.title, "IsPrivate": False,
            "Amount": amount, "CloseDate": f"{close}",
            "Type": random.choice(("New Business", "Existing Business", None)),
            "NextStep": random.choice((None, "Call back", "Angebot prüfen", "")),
            "LeadSource": random.choice(("Web", "Phone Inquiry", "Partner Referral", "Other", None)),
            "Description": None if random.random() < 0.7 else f"Wants a quote for {company.industry}.\nDecision “soon”.",
            "OwnerId": owner, "FiscalYear": close.year, "FiscalQuarter": (close.month + 2) // 3,
            "Fiscal": f"{close.year} {(close.month + 2) // 3}", "PushCount": random.choice((0, 0, 0, 1, 2)),
            "LastStageChangeDate": second(created), "HasOpportunityLineItem": False,
            "ContactId": self.contacts[deal.person] if random.random() < 0.7 else None, "HasOpenActivity": not closed,
            "HasOverdueTask": False, "Region__c": _REGIONS.get(company.country, "EMEA"),
            "Competitors__c": random.choice((None, "Acme", "Acme;Globex", "Globex;Initech")),
            "Discount__c": random.choice((None, 0.0, 5.0, 12.5)), "Budget_Confirmed__c": random.random() < 0.3,
            "Seats__c": float(random.randrange(1, 400)) if random.random() < 0.5 else None,
            "Go_Live__c": f"{close + timedelta(days=30)}" if random.random() < 0.4 else None,
            "Last_Contact__c": second(created + timedelta(days=1)) if random.random() < 0.5 else None,
            "Partner__c": random.choice(self.accounts) if random.random() < 0.05 else None,
            "Site__Latitude__s": round(random.uniform(36, 60), 6) if located else None,
            "Site__Longitude__s": round(random.uniform(-9, 20), 6) if located else None,
        }  # fmt: skip

    # -- the other objects ---------------------------------------------------------------------------------------------

    def lead(self, number: int, created: datetime | None = None) -> str:
        """Somebody who is no contact yet; `created`: now, as days pass."""
        person = self.world.person(self.world.companies * 2 + number)
        random = self.world.random("salesforce lead", number)
        at = created or self.moment(random, 1 + 200 * random.random())
        modified = created or max(at, self.moment(random, 60 * random.random()))
        owner = self.owner(random)
        company = self.world.company(person.company)
        given, _, family = person.name.rpartition(" ")
        values = {
            "LastName": family or person.name, "FirstName": given or None, "Name": person.name, "Company": company.name,
            "Title": person.role, "Email": person.email, "Phone": person.phone, "MobilePhone": person.mobile,
            "OwnerId": owner,
            "Status": "Open - Not Contacted" if created else random.choice(("Open - Not Contacted", "Working - Contacted")),
            "LeadSource": random.choice(("Web", "Purchased List")), "Industry": company.industry, "City": company.city,
            "Country": company.country, "NumberOfEmployees": company.employees,
            "Rating": random.choice((None, "Hot", "Cold")),
        }  # fmt: skip
        record_id = self.org.create("Lead", values | self.stamps(at, modified, owner), at)
        self._tell("person", person.number, "lead", record_id)
        return record_id

    def _case(self, number: int) -> None:
        random = self.world.random("salesforce case", number)
        opened = self.moment(random, 1 + 300 * random.random())
        closed = random.random() < 0.6
        ended = max(opened, self.moment(random, 30 * random.random()))
        contact = random.randrange(len(self.contacts))
        values = {
            "CaseNumber": f"{number + 1000:08d}", "ContactId": self.contacts[contact],
            "AccountId": self.accounts[contact // 2],
            "Status": "Closed" if closed else random.choice(("New", "Working", "Escalated")), "IsClosed": closed,
            "ClosedDate": second(ended) if closed else None, "Origin": random.choice(("Phone", "Email", "Web")),
            "Subject": random.choice(("Lampe defekt", "Invoice question", "Delivery late", "")),
            "Priority": random.choice(("High", "Medium", "Low")), "OwnerId": self.owner(random),
            "Reason": random.choice((None, "Performance", "Breakdown")),
            "SuppliedEmail": self.world.person(contact).email,
        }  # fmt: skip
        self.org.create("Case", values | self.stamps(opened, ended if closed else opened, self.users[0]), opened)

    def _subscription(self, number: int) -> None:
        random = self.world.random("salesforce subscription", number)
        created = self.moment(random, 1 + 500 * random.random())
        owner = self.owner(random)
        opportunities = self.org.tables["Opportunity"].ids()
        values = {
            "Name": f"SUB-{number:06d}", "OwnerId": owner, "Account__c": random.choice(self.accounts),
            "Opportunity__c": random.choice(opportunities), "Seats__c": float(random.randrange(1, 500)),
            "Monthly_Fee__c": round(random.lognormvariate(6, 1), 2), "Discount__c": random.choice((None, 7.5)),
            "Auto_Renew__c": random.random() < 0.5, "Starts__c": f"{created:%Y-%m-%d}",
            "Renewed__c": second(created + timedelta(days=30)) if random.random() < 0.5 else None,
            "Plan__c": random.choice(("Basic", "Plus", "Enterprise", "Legacy 2019")),
            "Add_Ons__c": random.choice((None, "Support", "Support;Backup")),
        }  # fmt: skip
        modified = max(created, self.moment(random, 90 * random.random()))
        self.org.create("Subscription__c", values | self.stamps(created, modified, owner), created)

    def _small_objects(self) -> None:
        for number in range(min(50, self.total)):
            random = self.world.random("salesforce history", number)
            at = self.moment(random, 1 + 100 * random.random())
            values = {
                "Field": "StageName",
                "DataType": "DynamicEnum",
                "OldValue": OPEN[0],
                "NewValue": random.choice(OPEN),
            }
            values |= {"OpportunityId": random.choice(self.org.tables["Opportunity"].ids()), "CreatedDate": second(at)}
            self.org.create("OpportunityFieldHistory", values, at)
        for number in range(5):
            values = {
                "ParentId": self.accounts[number],
                "Name": f"offer-{number}.pdf",
                "ContentType": "application/pdf",
            }
            self.org.create(
                "Attachment", values | {"BodyLength": 1000 + number, "Body": ""}, self.start - timedelta(days=number)
            )
        for number in range(12):
            at = self.start - timedelta(days=60 * number)
            # What was closed more than a year ago is archived.
            values = {
                "Subject": f"Call {number}", "Status": "Completed", "Priority": "Normal", "WhatId": self.accounts[number],
                "ActivityDate": f"{at:%Y-%m-%d}", "OwnerId": self.users[1], "IsClosed": True, "IsArchived": number > 6,
            }  # fmt: skip
            self.org.create("Task", values, at)
        for number in range(8):
            values: dict[str, Any] = {
                "ExternalId": f"P{number}",
                "Product__c": f"Desk {number}",
                "List_Price__c": 100.0 + number,
            }
            self.org.create("Price__x", values, self.start)


def stage_values(stage: str, amount: float | None) -> Record:
    """What follows from an opportunity's stage."""
    probability = STAGES[stage]
    closed, won = stage.startswith("Closed"), stage == "Closed Won"
    category = "Closed" if won else "Omitted" if closed else "Forecast" if probability >= 90 else "Pipeline"
    return {
        "StageName": stage, "Probability": probability, "IsClosed": closed, "IsWon": won, "ForecastCategory": category,
        "ForecastCategoryName": "Commit" if category == "Forecast" else category,
        "ExpectedRevenue": None if amount is None else round(amount * probability / 100, 2),
    }  # fmt: skip
