"""The read operations of AWS Marketplace: the catalog (rest-json) and the agreements (awsJson).

INVENTED where the model's prose leaves it open: pages of 20 without `MaxResults`, times compared strictly ("a date after").
"""

from typing import Any

import orjson

from sandbox.aws.market_story import ENTITY_TYPES, agreement_detail, entity_detail
from sandbox.aws.moments import parse
from sandbox.aws.selling import Parameters
from sandbox.aws.shop import Shop
from sandbox.aws.table import BadToken, Table, page
from sandbox.aws.wire import Answer, Refused, invalid
from sandbox.collection import Key

CATALOG = "AWSMarketplace"
_FILTERS = (
    "ResourceIdentifier", "ResourceType", "PartyType", "AcceptorAccountId", "OfferId", "OfferSetId", "Status", "BeforeEndTime",
    "AfterEndTime", "BeforeStartTime", "AfterStartTime", "BeforeLastUpdateTime", "AfterLastUpdateTime", "AgreementType",
    "EndTimeBehaviorType", "EndTimeBehaviorReasonCode", "InitialAgreementId", "LicenseArn",
)  # fmt: skip
_TIMES = {"EndTime": "endTime", "StartTime": "startTime", "LastUpdateTime": "lastUpdateTime"}


def _page(
    given: Parameters, table: Table, order: list[Key], names: tuple[str, str, str, str], descending: bool, accept: Any
) -> Answer:
    """`names`: operation, members for the result, the token and the page size. The last page has no token."""
    operation, result, token, size = names
    rest = {name: value for name, value in given.items() if name not in (token, size)}
    about = f"{operation} {orjson.dumps(rest, option=orjson.OPT_SORT_KEYS).decode()}"
    try:
        ids, following = page(order, given.get(size) or 20, given.get(token), about, descending, accept)
    except BadToken as error:
        raise invalid(token, "The pagination token is not valid.") from error
    texts = b",".join(table.summary_text(one) for one in ids)
    more = b',"%s":%s' % (token.encode(), orjson.dumps(following)) if following else b""
    return Answer(b'{"%s":[%s]%s}' % (result.encode(), texts, more), len(ids))


def _check_catalog(name: str, given: Parameters) -> None:
    if given.get(name) != CATALOG:
        raise invalid(name, f"The catalog must be {CATALOG}.")


def list_entities(shop: Shop, given: Parameters) -> Answer:
    """Entities of one type; the filters of that type only."""
    _check_catalog("Catalog", given)
    kind = given["EntityType"]
    if kind not in ENTITY_TYPES:
        raise invalid("EntityType", f"The entity type {kind} is not supported.")
    filters = given.get("EntityTypeFilters") or {}
    if filters and f"{kind}Filters" not in filters:
        raise invalid("EntityTypeFilters", f"The filters given are not those of {kind}.")
    narrow = filters.get(f"{kind}Filters") or {}
    window = (narrow.get("LastModifiedDate") or {}).get("DateRange") or {}
    lo, hi = window.get("AfterValue") or "", window.get("BeforeValue") or "9999"
    ids = (narrow.get("EntityId") or {}).get("ValueList")
    seen = (narrow.get("Visibility") or {}).get("ValueList")
    titles = (narrow.get("ProductTitle") or {}).get("ValueList")
    table = shop.products

    def accept(key: Any) -> bool:
        row = table.rows[key]
        described = row["DetailsDocument"]["Description"]
        return (
            row["EntityType"] == kind and lo <= row["LastModifiedDate"] <= hi and (not ids or key in ids)
            and (not seen or described["Visibility"] in seen) and (not titles or described["ProductTitle"] in titles)
        )  # fmt: skip

    sort = (given.get("EntityTypeSort") or {}).get(f"{kind}Sort") or given.get("Sort") or {}
    order = table.ordered(by if (by := sort.get("SortBy", "")) in table.sorts else "LastModifiedDate")
    names = ("ListEntities", "EntitySummaryList", "NextToken", "MaxResults")
    return _page(given, table, order, names, sort.get("SortOrder", "DESCENDING") == "DESCENDING", accept)


def describe_entity(shop: Shop, given: Parameters) -> Answer:
    """One entity with its document, once as JSON and once as text."""
    _check_catalog("Catalog", given)
    record = shop.products.rows.get(given["EntityId"].partition("@")[0])
    if record is None:
        raise Refused("ResourceNotFoundException", f"Requested entity {given['EntityId']} does not exist.")
    return Answer(orjson.dumps(entity_detail(record)))


def search_agreements(shop: Shop, given: Parameters) -> Answer:
    """Filters by name, one value each; `AgreementType` and `PartyType` must be among them."""
    _check_catalog("catalog", given)
    filters = {one.get("name"): (one.get("values") or [""])[0] for one in given.get("filters") or ()}
    if unknown := next((name for name in filters if name not in _FILTERS), None):
        raise invalid("filters", f"Filter {unknown} is not supported.")
    if filters.get("AgreementType") != "PurchaseAgreement" or filters.get("PartyType") not in ("Proposer", "Acceptor"):
        raise invalid("filters", "AgreementType PurchaseAgreement and a PartyType are required.")
    if filters["PartyType"] == "Acceptor":
        if any(name.endswith(("StartTime", "LastUpdateTime")) or name == "AcceptorAccountId" for name in filters):
            raise invalid("filters", "This combination of filters is not supported for an acceptor.")
        return Answer(b'{"agreementViewSummaries":[]}', 0)  # podium sells, and buys nothing
    bounds = []
    for name, member in _TIMES.items():
        for prefix, later in (("After", True), ("Before", False)):
            if f"{prefix}{name}" in filters:
                bounds.append((member, later, _time(filters[f"{prefix}{name}"])))
    table = shop.agreements

    def accept(key: Any) -> bool:
        row = table.rows[key]
        for member, later, bound in bounds:
            value = row[member]
            if value is None or not (value > bound if later else value < bound):
                return False
        return all(_holds(row, name, value) for name, value in filters.items())

    sort = given.get("sort") or {}
    by = f"{sort.get('sortBy', 'EndTime')[0].lower()}{sort.get('sortBy', 'EndTime')[1:]}"
    if by not in _TIMES.values():
        raise invalid("sort.sortBy", "Sorting is possible by EndTime, StartTime and LastUpdateTime.")
    order = table.ordered(f"{by[0].upper()}{by[1:]}")
    names = ("SearchAgreements", "agreementViewSummaries", "nextToken", "maxResults")
    return _page(given, table, order, names, sort.get("sortOrder", "DESCENDING") == "DESCENDING", accept)


def _time(text: str) -> float:
    try:
        return parse(text).timestamp()
    except ValueError as error:
        raise invalid("filters", f"{text} is no date.") from error


def _holds(row: dict[str, Any], name: str, value: str) -> bool:
    resource = row["proposalSummary"]["resources"][0]
    told = {
        "ResourceIdentifier": resource["id"], "ResourceType": resource["type"], "Status": row["status"],
        "AcceptorAccountId": row["acceptor"]["accountId"], "OfferId": row["proposalSummary"]["offerId"],
        "InitialAgreementId": row["initialAgreementId"], "LicenseArn": row["entitlements"][0]["licenseArn"],
        "EndTimeBehaviorType": row["endTimeBehavior"]["type"], "OfferSetId": None, "EndTimeBehaviorReasonCode": None,
    }  # fmt: skip
    return name not in told or told[name] == value


def _agreement(shop: Shop, given: Parameters) -> dict[str, Any]:
    record = shop.agreements.rows.get(given["agreementId"])
    if record is None:
        raise Refused("ResourceNotFoundException", f"Agreement {given['agreementId']} does not exist.")
    return record


def describe_agreement(shop: Shop, given: Parameters) -> Answer:
    """One agreement with its charges; when it changed, only SearchAgreements tells."""
    return Answer(orjson.dumps(agreement_detail(_agreement(shop, given))))


def get_agreement_terms(shop: Shop, given: Parameters) -> Answer:
    """What was agreed, in pages."""
    terms = shop.terms[_agreement(shop, given)["agreementId"]]
    size, token = given.get("maxResults") or 50, given.get("nextToken") or "0"
    if not token.isdigit() or int(token) >= max(1, len(terms)):
        raise invalid("nextToken", "The pagination token is not valid.")
    begin = int(token)
    answer: dict[str, Any] = {"acceptedTerms": terms[begin : begin + size]}
    if begin + size < len(terms):
        answer["nextToken"] = str(begin + size)
    return Answer(orjson.dumps(answer), len(answer["acceptedTerms"]))


def get_agreement_entitlements(shop: Shop, given: Parameters) -> Answer:
    """What the buyer may use."""
    record = _agreement(shop, given)
    resource = record["proposalSummary"]["resources"][0]
    held = [{"type": "SaaS", "status": "PROVISIONED" if record["status"] == "ACTIVE" else "DEPROVISIONED",
             "resource": resource, "licenseArn": one["licenseArn"]} for one in record["entitlements"]]  # fmt: skip
    return Answer(orjson.dumps({"agreementEntitlements": held}), len(held))
