"""The rows of the APN database that come straight from the story: each a pure function of the seed and its number.

INVENTED: the schema is the project's proposal, so no recording shows such rows. The values follow AWS's published samples
(stages, statuses and picklists of ACE, stages of a fund request); what a partner's colleagues make of them is made up. What
does not belong here: the copies that make a table long (`bulk.py`), the days (`living.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.world import World, ascii_slug

Row = dict[str, Any]

TABLES = ("users", "end_user", "opportunity", "funding_request", "cash_claim", "funding_request_history")
"""Parents before children."""
CURSORS = {"opportunity": "last_modified_date", "funding_request_history": "changed_at"}
"""Each table's column with the time of the last change, where it is not `updated_at`."""
NATURAL_KEYS = {
    "opportunity": "apn_opportunity_id", "funding_request": "fund_request_id", "cash_claim": "cash_claim_id",
    "users": "email",
}  # fmt: skip

STAGES = (
    "Prospect", "Qualified", "Technical Validation", "Business Validation", "Committed", "Launched", "Closed Lost",
)  # fmt: skip
FUNDING_STAGES = (
    "Created", "AWS Review", "Tech Approval", "Business Approval", "Finance Approval", "Pre-Approved", "Cash Claim", "Completed",
)  # fmt: skip
CLAIM_STATUSES = ("Planned", "Draft", "Pending Approval", "Approved", "Invoiced", "Paid")
LOST_REASONS = (
    "Customer Deficiency", "Delay / Cancellation of Project", "Lost to Competitor – Google", "Lost to Competitor – Microsoft",
    "No Opportunity", "Price", "Technical Limitations", "Other", "People/Relationship/Governance",
)  # fmt: skip
NEXT_STEPS = (
    "Send SOW", "Schedule well-architected review", "Customer to confirm budget", "POC kick-off", "Await AWS feedback",
    "Workshop mit dem Kunden", "Réunion technique", "", "Legal review of the contract",
)  # fmt: skip
COMMENTS = (
    "Please attach the signed SOW.", "Start date must be at least 14 days ahead.", "Approved by tech team.",
    "Kunde bestätigt Umfang ✓", "Cost estimate updated", "Waiting for the customer’s signature",
)  # fmt: skip
_USE_CASES = (
    "AI Machine Learning and Analytics", "Business Applications & Contact Center", "Containers & Serverless", "Database",
    "Migration / Database Migration", "Security & Compliance", "Storage & Backup", "Edge Computing / End User Computing",
)  # fmt: skip
_DELIVERY = ("SaaS or PaaS", "BYOL or AMI", "Managed Services", "Professional Services", "Resell", "Other")
_NEEDS = (
    "Co-Sell - Architectural Validation", "Co-Sell - Business Presentation", "Co-Sell - Pricing Assistance",
    "Co-Sell - Technical Consultation", "Do Not Need Support from AWS Sales Rep",
)  # fmt: skip
_ACTIVITIES = (
    "Initialized discussions with customer", "Customer has shown interest in solution", "Conducted POC / Demo",
    "In evaluation / planning stage", "Agreed on solution to Business Problem", "SOW Signed",
)  # fmt: skip
_PROGRAMS = (
    "APN Immersion Days",
    "ISV Workload Migration",
    "Migration Acceleration Program",
    "Well-Architected",
    "WWPS NDPP",
    "P3",
)
_PRODUCTS = (
    "AmazonEC2",
    "AmazonS3",
    "AmazonRDS",
    "AWSLambda",
    "AmazonCloudFront",
    "AmazonEKS",
    "AWSBedrock",
    "AmazonRedshift",
)
_COMPETITORS = ("On-Prem", "Oracle Cloud", "Google Cloud Platform", "Microsoft Azure", "No Competition", "*Other")
_CHANNELS = ("AWS Marketing Central", "Content Syndication", "Email", "Live Event", "Search", "Social", "Virtual Event")
_MARKETING_USES = ("AI/ML", "Analytics", "Compute", "Databases", "Migration & Transfer", "Serverless")
_INDUSTRIES = {
    "Logistics": "Transportation & Logistics", "Foods": "Consumer Goods", "Robotics": "Manufacturing", "Textiles": "Retail",
    "Energy": "Energy - Power & Utilities", "Pharma": "Life Sciences", "Software": "Software & Internet",
    "Trading": "Wholesale & Distribution", "Bau": "Real Estate & Construction", "Maritime": "Transportation & Logistics",
    "Plastics": "Manufacturing", "Furniture": "Manufacturing", "Design": "Professional Services", "Garden": "Agriculture",
}  # fmt: skip
_SEGMENTS = ("Micro", "Small", "Medium", "Large", "Enterprise")
_FUND_PROGRAMS = (
    ("MAP", ("Assess", "Mobilize", "Migrate & Modernize")), ("MDF", ("Event", "Digital")), ("POC", ("POC",)),
    ("PIF", ("Partner Initiative",)), ("WMP", ("ISV Workload Migration",)), ("Jumpstart", ("Sandbox credits",)),
)  # fmt: skip
ROLES = ("Alliance Lead", "ACE Manager", "ACE User", "ACE User", "Funding Admin", "Finance", "Read Only")
STAFF = (("Ava Stone", "ava"), ("Noah Petrov", "noah"))


@dataclass(frozen=True)
class Amounts:
    """How many rows each table gets."""

    opportunity: int
    end_user: int
    funding_request: int
    users: int

    @classmethod
    def of(cls, opportunities: int, companies: int) -> "Amounts":
        """In the proportions of a real partner: 40 % as many funding requests as end users, and so on."""
        return cls(
            opportunities, max(companies, round(0.3 * opportunities)), max(1, round(0.2 * opportunities)),
            max(6, round(0.0075 * opportunities)),
        )  # fmt: skip


def opportunity_id(number: int) -> int:
    """Most ids count up; some are beyond 2^31 and one is beyond 2^53, which no double holds exactly."""
    if number == 11:
        return 2**53 + 12
    return 2**31 + number + 1 if number % 37 == 5 else number + 1


def money(value: float) -> Decimal:
    """Two digits, exactly."""
    return Decimal(round(value * 100)).scaleb(-2)


class Story:
    """Rows by number.

    Parameters:
        start: where the story stands; what was before counts back from there.
        amounts: how many rows there are, for references.
    """

    def __init__(self, world: World, start: datetime, amounts: Amounts) -> None:
        self.world, self.start, self.amounts = world, start, amounts
        self.block = min(5000, max(10, amounts.opportunity // 8))
        """Opportunities come in blocks of so many; every fourth was touched by one import, so its rows share one moment."""

    def before(self, days: float) -> datetime:
        """So many days before the start."""
        return self.start - timedelta(days=days)

    def import_moment(self, number: int) -> datetime | None:
        """When the import touched the `number`-th opportunity; None if none did."""
        block = number // self.block
        midnight = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=20 + block % 200) if block % 4 == 1 else None

    def staff(self, number: int) -> Row:
        """A colleague at the partner."""
        random = self.world.random("apn user", number)
        person = self.world.person(number)
        name, slug = (
            STAFF[number] if number < len(STAFF) else (person.name, f"{ascii_slug(person.name) or 'user'}{number}")
        )
        return {
            "id": number + 1, "email": f"{slug}@podium.example", "full_name": name if number != 4 else None,
            "partner_central_role": "Alliance Lead" if number == 0 else random.choice(ROLES),
            "is_active": random.random() < 0.9, "updated_at": self.before(30 + 500 * random.random()),
        }  # fmt: skip

    def end_user(self, number: int) -> Row:
        """A customer: the company of the same number, as somebody typed it in."""
        random = self.world.random("apn end_user", number)
        company = self.world.company(number)
        created = 60 + 660 * random.random()
        return {
            "id": number + 1, "company_name": self.world.alias(company.name, "apn", number), "legal_name": company.name,
            "website_url": f"https://www.{company.domain}" if random.random() < 0.9 else "",
            "duns": f"{random.randrange(10**8, 10**9)}" if random.random() < 0.6 else None,
            "industry": _INDUSTRIES.get(company.industry, "Other"),
            "industry_other": None if company.industry in _INDUSTRIES else company.industry,
            "segment": _SEGMENTS[min(4, len(str(company.employees)) - 1)], "country_code": company.country,
            "state_or_region": None, "city": company.city, "postal_code": company.zip, "street_address": company.street,
            "aws_account_id": f"{random.randrange(10**11, 10**12)}" if random.random() < 0.7 else None,
            "is_public_sector": random.choice((False,) * 8 + (True, None)), "partner_crm_account_id": f"{number + 1}",
            "created_at": self.before(created), "updated_at": self.before(created * random.random()),
        }  # fmt: skip

    def opportunity(self, number: int, moment: datetime | None = None) -> Row:
        """The deal of the same number, registered with AWS; as new at `moment` if given."""
        random = self.world.random("apn opportunity", number)
        deal = self.world.deal(number, self.start.year)
        company, person = self.world.company(deal.company), self.world.person(deal.person)
        created = moment or self.before(deal.age_days + 1)
        modified = moment or self.import_moment(number) or self.before(deal.age_days * random.random())
        created = min(created, modified)
        lost = deal.outcome == "lost" and moment is None
        stage = "Closed Lost" if lost else "Launched" if deal.outcome == "won" else STAGES[int(deal.course * 5)]
        stage = "Prospect" if moment else stage
        referral = random.random() < 0.25
        rep = self.world.person(random.randrange(200)).name
        owner = random.randrange(self.amounts.users)
        status = (
            "Submitted" if moment else random.choice(("Approved",) * 12 + ("In review", "Action Required", "Rejected"))
        )
        campaign = random.random() < 0.2
        software = random.random() < 0.3
        close = created.date() + timedelta(days=random.randrange(30, 300))
        mail = f"{ascii_slug(rep) or 'rep'}@amazon.example"
        return {
            "id": opportunity_id(number), "apn_opportunity_id": f"O{1_000_000 + number}",
            "partner_crm_unique_identifier": None if referral else f"{number + 1}", "spms_id": "1234567",
            "opportunity_ownership": "AWS Referral" if referral else "Partner Referral",
            "opportunity_type": random.choice(("Net New Business",) * 4 + ("Flat Renewal", "Expansion")),
            "status": "Pending Partner Input" if number == 17 else status, "stage": stage,  # 17: a value that the docs lack
            "partner_acceptance_status": random.choice(("Accepted", "Accepted", None)) if referral else None,
            "rejection_reason": "Next steps unclear" if status == "Rejected" else None,
            "closed_lost_reason": random.choice(LOST_REASONS) if lost else None,
            "apn_reviewer_comments": random.choice(COMMENTS) if status in ("Action Required", "Rejected") else None,
            "accept_by": created + timedelta(days=5) if referral else None, "partner_project_title": deal.title,
            "project_description": f"{company.name} wants to move {random.choice(_USE_CASES).lower()} workloads to AWS:\n"
            f"\t“{deal.title}”, decided by {person.name} ({person.role}).",
            "use_case": random.choice(_USE_CASES), "delivery_model": random.sample(_DELIVERY, random.randrange(1, 3)),
            "expected_monthly_aws_revenue": money(deal.amount / 12), "currency": "USD", "target_close_date": close,
            "next_step": random.choice(NEXT_STEPS), "next_step_history": f"{created:%Y-%m-%d}: registered",
            "partner_primary_need_from_aws": random.sample(_NEEDS, random.randrange(1, 3)),
            "sales_activities": random.sample(_ACTIVITIES, random.randrange(0, 4)),
            "apn_programs": random.sample(_PROGRAMS, random.randrange(0, 3)) if number % 9 else None,
            "solution_offered": [f"S-{1_000_000 + random.randrange(3)}"] if random.random() < 0.6 else [],
            "other_solution_offered": "Cloud, \"managed\"; {custom}" if random.random() < 0.1 else None,
            "aws_products": random.sample(_PRODUCTS, random.randrange(1, 5)),
            "marketplace_offers": [f"offer-{random.randrange(10**9):09d}"] if random.random() < 0.1 else None,
            "competitive_tracking": random.choice(_COMPETITORS), "competitive_tracking_other": None,
            "additional_comments": random.choice((None, "", "Renewal in sight", "Préférence: région Paris")),
            "is_from_marketing_activity": campaign, "marketing_campaign_name": "Spring of Cloud" if campaign else None,
            "marketing_activity_channel": [random.choice(_CHANNELS)] if campaign else None,
            "marketing_activity_use_case": random.sample(_MARKETING_USES, 2) if campaign else None,
            "is_mdf_funded": random.random() < 0.3 if campaign else None, "national_security": False,
            "parent_opportunity_id": f"O{1_000_000 + number // 2}" if number % 23 == 22 else None,
            "procurement_type": random.choice(("Contract", "Pay-as-you-go", "Subscription")) if software else None,
            "customer_software_value": money(random.uniform(1000, 90000)) if software else None,
            "customer_software_value_currency": "USD" if software else None,
            "contract_start_date": close if software else None,
            "contract_end_date": close + timedelta(days=365) if software else None, "end_user_id": company.number + 1,
            "customer_aws_account_id": f"{random.randrange(10**11, 10**12)}" if stage == "Launched" else None,
            "customer_contact_first_name": person.name.split(" ")[0],
            "customer_contact_last_name": person.name.rpartition(" ")[2], "customer_contact_email": person.email,
            "customer_contact_phone": person.phone, "customer_contact_title": person.role,
            "opportunity_owner_user_id": owner + 1, "partner_sales_contact_name": STAFF[number % 2][0],
            "partner_sales_contact_email": f"{STAFF[number % 2][1]}@podium.example",
            "aws_sales_rep_name": rep if random.random() < 0.6 else None, "aws_sales_rep_email": mail,
            "aws_account_owner_email": mail, "partner_development_manager_email": "pdm@amazon.example",
            "aws_stage": stage if random.random() < 0.5 else None,
            "aws_close_date": close if stage == "Launched" else None, "aws_closed_lost_reason": "Closed Lost" if lost else None,
            "engagement_score": random.choice(("Low", "Medium", "High", None)), "created_by": STAFF[number % 2][0],
            "created_date": created, "last_modified_by": random.choice((*[name for name, _ in STAFF], "AWS Integration")),
            "last_modified_date": modified,
        }  # fmt: skip

    def funding_request(self, number: int, moment: datetime | None = None) -> Row:
        """Money asked of AWS for an opportunity; as new at `moment` if given."""
        random = self.world.random("apn funding", number)
        deal = random.randrange(min(self.amounts.opportunity, 2000))
        company = self.world.company(self.world.deal(deal, self.start.year).company)
        program, kinds = random.choice(_FUND_PROGRAMS)
        stage = 0 if moment else random.randrange(len(FUNDING_STAGES))
        age = 5 + 300 * random.random()
        created = moment or self.before(age)
        updated = moment or self.before(age * random.random())
        kind = random.choice(("Cash", "Cash", "Credits", "Cash and Credits"))
        cost = random.uniform(8000, 240000)
        cash = money(cost * 0.25) if "Cash" in kind else None
        credit = money(cost * 0.15) if "Credits" in kind else None
        claimed = (cash or Decimal(0)) if stage == 7 else Decimal("0.00")
        begin = created.date() + timedelta(days=21)
        ends = begin + timedelta(days=random.choice((60, 90, 180)))
        status = "Completed" if stage == 7 else random.choice(("Active",) * 9 + ("Terminated", "Pending"))
        approved = stage >= 5
        return {
            "id": number + 1, "fund_request_id": f"FR-{number + 1:08d}",
            "benefit_application_id": f"benappl-{random.getrandbits(52):013x}", "program": program,
            "program_sub_type": random.choice(kinds), "funding_type": kind, "stage": FUNDING_STAGES[stage],
            "status": "Active" if moment else status, "status_reason": "Customer withdrew" if status == "Terminated" else None,
            "activity_name": f"{program} {company.name}", "business_description": f"{program} for {company.name}, {company.city}",
            "activity_type": random.choice(("Assessment", "Migration", "Event", "Proof of concept")),
            "activity_country": company.country, "region": random.choice(("EMEA", "AMER", "APJ")),
            "opportunity_id": opportunity_id(deal), "apn_opportunity_id": f"O{1_000_000 + deal}",
            "end_user_id": company.number + 1, "customer_name": self.world.alias(company.name, "apn", company.number),
            "customer_aws_account_id": f"{random.randrange(10**11, 10**12)}",
            "linked_aws_account_ids": [f"{random.randrange(10**11, 10**12)}" for _ in range(random.randrange(3))],
            "migration_phase": random.choice(("Assess", "Mobilize", "Migrate & Modernize")) if program == "MAP" else None,
            "map_engagement_id": f"MAP-{number:06d}" if program == "MAP" else None,
            "workload_type": random.choice(("Windows", "SAP", "Databases", "Storage", None)),
            "estimated_annual_recurring_revenue": money(cost * 3), "total_project_cost": money(cost),
            "partner_contribution": money(cost * 0.1), "customer_contribution": money(cost * 0.5),
            "requested_cash_amount": cash, "requested_credit_amount": credit,
            "approved_cash_amount": cash if approved else None, "approved_credit_amount": credit if approved else None,
            "claimed_amount": claimed, "remaining_amount": (cash or Decimal(0)) - claimed if approved else None,
            "currency": "USD", "usd_exchange_rate": Decimal(random.randrange(900000, 1300000)).scaleb(-6),
            "wallet_id": "wallet-1" if program == "MDF" else None, "wallet_name": "MDF" if program == "MDF" else None,
            "credit_code": f"CR{random.getrandbits(32):08X}" if approved and credit else None,
            "credit_status": random.choice(("Issued", "Redeemed")) if approved and credit else None,
            "purchase_order_number": f"PO{number:07d}" if approved and cash else None, "project_start_date": begin,
            "project_end_date": ends, "claim_due_date": ends + timedelta(days=30),
            "expiration_date": ends + timedelta(days=60), "aws_reviewer_name": self.world.person(random.randrange(50)).name,
            "tech_approver_name": None, "business_approver_name": self.world.person(50 + random.randrange(50)).name,
            "finance_approver_name": None, "sow_document_uri": f"s3://podium-sow/FR-{number + 1:08d}.pdf",
            "project_plan_document_uri": None, "partner_contact_user_id": random.randrange(self.amounts.users) + 1,
            "owner_user_id": random.randrange(self.amounts.users) + 1, "submitted_at": created if stage else None,
            "approved_at": updated if approved else None, "revision": random.randrange(1, 4), "created_at": created,
            "updated_at": updated,
        }  # fmt: skip

    def cash_claims(self, request: Row) -> Iterator[Row]:
        """The milestones of a cash request: none, one or two. Their ids count up with the request's."""
        random = self.world.random("apn claim", request["id"])
        if not request["requested_cash_amount"] or request["stage"] in FUNDING_STAGES[:5]:
            return
        for milestone in range(random.randrange(1, 3)):
            number = request["id"] * 2 - 1 + milestone
            reached = 5 if request["stage"] == "Completed" else random.randrange(5)
            planned = request["requested_cash_amount"]
            moment = request["updated_at"] - timedelta(hours=random.randrange(1, 200))
            approved = planned if reached >= 3 else None
            yield {
                "id": number, "cash_claim_id": f"CC-{number:08d}", "funding_request_id": request["id"],
                "benefit_allocation_id": f"benalloc-{random.getrandbits(52):013x}", "milestone_number": milestone + 1,
                "milestone_name": ("Kick-off", "Go-live")[milestone], "claim_status": CLAIM_STATUSES[reached],
                "claim_status_reason": None, "planned_amount": planned,
                "actual_cost_amount": planned + Decimal("0.01") if reached >= 2 else None,
                "claimed_amount": planned if reached >= 2 else None, "approved_amount": approved,
                "paid_amount": approved if reached == 5 else None, "currency": "USD",
                "planned_claim_date": request["project_end_date"], "claim_due_date": request["claim_due_date"],
                "submitted_at": moment if reached >= 2 else None, "approved_at": moment if reached >= 3 else None,
                "invoice_number": f"INV-{number:07d}" if reached >= 4 else None,
                "invoice_date": moment.date() if reached >= 4 else None,
                "purchase_order_number": request["purchase_order_number"],
                "payment_date": moment.date() if reached == 5 else None,
                "proof_document_uri": f"s3://podium-claims/CC-{number:08d}.pdf" if reached >= 2 else None,
                "submitted_by_user_id": request["owner_user_id"], "created_at": min(request["created_at"], moment),
                "updated_at": moment,
            }  # fmt: skip

    def history(self, request: Row) -> list[Row]:
        """What happened to a request until now, without ids."""
        random = self.world.random("apn history", request["id"])
        reached = FUNDING_STAGES.index(request["stage"])
        events = [{"event_type": "created", "to_stage": "Created", "to_status": "Active"}]
        if reached:
            events.append({"event_type": "submitted", "from_stage": "Created", "to_stage": "Created"})
        for stage in range(reached):
            events.append(stage_change(FUNDING_STAGES[stage], FUNDING_STAGES[stage + 1]))
            if random.random() < 0.7:
                events.append({"event_type": "comment", "comment": random.choice(COMMENTS)})
            if random.random() < 0.3:
                old, new = money(random.uniform(1000, 9000)), money(random.uniform(1000, 9000))
                events.append(
                    {
                        "event_type": "field_changed",
                        "field_name": "total_project_cost",
                        "old_value": f"{old}",
                        "new_value": f"{new}",
                    }
                )
        if request["status"] != "Active":
            events.append({"event_type": "status_changed", "from_status": "Active", "to_status": request["status"]})
        begin, span = request["created_at"], request["updated_at"] - request["created_at"]
        return [
            {
                "funding_request_id": request["id"], "sequence_no": place + 1, **event,
                "changed_by": self._who(random), "changed_at": begin + span * (place / max(1, len(events) - 1)),
            }
            for place, event in enumerate(events)
        ]  # fmt: skip

    def _who(self, random: Random) -> str | None:
        return random.choice((*[name for name, _ in STAFF], "AWS Partner Funding", None))


def stage_change(before: str, after: str) -> Row:
    """A history event."""
    return {"event_type": "stage_changed", "field_name": "stage", "old_value": before, "new_value": after,
            "from_stage": before, "to_stage": after}  # fmt: skip
