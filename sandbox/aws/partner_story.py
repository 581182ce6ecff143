"""What podium has in Partner Central: its opportunities, solutions, engagements, invitations and benefits, record by record.

Each maker is a function of the story's number and a moment; what happens to the records later is told in `living`.
INVENTED: every value beyond the recorded examples; the shapes are the service model's, the nulls as recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sandbox.aws.moments import iso, nanos
from sandbox.aws.services import complete, operation
from sandbox.collection import Record
from sandbox.world import Company, Person, World

ACCOUNT = "111111111111"
SELLING, BENEFITS = "partnercentral-selling", "partnercentral-benefits"
STAGES = ("Prospect", "Qualified", "Technical Validation", "Business Validation", "Committed", "Launched")
AWS_STAGES = {"Prospect": "Prospect", "Qualified": "Qualified", "Technical Validation": "Technical Validation",
              "Business Validation": "Business Validation", "Committed": "Committed", "Launched": "Launched",
              "Closed Lost": "Closed Lost"}  # fmt: skip
UNSEEN_STAGE = "Strategic Review"
"""INVENTED: a stage that the published enum does not have, as services add values without notice."""
INDUSTRIES = {
    "Logistics": "Transportation and Logistics", "Foods": "Consumer Goods", "Robotics": "Manufacturing",
    "Textiles": "Consumer Goods", "Energy": "Energy - Power and Utilities", "Pharma": "Life Sciences",
    "Software": "Software and Internet", "Furniture": "Retail", "Design": "Marketing and Advertising",
    "Trading": "Wholesale and Distribution", "Bau": "Real Estate and Construction", "Optics": "Computers and Electronics",
    "Plastics": "Manufacturing", "Maritime": "Transportation and Logistics", "Analytics": "Professional Services",
    "Garden": "Agriculture",
}  # fmt: skip
USE_CASES = ("Database", "Migration / Database Migration", "Big Data", "Security & Compliance", "Containers & Serverless",
             "Business Applications & Contact Center")  # fmt: skip
OWNERS = (("Ava", "Stone", "ava@podium.example"), ("Noah", "Petrov", "noah@podium.example"))
AWS_TEAM = (("AWSSalesRep", "Dana", "Whitfield"), ("AWSAccountOwner", "Omar", "Haddad"), ("PDM", "Lucie", "Brandt"),
            ("PSM", "Tariq", "Mensah"))  # fmt: skip
PROGRAMS = ("MAP", "MDF", "POC", "ISV_WMP")
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


def short_id(random: Random, length: int = 14) -> str:
    """The random part of an engagement's or benefit's id."""
    return "".join(random.choices(_LETTERS, k=length))


def _filled(service: str, name: str, record: Record) -> Record:
    return complete(operation(service, name).output_shape, record)


@dataclass(frozen=True)
class Partner:
    """Makes podium's Partner Central records.

    `catalog`: AWS or Sandbox; the two are separate worlds at AWS, too.
    """

    world: World
    start: datetime
    catalog: str = "AWS"

    def random(self, kind: str, number: int | str) -> Random:
        """A generator of its own for one record."""
        return self.world.random(f"{self.catalog} {kind}", number)

    def arn(self, kind: str, record_id: str, account: str = "") -> str:
        """The record's resource name."""
        return f"arn:aws:partnercentral:us-east-1:{account}:catalog/{self.catalog}/{kind}/{record_id}"

    def company_name(self, company: Company) -> str:
        """The customer's name as podium's people typed it here."""
        return self.world.alias(company.name, "partner_central", company.number)

    # -- opportunities -------------------------------------------------------------------------------------------------

    def opportunity_id(self, number: int) -> str:
        """Seven digits; two of the ids don't fit 32 and 53 bits."""
        digits = {5: 3_000_000_005, 6: 9_007_199_254_740_995}.get(number, 1_000_003 + number * 17)
        return f"O{digits}"

    def opportunity(self, number: int, created: datetime, modified: datetime, stage: str | None = None) -> Record:
        """`number`: of the story's deal. Without a stage, as far as the deal went."""
        deal = self.world.deal(number, self.start.year)
        company, person = self.world.company(deal.company), self.world.person(deal.person)
        random = self.random("opportunity", number)
        if stage is None:
            stage = {"won": "Launched", "lost": "Closed Lost"}.get(deal.outcome) or STAGES[int(deal.course * 5)]
        if number % 400 == 17:
            stage = UNSEEN_STAGE
        owner = random.choice(OWNERS)
        history = [{"Value": f"Call with {person.name}", "Time": iso(created)}] if random.random() < 0.3 else None
        sponsored = random.random() < 0.2
        record: dict[str, Any] = {
            "Catalog": self.catalog, "Id": self.opportunity_id(number), "CreatedDate": iso(created),
            "Arn": self.arn("opportunity", self.opportunity_id(number), ACCOUNT) if number % 2 else None,
            "LastModifiedDate": iso(modified), "OpportunityType": random.choice(("Net New Business",) * 3 + ("Expansion",)),
            "PartnerOpportunityIdentifier": str(number + 1) if random.random() < 0.8 else None, "NationalSecurity": "No",
            "PrimaryNeedsFromAws": random.choice((None, ["Co-Sell - Deal Support"], ["Co-Sell - Technical Consultation"])),
            "Customer": self._customer(company, person, number, random),
            "Project": self._project(deal.amount, company, number, random),
            "LifeCycle": {
                "Stage": stage, "ClosedLostReason": "Customer Deficiency" if stage == "Closed Lost" else None,
                "NextSteps": random.choice((None, "", "Send the proposal", "Schedule workshop — día 3")),
                "TargetCloseDate": f"{self.start + timedelta(days=random.randrange(120)):%Y-%m-%d}",
                "ReviewStatus": "Submitted" if stage == "Prospect" and random.random() < 0.4 else "Approved",
                "NextStepsHistory": history,
            },
            "Marketing": {"Source": "Marketing Activity" if sponsored else "None", "AwsFundingUsed": "Yes" if sponsored else None,
                          "Channels": ["Email"] if sponsored else None},
            "OpportunityTeam": [{"FirstName": owner[0], "LastName": owner[1], "Email": owner[2],
                                 "BusinessTitle": "OpportunityOwner"}],
            "RelatedEntityIdentifiers": {"Solutions": [self.solution_id(random.randrange(4))], "AwsProducts": ["AmazonEC2"]},
        }  # fmt: skip
        if random.random() < 0.25:
            record["SoftwareRevenue"] = {
                "DeliveryModel": random.choice(("Contract", "Subscription")),
                "Value": {"Amount": f"{deal.amount * 12:.2f}", "CurrencyCode": "USD"},
                "EffectiveDate": f"{created:%Y-%m-%d}", "ExpirationDate": f"{created + timedelta(days=365):%Y-%m-%d}",
            }  # fmt: skip
        return _filled(SELLING, "GetOpportunity", record)

    def _customer(self, company: Company, person: Person, number: int, random: Random) -> Record:
        given, _, family = person.name.partition(" ")
        phone = "+" + "".join(letter for letter in person.phone if letter.isdigit())
        contact = {"Email": person.email, "FirstName": given, "LastName": family or None, "BusinessTitle": person.role,
                   "Phone": phone if random.random() < 0.7 else None}  # fmt: skip
        account = {
            "CompanyName": None if number % 500 == 23 else self.company_name(company),  # the docs promise one
            "Industry": INDUSTRIES[company.industry], "WebsiteUrl": f"www.{company.domain}", "Duns": None,
            "AwsAccountId": payer_account(self.world, company.number) if random.random() < 0.5 else None,
            "Address": {"City": company.city if random.random() < 0.8 else None, "PostalCode": company.zip,
                        "StateOrRegion": None, "CountryCode": company.country, "StreetAddress": company.street},
        }  # fmt: skip
        return {"Account": account, "Contacts": [contact] if random.random() < 0.8 else []}

    def _project(self, amount: float, company: Company, number: int, random: Random) -> Record:
        monthly = f"{amount / 12:.2f}" if number % 3 else str(int(amount / 12))
        spend = {"Amount": monthly, "CurrencyCode": "USD", "Frequency": "Monthly", "TargetCompany": "AWS"}
        return {
            "Title": f"AWS migration {company.name}", "DeliveryModels": random.choice((None, ["Managed Services"], ["Resell"])),
            "ExpectedCustomerSpend": [spend] if random.random() < 0.95 else None,
            "CustomerBusinessProblem": f"{company.name} runs its {company.industry} systems in a data centre whose lease ends.",
            "CustomerUseCase": random.choice(USE_CASES), "SalesActivities": ["Initialized discussions with customer"],
            "CompetitorName": random.choice((None, None, "On-Prem", "*Other")),
            "ApnPrograms": ["Migration Acceleration Program"] if random.random() < 0.2 else None,
        }  # fmt: skip

    def aws_summary(self, number: int, opportunity: Record) -> Record:
        """What AWS's own people add to an opportunity."""
        random = self.random("aws summary", number)
        stage = opportunity["LifeCycle"]["Stage"]
        team = [{"BusinessTitle": title, "FirstName": first, "LastName": last, "Email": f"{first.lower()}@amazon.example"}
                for title, first, last in random.sample(AWS_TEAM, random.randrange(4))]  # fmt: skip
        seen = random.random() < 0.7
        record: dict[str, Any] = {
            "Catalog": self.catalog, "RelatedOpportunityId": opportunity["Id"], "Visibility": "Full",
            "Origin": "AWS Referral" if random.random() < 0.3 else "Partner Referral", "OpportunityTeam": team,
            "InvolvementType": random.choice(("Co-Sell", "For Visibility Only")),
            "LifeCycle": {"Stage": AWS_STAGES.get(stage, "In Progress"), "NextSteps": None,
                          "TargetCloseDate": opportunity["LifeCycle"]["TargetCloseDate"]} if seen else None,
            "Insights": {"EngagementScore": random.choice(("High", "Medium", "Low")),
                         "NextBestActions": "Share a reference architecture"} if seen else None,
            "RelatedEntityIds": {"AwsProducts": [], "Solutions": opportunity["RelatedEntityIdentifiers"]["Solutions"]},
            "Customer": {"Contacts": opportunity["Customer"]["Contacts"]},
            "Project": {"ExpectedCustomerSpend": opportunity["Project"]["ExpectedCustomerSpend"]},
        }  # fmt: skip
        return _filled(SELLING, "GetAwsOpportunitySummary", record)

    # -- solutions -----------------------------------------------------------------------------------------------------

    def solution_id(self, number: int) -> str:
        """As recorded: `S-0000000`."""
        return f"S-{number:07d}"

    def solution(self, number: int, created: datetime) -> Record:
        """What podium sells; every seventh without the category that the docs promise (recorded)."""
        random = self.random("solution", number)
        name = random.choice(
            ("Landing Zone", "Managed Kubernetes", "Data Lake in a Box", "Migration Factory", "FinOps Watch")
        )
        record = {
            "Catalog": self.catalog, "Id": self.solution_id(number), "Name": f"{name} {number + 1}",
            "Status": random.choice(("Active",) * 4 + ("Inactive", "Draft")), "CreatedDate": iso(created),
            "Category": None if number % 7 == 1 else random.choice(("Software Product", "Consulting Service")),
        }  # fmt: skip
        shape: Any = operation(SELLING, "ListSolutions").output_shape
        return complete(shape.members["SolutionSummaries"].member, record)

    # -- engagements and invitations -----------------------------------------------------------------------------------

    def engagement(self, number: int, created: datetime, lead: Record | None = None) -> Record:
        """Somewhere podium works together with AWS: about a customer's project or, after an accepted invitation, a lead."""
        random = self.random("engagement", number)
        record_id = f"eng-{short_id(random)}"
        if lead is None:
            company = self.world.company(random.randrange(self.world.companies))
            customer = {"CompanyName": self.company_name(company), "CountryCode": company.country,
                        "Industry": INDUSTRIES[company.industry], "WebsiteUrl": company.domain}  # fmt: skip
            project = {"BusinessProblem": f"{company.name} wants its {company.industry} data in one place.",
                       "TargetCompletionDate": f"{created + timedelta(days=200):%Y-%m-%d}",
                       "Title": f"Project {number}"}  # fmt: skip
            context = {
                "Type": "CustomerProject",
                "Payload": {"CustomerProject": {"Customer": customer, "Project": project}},
            }
        else:
            context = {"Type": "Lead", "Payload": {"Lead": lead}}
        return {
            "Id": record_id, "Arn": self.arn("engagement", record_id), "Title": f"Engagement {number}",
            "Description": "Joint pursuit", "CreatedAt": nanos(created), "CreatedBy": ACCOUNT if number % 2 else "aws",
            "MemberCount": 1 + number % 2, "Contexts": [context],
        }  # fmt: skip

    def members(self, number: int) -> list[Record]:
        """Who takes part in an engagement."""
        ours = {"AccountId": ACCOUNT, "CompanyName": "Podium Cloud Ltd", "WebsiteUrl": "http://www.podium.example/"}
        theirs = {"AccountId": "aws", "CompanyName": "AWS", "WebsiteUrl": "http://aws.amazon.com/"}
        return [ours, theirs][: 1 + number % 2]

    def lead(self, person: Person, qualification: str, moment: datetime) -> Record:
        """The context that an accepted lead invitation becomes."""
        company = self.world.company(person.company)
        given, _, family = person.name.partition(" ")
        interaction = {
            "SourceType": "Campaign", "SourceName": "Migration days", "Usecase": "Migration", "InteractionDate": nanos(moment),
            "Contact": {"BusinessTitle": person.role, "Email": person.email, "FirstName": given, "LastName": family or "-"},
        }  # fmt: skip
        customer = {
            "CompanyName": self.company_name(company), "Industry": INDUSTRIES[company.industry], "WebsiteUrl": company.domain,
            "Address": {"City": company.city, "PostalCode": company.zip, "CountryCode": company.country},
            "MarketSegment": "Enterprise" if company.employees > 200 else "Small and Medium Business",
        }  # fmt: skip
        return {"QualificationStatus": qualification, "Customer": customer, "Interactions": [interaction],
                "Insights": {"LeadReadinessScore": "High" if company.employees > 100 else "Low"}}  # fmt: skip

    def invitation(self, number: int, sent: datetime, status: str, engagement: Record | None) -> Record:
        """Two in three are leads, the others opportunities; every ninth was sent by podium itself."""
        random = self.random("invitation", number)
        person = self.lead_person(number)
        company = self.world.company(person.company)
        record_id = f"engi-{short_id(random, 13)}"
        ours = number % 9 == 8
        customer = {"CompanyName": self.company_name(company), "CountryCode": company.country,
                    "Industry": INDUSTRIES[company.industry], "WebsiteUrl": f"www.{company.domain}"}  # fmt: skip
        if self.is_lead(number):
            interaction = {"SourceType": "Campaign", "SourceName": "Migration days", "Usecase": "Migration",
                           "ContactBusinessTitle": person.role}  # fmt: skip
            payload: Record = {"LeadInvitation": {"Customer": customer, "Interaction": interaction}}
        else:
            spend = {"Amount": "12500", "CurrencyCode": "USD", "Frequency": "Monthly", "TargetCompany": "AWS"}
            project = {"BusinessProblem": "The customer outgrows its own servers.", "Title": f"Project {number}",
                       "TargetCompletionDate": f"{sent + timedelta(days=300):%Y-%m-%d}",
                       "ExpectedCustomerSpend": [spend]}  # fmt: skip
            payload = {
                "OpportunityInvitation": {"Customer": customer, "Project": project, "ReceiverResponsibilities": None}
            }
        record = {
            "Id": record_id, "Arn": self.arn("engagement-invitation", record_id), "Catalog": self.catalog,
            "PayloadType": next(iter(payload)), "Payload": payload, "Status": status, "InvitationDate": iso(sent),
            "ExpirationDate": iso(sent + timedelta(days=7)), "EngagementTitle": f"Lead {number}",
            "EngagementId": engagement["Id"] if engagement else None, "SenderAwsAccountId": ACCOUNT if ours else "aws",
            "SenderCompanyName": "Podium Cloud Ltd" if ours else "AWS",
            "Receiver": {"Account": {"Alias": "Podium Cloud Ltd", "AwsAccountId": "222222222222" if ours else ACCOUNT}},
        }  # fmt: skip
        return _filled(SELLING, "GetEngagementInvitation", record)

    def is_lead(self, number: int) -> bool:
        """Whether the invitation of this number is about a lead."""
        return number % 3 != 2

    def lead_person(self, number: int) -> Person:
        """Whom it is about."""
        return self.world.person(self.random("lead person", number).randrange(self.world.companies * 2))

    # -- benefits ------------------------------------------------------------------------------------------------------

    def application(self, number: int, created: datetime, updated: datetime, status: str, opportunity: str) -> Record:
        """A request for funding; podium's Odoo has it under `FR-...`."""
        random = self.random("benefit application", number)
        record_id = f"benappl-{short_id(random)}"
        program = PROGRAMS[number % len(PROGRAMS)]
        return {
            "Id": record_id, "Arn": self.arn("benefit-application", record_id, ACCOUNT), "Catalog": self.catalog,
            "BenefitId": f"ben-{program.lower().replace('_', '')}{'0' * 14}"[:18], "Name": f"{program} {number + 1}",
            "Description": f"Funding for {program}", "FulfillmentTypes": [random.choice(("CASH", "CREDITS"))],
            "Programs": [program], "Status": status, "Stage": "Business Approval", "Revision": "1",
            "CreatedAt": iso(created), "UpdatedAt": iso(updated),
            "BenefitApplicationDetails": {"RequestReference": f"FR-{number + 1:06d}", "Currency": "USD",
                                          "RequestedAmount": f"{random.uniform(2000, 60000):.2f}"},
            "AssociatedResources": [self.arn("opportunity", opportunity, ACCOUNT)],
            "PartnerContacts": [{"Email": OWNERS[1][2], "FirstName": OWNERS[1][0], "LastName": OWNERS[1][1]}],
        }  # fmt: skip

    def allocation(self, number: int, application: Record, created: datetime) -> Record:
        """What AWS granted on an application: money paid out, or credits."""
        random = self.random("benefit allocation", number)
        record_id = f"benalloc-{short_id(random)}"
        asked = float(application["BenefitApplicationDetails"]["RequestedAmount"])
        money = {"Amount": f"{asked * random.uniform(0.5, 1):.2f}", "CurrencyCode": "USD"}
        if application["FulfillmentTypes"] == ["CASH"]:
            issued = {"IssuanceId": f"iss-{number}", "IssuanceAmount": money, "IssuedAt": iso(created)}
            detail: Record = {"DisbursementDetails": {"DisbursedAmount": money, "IssuanceDetails": issued}}
        else:
            code = {"AwsAccountId": payer_account(self.world, number % self.world.companies), "Value": money, "Status": "ACTIVE",
                    "AwsCreditCode": f"PC{random.randrange(10**9):09d}", "IssuedAt": iso(created),
                    "ExpiresAt": iso(created + timedelta(days=365))}  # fmt: skip
            detail = {"CreditDetails": {"AllocatedAmount": money, "IssuedAmount": money, "Codes": [code]}}
        return {
            "Id": record_id, "Catalog": self.catalog, "Arn": self.arn("benefit-allocation", record_id, ACCOUNT),
            "Name": f"{application['Name']} grant", "Status": "ACTIVE", "BenefitApplicationId": application["Id"],
            "BenefitId": application["BenefitId"], "FulfillmentType": application["FulfillmentTypes"][0],
            "FulfillmentDetail": detail, "CreatedAt": iso(created), "UpdatedAt": iso(created),
            "ExpiresAt": iso(created + timedelta(days=365)),
        }  # fmt: skip


def payer_account(world: World, company: int) -> str:
    """The company's own AWS account, the same that podium's Odoo knows (`sandbox/odoo/seed_podium.py` draws it in this order)."""
    random = world.random("aws account", company)
    random.random()  # how many accounts
    random.random()  # since when
    random.randrange(1_000_000)
    random.random()
    random.randrange(1_000_000)
    return f"{random.randrange(10**11, 10**12)}"


def opportunity_summary(record: Record) -> Record:
    """The short form of `ListOpportunities`: amounts with a decimal point there, as recorded (`531` is listed as `531.0`)."""
    account, cycle, project = record["Customer"]["Account"], record["LifeCycle"] or {}, record["Project"] or {}
    spend = project.get("ExpectedCustomerSpend")
    named = [
        "Catalog",
        "Id",
        "Arn",
        "PartnerOpportunityIdentifier",
        "OpportunityType",
        "LastModifiedDate",
        "CreatedDate",
    ]
    address = account.get("Address") or {}
    return {
        **{name: record[name] for name in named},
        "LifeCycle": {name: item for name, item in cycle.items() if name != "NextStepsHistory"},
        "Customer": {"Account": {
            **{name: account[name] for name in ("Industry", "OtherIndustry", "CompanyName", "WebsiteUrl")},
            "Address": {name: item for name, item in address.items() if name != "StreetAddress"},
        }},
        "Project": {
            "DeliveryModels": project.get("DeliveryModels"),
            "ExpectedCustomerSpend": spend and [{**one, "Amount": f"{float(one['Amount'] or 0)}"} for one in spend],
        },
    }  # fmt: skip


def members_of(service: str, name: str, listed: str) -> Callable[[Record], Record]:
    """The short form that a listing gives: the members that its model has, where the record has them."""
    shape: Any = operation(service, name).output_shape
    names = tuple(shape.members[listed].member.members)
    return lambda record: {name: record[name] for name in names if name in record}
