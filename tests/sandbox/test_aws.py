"""The stand-in for AWS against AWS's own recorded answers and service models, asked by unmodified boto3 clients."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from sandbox.aws.limits import Limit
from sandbox.aws.services import operation, validate
from sandbox.aws.source import OPERATIONS
from sandbox.aws.wire import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from sandbox.server import Sandbox, running

RECORDED = json.loads((Path(__file__).parent / "data/partner_central.json").read_text())
START = "2026-11-14"
Clients = Callable[..., Any]


def connect(sandbox: Sandbox, key: str = ACCESS_KEY_ID, secret: str = SECRET_ACCESS_KEY) -> Clients:
    """`clients(service)` -> a boto3 client that tries once."""
    made: dict[str, Any] = {}

    def client(name: str) -> Any:
        if name not in made:
            made[name] = boto3.client(
                name, region_name="us-east-1", endpoint_url=sandbox.source_url("aws", "podium"), aws_access_key_id=key,
                aws_secret_access_key=secret, config=Config(retries={"total_max_attempts": 1}),
            )  # fmt: skip
        return made[name]

    return client


def control(sandbox: Sandbox, name: str, **body: Any) -> Any:
    """A control endpoint of the AWS stand-in."""
    answer = requests.post(f"{sandbox.url}/_sandbox/aws/podium/{name}", json=body, timeout=10)
    answer.raise_for_status()
    return answer.json()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Enough opportunities for several pages; without limits, which one test is about."""
    with running(start=START, seed=7, sources="aws", records=450) as server:
        control(server, "limits")
        yield server


@pytest.fixture(scope="module")
def clients(sandbox: Sandbox) -> Clients:
    return connect(sandbox)


@pytest.fixture
def selling(clients: Clients) -> Any:
    return clients("partnercentral-selling")


def refusal(call: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response  # type: ignore[return-value]


def code(call: Callable[[], Any]) -> str:
    return refusal(call)["Error"]["Code"]


def wire(sandbox: Sandbox, call: Callable[[Any], Any], service: str) -> Any:
    """The JSON that the stand-in sent, before boto3 makes objects of it."""
    client = connect(sandbox)(service)
    seen: list[bytes] = []
    client.meta.events.register("before-parse", lambda response_dict, **_: seen.append(response_dict["body"]))
    call(client)
    return json.loads(seen[-1])


def calls(sandbox: Sandbox) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """Operation -> service and a call of it that finds something."""
    named = (
        "opportunities",
        "engagements",
        "invitations",
        "benefit_applications",
        "benefit_allocations",
        "products",
        "agreements",
    )
    first = {name: sandbox.records("aws", "podium", name)[0] for name in named}
    filters = [
        {"name": "AgreementType", "values": ["PurchaseAgreement"]},
        {"name": "PartyType", "values": ["Proposer"]},
    ]
    one, many = "partnercentral-selling", "partnercentral-benefits"
    agreement = {"agreementId": first["agreements"]["agreementId"]}
    return {
        "ListOpportunities": (one, lambda c: c.list_opportunities(Catalog="AWS", MaxResults=100)),
        "GetOpportunity": (one, lambda c: c.get_opportunity(Catalog="AWS", Identifier=first["opportunities"]["Id"])),
        "GetAwsOpportunitySummary": (one, lambda c: c.get_aws_opportunity_summary(
            Catalog="AWS", RelatedOpportunityIdentifier=first["opportunities"]["Id"])),
        "ListSolutions": (one, lambda c: c.list_solutions(Catalog="AWS")),
        "ListEngagements": (one, lambda c: c.list_engagements(Catalog="AWS")),
        "GetEngagement": (one, lambda c: c.get_engagement(Catalog="AWS", Identifier=first["engagements"]["Id"])),
        "ListEngagementMembers": (one, lambda c: c.list_engagement_members(
            Catalog="AWS", Identifier=first["engagements"]["Arn"])),
        "ListEngagementInvitations": (one, lambda c: c.list_engagement_invitations(
            Catalog="AWS", ParticipantType="RECEIVER", PayloadType=["OpportunityInvitation"])),
        "GetEngagementInvitation": (one, lambda c: c.get_engagement_invitation(
            Catalog="AWS", Identifier=next(row["Id"] for row in sandbox.records("aws", "podium", "invitations")
                                           if row["PayloadType"] == "OpportunityInvitation"))),
        "ListBenefitApplications": (many, lambda c: c.list_benefit_applications(Catalog="AWS")),
        "GetBenefitApplication": (many, lambda c: c.get_benefit_application(
            Catalog="AWS", Identifier=first["benefit_applications"]["Id"])),
        "ListBenefitAllocations": (many, lambda c: c.list_benefit_allocations(Catalog="AWS")),
        "GetBenefitAllocation": (many, lambda c: c.get_benefit_allocation(
            Catalog="AWS", Identifier=first["benefit_allocations"]["Id"])),
        "ListEntities": ("marketplace-catalog", lambda c: c.list_entities(Catalog="AWSMarketplace", EntityType="SaaSProduct")),
        "DescribeEntity": ("marketplace-catalog", lambda c: c.describe_entity(
            Catalog="AWSMarketplace", EntityId=first["products"]["EntityId"])),
        "SearchAgreements": ("marketplace-agreement", lambda c: c.search_agreements(catalog="AWSMarketplace", filters=filters)),
        "DescribeAgreement": ("marketplace-agreement", lambda c: c.describe_agreement(**agreement)),
        "GetAgreementTerms": ("marketplace-agreement", lambda c: c.get_agreement_terms(**agreement)),
        "GetAgreementEntitlements": ("marketplace-agreement", lambda c: c.get_agreement_entitlements(**agreement)),
    }  # fmt: skip


# -- what answers look like ----------------------------------------------------------------------------------------------

_FORMATS = (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{2}Z",
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,9}Z", r"\d{4}-\d\d-\d\d")  # fmt: skip


def paths(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every place in a body, list items under one name."""
    yield at, value
    inside = (
        value.items()
        if isinstance(value, dict)
        else [("[]", item) for item in value]
        if isinstance(value, list)
        else ()
    )
    for name, item in inside:
        yield from paths(item, f"{at}.{name}")


def test_answers_have_what_the_recorded_ones_have_in_the_same_forms(sandbox: Sandbox) -> None:
    asked = calls(sandbox)
    for name, recorded in RECORDED.items():
        service, call = asked[name]
        found: dict[str, list[Any]] = {}
        for at, value in paths(wire(sandbox, call, service)):
            found.setdefault(at, []).append(value)
        for at, value in paths(recorded):
            above = at.rpartition(".")[0]
            if all(not item for item in found.get(above, [])):
                continue  # the stand-in's record has nothing there
            assert at in found, f"{name}: the recording has {at}"
            mine = next((item for item in found[at] if item is not None), None)
            if value is None or mine is None:
                continue
            assert type(mine) is type(value), (name, at)
            for form in _FORMATS:
                if isinstance(value, str) and re.fullmatch(form, value):
                    assert all(re.fullmatch(form, item) for item in found[at] if item), (name, at, mine)


def test_every_answer_fits_the_service_model(sandbox: Sandbox) -> None:
    asked = calls(sandbox)
    assert set(asked) == set(OPERATIONS)
    for name, (service, call) in asked.items():
        shape: Any = operation(service, name).output_shape
        body = wire(sandbox, call, service)
        wrong = [one for one in validate(shape, body) if not _tolerated(one.field, one.code)]
        assert not wrong, (name, wrong)
        unknown = set(body) - set(shape.members)
        assert not unknown, (name, unknown)


def _tolerated(field: str, kind: str) -> bool:
    """Real answers break their models too: nulls where a value is promised (recorded), enum values added without notice; and the
    catalog's model has patterns that its own documented examples don't meet (`SaaSProduct@1.0`)."""
    null = kind == "REQUIRED_FIELD_MISSING" and field.endswith(("Category", "CompanyName", "ReceiverResponsibilities"))
    pattern = kind == "INVALID_STRING_FORMAT" and field.rpartition(".")[2] in ("Name", "EntityType", "EntityIdentifier")
    return null or pattern or (kind == "INVALID_ENUM_VALUE" and field.endswith("Stage"))


def test_empty_members_are_nulls_on_the_wire_and_the_last_page_says_so(sandbox: Sandbox) -> None:
    service, call = calls(sandbox)["GetOpportunity"]
    body = wire(sandbox, call, service)
    assert body["Customer"]["Account"]["Duns"] is None
    assert body["LifeCycle"]["ReviewComments"] is None
    listed = wire(sandbox, lambda c: c.list_solutions(Catalog="AWS", MaxResults=100), service)
    assert listed["NextToken"] is None


def test_the_dirt_of_real_data_is_there(sandbox: Sandbox) -> None:
    rows = sandbox.records("aws", "podium", "opportunities")
    numbers = [int(row["Id"][1:]) for row in rows]
    assert any(2**31 < number < 2**53 for number in numbers)
    assert any(number > 2**53 for number in numbers)
    assert "Strategic Review" in {row["LifeCycle"]["Stage"] for row in rows}
    assert None in {row["Customer"]["Account"]["CompanyName"] for row in rows}
    stamps = [row["LastModifiedDate"] for row in rows]
    assert max(map(stamps.count, set(stamps))) >= 50, "an import shares one second"
    assert "" in {row["LifeCycle"]["NextSteps"] for row in rows}


# -- who may ask, and what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "name"), [("partnercentral-selling", "ListSolutions"), ("marketplace-catalog", "DescribeEntity")]
)
def test_keys_and_signatures_are_checked(sandbox: Sandbox, service: str, name: str) -> None:
    call = calls(sandbox)[name][1]
    assert code(lambda: call(connect(sandbox, key="somebody-elses-key")(service))) == "UnrecognizedClientException"
    assert code(lambda: call(connect(sandbox, secret="wrong")(service))) == "InvalidSignatureException"


def test_a_request_without_a_signature_is_refused(sandbox: Sandbox) -> None:
    headers = {"X-Amz-Target": "AWSPartnerCentralSelling.ListSolutions"}
    answer = requests.post(sandbox.source_url("aws", "podium"), json={"Catalog": "AWS"}, headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["__type"].partition("#")[2]) == (
        400,
        "MissingAuthenticationTokenException",
    )


def test_unknown_operations_and_tenants_are_refused(sandbox: Sandbox) -> None:
    for target in ("AWSPartnerCentralSelling.DropEverything", "SomethingElse.ListSolutions", ""):
        headers = {"X-Amz-Target": target}
        answer = requests.post(sandbox.source_url("aws", "podium"), json={}, headers=headers, timeout=10)
        assert (answer.status_code, answer.json()["__type"].partition("#")[2]) == (400, "UnknownOperationException")
        assert answer.headers["x-amzn-RequestId"]
    other = boto3.client("partnercentral-selling", region_name="us-east-1", aws_access_key_id=ACCESS_KEY_ID,
                         endpoint_url=sandbox.source_url("aws", "skyfit"), aws_secret_access_key=SECRET_ACCESS_KEY)  # fmt: skip
    assert code(lambda: other.list_solutions(Catalog="AWS")) == "UnrecognizedClientException"


def raw(sandbox: Sandbox, service: str, target: str, **given: Any) -> dict[str, Any]:
    """A refusal of what boto3 itself would not let through."""
    client = boto3.client(
        service, region_name="us-east-1", endpoint_url=sandbox.source_url("aws", "podium"),
        aws_access_key_id=ACCESS_KEY_ID, aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )  # fmt: skip
    return refusal(lambda: getattr(client, target)(**given))


@pytest.mark.parametrize(
    ("given", "field", "kind"),
    [
        ({}, "Catalog", "REQUIRED_FIELD_MISSING"),
        ({"Catalog": "A W S"}, "Catalog", "INVALID_STRING_FORMAT"),
        ({"Catalog": "Moon"}, "Catalog", "INVALID_VALUE"),
        ({"Catalog": "AWS", "MaxResults": 101}, "MaxResults", "VALUE_OUT_OF_RANGE"),
        ({"Catalog": "AWS", "MaxResults": 0}, "MaxResults", "VALUE_OUT_OF_RANGE"),
        ({"Catalog": "AWS", "Sort": {"SortBy": "Id", "SortOrder": "ASCENDING"}}, "Sort.SortBy", "INVALID_ENUM_VALUE"),
        ({"Catalog": "AWS", "Sort": {"SortBy": "Identifier"}}, "Sort.SortOrder", "REQUIRED_FIELD_MISSING"),
        ({"Catalog": "AWS", "Identifier": ["O1"] * 21}, "Identifier", "TOO_MANY_VALUES"),
        ({"Catalog": "AWS", "Identifier": ["17"]}, "Identifier.0", "INVALID_STRING_FORMAT"),
        ({"Catalog": "AWS", "NextToken": "AAMA-nonsense"}, "NextToken", "INVALID_VALUE"),
    ],
)
def test_requests_are_held_against_the_service_model(sandbox: Sandbox, given: Any, field: str, kind: str) -> None:
    answer = raw(sandbox, "partnercentral-selling", "list_opportunities", **given)
    assert answer["Error"]["Code"] == "ValidationException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["ResponseMetadata"]["RequestId"]
    assert answer["Reason"] == "REQUEST_VALIDATION_FAILED"
    assert [(one["FieldName"], one["Code"]) for one in answer["ErrorList"]] == [(field, kind)]


def test_each_service_words_refusals_as_its_model_says(sandbox: Sandbox, clients: Clients) -> None:
    benefits = raw(sandbox, "partnercentral-benefits", "get_benefit_application", Catalog="AWS", Identifier="17")
    assert benefits["FieldList"][0]["Name"] == "Identifier"
    agreements = raw(sandbox, "marketplace-agreement", "search_agreements", catalog="AWSMarketplace", maxResults=51)
    assert agreements["fields"][0]["name"] == "maxResults"
    catalog = raw(sandbox, "marketplace-catalog", "list_entities", Catalog="AWSMarketplace", EntityType="Car")
    assert (catalog["Error"]["Code"], catalog["ResponseMetadata"]["HTTPStatusCode"]) == ("ValidationException", 422)
    gone = refusal(
        lambda: clients("marketplace-catalog").describe_entity(Catalog="AWSMarketplace", EntityId="prod-none")
    )
    assert (gone["Error"]["Code"], gone["ResponseMetadata"]["HTTPStatusCode"]) == ("ResourceNotFoundException", 404)
    selling = clients("partnercentral-selling")
    assert code(lambda: selling.get_opportunity(Catalog="AWS", Identifier="O1")) == "ResourceNotFoundException"


def test_a_right_can_be_taken_away(sandbox: Sandbox, clients: Clients) -> None:
    benefits = clients("partnercentral-benefits")
    control(sandbox, "rights", operation="ListBenefitApplications", allow=False)
    answer = refusal(lambda: benefits.list_benefit_applications(Catalog="AWS"))
    assert answer["Error"]["Code"] == "AccessDeniedException"
    assert "partnercentral:ListBenefitApplications" in answer["Error"]["Message"]
    control(sandbox, "rights", operation="ListBenefitApplications", allow=True)
    assert benefits.list_benefit_applications(Catalog="AWS")["BenefitApplicationSummaries"]


# -- listing ---------------------------------------------------------------------------------------------------------------


def listed(
    selling: Any, size: int = 100, between: Callable[[int], None] = lambda page: None, **given: Any
) -> list[str]:
    """All ids of a listing; `between` is called after each page."""
    ids: list[str] = []
    token: dict[str, Any] = {}
    for number in range(10_000):
        page = selling.list_opportunities(Catalog="AWS", MaxResults=size, **token, **given)
        ids += [row["Id"] for row in page["OpportunitySummaries"]]
        if not page.get("NextToken"):
            return ids
        token = {"NextToken": page["NextToken"]}
        between(number)
    raise AssertionError("no end")


def test_listings_are_complete_in_every_order(sandbox: Sandbox, selling: Any) -> None:
    rows = sandbox.records("aws", "podium", "opportunities")
    keys: dict[str, Callable[[Any], Any]] = {
        "LastModifiedDate": lambda row: row["LastModifiedDate"], "Identifier": lambda row: row["Id"],
        "CreatedDate": lambda row: row["CreatedDate"], "TargetCloseDate": lambda row: row["LifeCycle"]["TargetCloseDate"],
        "CustomerCompanyName": lambda row: row["Customer"]["Account"]["CompanyName"] or "",
    }  # fmt: skip
    by_id = {row["Id"]: row for row in rows}
    for name, key in keys.items():
        for order in ("ASCENDING", "DESCENDING"):
            ids = listed(selling, Sort={"SortBy": name, "SortOrder": order})
            assert sorted(ids) == sorted(by_id), (name, order)
            values = [key(by_id[one]) for one in ids]
            assert values == sorted(values, reverse=order == "DESCENDING"), (name, order)
    assert len(selling.list_opportunities(Catalog="AWS")["OpportunitySummaries"]) == 20, "the default page size"


def test_a_window_includes_both_of_its_ends(sandbox: Sandbox, selling: Any) -> None:
    stamps = sorted(row["LastModifiedDate"] for row in sandbox.records("aws", "podium", "opportunities"))
    low, high = stamps[100], stamps[-100]
    expected = sorted(row["Id"] for row in sandbox.records("aws", "podium", "opportunities")
                      if low <= row["LastModifiedDate"] <= high)  # fmt: skip
    window = {"AfterLastModifiedDate": low, "BeforeLastModifiedDate": high}
    assert sorted(listed(selling, LastModifiedDate=window)) == expected
    by_id = {"SortBy": "Identifier", "SortOrder": "ASCENDING"}
    assert sorted(listed(selling, LastModifiedDate=window, Sort=by_id)) == expected
    just_after = {"AfterLastModifiedDate": f"{low[:-1]}.000001Z"}
    later = set(listed(selling, LastModifiedDate=just_after))
    assert {
        row["Id"] for row in sandbox.records("aws", "podium", "opportunities") if row["LastModifiedDate"] > low
    } == later


def test_filters_narrow_a_listing(sandbox: Sandbox, selling: Any) -> None:
    rows = sandbox.records("aws", "podium", "opportunities")
    staged = [row["Id"] for row in rows if row["LifeCycle"]["Stage"] in ("Launched", "Committed")]
    assert sorted(listed(selling, LifeCycleStage=["Launched", "Committed"])) == sorted(staged)
    assert listed(selling, Identifier=[rows[3]["Id"]]) == [rows[3]["Id"]]
    born = rows[9]["CreatedDate"]
    old = [row["Id"] for row in rows if row["CreatedDate"] <= born]
    assert sorted(listed(selling, CreatedDate={"BeforeCreatedDate": born})) == sorted(old)
    assert selling.list_solutions(Catalog="AWS", Status=["Draft"])["SolutionSummaries"] == [
        row for row in selling.list_solutions(Catalog="AWS")["SolutionSummaries"] if row["Status"] == "Draft"]  # fmt: skip
    leads = selling.list_engagements(Catalog="AWS", ContextTypes=["Lead"], MaxResults=100)["EngagementSummaryList"]
    assert leads
    assert all(row["ContextTypes"] == ["Lead"] for row in leads)
    assert {
        row["CreatedBy"] for row in selling.list_engagements(Catalog="AWS", CreatedBy=["aws"])["EngagementSummaryList"]
    } == {"aws"}


def test_paging_while_records_move_loses_none(sandbox: Sandbox, selling: Any) -> None:
    before = {row["Id"] for row in sandbox.records("aws", "podium", "opportunities")}

    def touch(page: int) -> None:
        sandbox.change("aws", "podium", "opportunities", put=[{"Id": one} for one in sorted(before)[page::40]])

    for sort in ("LastModifiedDate", "Identifier"):
        ids = listed(selling, size=50, between=touch, Sort={"SortBy": sort, "SortOrder": "ASCENDING"})
        assert set(ids) >= before, sort
    assert len(ids) == len(set(ids)), "by id, nothing comes twice either"


def test_a_token_belongs_to_its_listing(selling: Any) -> None:
    token = selling.list_opportunities(Catalog="AWS")["NextToken"]
    call = {"Catalog": "AWS", "NextToken": token}
    assert code(lambda: selling.list_opportunities(**call, LifeCycleStage=["Launched"])) == "ValidationException"
    assert code(lambda: selling.list_solutions(**call)) == "ValidationException"


def test_the_sandbox_catalog_is_another_world(selling: Any) -> None:
    rows = selling.list_opportunities(Catalog="Sandbox")["OpportunitySummaries"]
    assert 0 < len(rows) <= 5
    one = selling.get_opportunity(Catalog="Sandbox", Identifier=rows[0]["Id"])
    assert one["Catalog"] == "Sandbox"


def test_invitations_come_by_side_and_become_engagements(sandbox: Sandbox, selling: Any) -> None:
    rows = {row["Id"]: row for row in sandbox.records("aws", "podium", "invitations")}
    found = {}
    for side in ("SENDER", "RECEIVER"):
        pages = selling.get_paginator("list_engagement_invitations").paginate(Catalog="AWS", ParticipantType=side)
        found[side] = {row["Id"] for page in pages for row in page["EngagementInvitationSummaries"]}
    assert found["SENDER"] | found["RECEIVER"] == set(rows)
    assert not found["SENDER"] & found["RECEIVER"]
    lead = next(row for row in rows.values() if row["PayloadType"] == "LeadInvitation" and row["Status"] == "ACCEPTED")
    engagement = selling.get_engagement(Catalog="AWS", Identifier=lead["EngagementId"])
    assert engagement["Contexts"][0]["Payload"]["Lead"]["Customer"]["CompanyName"]


# -- Marketplace -----------------------------------------------------------------------------------------------------------


def test_entities_of_every_type_are_listed_and_described(sandbox: Sandbox, clients: Clients) -> None:
    catalog = clients("marketplace-catalog")
    rows = {row["EntityId"]: row for row in sandbox.records("aws", "podium", "products")}
    found = set()
    for kind in {row["EntityType"] for row in rows.values()} | {"Offer"}:
        pages = catalog.get_paginator("list_entities").paginate(
            Catalog="AWSMarketplace", EntityType=kind, PaginationConfig={"PageSize": 2}
        )
        found |= {row["EntityId"] for page in pages for row in page["EntitySummaryList"]}
    assert found == set(rows)
    key = min(rows)
    entity = catalog.describe_entity(Catalog="AWSMarketplace", EntityId=key)
    assert json.loads(entity["Details"]) == entity["DetailsDocument"] == rows[key]["DetailsDocument"]
    assert entity["EntityIdentifier"] == f"{key}@1"
    newest = max(row["LastModifiedDate"] for row in rows.values() if row["EntityType"] == "SaaSProduct")
    since = {"SaaSProductFilters": {"LastModifiedDate": {"DateRange": {"AfterValue": newest}}}}
    some = catalog.list_entities(Catalog="AWSMarketplace", EntityType="SaaSProduct", EntityTypeFilters=since)
    assert {row["LastModifiedDate"] for row in some["EntitySummaryList"]} == {newest}
    call = {"Catalog": "AWSMarketplace", "EntityType": "AmiProduct", "EntityTypeFilters": since}
    assert code(lambda: catalog.list_entities(**call)) == "ValidationException"


def search(agreements: Any, **filters: str) -> list[Any]:
    named = {"AgreementType": "PurchaseAgreement", "PartyType": "Proposer"} | filters
    given = [{"name": name, "values": [value]} for name, value in named.items()]
    rows, token = [], {}
    while True:
        page = agreements.search_agreements(catalog="AWSMarketplace", maxResults=50, filters=given, **token)
        rows += page["agreementViewSummaries"]
        if "nextToken" not in page:
            return rows
        token = {"nextToken": page["nextToken"]}


def test_agreements_are_searched_by_named_filters(sandbox: Sandbox, clients: Clients) -> None:
    agreements = clients("marketplace-agreement")
    stored = {row["agreementId"]: row for row in sandbox.records("aws", "podium", "agreements")}
    assert {row["agreementId"] for row in search(agreements)} == set(stored)
    active = {key for key, row in stored.items() if row["status"] == "ACTIVE"}
    assert {row["agreementId"] for row in search(agreements, Status="ACTIVE")} == active
    since = sorted(row["lastUpdateTime"] for row in stored.values())[-5]
    bound = datetime.fromtimestamp(since, UTC).isoformat().replace("+00:00", "Z")
    moved = {row["agreementId"] for row in search(agreements, AfterLastUpdateTime=bound)}
    assert moved == {key for key, row in stored.items() if row["lastUpdateTime"] > since}, "after means after"
    no_party = [{"name": "AgreementType", "values": ["PurchaseAgreement"]}]
    assert (
        code(lambda: agreements.search_agreements(catalog="AWSMarketplace", filters=no_party)) == "ValidationException"
    )
    assert code(lambda: search(agreements, Colour="red")) == "ValidationException"
    assert search(agreements, PartyType="Acceptor") == []
    key = min(stored)
    pages = [agreements.get_agreement_terms(agreementId=key, maxResults=2)]
    while token := pages[-1].get("nextToken"):
        pages.append(agreements.get_agreement_terms(agreementId=key, maxResults=2, nextToken=token))
    kinds = [next(iter(term)) for page in pages for term in page["acceptedTerms"]]
    terms = next(row for row in sandbox.records("aws", "podium", "agreement_terms") if row["agreementId"] == key)
    assert kinds == [next(iter(term)) for term in terms["acceptedTerms"]]


# -- limits and faults -----------------------------------------------------------------------------------------------------


def test_the_rate_and_the_day_are_limited() -> None:
    now, ticks = 1_790_000_000.0, [0.0]
    limit = Limit(per_second=10, burst=3, per_day=8, ticks=lambda: ticks[0])
    limit.change(10, 3, 8)
    assert [limit.take(now) for _ in range(4)] == [True, True, True, False]
    ticks[0] = 0.1
    assert [limit.take(now) for _ in range(2)] == [True, False]
    ticks[0] = 60
    assert [limit.take(now) for _ in range(4)] == [True, True, True, False]
    ticks[0] = 120
    assert [limit.take(now) for _ in range(2)] == [True, False], "eight a day"
    ticks[0] = 180
    assert limit.take(now + 25 * 3600), "the day rolls on"


def test_throttling_is_on_unless_it_is_lifted(sandbox: Sandbox, clients: Clients) -> None:
    control(sandbox, "limits", about="partnercentral-selling", per_second=0.001, burst=2)
    selling = clients("partnercentral-selling")
    for _ in range(2):
        selling.list_solutions(Catalog="AWS")
    answer = refusal(lambda: selling.list_solutions(Catalog="AWS"))
    assert (answer["Error"]["Code"], answer["Error"]["Message"]) == ("ThrottlingException", "Rate exceeded")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    control(sandbox, "limits", about="ListEntities", per_second=0.001, burst=0)
    answer = raw(sandbox, "marketplace-catalog", "list_entities", Catalog="AWSMarketplace", EntityType="SaaSProduct")
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("ThrottlingException", 429)
    control(sandbox, "limits")
    selling.list_solutions(Catalog="AWS")


def test_faults_come_in_the_words_of_aws(sandbox: Sandbox, clients: Clients) -> None:
    selling = clients("partnercentral-selling")
    about = {"database": "podium", "model": "solutions", "method": "ListSolutions"}
    expected = {"429": "ThrottlingException", "500": "InternalServerException", "expired": "ExpiredTokenException",
                "403": "AccessDeniedException", "401": "UnrecognizedClientException",
                "database_down": "InternalServerException"}  # fmt: skip
    for kind, word in expected.items():
        sandbox.fault(kind, **about)
        assert code(lambda: selling.list_solutions(Catalog="AWS")) == word, kind
    sandbox.fault("expired", style="cursor", **about)
    assert code(lambda: selling.list_solutions(Catalog="AWS")) == "ValidationException"
    for kind, status in (("403", "403"), ("503", "503"), ("429", "429"), ("500", "500")):
        sandbox.fault(kind, style="html", **about)
        assert code(lambda: selling.list_solutions(Catalog="AWS")) == status, "a proxy's page has no error code"
    sandbox.fault("reset", **about)
    with pytest.raises(HTTPClientError):
        selling.list_solutions(Catalog="AWS")
    sandbox.clear_faults()


def test_a_fault_repeats_the_page_before(sandbox: Sandbox, selling: Any) -> None:
    first = selling.list_opportunities(Catalog="AWS")
    sandbox.fault("repeat", method="ListOpportunities")
    again = selling.list_opportunities(Catalog="AWS", NextToken=first["NextToken"])
    following = selling.list_opportunities(Catalog="AWS", NextToken=first["NextToken"])
    same = [row["Id"] for row in first["OpportunitySummaries"]]
    assert [row["Id"] for row in again["OpportunitySummaries"]] == same
    assert not {row["Id"] for row in following["OpportunitySummaries"]} & set(same)
