"""What the stand-in holds: podium's two Partner Central catalogs and its Marketplace, as they stand when the story begins."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from sandbox.aws.feed import Feed, published
from sandbox.aws.market_story import Market, agreement_summary, entity_summary, metered
from sandbox.aws.moments import hundredths
from sandbox.aws.partner_story import BENEFITS, SELLING, Partner, members_of, opportunity_summary
from sandbox.aws.table import Table
from sandbox.collection import Record
from sandbox.identities import Identities
from sandbox.world import World

STATUSES = ("PENDING_SUBMISSION", "IN_REVIEW", "ACTION_REQUIRED", "APPROVED", "REJECTED", "CANCELED")
FEED_DAYS = 14
"""Days of metering that lie in the folder when the story begins."""


def _engagement_summary(record: Record) -> Record:
    named = ("Arn", "Id", "Title", "CreatedBy", "MemberCount", "ModifiedBy")
    times = {name: hundredths(record[name]) for name in ("CreatedAt", "ModifiedAt") if record.get(name)}
    return {**{name: record[name] for name in named if name in record}, **times,
            "ContextTypes": [context["Type"] for context in record["Contexts"]]}  # fmt: skip


class Catalog:
    """One catalog of Partner Central."""

    def __init__(self, partner: Partner) -> None:
        self.partner = partner
        self.opportunities = Table("opportunities", "Id", "LastModifiedDate", opportunity_summary, {
            "LastModifiedDate": lambda row: row["LastModifiedDate"], "Identifier": lambda row: row["Id"],
            "CreatedDate": lambda row: row["CreatedDate"],
            "CustomerCompanyName": lambda row: row["Customer"]["Account"]["CompanyName"],
            "TargetCloseDate": lambda row: (row["LifeCycle"] or {}).get("TargetCloseDate"),
        })  # fmt: skip
        self.aws_summaries = Table("aws_opportunity_summaries", "RelatedOpportunityId", None, dict, {})
        by_name = {name: (lambda row, name=name: row[name]) for name in ("Name", "Status", "Category", "CreatedDate")}
        self.solutions = Table("solutions", "Id", None, dict, {"Identifier": lambda row: row["Id"], **by_name})
        self.engagements = Table(
            "engagements", "Id", "ModifiedAt", _engagement_summary, {"CreatedDate": lambda row: row["CreatedAt"]}
        )
        self.members: dict[str, list[Record]] = {}
        self.invitations = Table(
            "invitations", "Id", None,
            members_of(SELLING, "ListEngagementInvitations", "EngagementInvitationSummaries"),
            {"InvitationDate": lambda row: row["InvitationDate"]},
        )  # fmt: skip
        self.applications = Table(
            "benefit_applications", "Id", "UpdatedAt",
            members_of(BENEFITS, "ListBenefitApplications", "BenefitApplicationSummaries"), {"Id": lambda row: row["Id"]},
        )  # fmt: skip
        short = members_of(BENEFITS, "ListBenefitAllocations", "BenefitAllocationSummaries")
        self.allocations = Table(
            "benefit_allocations", "Id", "UpdatedAt",
            lambda row: {**short(row), "FulfillmentTypes": [row["FulfillmentType"]]}, {"Id": lambda row: row["Id"]},
        )  # fmt: skip

    def tables(self) -> dict[str, Table]:
        """By the name the control endpoints know them under."""
        return {table.name: table for table in (
            self.opportunities, self.aws_summaries, self.solutions, self.engagements, self.invitations, self.applications,
            self.allocations,
        )}  # fmt: skip


@dataclass
class Shop:
    """Everything of one tenant. The feed is None where the sandbox has no Marketplace folder to write to."""

    world: World
    start: datetime
    catalogs: dict[str, Catalog]
    market: Market
    products: Table
    agreements: Table
    terms: dict[str, list[Record]]
    feed: Feed
    identities: Identities

    def meters(self) -> list[tuple[Record, str]]:
        """The agreements whose usage is metered now, with their products' codes."""
        found = []
        for number, agreement in enumerate(self.agreements):
            product = self.products.rows.get(agreement["proposalSummary"]["resources"][0]["id"])
            if metered(number) and agreement["status"] == "ACTIVE" and product is not None:
                found.append((agreement, product["DetailsDocument"]["Description"]["ProductCode"]))
        return found

    def tables(self) -> dict[str, Table]:
        """By the name the control endpoints know them under: the AWS catalog's, and the Marketplace's."""
        return self.catalogs["AWS"].tables() | {"products": self.products, "agreements": self.agreements}

    # -- what begins in the story and later while days pass ------------------------------------------------------------

    def add_opportunity(self, catalog: Catalog, number: int, created: datetime, modified: datetime, stage: str | None = None
                        ) -> str:  # fmt: skip
        """A deal of the story comes into Partner Central."""
        record = catalog.partner.opportunity(number, created, modified, stage)
        catalog.opportunities.put(record)
        catalog.aws_summaries.put(catalog.partner.aws_summary(number, record))
        if catalog.partner.catalog == "AWS":
            deal = self.world.deal(number, self.start.year)
            for kind, about in (("deal", number), ("company", deal.company), ("person", deal.person)):
                self.identities.tell("podium", kind, about, "partner_central", "opportunities", record["Id"])
        return record["Id"]

    def add_engagement(self, catalog: Catalog, created: datetime, lead: Record | None = None) -> Record:
        """A new engagement, with its members."""
        number = len(catalog.engagements)
        engagement = catalog.partner.engagement(number, created, lead)
        catalog.engagements.put(engagement)
        catalog.members[engagement["Id"]] = catalog.partner.members(number)
        return engagement

    def add_invitation(self, catalog: Catalog, number: int, sent: datetime, status: str) -> str:
        """A new invitation; an accepted one about a lead has its engagement."""
        engagement, person = None, catalog.partner.lead_person(number)
        if status == "ACCEPTED" and catalog.partner.is_lead(number):
            lead = catalog.partner.lead(person, ("Qualified", "Open")[number % 2], sent)
            engagement = self.add_engagement(catalog, sent + timedelta(hours=5), lead)
        invitation = catalog.partner.invitation(number, sent, status, engagement)
        catalog.invitations.put(invitation)
        if catalog.partner.catalog == "AWS" and catalog.partner.is_lead(number):
            self.identities.tell("podium", "company", person.company, "partner_central", "leads", invitation["Id"])
        return invitation["Id"]

    def add_agreement(self, accepted: datetime, updated: datetime) -> str:
        """Somebody subscribes."""
        number = len(self.agreements)
        agreement = self.market.agreement(number, accepted, updated, list(self.products))
        self.agreements.put(agreement)
        self.terms[agreement["agreementId"]] = self.market.terms(number, agreement)
        company = number % self.world.companies
        self.identities.tell("podium", "company", company, "marketplace", "agreements", agreement["agreementId"])
        return agreement["agreementId"]


def build(world: World, start: datetime, amount: int, folder: Path, identities: Identities) -> Shop:
    """The tenant at the beginning of the story. `amount`: opportunities in the AWS catalog; the other tables in proportion."""
    catalogs = {name: Catalog(Partner(world, start, name)) for name in ("AWS", "Sandbox")}
    market = Market(world, start)
    products = Table("products", "EntityId", "LastModifiedDate", entity_summary, {
        "EntityId": lambda row: row["EntityId"], "LastModifiedDate": lambda row: row["LastModifiedDate"],
        "ProductTitle": lambda row: row["DetailsDocument"]["Description"]["ProductTitle"],
        "Visibility": lambda row: row["DetailsDocument"]["Description"]["Visibility"],
    })  # fmt: skip
    by_time = {f"{name[0].upper()}{name[1:]}": (lambda row, name=name: f"{row[name] or 9e9:017.6f}")
               for name in ("endTime", "startTime", "lastUpdateTime")}  # fmt: skip
    agreements = Table("agreements", "agreementId", "lastUpdateTime", agreement_summary, by_time)
    shop = Shop(world, start, catalogs, market, products, agreements, {}, Feed(world, folder), identities)
    _partner_central(shop, catalogs["AWS"], amount)
    _partner_central(shop, catalogs["Sandbox"], min(5, amount))
    for number in range(max(6, amount // 10)):
        products.put(market.product(number, _ago(start, world.random("product moment", number), 300)))
    for number in range(max(4, amount // 2)):
        random = world.random("agreement moment", number)
        accepted = _ago(start, random, 600)
        shop.add_agreement(accepted, min(start - timedelta(seconds=1), accepted + timedelta(days=60 * random.random())))
    meters = shop.meters()
    for back in range(FEED_DAYS, 0, -1):
        day = (start - timedelta(days=back)).date()
        if published(day) < start:
            shop.feed.publish(day, meters)
    return shop


def _ago(start: datetime, random: Random, days: float) -> datetime:
    return start - timedelta(days=days * random.random(), seconds=1)


def _partner_central(shop: Shop, catalog: Catalog, amount: int) -> None:
    start, partner = shop.start, catalog.partner
    for number in range(max(4, min(12, amount))):
        catalog.solutions.put(partner.solution(number, _ago(start, partner.random("solution moment", number), 700)))
    block = max(10, min(5000, amount // 8))
    for number in range(amount):
        random = partner.random("opportunity moment", number)
        age = timedelta(days=shop.world.deal(number, start.year).age_days + 1)
        modified = start - age * random.random() - timedelta(seconds=1)
        if number // block % 4 == 0:  # every fourth block was imported at once
            modified = _ago(start, partner.random("import", number // block), 60)
        shop.add_opportunity(catalog, number, min(start - age, modified), modified)
    for number in range(max(2, amount // 8)):
        shop.add_engagement(catalog, _ago(start, partner.random("engagement moment", number), 400))
    for number in range(max(3, amount // 2)):
        random = partner.random("invitation moment", number)
        status = random.choice(("ACCEPTED", "ACCEPTED", "PENDING", "REJECTED", "EXPIRED"))
        shop.add_invitation(catalog, number, _ago(start, random, 300), status)
    for number in range(max(3, amount // 4)):
        random = partner.random("application moment", number)
        created, updated = sorted((_ago(start, random, 300), _ago(start, random, 300)))
        status = random.choice(STATUSES)
        opportunity = partner.opportunity_id(random.randrange(amount))
        application = partner.application(number, created, updated, status, opportunity)
        catalog.applications.put(application)
        if status == "APPROVED":
            catalog.allocations.put(partner.allocation(number, application, updated))
