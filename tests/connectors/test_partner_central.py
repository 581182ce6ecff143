"""Partner Central in the lake: complete, incremental at the fewest requests, deletions, readable columns."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resources.connecting import connect
from sandbox.server import Sandbox
from tests.connectors.aws_lakes import PARTNER_CENTRAL, asked, aws_lake, aws_sandbox, captured, control
from tests.lakes import SyncedLake

SOURCE: dict[str, Any] = {"source": "partner_central"}
RECORDS = 60


@pytest.fixture(scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with aws_sandbox(RECORDS) as server:
        yield server


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Sandbox:
    """The same for all tests, each of which has a lake of its own and may change what the next one finds."""
    _sandbox.reset_requests()
    return _sandbox


@pytest.fixture
def lake(sandbox: Sandbox, tmp_path: Path) -> SyncedLake:
    return aws_lake(tmp_path, sandbox)


def truth(sandbox: Sandbox, entity: str, key: str = "Id") -> dict[str, Any]:
    return {row[key]: row for row in sandbox.records("aws", "podium", entity)}


def assert_same(lake: SyncedLake, sandbox: Sandbox) -> None:
    """The lake holds what the stand-in has stored, record by record."""
    summaries = truth(sandbox, "aws_opportunity_summaries", "RelatedOpportunityId")
    opportunities = truth(sandbox, "opportunities")
    expected = {key: {**row, "AwsOpportunitySummary": summaries[key]} for key, row in opportunities.items()}
    assert captured(lake, "opportunities") == expected
    for table in ("solutions", "benefit_applications", "benefit_allocations"):
        assert captured(lake, table) == truth(sandbox, table), table
    engagements = truth(sandbox, "engagements")
    found = captured(lake, "engagements")
    assert {key: {**row, "ChangedAt": found[key]["ChangedAt"]} for key, row in engagements.items()} == found
    invitations = {
        key: row for key, row in truth(sandbox, "invitations").items() if row["PayloadType"] == "LeadInvitation"
    }
    known = {row["EngagementId"] for row in invitations.values()}
    contexts = {key: row["Contexts"][0]["Payload"].get("Lead") for key, row in engagements.items()}
    alone = {key for key, lead in contexts.items() if lead and key not in known}
    leads = captured(lake, "leads")
    assert set(leads) == set(invitations) | alone
    for key, row in invitations.items():
        added = {name: leads[key][name] for name in ("ChangedAt", "OtherLeads")}
        assert leads[key] == {**row, **added, "Lead": contexts.get(row["EngagementId"])}


def test_syncs_follow_the_source_at_the_fewest_requests(lake: SyncedLake, sandbox: Sandbox) -> None:
    first = lake.capture(*PARTNER_CENTRAL, **SOURCE)
    assert {outcome.status for outcome in first.values()} == {"ok"}, first
    assert_same(lake, sandbox)
    requests = asked(sandbox)
    assert requests["GetOpportunity"] == requests["GetAwsOpportunitySummary"] == RECORDS
    assert requests["ListOpportunities"] == 1
    assert requests["GetEngagementInvitation"] == first["leads"].rows
    assert requests["GetBenefitApplication"] == first["benefit_applications"].rows

    sandbox.reset_requests()
    second = lake.capture(*PARTNER_CENTRAL, **SOURCE)
    assert {outcome.status for outcome in second.values()} == {"unchanged"}
    granted = first["benefit_allocations"].rows
    assert asked(sandbox) == {
        "ListOpportunities": 1, "ListSolutions": 2, "ListEngagements": 2, "ListEngagementInvitations": 2,
        "ListBenefitApplications": 1, "ListBenefitAllocations": 1, "GetBenefitAllocation": granted,
    }  # fmt: skip

    changes = sandbox.advance("2026-11-28")["aws"]["podium"]
    sandbox.reset_requests()
    third = lake.capture(*PARTNER_CENTRAL, **SOURCE)
    assert_same(lake, sandbox)
    for table in ("opportunities", "engagements", "benefit_applications", "solutions"):
        told = changes[table]
        assert third[table].rows_deleted == len(told["deleted"])
        assert third[table].rows_written == sum(len(told[kind]) for kind in told), table
    moved = len(changes["opportunities"]["created"]) + len(changes["opportunities"]["updated"])
    assert asked(sandbox)["GetOpportunity"] == moved > 0
    assert {outcome.status for outcome in lake.capture(*PARTNER_CENTRAL, **SOURCE).values()} == {"unchanged"}


def test_raw_views_have_readable_names_and_types(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.capture(*PARTNER_CENTRAL, **SOURCE)
    rows = lake.query(
        "SELECT id, stage, customer_company_name, customer_country_code, title, target_close_date, last_modified_date,"
        " delivery_models, aws_stage, aws_engagement_score, aws_involvement_type, software_revenue_value_amount,"
        " review_status, related_entity_identifiers_solutions FROM raw.partner_central_opportunities"
    )
    by_id = {row[0]: row for row in rows}
    summaries = truth(sandbox, "aws_opportunity_summaries", "RelatedOpportunityId")
    for key, record in truth(sandbox, "opportunities").items():
        account, cycle, aws = record["Customer"]["Account"], record["LifeCycle"], summaries[key]
        money = (record["SoftwareRevenue"] or {"Value": {"Amount": None}})["Value"]["Amount"]
        assert by_id[key] == (
            key, cycle["Stage"], account["CompanyName"], account["Address"]["CountryCode"], record["Project"]["Title"],
            date.fromisoformat(cycle["TargetCloseDate"]), datetime.fromisoformat(record["LastModifiedDate"][:-1]),
            record["Project"]["DeliveryModels"], (aws["LifeCycle"] or {}).get("Stage"),
            (aws["Insights"] or {}).get("EngagementScore"), aws["InvolvementType"], money and Decimal(money),
            cycle["ReviewStatus"], record["RelatedEntityIdentifiers"]["Solutions"],
        )  # fmt: skip
    stages = {row[1] for row in rows}
    assert "Strategic Review" in stages, "a value that the published enum does not have"
    assert {None} < {row[2] for row in rows}, "null where the docs promise a name"
    assert "O9007199254740995" in by_id, "an id beyond 2^53"
    [(amount,)] = lake.query(
        "SELECT sum(disbursement_details_disbursed_amount_amount) FROM raw.partner_central_benefit_allocations"
    )
    details = [row["FulfillmentDetail"] for row in truth(sandbox, "benefit_allocations").values()]
    paid = [one["DisbursementDetails"]["DisbursedAmount"]["Amount"] for one in details if "DisbursementDetails" in one]
    assert amount == sum(map(Decimal, paid))
    named = lake.query("SELECT lead_customer_company_name FROM raw.partner_central_leads WHERE status = 'ACCEPTED'")
    assert named
    assert all(name for (name,) in named)


def leads_of(sandbox: Sandbox, **wanted: Any) -> list[Any]:
    """Invitations about leads that have these members."""
    rows = truth(sandbox, "invitations").values()
    return [row for row in rows if row["PayloadType"] == "LeadInvitation" and wanted.items() <= row.items()]


def test_what_is_gone_becomes_a_tombstone(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.capture(*PARTNER_CENTRAL, **SOURCE)
    gone = {table: min(truth(sandbox, table)) for table in set(PARTNER_CENTRAL) - {"leads", "engagements"}}
    gone["leads"] = leads_of(sandbox, Status="PENDING")[0]["Id"]
    projects = [
        key for key, row in truth(sandbox, "engagements").items() if row["Contexts"][0]["Type"] == "CustomerProject"
    ]
    gone["engagements"] = projects[0]
    for table, key in gone.items():
        sandbox.change("aws", "podium", "invitations" if table == "leads" else table, delete=[key])
    after = lake.capture(*PARTNER_CENTRAL, **SOURCE)
    assert after["opportunities"].rows_deleted == 0, "opportunities are not deleted; a window does not tell"
    for table in set(PARTNER_CENTRAL) - {"opportunities"}:
        assert after[table].rows_deleted == 1, table
        assert gone[table] not in captured(lake, table)
    swept = lake.capture("opportunities", sweep=True, **SOURCE)["opportunities"]
    assert swept.rows_deleted == 1
    assert gone["opportunities"] not in captured(lake, "opportunities")


def test_changes_that_lists_do_not_date_are_seen(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.capture(*PARTNER_CENTRAL, **SOURCE)
    pending = leads_of(sandbox, Status="PENDING")[0]
    sandbox.change(
        "aws", "podium", "invitations", put=[{"Id": pending["Id"], "Status": "REJECTED", "RejectionReason": "Other"}]
    )
    grant = next(iter(truth(sandbox, "benefit_allocations").values()))
    sandbox.change("aws", "podium", "benefit_allocations", put=[{"Id": grant["Id"], "StatusReason": "partly paid"}])
    accepted = leads_of(sandbox, Status="ACCEPTED")[0]
    engagement = truth(sandbox, "engagements")[accepted["EngagementId"]]
    lead = {**engagement["Contexts"][0]["Payload"]["Lead"], "QualificationStatus": "Disqualified"}
    sandbox.change("aws", "podium", "engagements", put=[
        {"Id": engagement["Id"], "Contexts": [{"Type": "Lead", "Payload": {"Lead": lead}}]}])  # fmt: skip
    after = lake.capture(*PARTNER_CENTRAL, **SOURCE)
    leads = captured(lake, "leads")
    assert leads[pending["Id"]]["RejectionReason"] == "Other"
    assert leads[accepted["Id"]]["Lead"]["QualificationStatus"] == "Disqualified"
    assert captured(lake, "benefit_allocations")[grant["Id"]]["StatusReason"] == "partly paid"
    written = {name: outcome.rows_written for name, outcome in after.items() if outcome.rows_written}
    assert written == {"leads": 2, "engagements": 1, "benefit_allocations": 1}


def test_leads_of_engagements_that_no_invitation_led_to(lake: SyncedLake, sandbox: Sandbox) -> None:
    accepted = leads_of(sandbox, Status="ACCEPTED")[0]
    sandbox.change("aws", "podium", "invitations", delete=[accepted["Id"]])
    lake.capture("leads", **SOURCE)
    lead = captured(lake, "leads")[accepted["EngagementId"]]
    assert lead["Lead"]["Customer"]["CompanyName"]
    assert lead["EngagementId"] == lead["Id"]
    assert {outcome.status for outcome in lake.capture("leads", **SOURCE).values()} == {"unchanged"}


def test_a_full_sync_reads_what_did_not_move(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.capture("opportunities", **SOURCE)
    row = next(iter(truth(sandbox, "opportunities").values()))
    quiet = {"Id": row["Id"], "LastModifiedDate": row["LastModifiedDate"], "NationalSecurity": "Yes"}
    sandbox.change("aws", "podium", "opportunities", put=[quiet])
    assert lake.capture("opportunities", **SOURCE)["opportunities"].rows_written == 0
    assert lake.capture("opportunities", full=True, **SOURCE)["opportunities"].rows_written == 1
    assert captured(lake, "opportunities")[row["Id"]]["NationalSecurity"] == "Yes"


def test_members_that_no_model_knows_are_kept(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.capture("opportunities", **SOURCE)
    key = min(truth(sandbox, "opportunities"))
    sandbox.change("aws", "podium", "opportunities", put=[{"Id": key, "AcceptedByAi": {"Score": 2**60}}])
    lake.capture("opportunities", **SOURCE)
    assert captured(lake, "opportunities")[key]["AcceptedByAi"] == {"Score": 2**60}


def test_what_is_excluded_never_gets_into_the_lake(lake: SyncedLake, sandbox: Sandbox) -> None:
    private = ["customer_contacts", "aws_customer_contacts", "opportunity_team", "customer_street_address"]
    tables = {"opportunities": {"exclude": private}, "solutions": {"include": ["name", "status"]}}
    lake.reconfigure({"tables": tables}, source="partner_central")
    lake.capture("opportunities", "solutions", **SOURCE)
    for record in captured(lake, "opportunities").values():
        assert "Contacts" not in record["Customer"]
        assert "Contacts" not in record["AwsOpportunitySummary"]["Customer"]
        assert "StreetAddress" not in record["Customer"]["Account"]["Address"]
        assert "OpportunityTeam" not in record
        assert record["LifeCycle"]["Stage"]
    assert {frozenset(record) for record in captured(lake, "solutions").values()} == {
        frozenset({"Id", "Name", "Status"})
    }
    assert lake.capture("opportunities", "solutions", **SOURCE)["opportunities"].status == "unchanged"
    lake.reconfigure({"tables": {"opportunities": {"exclude": ["customer_contract"]}}}, source="partner_central")
    outcome = lake.capture("opportunities", **SOURCE)["opportunities"]
    assert "did you mean customer_contacts" in outcome.message


def test_the_catalog_is_configured(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.reconfigure({"catalog": "Sandbox", "tables": ["opportunities"]}, source="partner_central")
    assert lake.capture("opportunities", "leads", **SOURCE)["leads"].status == "not_configured"
    assert {row["Catalog"] for row in captured(lake, "opportunities").values()} == {"Sandbox"}


def test_polls_cost_two_requests_and_see_news(lake: SyncedLake, sandbox: Sandbox) -> None:
    connector = connect("podium", "partner_central", lake.settings.tenants["podium"].sources["partner_central"])
    stamps = [row["LastModifiedDate"] for row in truth(sandbox, "opportunities").values()]
    stamps += [row["InvitationDate"] for row in truth(sandbox, "invitations").values()]
    newest = datetime.fromisoformat(max(stamps).replace("Z", "+00:00"))
    since = dict.fromkeys(PARTNER_CENTRAL, newest + timedelta(seconds=2))
    sandbox.reset_requests()
    assert not connector.has_changes(since)
    assert sum(asked(sandbox).values()) == 2
    control(sandbox, "rights", operation="ListOpportunities", allow=False)
    assert not connector.has_changes(since), "a table that cannot be asked counts as unchanged"
    control(sandbox, "rights", operation="ListOpportunities", allow=True)
    stamp = f"{newest + timedelta(seconds=3):%Y-%m-%dT%H:%M:%SZ}"
    news = {"Id": min(truth(sandbox, "opportunities")), "LastModifiedDate": stamp}
    sandbox.change("aws", "podium", "opportunities", put=[news])
    assert connector.has_changes(since)
    assert "catalog AWS" in connector.check()
    connector.close()


def test_a_spent_budget_keeps_what_was_read_and_goes_on(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.reconfigure({"max_per_day": 50}, source="partner_central")
    rows, paused = 0, 0
    while paused < 12:
        sandbox.reset_requests()
        outcome = lake.capture("opportunities", **SOURCE)["opportunities"]
        assert sum(asked(sandbox).values()) <= 50
        rows += outcome.rows_written
        if outcome.resumes_at is None:
            break
        paused += 1
        assert "max_per_day" in outcome.message
        assert outcome.rows_written > 10
    assert 0 < paused < 12
    assert rows == len(captured(lake, "opportunities")) == len(truth(sandbox, "opportunities"))
    assert lake.capture("opportunities", **SOURCE)["opportunities"].status == "unchanged"


def test_only_the_records_of_an_event_are_read(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.capture("opportunities", "leads", **SOURCE)
    moved, gone = sorted(truth(sandbox, "opportunities"))[:2]
    sandbox.change("aws", "podium", "opportunities", put=[{"Id": moved, "Project": {"Title": "told"}}], delete=[gone])
    other = next(
        row["Id"] for row in truth(sandbox, "invitations").values() if row["PayloadType"] == "OpportunityInvitation"
    )
    sandbox.reset_requests()
    outcomes = lake.capture("opportunities", "leads", ids={"opportunities": (moved, gone), "leads": (other,)}, **SOURCE)
    assert (outcomes["opportunities"].rows_written, outcomes["opportunities"].rows_deleted) == (2, 1)
    assert outcomes["leads"].status == "unchanged", "an invitation to an opportunity is no lead"
    assert "ListOpportunities" not in asked(sandbox)
    assert captured(lake, "opportunities")[moved]["Project"]["Title"] == "told"
