"""The read operations of Partner Central: selling and benefits.

Parameters have been validated against the service model when these functions see them.
"""

from collections.abc import Callable
from typing import Any

import orjson

from sandbox.aws.moments import at_or_after, next_second
from sandbox.aws.shop import Catalog, Shop
from sandbox.aws.table import BadToken, Table, page
from sandbox.aws.wire import Answer, Refused, invalid
from sandbox.collection import Key

Parameters = dict[str, Any]
Accept = Callable[[Any], bool]


def catalog_of(shop: Shop, given: Parameters) -> Catalog:
    """The catalog that the request names."""
    found = shop.catalogs.get(given["Catalog"])
    if found is None:
        raise invalid("Catalog", f"The catalog {given['Catalog']} does not exist.")
    return found


def listing(
    given: Parameters,
    table: Table,
    order: list[Key],
    result: str,
    operation: str,
    descending: bool,
    accept: Accept | None,
) -> Answer:
    """One page of short forms, `null` as the last page's token (recorded)."""
    rest = {name: value for name, value in given.items() if name not in ("NextToken", "MaxResults")}
    about = f"{operation} {orjson.dumps(rest, option=orjson.OPT_SORT_KEYS).decode()}"
    try:
        ids, token = page(order, given.get("MaxResults") or 20, given.get("NextToken"), about, descending, accept)
    except BadToken as error:
        raise invalid("NextToken", "The provided NextToken is invalid or has expired.", "INVALID_VALUE") from error
    texts = b",".join(table.summary_text(one) for one in ids)
    return Answer(b'{"%s":[%s],"NextToken":%s}' % (result.encode(), texts, orjson.dumps(token)), len(ids))


def _sorted(given: Parameters, table: Table, by: str, descending: bool) -> tuple[list[Key], bool]:
    sort = given.get("Sort") or {}
    return table.ordered(sort.get("SortBy", by)), sort.get(
        "SortOrder", "DESCENDING" if descending else ""
    ) == "DESCENDING"


def _any_of(table: Table, filters: dict[str, tuple[Any, Callable[[Any], Any]]]) -> Accept | None:
    """A record passes if, for every filter that names values, its own is among them."""
    active = [(frozenset(values), read) for values, read in filters.values() if values]
    if not active:
        return None
    return lambda key: all(read(table.rows[key]) in values for values, read in active)


def _both(first: Accept | None, second: Accept | None) -> Accept | None:
    if first is None or second is None:
        return first or second
    return lambda key: first(key) and second(key)


# -- selling -------------------------------------------------------------------------------------------------------------


def list_opportunities(shop: Shop, given: Parameters) -> Answer:
    """Windows include both ends ("on or after"); INVENTED: that the upper end counts in, too."""
    table = catalog_of(shop, given).opportunities
    order, descending = _sorted(given, table, "LastModifiedDate", True)
    window = given.get("LastModifiedDate") or {}
    after, before = window.get("AfterLastModifiedDate"), window.get("BeforeLastModifiedDate")
    lo = at_or_after(after) if after is not None else None
    hi = next_second(before) if before is not None else None
    moved: Accept | None = None
    if (given.get("Sort") or {}).get("SortBy", "LastModifiedDate") == "LastModifiedDate":
        order = table.between(lo, hi)
    elif lo is not None or hi is not None:
        moved = _within(table, "LastModifiedDate", lo, hi)
    born = given.get("CreatedDate") or {}
    after, before = born.get("AfterCreatedDate"), born.get("BeforeCreatedDate")
    if after is not None or before is not None:
        lo, hi = at_or_after(after) if after is not None else None, next_second(before) if before is not None else None
        moved = _both(moved, _within(table, "CreatedDate", lo, hi))
    close = given.get("TargetCloseDate") or {}
    if close:
        first, last = close.get("AfterTargetCloseDate") or "", close.get("BeforeTargetCloseDate") or "9999"
        moved = _both(
            moved, lambda key: first <= (table.rows[key]["LifeCycle"] or {}).get("TargetCloseDate", "") <= last
        )
    named = _any_of(table, {
        "Identifier": (given.get("Identifier"), lambda row: row["Id"]),
        "LifeCycleStage": (given.get("LifeCycleStage"), lambda row: (row["LifeCycle"] or {}).get("Stage")),
        "LifeCycleReviewStatus": (
            given.get("LifeCycleReviewStatus"), lambda row: (row["LifeCycle"] or {}).get("ReviewStatus")),
        "CustomerCompanyName": (given.get("CustomerCompanyName"), lambda row: row["Customer"]["Account"]["CompanyName"]),
    })  # fmt: skip
    accept = _both(moved, named)
    return listing(given, table, order, "OpportunitySummaries", "ListOpportunities", descending, accept)


def _within(table: Table, name: str, lo: str | None, hi: str | None) -> Accept:
    return lambda key: (lo or "") <= (table.rows[key][name] or "") < (hi or "9999")


def get_opportunity(shop: Shop, given: Parameters) -> Answer:
    """One opportunity, whole."""
    return _get(catalog_of(shop, given).opportunities, given["Identifier"], "Opportunity")


def get_aws_opportunity_summary(shop: Shop, given: Parameters) -> Answer:
    """AWS's side of one opportunity."""
    return _get(catalog_of(shop, given).aws_summaries, given["RelatedOpportunityIdentifier"], "Opportunity")


def _get(table: Table, identifier: str, kind: str) -> Answer:
    key = identifier.rpartition("/")[2] if identifier.startswith("arn:") else identifier
    if key not in table.rows:
        raise Refused("ResourceNotFoundException", f"{kind} {identifier} was not found.")
    return Answer(table.text(key))


def list_solutions(shop: Shop, given: Parameters) -> Answer:
    """There is no filter by modification: solutions are listed whole."""
    table = catalog_of(shop, given).solutions
    order, descending = _sorted(given, table, "Identifier", False)
    accept = _any_of(table, {name: (given.get(name), lambda row, name=name: row[{"Identifier": "Id"}.get(name, name)])
                             for name in ("Status", "Identifier", "Category")})  # fmt: skip
    return listing(given, table, order, "SolutionSummaries", "ListSolutions", descending, accept)


def list_engagements(shop: Shop, given: Parameters) -> Answer:
    """Filters by who made it and what it is about."""
    table = catalog_of(shop, given).engagements
    order, descending = _sorted(given, table, "CreatedDate", True)
    makers, not_makers = given.get("CreatedBy"), given.get("ExcludeCreatedBy") or ()
    kinds, not_kinds = given.get("ContextTypes"), set(given.get("ExcludeContextTypes") or ())
    names = given.get("EngagementIdentifier")

    def accept(key: Any) -> bool:
        row = table.rows[key]
        about = {context["Type"] for context in row["Contexts"]}
        return (
            (not names or row["Id"] in names or row["Arn"] in names)
            and (not makers or row["CreatedBy"] in makers) and row["CreatedBy"] not in not_makers
            and (not kinds or bool(about & set(kinds))) and not about & not_kinds
        )  # fmt: skip

    narrowed = accept if any(given.get(name) for name in (
        "CreatedBy", "ExcludeCreatedBy", "ContextTypes", "ExcludeContextTypes", "EngagementIdentifier")) else None  # fmt: skip
    return listing(given, table, order, "EngagementSummaryList", "ListEngagements", descending, narrowed)


def get_engagement(shop: Shop, given: Parameters) -> Answer:
    """One engagement with its contexts."""
    return _get(catalog_of(shop, given).engagements, given["Identifier"], "Engagement")


def list_engagement_members(shop: Shop, given: Parameters) -> Answer:
    """Who takes part; ten at the most, so there is one page."""
    catalog, key = catalog_of(shop, given), given["Identifier"].rpartition("/")[2]
    if key not in catalog.members:
        raise Refused("ResourceNotFoundException", f"Engagement {given['Identifier']} was not found.")
    members = catalog.members[key]
    return Answer(orjson.dumps({"EngagementMemberList": members, "NextToken": None}), len(members))


def list_engagement_invitations(shop: Shop, given: Parameters) -> Answer:
    """Those that podium received, or those that it sent."""
    catalog = catalog_of(shop, given)
    table, ours = catalog.invitations, "111111111111"
    order, descending = _sorted(given, table, "InvitationDate", True)
    sender = given["ParticipantType"] == "SENDER"
    named = _any_of(table, {
        "PayloadType": (given.get("PayloadType"), lambda row: row["PayloadType"]),
        "Status": (given.get("Status"), lambda row: row["Status"]),
        "EngagementIdentifier": (given.get("EngagementIdentifier"), lambda row: row["EngagementId"]),
        "SenderAwsAccountId": (given.get("SenderAwsAccountId"), lambda row: row["SenderAwsAccountId"]),
    })  # fmt: skip
    accept = _both(lambda key: (table.rows[key]["SenderAwsAccountId"] == ours) == sender, named)
    operation = "ListEngagementInvitations"
    return listing(given, table, order, "EngagementInvitationSummaries", operation, descending, accept)


def get_engagement_invitation(shop: Shop, given: Parameters) -> Answer:
    """One invitation with its payload."""
    return _get(catalog_of(shop, given).invitations, given["Identifier"], "EngagementInvitation")


# -- benefits ------------------------------------------------------------------------------------------------------------


def list_benefit_applications(shop: Shop, given: Parameters) -> Answer:
    """No filter by modification, either; INVENTED: in the order of the ids."""
    table = catalog_of(shop, given).applications
    status, programs = given.get("Status"), given.get("Programs")
    kinds, resources = given.get("FulfillmentTypes"), given.get("AssociatedResourceArns")

    def accept(key: Any) -> bool:
        row = table.rows[key]
        return (
            (not status or row["Status"] in status) and (not programs or bool(set(programs) & set(row["Programs"])))
            and (not kinds or bool(set(kinds) & set(row["FulfillmentTypes"])))
            and (not resources or bool(set(resources) & set(row["AssociatedResources"])))
        )  # fmt: skip

    return _benefits(given, table, "BenefitApplicationSummaries", "ListBenefitApplications", accept)


def list_benefit_allocations(shop: Shop, given: Parameters) -> Answer:
    """The short form tells neither the amounts nor when it changed."""
    table = catalog_of(shop, given).allocations
    accept = _any_of(table, {
        "Status": (given.get("Status"), lambda row: row["Status"]),
        "FulfillmentTypes": (given.get("FulfillmentTypes"), lambda row: row["FulfillmentType"]),
        "BenefitApplicationIdentifiers": (
            given.get("BenefitApplicationIdentifiers"), lambda row: row["BenefitApplicationId"]),
    })  # fmt: skip
    return _benefits(given, table, "BenefitAllocationSummaries", "ListBenefitAllocations", accept)


def _benefits(given: Parameters, table: Table, result: str, operation: str, accept: Accept | None) -> Answer:
    return listing(given, table, table.ordered("Id"), result, operation, False, accept)


def get_benefit_application(shop: Shop, given: Parameters) -> Answer:
    """One application with its details."""
    return _get(catalog_of(shop, given).applications, given["Identifier"], "BenefitApplication")


def get_benefit_allocation(shop: Shop, given: Parameters) -> Answer:
    """One allocation with its amounts."""
    return _get(catalog_of(shop, given).allocations, given["Identifier"], "BenefitAllocation")
