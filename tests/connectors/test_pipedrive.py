"""Pipedrive is read completely, with few requests, and shows its custom fields under their names."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from resources.connectors.base import PermanentError, Window
from resources.connectors.column_names import snake_case
from resources.connectors.pipedrive import PipedriveSource
from resources.connectors.pipedrive_api import Api
from resources.connectors.pipedrive_columns import columns_of
from tests.connectors.pipedrive_account import Account, Captured, account, read, records

TABLES = (
    "deals", "persons", "organizations", "activities", "products", "pipelines", "stages", "users", "deal_fields",
    "person_fields", "organization_fields", "activity_fields", "product_fields",
)  # fmt: skip


@pytest.fixture(scope="module")
def still() -> Iterator[Account]:
    """An account in which nothing moves."""
    with account(1600) as made:
        yield made


@pytest.fixture
def moving() -> Iterator[Account]:
    with account(300) as made:
        yield made


@pytest.fixture
def captured(moving: Account, tmp_path: Path) -> Captured:
    return Captured(tmp_path, moving, page_size=500)


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_every_record_is_read_as_it_is_stored(still: Account, table: str) -> None:
    key = "field_code" if table.endswith("_fields") else "id"
    got = {row[key]: row for row in read(still.connect(), table)}
    assert got == still.truth(table, deleted=True)


def test_the_tables_are_those_of_the_docs(still: Account) -> None:
    assert still.connect().tables() == list(TABLES)
    assert still.connect(tables=["deals", "users"]).tables() == ["deals", "users"]


def test_a_window_reads_what_was_modified_in_it(still: Account) -> None:
    deals = sorted(still.truth("deals", deleted=True).values(), key=lambda row: row["update_time"])
    lo, hi = (datetime.fromisoformat(deals[place]["update_time"].replace("Z", "+00:00")) for place in (500, 1400))
    got = read(still.connect(), "deals", Window(lo + timedelta(microseconds=400_000), hi - timedelta(microseconds=1)))
    wanted = {
        row["id"] for row in deals if deals[500]["update_time"] <= row["update_time"] < deals[1400]["update_time"]
    }
    assert {row["id"] for row in got} == wanted


@pytest.mark.parametrize("at_once", [1, 4, 8])
def test_windows_side_by_side_cost_hardly_more_requests_than_full_pages(still: Account, at_once: int) -> None:
    still.sandbox.reset_requests()
    connector = still.connect(max_in_flight=at_once, page_size=10)
    got = read(connector, "deals")
    deals = still.truth("deals", deleted=True)
    assert {row["id"] for row in got} == set(deals)
    lists = [(row["is_archived"], row["is_deleted"]) for row in deals.values()]
    full = sum(-(-lists.count(kind) // 10) for kind in set(lists))
    asked = still.asked()
    requests = asked["deals", "list"] + asked["deals", "archived"]
    assert full <= requests <= 1.1 * full + 5  # which splits come about is up to the threads


def test_several_windows_are_read_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, under_way, most = threading.Lock(), 0, 0
    listed = Api.listed

    def watched(*args: Any) -> Any:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        try:
            return listed(*args)
        finally:
            with lock:
                under_way -= 1

    monkeypatch.setattr(Api, "listed", watched)
    with account(1600, latency_ms=20) as slow:
        read(slow.connect(page_size=25, max_in_flight=16), "deals")
    assert most > 8


def test_a_deal_that_moves_while_it_is_read_is_not_lost(moving: Account) -> None:
    connector = moving.connect(page_size=20, max_in_flight=3)
    ids = set(moving.truth("deals"))
    seen: dict[int, str] = {}
    for number, page in enumerate(connector.changes(connector.schema("deals"), Window())):
        seen |= {row["id"]: row["title"] for row in records([page])}
        if number in (1, 3, 5):
            moving.change("deals", *({"id": i, "title": f"moved {number}"} for i in sorted(ids)[number * 9 :: 40]))
    assert set(seen) >= ids


def test_a_deal_that_moves_behind_the_reader_is_there_after_the_next_sync(captured: Captured) -> None:
    captured.sync("deals")
    captured.source.change("deals", {"id": 5, "title": "late"})
    assert captured.sync("deals")["deals"].rows_written == 1
    assert captured.raw("deals")["5"]["title"] == "late"


# -- through bronze ----------------------------------------------------------------------------------------------------


def test_a_second_sync_writes_nothing_and_asks_as_little_as_the_api_allows(captured: Captured) -> None:
    first = captured.sync()
    assert {table: outcome.status for table, outcome in first.items()} == dict.fromkeys(TABLES, "ok")
    for table in TABLES:
        assert len(captured.raw(table)) == len(captured.source.truth(table)), table
    captured.source.sandbox.reset_requests()
    before = captured.source.limit()["used"]
    second = captured.sync()
    assert {table: outcome.status for table, outcome in second.items()} == dict.fromkeys(TABLES, "unchanged")
    one = ("persons", "organizations", "activities", "products", "pipelines", "stages", "users")
    lists = {("deals", "list"): 2, ("deals", "archived"): 2, **{(table, "list"): 1 for table in (*one, *TABLES[8:])}}
    assert captured.source.asked() == lists
    assert captured.source.limit()["used"] - before == 60 + 4 * 10 + 2 * 5 + 20 + 5 * 10


def test_days_that_pass_bring_exactly_what_changed(captured: Captured) -> None:
    captured.sync()
    told = captured.source.sandbox.advance("2026-11-18")["pipedrive"]["skyfit"]
    outcomes = captured.sync()
    for table in ("deals", "persons", "organizations", "activities", "products", "stages", "users"):
        said = told.get(table, {"created": [], "updated": [], "deleted": []})
        seen_gone = said["deleted"] if table in ("deals", "products", "stages") else []
        wanted = {*said["created"], *said["updated"], *seen_gone}
        assert outcomes[table].rows_written == len(wanted), table
        assert outcomes[table].rows_deleted == len(seen_gone), table
    swept = captured.sync(sweep=True)
    for table in ("persons", "organizations", "activities"):
        assert swept[table].rows_deleted == len(told.get(table, {"deleted": []})["deleted"]), table
    for table in TABLES:
        key = "field_code" if table.endswith("_fields") else "id"
        assert {row[key] for row in captured.raw(table).values()} == set(captured.source.truth(table)), table


def test_archived_and_deleted_deals_are_told_apart(captured: Captured) -> None:
    captured.sync("deals")
    source = captured.source
    live = [row["id"] for row in source.truth("deals").values() if not row["is_archived"]]
    archived = [row["id"] for row in source.truth("deals").values() if row["is_archived"]]
    source.change("deals", {"id": live[3], "is_archived": True}, delete=[live[4], archived[0]])
    source.change("deals", {"id": archived[1], "is_archived": False, "archive_time": None})
    outcome = captured.sync("deals")["deals"]
    assert (outcome.rows_written, outcome.rows_deleted) == (4, 2)
    rows = captured.raw("deals")
    assert str(live[4]) not in rows
    assert str(archived[0]) not in rows
    assert (rows[str(live[3])]["is_archived"], rows[str(archived[1])]["is_archived"]) == (True, False)
    assert captured.sync("deals", sweep=True)["deals"].status == "unchanged"


def test_a_sweep_finds_what_no_window_tells(captured: Captured) -> None:
    captured.sync("persons", "deals")
    source = captured.source
    source.change("persons", delete=[4, 7])
    source.change("deals", {"id": 900, "title": "behind our back", "update_time": "2026-01-01T00:00:00Z"})
    outcomes = captured.sync("persons", "deals")
    assert outcomes["persons"].rows_deleted == outcomes["deals"].rows_written == 0
    swept = captured.sync("persons", "deals", sweep=True)
    assert swept["persons"].rows_deleted == 2
    assert captured.raw("deals")["900"]["title"] == "behind our back"


def test_news_are_noticed_for_forty_tokens_at_most(moving: Account) -> None:
    connector = moving.connect()
    tables: list[str] = ["deals", "persons", "organizations", "activities", "stages"]
    since: dict[str, datetime] = dict.fromkeys(tables, datetime(2026, 11, 14, tzinfo=UTC))
    before = moving.limit()["used"]
    assert not connector.has_changes(since)
    assert moving.limit()["used"] - before == 40
    moving.change("deals", delete=[3])
    assert connector.has_changes(since)
    assert not connector.has_changes({"persons": since["persons"]})
    moving.change("activities", {"id": 3, "done": True})
    assert connector.has_changes({"activities": since["activities"]})


def test_single_records_are_read_wherever_they_are(moving: Account) -> None:
    connector = moving.connect()
    archived = next(row["id"] for row in moving.truth("deals").values() if row["is_archived"])
    got = records(connector.by_ids(connector.schema("deals"), ["3", str(archived), "777777"]))
    assert {row["id"] for row in got} == {3, archived}
    assert [row["id"] for row in records(connector.by_ids(connector.schema("stages"), ["2"]))] == [2]


# -- columns -----------------------------------------------------------------------------------------------------------


def test_custom_fields_have_their_names_types_and_labels(captured: Captured) -> None:
    captured.sync("deals", "persons")
    types, rows = captured.columns("deals"), captured.raw("deals")
    fields = {
        (row["field_name"], row["field_type"]): row
        for row in captured.source.truth("deal_fields").values()
        if row["is_custom_field"]
    }
    expected = {
        "reference": "VARCHAR", "billing_code": "VARCHAR", "discount": "DOUBLE", "seats": "BIGINT", "setup_fee": "DOUBLE",
        "setup_fee_currency": "VARCHAR", "contract_start": "DATE", "service_period": "DATE", "service_period_until": "DATE",
        "call_at": "VARCHAR", "support_hours_until": "VARCHAR", "lead_source": "VARCHAR", "modules": "VARCHAR[]",
        "account_manager": "BIGINT", "reseller": "BIGINT", "champion": "BIGINT", "site_address": "VARCHAR",
        "site_address_postal_code": "VARCHAR", "grosse_m2": "DOUBLE", "value": "DOUBLE",
    }  # fmt: skip
    assert expected.items() <= types.items()
    value_code = fields["Value", "varchar"]["field_code"]
    text_code = fields["Reference", "text"]["field_code"]
    assert types[f"value_{value_code[:6]}"] == types[f"reference_{text_code[:6]}"] == "VARCHAR"

    def code(name: str) -> str:
        return next(row["field_code"] for (label, _), row in fields.items() if label == name)

    enum, labels = fields["Lead source", "enum"], {}
    labels = {option["id"]: option["label"] for option in enum["options"]}
    modules = {option["id"]: option["label"] for option in fields["Modules", "set"]["options"]}
    for record in captured.source.truth("deals").values():
        row, custom = rows[str(record["id"])], record["custom_fields"]
        chosen = custom[code("Lead source")]
        assert row["lead_source"] == (None if chosen is None else labels.get(chosen, str(chosen)))
        sets = custom[code("Modules")]
        assert row["modules"] == (None if sets is None else [modules[number] for number in sets])
        money = custom[code("Setup fee")] or {"value": None, "currency": None}
        assert (row["setup_fee"], row["setup_fee_currency"]) == (money["value"], money["currency"])
        start = custom[code("Contract start")]
        assert row["contract_start"] == (date.fromisoformat(start) if start else None)
        address = custom[code("Site address")] or {}
        assert (row["site_address"], row["site_address_locality"]) == (address.get("value"), address.get("locality"))
        assert row["seats"] == custom[code("Seats")]
        assert (row["title"], row["value"], row["org_id"]) == (record["title"], record["value"], record["org_id"])
        assert row["update_time"] == datetime.fromisoformat(record["update_time"].removesuffix("Z"))
    assert captured.columns("persons")["preferred_language"] == "VARCHAR"


def test_a_field_that_is_renamed_or_relabelled_shows_so_and_no_deal_is_read_again(captured: Captured) -> None:
    captured.sync("deals", "deal_fields")
    before = captured.raw("deals")
    source = captured.source
    fields = {row["field_name"]: row for row in source.truth("deal_fields").values() if row["is_custom_field"]}
    lead = fields["Lead source"]
    options = [option | {"label": f"{option['label']}!"} for option in lead["options"]]
    source.change(
        "deal_fields",
        {"field_code": fields["Seats"]["field_code"], "field_name": "Memberships"},
        {"field_code": fields["Setup fee"]["field_code"], "field_name": "Entry fee"},
        {"field_code": lead["field_code"], "options": options},
    )
    outcomes = captured.sync("deals", "deal_fields")
    assert outcomes["deals"].rows_read < len(before) / 4
    assert [str(change) for change in outcomes["deals"].schema_changes] == [
        "seats renamed (now memberships)",
        "setup_fee renamed (now entry_fee)",
        "setup_fee_currency renamed (now entry_fee_currency)",
    ]
    assert outcomes["deal_fields"].rows_written == 3
    after = captured.raw("deals")
    for source_id, row in before.items():
        now = after[source_id]
        assert (now["memberships"], now["entry_fee"]) == (row["seats"], row["setup_fee"])
        assert not {"seats", "setup_fee", "setup_fee_currency"} & set(now)
        label = row["lead_source"]
        assert now["lead_source"] == (f"{label}!" if label and not label.isdigit() else label)
    assert captured.sync("deals")["deals"].schema_changes == []


def test_a_field_that_is_added_has_the_values_that_deals_get(captured: Captured) -> None:
    captured.sync("deals")
    source = captured.source
    source.change("deal_fields", {"field_name": "Renewal risk", "field_type": "double", "field_code": "f" * 40})
    source.change("deals", {"id": 3, "custom_fields": {"f" * 40: 0.5}})
    outcome = captured.sync("deals")["deals"]
    assert [str(change) for change in outcome.schema_changes] == ["renewal_risk added (double)"]
    assert outcome.rows_written == 1
    rows = captured.raw("deals")
    assert rows["3"]["renewal_risk"] == 0.5
    assert rows["4"]["renewal_risk"] is None


def field(name: str, code: str, kind: str = "varchar") -> dict[str, Any]:
    return {"field_name": name, "field_code": code, "field_type": kind, "is_custom_field": True, "options": None}


def test_names_are_readable_unique_and_stay() -> None:
    labels = ["Größe (m²)", "2nd contact", "Бюджет", "Срочный", "優先度", "プラン", "हिन्दी", "✅ !"]
    names = ["grosse_m2", "field_2nd_contact", "бюджет", "срочный", "優先度", "プラン", "हिन्दी", ""]
    assert [snake_case(label) for label in labels] == names
    fields = [field("Région", "a" * 40), field("✅", "b" * 40), field("Бюджет", "1" * 40), field("Name", "c" * 40)]
    first = columns_of("stages", fields)
    names = [column.name for column in first][-4:]
    assert names == ["region", "field_bbbbbb", "бюджет", "name_cccccc"]
    more = columns_of(
        "stages", [field("Région", "a" * 40), field("region", "d" * 40), field("x", "e" * 40, "monetary")]
    )
    assert [column.name for column in more][-4:] == ["region", "region_dddddd", "x", "x_currency"]
    assert len({column.name for column in more}) == len(more)


def test_a_standard_field_that_is_new_is_shown(still: Account) -> None:
    new = {"field_name": "Score", "field_code": "score", "field_type": "double", "is_custom_field": False}
    assert columns_of("deals", [new])[-1].name == "score"


def test_only_the_chosen_fields_become_columns(still: Account) -> None:
    schema = still.connect(tables={"deals": {"include": ["title", "seats"]}}).schema("deals")
    assert {column.name for column in schema.columns} == {"id", "update_time", "is_deleted", "title", "seats"}


def test_what_is_left_out_is_not_in_the_raw_record_either(still: Account) -> None:
    tables = {"deals": {"exclude": ["title", "seats", "is_deleted"]}, "users": {"include": ["name"]}}
    connector = still.connect(tables=tables)
    assert not {"title", "seats"} & {column.name for column in connector.schema("deals").columns}
    fields = still.truth("deal_fields").values()
    code = next(row["field_code"] for row in fields if row["field_name"] == "Seats")
    wanted = still.truth("deals", deleted=True)
    for record in wanted.values():
        del record["title"], record["custom_fields"][code]
    assert {row["id"]: row for row in read(connector, "deals")} == wanted
    users = still.truth("users", deleted=True).items()
    left = {"id", "name", "modified", "is_deleted"}
    assert {row["id"]: row for row in read(connector, "users")} == {
        number: {name: value for name, value in user.items() if name in left} for number, user in users
    }
    [one] = records(still.connect(tables=tables).by_ids(connector.schema("deals"), ["3"]))
    assert "title" not in one


@pytest.mark.parametrize("kind", ["include", "exclude"])
@pytest.mark.parametrize("table", ["deals", "deal_fields"])
def test_a_chosen_field_that_is_not_there_is_named(still: Account, table: str, kind: str) -> None:
    name = {"deals": "titel", "deal_fields": "optoins"}[table]
    with pytest.raises(PermanentError, match=rf"skyfit\.sources\.pipedrive\.tables\.{table}.*{name}.*did you mean"):
        still.connect(tables={table: {kind: [name]}}).schema(table)


# -- logging in --------------------------------------------------------------------------------------------------------


def test_check_says_who_answers(still: Account) -> None:
    said = still.connect().check()
    assert "Skyfit GmbH" in said
    assert "API Reader" in said


def test_an_oauth_app_finds_the_account_by_its_token_and_renews_it_in_the_middle(moving: Account) -> None:
    connector = moving.connect(oauth=True, max_in_flight=2)
    seen = set()
    for number, page in enumerate(connector.changes(connector.schema("deals"), Window())):
        seen |= {row["id"] for row in records([page])}
        if number == 2:
            moving.expire_tokens()
    assert seen == set(moving.truth("deals", deleted=True))
    assert moving.refreshes() == 2


@pytest.mark.parametrize(
    "block",
    [
        {}, {"api_token": "a", "client_id": "b", "client_secret": "c", "refresh_token": "d"},
        {"client_id": "b", "client_secret": "c"}, {"api_token": "a", "page_size": 501}, {"api_token": "a", "plan": "gold"},
    ],
)  # fmt: skip
def test_a_block_that_cannot_work_is_refused(block: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PipedriveSource.model_validate(block)
