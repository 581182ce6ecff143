"""Salesforce in the lake: what bronze and `raw.*` hold is what the org holds, sync after sync, whatever happens there."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from lake_assets.bronze.capture import TableOutcome
from sandbox.server import Sandbox, running
from tests.lakes import SyncedLake

TABLES = ("account", "contact", "opportunity", "user", "lead", "subscription__c", "price__x")
BLOCK = {"client_id": "3MVG9northwind", "client_secret": "northwind-secret", "page_size": 200}


@pytest.fixture(scope="module")
def _org() -> Iterator[Sandbox]:
    with running(scale=0.1, records=600, seed=7, sources="salesforce") as sandbox:
        yield sandbox


@pytest.fixture
def org(_org: Sandbox) -> Iterator[Sandbox]:
    """A small org at the present time, shared by the tests that let no time pass."""
    yield _org
    _org.clear_faults()
    control(_org, "limits", daily=108_000, used=0)


@pytest.fixture
def own_org() -> Iterator[Sandbox]:
    """The same for one test alone."""
    with running(scale=0.1, records=600, seed=7, sources="salesforce") as sandbox:
        yield sandbox


@pytest.fixture
def make_lake(new_lake: Callable[..., SyncedLake]) -> Callable[[Sandbox], SyncedLake]:
    def make(org: Sandbox) -> SyncedLake:
        tables: dict[str, Any] = {"Subscription__c": {}, "Price__x": {}}
        block = {"url": org.source_url("salesforce", "northwind"), "tables": tables, **BLOCK}
        return new_lake({"northwind": {"salesforce": block}})

    return make


@pytest.fixture
def lake(org: Sandbox, make_lake: Callable[[Sandbox], SyncedLake]) -> SyncedLake:
    """An empty lake that reads from `org`."""
    return make_lake(org)


def pull(lake: SyncedLake, *tables: str, **options: Any) -> dict[str, TableOutcome]:
    outcomes = lake.capture(*(tables or TABLES), source="salesforce", **options)
    assert [outcome.message for outcome in outcomes.values() if outcome.failed] == []
    return outcomes


def stored(org: Sandbox, table: str) -> dict[str, dict[str, Any]]:
    """What is not deleted."""
    rows = org.records("salesforce", "northwind", table)
    return {row["Id"]: row for row in rows if not row.get("IsDeleted")}


def assert_same(lake: SyncedLake, org: Sandbox, *tables: str) -> None:
    for table in tables or TABLES:
        truth = {i: row.get("SystemModstamp", "")[:19] for i, row in stored(org, table).items()}
        stamp = "''" if table == "price__x" else "strftime(SystemModstamp, '%Y-%m-%dT%H:%M:%S')"
        found = lake.query(f"SELECT _source_id, {stamp} FROM raw.salesforce_{table}")
        assert len(found) == len(truth)
        assert dict(found) == truth


def calls(org: Sandbox) -> Counter[str]:
    return Counter({f"{tally['model']} {tally['method']}": tally["requests"] for tally in org.requests()})


def control(org: Sandbox, path: str, **body: Any) -> None:
    with requests.Session() as http:
        http.trust_env = False
        http.post(f"{org.url}/_sandbox/salesforce/northwind/{path}", json=body, timeout=10).raise_for_status()


def test_syncs_follow_the_org_and_a_second_one_asks_once_a_table(
    own_org: Sandbox, make_lake: Callable[[Sandbox], SyncedLake]
) -> None:
    org, lake = own_org, make_lake(own_org)
    first = pull(lake)
    assert_same(lake, org)
    assert {table: outcome.rows for table, outcome in first.items()} == {
        table: len(stored(org, table)) for table in TABLES
    }

    org.reset_requests()
    files = lake.files("bronze")
    assert {outcome.status for outcome in pull(lake).values()} == {"unchanged"}
    assert lake.files("bronze") == files
    dated = [table for table in TABLES if table != "price__x"]
    assert calls(org) == {
        "- token": 1, "- sobjects": 1, "price__x query_all": 1, **{f"{table} describe": 1 for table in TABLES},
        **{f"{table} query_all": 1 for table in dated},
    }  # fmt: skip

    to = datetime.fromisoformat(org.health()["now"]) + timedelta(days=6)
    told = org.advance(to.isoformat())["salesforce"]["northwind"]
    changed = pull(lake, "account", "contact", "opportunity", "lead", "subscription__c", day=datetime.now(UTC).date())
    assert_same(lake, org)
    for table in ("account", "contact", "lead", "subscription__c"):
        said = {kind: set(told.get(table, {}).get(kind, ())) for kind in ("created", "updated", "deleted")}
        captured = {row["source_id"]: row["change_type"] for row in lake.bronze(table, source="salesforce")
                    if row["sync_batch_id"] == "run-0003"}  # fmt: skip
        assert captured.keys() == said["created"] | said["updated"] | said["deleted"], table
        assert {i for i, kind in captured.items() if kind == "delete"} == said["deleted"]
        assert changed[table].rows_written == len(captured)
    assert {change.column for change in changed["opportunity"].schema_changes} >= {"Renewal_Chance__c"}
    filled = lake.query("SELECT count(*) FROM raw.salesforce_opportunity WHERE Renewal_Chance__c = 40")
    assert filled == [(1,)]


def test_values_come_typed_and_nothing_of_a_record_is_dropped(lake: SyncedLake, org: Sandbox) -> None:
    pull(lake, "opportunity")
    kinds = dict(row[:2] for row in lake.query("DESCRIBE SELECT * FROM raw.salesforce_opportunity"))
    assert {name: kinds[name] for name in ("Amount", "IsWon", "CloseDate", "SystemModstamp", "PushCount", "AccountId")} == {
        "Amount": "DOUBLE", "IsWon": "BOOLEAN", "CloseDate": "DATE", "SystemModstamp": "TIMESTAMP", "PushCount": "BIGINT",
        "AccountId": "VARCHAR",
    }  # fmt: skip
    columns = ("Amount", "IsWon", "Name", "StageName", "Legacy_Number__c", "Competitors__c", "CloseDate")
    found = lake.query(f"SELECT _source_id, {', '.join(columns)} FROM raw.salesforce_opportunity")
    truth = stored(org, "opportunity")
    assert {i: (*values[:-1], values[-1] and values[-1].isoformat()) for i, *values in found} == {
        i: tuple(row[name] for name in columns) for i, row in truth.items()
    }
    assert any(values[5] and values[5] > 2**53 - 2 for values in found)
    assert '"attributes"' in lake.bronze("opportunity", source="salesforce")[0]["raw_data"]


def test_deletes_merges_and_what_left_the_recycle_bin(
    own_org: Sandbox, make_lake: Callable[[Sandbox], SyncedLake]
) -> None:
    org, lake = own_org, make_lake(own_org)
    winner, loser, gone, back, purged = list(stored(org, "account"))[:5]
    pull(lake, "account", "contact")
    org.change("salesforce", "northwind", "account", delete=[gone, back])
    control(org, "merge", object="account", winner=winner, loser=loser)
    deleted = pull(lake, "account", "contact")
    assert deleted["account"].rows_deleted == 3
    assert_same(lake, org, "account", "contact")
    org.change("salesforce", "northwind", "account", put=[{"Id": back, "IsDeleted": False}])
    pull(lake, "account")
    assert back in lake.ids("raw.salesforce_account")
    # deleted and purged while nobody looked: only the list of ids tells
    org.change("salesforce", "northwind", "account", delete=[purged])
    org.advance((datetime.now(UTC) + timedelta(days=17)).isoformat())
    assert purged not in {row["Id"] for row in org.records("salesforce", "northwind", "account")}
    pull(lake, "account", full=True)
    assert purged in lake.ids("raw.salesforce_account")
    pull(lake, "account", sweep=True)
    assert_same(lake, org, "account")


def test_a_late_commit_and_a_reader_with_a_slow_clock_lose_nothing(
    own_org: Sandbox, make_lake: Callable[[Sandbox], SyncedLake]
) -> None:
    org, lake = own_org, make_lake(own_org)
    pull(lake, "lead")
    stamp = (datetime.now(UTC) - timedelta(minutes=6)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    (late,) = org.change("salesforce", "northwind", "lead", put=[{"LastName": "late", "SystemModstamp": stamp}])
    assert pull(lake, "lead")["lead"].rows_written == 1
    assert late in lake.ids("raw.salesforce_lead")
    # the org's clock goes five minutes before ours, and its word counts
    org.advance((datetime.now(UTC) + timedelta(minutes=5)).isoformat())
    pull(lake, "lead")
    (early,) = org.change("salesforce", "northwind", "lead", put=[{"LastName": "five minutes ahead"}])
    pull(lake, "lead")
    assert early in lake.ids("raw.salesforce_lead")
    assert_same(lake, org, "lead")


def test_a_value_that_nobody_told_of_and_a_null_where_one_is_promised(lake: SyncedLake, org: Sandbox) -> None:
    one, other = list(stored(org, "opportunity"))[:2]
    org.change("salesforce", "northwind", "opportunity", put=[
        {"Id": one, "StageName": "Nie gesehen", "Name": None, "OwnerId": None},
        {"Id": other, "Legacy_Number__c": 9007199254740993.0, "Name": "\u0000 \ud83d\ude00 ünï"},
    ])  # fmt: skip
    pull(lake, "opportunity")
    [found] = lake.query(f"SELECT StageName, Name, OwnerId FROM raw.salesforce_opportunity WHERE _source_id = '{one}'")
    assert found == ("Nie gesehen", None, None)
    [(number,)] = lake.query(f"SELECT Legacy_Number__c FROM raw.salesforce_opportunity WHERE _source_id = '{other}'")
    assert number == float(2**53)


def test_a_day_whose_budget_ends_goes_on_where_it_stopped(lake: SyncedLake, org: Sandbox) -> None:
    lake.reconfigure({"max_in_flight": 1}, source="salesforce")
    control(org, "limits", daily=100, used=87)
    [outcome] = lake.capture("opportunity", source="salesforce").values()
    assert outcome.resumes_at is not None
    assert not outcome.failed
    assert "of the 100 calls" in outcome.message
    assert outcome.rows == 400
    control(org, "limits", daily=108_000, used=0)
    org.reset_requests()
    after = pull(lake, "opportunity")["opportunity"]
    assert after.resumes_at is None
    assert calls(org)["opportunity query_all"] == 2, "what was left, and what is new"
    assert after.rows == len(stored(org, "opportunity"))
    assert_same(lake, org, "opportunity")


def test_our_own_cap_a_day_stops_cleanly_too(lake: SyncedLake, org: Sandbox) -> None:
    lake.reconfigure({"max_per_day": 3, "max_in_flight": 1}, source="salesforce")
    [outcome] = lake.capture("opportunity", source="salesforce").values()
    assert outcome.resumes_at is not None
    assert "max_per_day" in outcome.message
    lake.reconfigure({"max_per_day": 1000}, source="salesforce")
    pull(lake, "opportunity")
    assert_same(lake, org, "opportunity")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["503", "html", "reset", "403"])
def test_a_table_that_fails_keeps_its_watermark_and_the_others_go_on(lake: SyncedLake, org: Sandbox, kind: str) -> None:
    org.fault(kind, model="contact", method="query_all", times=None)
    outcomes = lake.capture("contact", "account", source="salesforce")
    assert (outcomes["contact"].status, outcomes["account"].status) == ("failed", "ok")
    assert "tenant northwind, source salesforce, table contact" in outcomes["contact"].message
    assert lake.state("contact", source="salesforce").watermark is None
    assert outcomes["contact"].retry == (kind != "403")
    org.clear_faults()
    pull(lake, "contact")
    assert_same(lake, org, "contact", "account")
