"""The columns of Partner Central's tables: what botocore's models of the answers say, under shorter names, and what we add.

What belongs here: names and types. What does not: how the tables are read.
"""

from resources.connectors.aws_columns import Prefixes, columns_of, output_shape
from resources.connectors.base import Column

SELLING, BENEFITS = "partnercentral-selling", "partnercentral-benefits"

CHANGED = Column("changed_at", "timestamp", "revlake", "latest change that lists tell of", path=("ChangedAt",))


def _columns(service: str, operation: str, prefixes: Prefixes | None = None) -> tuple[Column, ...]:
    return columns_of(output_shape(service, operation), prefixes=prefixes)


def _opportunity_columns() -> tuple[Column, ...]:
    own = _columns(SELLING, "GetOpportunity", {("Customer", "Account"): "customer", ("LifeCycle",): "", ("Project",): "",
                                               ("Customer", "Account", "Address"): "customer"})  # fmt: skip
    at = ("AwsOpportunitySummary",)
    prefixes = {at: "aws", (*at, "LifeCycle"): "aws", (*at, "Insights"): "aws", (*at, "Catalog"): None}
    return own + columns_of(output_shape(SELLING, "GetAwsOpportunitySummary"), at, prefixes)


def _solution_columns() -> tuple[Column, ...]:
    return columns_of(output_shape(SELLING, "ListSolutions").members["SolutionSummaries"].member)


def _lead_columns() -> tuple[Column, ...]:
    at = ("Payload", "LeadInvitation")
    invited = _columns(SELLING, "GetEngagementInvitation", {("Payload", "OpportunityInvitation"): None, at: "invited",
                                                            ("Receiver", "Account"): "receiver"})  # fmt: skip
    contexts = output_shape(SELLING, "GetEngagement").members["Contexts"].member
    lead = columns_of(contexts.members["Payload"].members["Lead"], ("Lead",))
    return (*invited, *lead, Column("other_leads", "json", "revlake", path=("OtherLeads",)), CHANGED)


def _engagement_columns() -> tuple[Column, ...]:
    return (*_columns(SELLING, "GetEngagement"), CHANGED)


def _application_columns() -> tuple[Column, ...]:
    return _columns(BENEFITS, "GetBenefitApplication")


def _allocation_columns() -> tuple[Column, ...]:
    return _columns(BENEFITS, "GetBenefitAllocation", {("FulfillmentDetail",): ""})


TABLES = {
    "opportunities": _opportunity_columns,
    "leads": _lead_columns,
    "solutions": _solution_columns,
    "engagements": _engagement_columns,
    "benefit_applications": _application_columns,
    "benefit_allocations": _allocation_columns,
}
"""Table -> what makes its columns."""

MODIFIED = {
    "opportunities": "LastModifiedDate",
    "leads": "ChangedAt",
    "engagements": "ChangedAt",
    "benefit_applications": "UpdatedAt",
    "benefit_allocations": "UpdatedAt",
}
