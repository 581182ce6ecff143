"""AWS Marketplace in the lake: products, agreements with their terms, and metered usage from files."""

import gzip
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from resources.connecting import connect
from resources.connectors.base import MissingAtSource, PermanentError, Window
from resources.connectors.marketplace import MarketplaceSource
from resources.connectors.marketplace_usage import UsageFeed
from sandbox.apn.server import READER
from sandbox.server import Sandbox, running
from tests.connectors.aws_lakes import START, asked, aws_lake, aws_sandbox, captured
from tests.lakes import SyncedLake

TABLES = ("products", "agreements", "meter_usage")
SOURCE: dict[str, Any] = {"source": "marketplace"}


@pytest.fixture(scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with aws_sandbox(60) as server:
        yield server


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Sandbox:
    _sandbox.reset_requests()
    return _sandbox


@pytest.fixture
def lake(sandbox: Sandbox, tmp_path: Path) -> SyncedLake:
    return aws_lake(tmp_path, sandbox)


def truth(sandbox: Sandbox, entity: str, key: str) -> dict[str, Any]:
    return {row[key]: row for row in sandbox.records("aws", "podium", entity)}


def assert_same(lake: SyncedLake, sandbox: Sandbox) -> None:
    products = truth(sandbox, "products", "EntityId")
    found = captured(lake, "products", "marketplace")
    assert set(found) == set(products)
    for key, row in products.items():
        assert found[key]["DetailsDocument"] == row["DetailsDocument"]
        assert found[key]["EntityIdentifier"] == f"{key}@{row['Revision']}"
    agreements, terms = truth(sandbox, "agreements", "agreementId"), truth(sandbox, "agreement_terms", "agreementId")
    found = captured(lake, "agreements", "marketplace")
    assert set(found) == set(agreements)
    for key, row in agreements.items():
        assert found[key]["acceptedTerms"] == terms[key]["acceptedTerms"]
        assert found[key]["Summary"]["lastUpdateTime"] == row["lastUpdateTime"]
        assert found[key]["status"] == row["status"]
    assert captured(lake, "meter_usage", "marketplace") == truth(sandbox, "meter_usage", "metering_record_id")


def test_syncs_follow_the_source_at_the_fewest_requests(lake: SyncedLake, sandbox: Sandbox) -> None:
    first = lake.capture(*TABLES, **SOURCE)
    assert {outcome.status for outcome in first.values()} == {"ok"}, first
    assert_same(lake, sandbox)
    assert asked(sandbox)["DescribeEntity"] == first["products"].rows
    assert asked(sandbox)["DescribeAgreement"] == asked(sandbox)["GetAgreementTerms"] == first["agreements"].rows
    sandbox.reset_requests()
    second = lake.capture(*TABLES, **SOURCE)
    assert {outcome.status for outcome in second.values()} == {"unchanged"}
    assert asked(sandbox) == {"ListEntities": 7, "SearchAgreements": 1}, "six kinds of product, and the clock"

    changes = sandbox.advance("2026-12-05")["aws"]["podium"]
    sandbox.reset_requests()
    third = lake.capture(*TABLES, **SOURCE)
    assert_same(lake, sandbox)
    for table in TABLES:
        moved = len(changes[table]["created"]) + len(changes[table]["updated"])
        assert third[table].rows_written == moved > 0, table
    assert asked(sandbox)["DescribeEntity"] == third["products"].rows_written
    assert {outcome.status for outcome in lake.capture(*TABLES, **SOURCE).values()} == {"unchanged"}


def test_raw_views_have_readable_names_and_types(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.capture(*TABLES, **SOURCE)
    rows = lake.query(
        "SELECT agreement_id, status, product_id, agreement_value, currency_code, start_time, end_time, last_update_time,"
        " renewal_term_configuration_enable_auto_renew, validity_term_agreement_duration FROM raw.marketplace_agreements"
    )
    agreements, found = truth(sandbox, "agreements", "agreementId"), captured(lake, "agreements", "marketplace")
    for row in rows:
        stored = agreements[row[0]]
        times = [stored[name] and datetime.fromtimestamp(stored[name], UTC).replace(tzinfo=None)
                 for name in ("startTime", "endTime", "lastUpdateTime")]  # fmt: skip
        charges = stored["estimatedCharges"]
        renews = any("renewalTerm" in term for term in found[row[0]]["acceptedTerms"])
        assert row == (
            row[0], stored["status"], stored["proposalSummary"]["resources"][0]["id"], Decimal(charges["agreementValue"]),
            charges["currencyCode"], *times, renews or None, "P365D",
        )  # fmt: skip
    [(count, regions)] = lake.query("SELECT count(product_title), max(len(regions)) FROM raw.marketplace_products")
    assert (count, regions) == (len(truth(sandbox, "products", "EntityId")), 2)
    [(total,)] = lake.query("SELECT sum(quantity) FROM raw.marketplace_meter_usage")
    assert total == sum(int(row["quantity"]) for row in truth(sandbox, "meter_usage", "metering_record_id").values())


def test_what_is_gone_becomes_a_tombstone(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.capture(*TABLES, **SOURCE)
    product = min(truth(sandbox, "products", "EntityId"))
    agreement = min(truth(sandbox, "agreements", "agreementId"))
    sandbox.change("aws", "podium", "products", delete=[product])
    sandbox.change("aws", "podium", "agreements", delete=[agreement])
    assert lake.capture("products", **SOURCE)["products"].rows_deleted == 1
    assert lake.capture("agreements", **SOURCE)["agreements"].rows_deleted == 0
    swept = lake.capture("agreements", "meter_usage", sweep=True, **SOURCE)
    assert swept["agreements"].rows_deleted == 1
    assert swept["meter_usage"].status == "unchanged"
    assert agreement not in captured(lake, "agreements", "marketplace")


def test_what_is_read_by_id_is_what_a_sync_reads(lake: SyncedLake, sandbox: Sandbox) -> None:
    first, renewed, bought, *_ = sorted(truth(sandbox, "agreements", "agreementId"))
    quiet = truth(sandbox, "agreements", "agreementId")[renewed]["lastUpdateTime"]
    chain = {"agreementId": renewed, "initialAgreementId": first, "lastUpdateTime": quiet}
    sandbox.change("aws", "podium", "agreements", put=[chain])
    lake.capture("products", "agreements", full=True, **SOURCE)
    before = captured(lake, "agreements", "marketplace")
    product = min(truth(sandbox, "products", "EntityId"))
    told = {"agreements": (first, renewed, bought), "products": (product,)}
    sandbox.reset_requests()
    for outcome in lake.capture("products", "agreements", ids=told, **SOURCE).values():
        assert outcome.rows_written == 0, "nothing moved"
        assert outcome.status == "unchanged", outcome.message
    assert asked(sandbox)["SearchAgreements"] == 4, "one each, and one more for what is not the first of its chain"
    sandbox.change("aws", "podium", "agreements", put=[{"agreementId": first, "status": "TERMINATED"}])
    assert lake.capture("agreements", ids={"agreements": (first,)}, **SOURCE)["agreements"].rows_written == 1
    after = captured(lake, "agreements", "marketplace")[first]
    assert after["status"] == after["Summary"]["status"] == "TERMINATED"
    assert after["ChangedAt"] > before[first]["ChangedAt"]
    assert after["Summary"]["entitlements"] == before[first]["Summary"]["entitlements"]
    assert lake.capture("agreements", **SOURCE)["agreements"].status == "unchanged"


def test_products_of_other_kinds_are_not_read_by_id(lake: SyncedLake, sandbox: Sandbox) -> None:
    kind = "SaaSProduct"
    lake.reconfigure({"product_types": [kind]}, source="marketplace")
    rows = truth(sandbox, "products", "EntityId")
    other = next(key for key, row in rows.items() if row["EntityType"] != kind)
    lake.capture("products", **SOURCE)
    lake.capture("products", ids={"products": (other,)}, **SOURCE)
    assert {rows[key]["EntityType"] for key in captured(lake, "products", "marketplace")} == {kind}


def test_polls_look_at_the_folder_and_ask_once(lake: SyncedLake, sandbox: Sandbox) -> None:
    connector: Any = connect("podium", "marketplace", lake.settings.tenants["podium"].sources["marketplace"])
    far = datetime(2030, 1, 1, tzinfo=UTC)
    assert not connector.has_changes(dict.fromkeys(TABLES, far))
    assert asked(sandbox) == {"SearchAgreements": 1}
    assert connector.has_changes({"meter_usage": datetime(2020, 1, 1, tzinfo=UTC)})
    assert connector.has_changes({"agreements": datetime(2020, 1, 1, tzinfo=UTC)})
    assert "usage files" in connector.check()
    connector.close()


def test_without_a_feed_there_is_no_usage(sandbox: Sandbox, tmp_path: Path) -> None:
    lake = aws_lake(tmp_path, sandbox, usage=False)
    assert lake.capture("meter_usage", **SOURCE)["meter_usage"].status == "not_configured"
    lake.reconfigure({"tables": ["meter_usage"]}, source="marketplace")
    outcome = lake.capture("meter_usage", **SOURCE)["meter_usage"]
    assert outcome.status == "missing_at_source"
    assert "usage" in outcome.message
    lake.reconfigure({"usage": str(tmp_path / "nowhere")}, source="marketplace")
    assert lake.capture("meter_usage", **SOURCE)["meter_usage"].status == "missing_at_source"


def test_a_ledger_in_postgres_is_usage_too(tmp_path: Path) -> None:
    """Any table of a database serves; the stand-in's users do for a ledger here."""
    with running(start=START, sources="aws,apn", records=20) as sandbox:
        database = {"port": sandbox.health()["sources"]["apn"]["podium"]["port"], "database": "apn", "schema": "apn",
                    "username": "reader", "password": READER, "tables": {"users": {"exclude": ["full_name"]}}}  # fmt: skip
        lake = aws_lake(tmp_path, sandbox, usage=False)
        lake.reconfigure({"ledger": database, "tables": ["meter_usage"]}, source="marketplace")
        first = lake.capture("meter_usage", **SOURCE)["meter_usage"]
        assert first.status == "ok", first.message
        rows = {str(row["id"]): row["email"] for row in sandbox.records("apn", "podium", "users")}
        assert {key: row["email"] for key, row in captured(lake, "meter_usage", "marketplace").items()} == rows
        assert all("full_name" not in row for row in captured(lake, "meter_usage", "marketplace").values())
        assert dict(lake.query("SELECT CAST(id AS VARCHAR), email FROM raw.marketplace_meter_usage")) == rows
        assert lake.capture("meter_usage", sweep=True, **SOURCE)["meter_usage"].status == "unchanged"
        connector = connect("podium", "marketplace", lake.settings.tenants["podium"].sources["marketplace"])
        assert connector.has_changes({"meter_usage": datetime(2000, 1, 1, tzinfo=UTC)})
        assert not connector.has_changes({"meter_usage": datetime(2030, 1, 1, tzinfo=UTC)})
        connector.close()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            {"usage": "feed", "ledger": {"database": "d", "username": "u", "password": "p", "tables": ["a"]}},
            "not in both",
        ),
        ({"ledger": {"database": "d", "username": "u", "password": "p", "tables": ["a", "b"]}}, "the one table"),
        ({"access_key_id": "AKIA"}, "belong together"),
    ],
)
def test_contradictions_in_the_configuration_are_named(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        MarketplaceSource.model_validate(more)


# -- the feed's files ------------------------------------------------------------------------------------------------------


def write(folder: Path, name: str, day: int, *rows: str, header: str = "id,quantity") -> None:
    """A file of November `day`."""
    file = folder / name
    text = "\n".join([header, *rows]) + "\n"
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    moment = datetime(2026, 11, day, tzinfo=UTC).timestamp()
    os.utime(file, (moment, moment))


def take(feed: UsageFeed, window: Window) -> tuple[dict[str, str], str | None, int]:
    """Id -> quantity, the cursor, and how many rows came."""
    found, cursor, rows = {}, window.cursor, 0
    for page in feed.pages(window):
        found |= {row["id"]: row["quantity"] for row in page.records}
        rows += len(page.records)
        cursor = page.cursor or cursor
    return found, cursor, rows


def test_only_new_and_rewritten_files_are_read_and_corrections_win(tmp_path: Path) -> None:
    feed = UsageFeed(str(tmp_path), "id", "here")
    write(tmp_path, "a.csv", 1, "1,10", "2,20")
    write(tmp_path, "b.csv.gz", 2, "2,21", '"3","30"')
    (tmp_path / "notes.txt").write_text("not a feed")
    found, cursor, rows = take(feed, Window())
    assert (found, rows) == ({"1": "10", "2": "21", "3": "30"}, 3), "each record once, as its newest file has it"
    assert take(feed, Window(cursor=cursor)) == ({}, cursor, 0)
    write(tmp_path, "c.csv", 4, "4,40")
    found, cursor, _ = take(feed, Window(cursor=cursor))
    assert found == {"4": "40"}
    write(tmp_path, "late.csv", 1, "2,19", "5,50")
    found, cursor, _ = take(feed, Window(cursor=cursor))
    assert (found["2"], found["5"]) == ("21", "50"), "a file that comes late does not undo a correction"
    write(tmp_path, "c.csv", 5, "4,41")
    assert take(feed, Window(cursor=cursor))[0] == {"4": "41"}


def test_a_past_day_reads_that_days_files(tmp_path: Path) -> None:
    feed = UsageFeed(str(tmp_path), "id", "here")
    for day in (1, 2, 3):
        write(tmp_path, f"{day}.csv", day, f"{day},1")
    lo, hi = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC)
    found, cursor, _ = take(feed, Window(lo, hi))
    assert found == {"2": "1"}
    assert cursor is None, "a cursor would skip the third day"


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        (["1,10"], "key,quantity", "no column id"),
        (["1,10,11"], "id,quantity", "line 2: 3 values for 2 columns"),
        (['1,"10', "2,20"], "id,quantity", "no CSV"),
        (["1,10", " ,20", ",30"], "id,quantity", "line 3: id is empty"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, rows: list[str], header: str, says: str) -> None:
    write(tmp_path, "broken.csv", 1, *rows, header=header)
    with pytest.raises(PermanentError, match=says) as caught:
        take(UsageFeed(str(tmp_path), "id", "tenant t, source m, table meter_usage"), Window())
    assert "broken.csv" in str(caught.value)
    assert str(caught.value).startswith("tenant t, source m, table meter_usage")


def test_a_feed_in_a_bucket_is_read_the_same_way() -> None:
    import fsspec

    system = fsspec.filesystem("memory")
    system.pipe("/feed/2026/a.csv", b'\xef\xbb\xbfid,quantity\r\n1,10\r\n\r\n2,"2\n0"\r\n')
    feed = UsageFeed("memory://feed", "id", "here", modified="quantity")
    assert take(feed, Window())[0] == {"1": "10", "2": "2\n0"}
    assert [column.name for column in feed.columns()] == ["id", "quantity"]
    assert list(feed.inventory()) == [[("1", "10"), ("2", "2\n0")]]
    assert [page.records for page in feed.of_ids(["2"])] == [[{"id": "2", "quantity": "2\n0"}]]
    system.rm("/feed", recursive=True)
    with pytest.raises(MissingAtSource):
        feed.files()


def test_the_cursor_is_small_text(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 1, "1,10")
    cursor = take(UsageFeed(str(tmp_path), "id", "here"), Window())[1]
    assert cursor is not None
    assert len(json.loads(cursor)) == 1
