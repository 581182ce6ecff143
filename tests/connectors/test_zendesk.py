"""Zendesk into bronze: what a sync reads, what the next one reads, what is deleted, what a field is called, how much is asked."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake_config import ConfigError
from resources.budget import Budget
from resources.connectors.base import NotPermitted, Page, PermanentError, Window
from resources.connectors.zendesk import ZendeskConnector, ZendeskSource
from resources.connectors.zendesk_fields import custom_columns
from resources.pacing import RateLimit
from sandbox.server import Sandbox, running
from sandbox.zendesk.cursors import read_export_cursor
from tests.connectors.zendesk_lake import TABLES, NoWaiting, ZendeskLake, later, limit

EXPORTED = ("tickets", "users", "organizations", "ticket_metric_events")


@pytest.fixture(scope="module")
def _sandbox() -> Iterator[Sandbox]:
    # In the evening, when nothing happens by itself while a test lets minutes pass.
    start = (datetime.now(UTC) - timedelta(days=20)).replace(hour=19, minute=0)
    with running(start=start.isoformat(), seed=7, sources="zendesk", records=400) as server:
        yield server


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The shared account, with no limit on exports, and nothing of earlier tests held back."""
    limit(_sandbox, exports=None, account=None, plan="enterprise", style="json", seconds=60, reset=True)
    later(_sandbox, 61)
    _sandbox.reset_requests()
    yield _sandbox
    _sandbox.clear_faults()


@pytest.fixture
def lake(sandbox: Sandbox, tmp_path: Path) -> ZendeskLake:
    return ZendeskLake(tmp_path, sandbox)


def ids(pages: Iterator[Page]) -> list[int]:
    return [
        json.loads(record)["id"] if isinstance(record, bytes) else record["id"]
        for page in pages
        for record in page.records
    ]


# -- syncs ---------------------------------------------------------------------------------------------------------------


def test_a_first_sync_is_the_account_and_a_second_asks_seven_times_and_writes_nothing(
    lake: ZendeskLake, sandbox: Sandbox
) -> None:
    first = lake.capture(*TABLES)
    assert {outcome.status for outcome in first.values()} == {"ok"}
    lake.assert_is_source()
    sandbox.reset_requests()
    second = lake.capture(*TABLES)
    assert {outcome.status for outcome in second.values()} == {"unchanged"}
    assert sum(entry["requests"] for entry in sandbox.requests()) == 7
    assert sum(entry["requests"] for entry in sandbox.requests() if entry["method"].startswith("export")) == 4


def test_after_some_days_a_sync_writes_exactly_what_changed(lake: ZendeskLake, sandbox: Sandbox) -> None:
    lake.capture(*TABLES)
    changes = later(sandbox, 3 * 86400)
    outcomes = lake.capture(*TABLES)
    lake.assert_is_source()
    for table in TABLES:
        moved = {number for kind in changes.get(table, {}).values() for number in kind}
        written = {row["source_id"] for row in lake.bronze(table) if row["sync_batch_id"] == "run-0002"}
        assert written == set(map(str, moved)), table
        assert outcomes[table].rows_deleted == len(changes.get(table, {}).get("deleted", ())), table
    assert len(lake.bronze("tickets")) > len(sandbox.records("zendesk", "skyfit", "tickets"))


def test_the_next_sync_goes_on_from_the_stored_cursor_so_the_last_minute_is_not_lost(
    lake: ZendeskLake, sandbox: Sandbox
) -> None:
    later(sandbox, 61)
    [number] = sandbox.change("zendesk", "skyfit", "tickets", put=[{"subject": "held back at first"}])
    lake.capture("tickets", "users")
    stored = lake.state("tickets").cursor
    newest = max(
        row["generated_timestamp"] for row in sandbox.records("zendesk", "skyfit", "tickets") if row["id"] != number
    )
    assert stored is not None
    assert read_export_cursor(stored)[0] == newest
    assert str(number) not in {row["source_id"] for row in lake.bronze("tickets")}
    later(sandbox, 61)
    outcome = lake.capture("tickets")["tickets"]
    assert (outcome.rows_read, outcome.rows_written) == (1, 1)
    lake.assert_is_source("tickets")


def test_a_lost_cursor_costs_a_re_read_and_no_row(lake: ZendeskLake, sandbox: Sandbox) -> None:
    lake.capture("tickets", "users")
    for file in Path(lake.settings.root, "_state").rglob("*.json"):
        file.unlink()
    later(sandbox, 61)
    sandbox.change("zendesk", "skyfit", "tickets", put=[{"subject": "after the loss"}])
    later(sandbox, 61)
    written = lake.capture("tickets", "users")
    assert (written["tickets"].rows_written, written["users"].rows_written) == (1, 0)
    lake.assert_is_source("tickets", "users")


def test_a_past_day_stops_at_its_end_and_today_reads_the_rest(lake: ZendeskLake, sandbox: Sandbox) -> None:
    day = (datetime.fromisoformat(sandbox.health()["now"]) - timedelta(days=3)).date()
    lake.capture(*EXPORTED, day=day, page_size=100)
    end = f"{day}T23:59:59Z"
    for table, key in (("tickets", "generated_timestamp"), ("users", "updated_at"), ("ticket_metric_events", "time")):
        limit_of = datetime.fromisoformat(end).timestamp() if key == "generated_timestamp" else end
        truth = {str(row["id"]) for row in sandbox.records("zendesk", "skyfit", table) if row[key] <= limit_of}
        assert {row["source_id"] for row in lake.bronze(table)} == truth, table
    lake.capture(*EXPORTED)
    lake.assert_is_source(*EXPORTED)


def test_a_part_of_the_past_gives_no_cursor_that_would_replace_the_newer_one(
    lake: ZendeskLake, sandbox: Sandbox
) -> None:
    now = datetime.fromisoformat(sandbox.health()["now"])
    lo, hi = now - timedelta(days=3000), now - timedelta(days=2)
    connector = lake.connector(page_size=100)
    schema = connector.schema("tickets")

    def cursors(window: Window) -> list[str]:
        pages = list(connector.changes(schema, window))
        assert sum(len(page.records) for page in pages) > 200
        return [page.cursor for page in pages if page.cursor]

    assert cursors(Window(lo, hi)) == []
    first = cursors(Window(None, hi))
    assert first
    assert cursors(Window(lo, None))
    assert cursors(Window(lo, hi, first[0]))


def test_reading_everything_again_writes_nothing(lake: ZendeskLake) -> None:
    lake.capture(*TABLES)
    outcomes = lake.capture(*TABLES, full=True)
    assert {outcome.status for outcome in outcomes.values()} == {"unchanged"}
    assert outcomes["tickets"].rows_read >= 400


# -- many records in one second ------------------------------------------------------------------------------------------


def test_a_second_with_more_records_than_a_page_is_read_whole_and_the_export_goes_on(
    lake: ZendeskLake, sandbox: Sandbox
) -> None:
    now = datetime.fromisoformat(sandbox.health()["now"])
    stuck, after = ((now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ") for hours in (2, 1))
    for table, key, count in (("organizations", "updated_at", 330), ("ticket_metric_events", "time", 330)):
        named = {"name": "imported"} if table == "organizations" else {}
        put = [{**named, key: stuck} for _ in range(count)] + [{**named, key: after} for _ in range(30)]
        sandbox.change("zendesk", "skyfit", table, put=put)
    sandbox.reset_requests()
    lake.capture("organizations", "ticket_metric_events", page_size=100)
    lake.assert_is_source("organizations", "ticket_metric_events")
    asked = {(entry["model"], entry["method"]): entry["requests"] for entry in sandbox.requests()}
    assert asked["organizations", "list"] == 5
    assert 4 <= asked["ticket_metric_events", "export"] <= 5
    assert asked["ticket_metric_events", "export_time"] < 20


def test_a_large_second_in_a_past_day(lake: ZendeskLake, sandbox: Sandbox) -> None:
    now = datetime.fromisoformat(sandbox.health()["now"])
    day = (now - timedelta(days=1)).date()
    for table, key in (("organizations", "updated_at"), ("ticket_metric_events", "time")):
        put = [{key: f"{day}T12:00:00Z"} for _ in range(150)]
        recent = [{"id": row["id"]} for row in sandbox.records("zendesk", "skyfit", table)[:3]] if key != "time" else []
        sandbox.change("zendesk", "skyfit", table, put=put + recent)
    lake.capture("organizations", "ticket_metric_events", page_size=100, day=day)
    for table, key in (("organizations", "updated_at"), ("ticket_metric_events", "time")):
        truth = {str(row["id"]) for row in sandbox.records("zendesk", "skyfit", table) if row[key] < f"{day}T24"}
        assert {row["source_id"] for row in lake.bronze(table)} == truth
    later(sandbox, 61)
    lake.capture("organizations", "ticket_metric_events")
    lake.assert_is_source("organizations", "ticket_metric_events")


def test_a_large_second_that_just_became_visible_is_read_and_what_follows_is_the_next_syncs(
    lake: ZendeskLake, sandbox: Sandbox
) -> None:
    lake.capture("organizations", "ticket_metric_events", page_size=100)
    moment = datetime.fromisoformat(sandbox.health()["now"]) - timedelta(seconds=58)
    for table, key in (("organizations", "updated_at"), ("ticket_metric_events", "time")):
        put = [{key: (moment + timedelta(seconds=n // 150)).strftime("%Y-%m-%dT%H:%M:%SZ")} for n in range(155)]
        sandbox.change("zendesk", "skyfit", table, put=put)
    later(sandbox, 2.2)
    for _ in range(2):
        outcomes = lake.capture("organizations", "ticket_metric_events", page_size=100)
        assert not any(outcome.failed for outcome in outcomes.values()), [o.message for o in outcomes.values()]
        later(sandbox, 61)
    lake.assert_is_source("organizations", "ticket_metric_events")


def test_a_cursor_passes_through_a_second_of_any_size(lake: ZendeskLake, sandbox: Sandbox) -> None:
    stamp = int(datetime.fromisoformat(sandbox.health()["now"]).timestamp()) - 3600
    sandbox.change(
        "zendesk", "skyfit", "tickets", put=[{"subject": f"t{n}", "generated_timestamp": stamp} for n in range(250)]
    )
    lake.capture("tickets", page_size=100)
    lake.assert_is_source("tickets")


def test_a_ticket_that_changes_between_two_pages_is_in_the_lake_as_it_is_now(
    lake: ZendeskLake, sandbox: Sandbox
) -> None:
    connector = lake.connector(page_size=100)
    schema = connector.schema("tickets")
    pages = connector.changes(schema, Window())
    first = next(pages)
    read = set(ids(iter([first])))
    unread = next(row["id"] for row in sandbox.records("zendesk", "skyfit", "tickets") if row["id"] not in read)
    sandbox.change(
        "zendesk", "skyfit", "tickets", put=[{"id": unread, "subject": "moved"}, {"id": min(read), "subject": "moved"}]
    )
    later(sandbox, 61)
    subjects = {
        number: record["subject"]
        for page in pages
        for record in map(json.loads, page.records)
        for number in [record["id"]]
    }
    assert (subjects[unread], subjects[min(read)]) == ("moved", "moved")
    assert {*read, *subjects} == {row["id"] for row in sandbox.records("zendesk", "skyfit", "tickets")}


# -- deletes -------------------------------------------------------------------------------------------------------------


def test_what_the_account_deletes_is_a_tombstone_and_leaves_raw(lake: ZendeskLake, sandbox: Sandbox) -> None:
    lake.capture(*TABLES)
    gone = {
        "tickets": next(row["id"] for row in sandbox.records("zendesk", "skyfit", "tickets") if row["status"] == "open"),
        "users": next(row["id"] for row in sandbox.records("zendesk", "skyfit", "users")[10:] if row["active"]),
        "organizations": sandbox.records("zendesk", "skyfit", "organizations")[3]["id"],
        "groups": sandbox.records("zendesk", "skyfit", "groups")[1]["id"],
        "ticket_forms": sandbox.records("zendesk", "skyfit", "ticket_forms")[1]["id"],
    }  # fmt: skip
    for table, number in gone.items():
        sandbox.change("zendesk", "skyfit", table, delete=[number])
    later(sandbox, 61)
    outcomes = lake.capture(*TABLES)
    for table, number in gone.items():
        assert outcomes[table].rows_deleted >= 1, table
        assert lake.query(f"SELECT count(*) FROM raw.zendesk_{table} WHERE _source_id = '{number}'") == [(0,)]
        last = [row for row in lake.bronze(table) if row["source_id"] == str(number)][-1]
        assert last["change_type"] == "delete"
    lake.assert_is_source()
    assert {outcome.rows_written for outcome in lake.capture(*TABLES).values()} == {0}


def test_a_sweep_deletes_no_archived_ticket_and_finds_what_left_the_exports(
    lake: ZendeskLake, sandbox: Sandbox
) -> None:
    lake.capture(*TABLES)
    event = sandbox.records("zendesk", "skyfit", "ticket_metric_events")[0]["id"]
    sandbox.change("zendesk", "skyfit", "ticket_metric_events", delete=[event])
    outcomes = lake.capture(*TABLES, sweep=True)
    assert {table: outcome.rows_deleted for table, outcome in outcomes.items() if outcome.rows_deleted} == {
        "ticket_metric_events": 1
    }
    lake.assert_is_source()


def test_single_records_are_read_by_their_ids(lake: ZendeskLake, sandbox: Sandbox) -> None:
    lake.capture(*TABLES)
    open_ones = [row["id"] for row in sandbox.records("zendesk", "skyfit", "tickets") if row["status"] == "open"]
    sandbox.change(
        "zendesk", "skyfit", "tickets", put=[{"id": open_ones[0], "priority": "urgent"}], delete=[open_ones[1]]
    )
    groups = [row["id"] for row in sandbox.records("zendesk", "skyfit", "groups") if not row["deleted"]]
    told = {"tickets": tuple(map(str, open_ones[:3])), "groups": (str(groups[0]),)}
    outcomes = lake.capture("tickets", "groups", ids=told)
    assert (outcomes["tickets"].rows_written, outcomes["tickets"].rows_deleted) == (2, 1)
    assert (outcomes["groups"].rows_read, outcomes["groups"].rows_written) == (1, 0)
    later(sandbox, 61)
    assert lake.capture("tickets")["tickets"].rows_read >= 2
    lake.assert_is_source("tickets")


# -- columns -------------------------------------------------------------------------------------------------------------


def test_custom_fields_have_readable_names_types_and_labels(lake: ZendeskLake, sandbox: Sandbox) -> None:
    lake.capture("tickets")
    columns = dict(row[:2] for row in lake.query("DESCRIBE SELECT * FROM raw.zendesk_tickets"))
    expected = {
        "product_area": "VARCHAR", "vip": "BOOLEAN", "renewal_date": "DATE", "seats_affected": "BIGINT",
        "credit_amount": "DOUBLE", "channels_affected": "VARCHAR[]",
    }  # fmt: skip
    assert {name: columns[name] for name in expected} == expected
    assert {name for name in columns if name.startswith(("region", "status", "priori", "field_"))} == {
        "region_6133000000111", "region_6133000000112", "status", "status_6133000000113", "priority", "prioritat_kunde",
        "field_6133000000115",
    }  # fmt: skip
    tickets = sandbox.records("zendesk", "skyfit", "tickets")
    stored = {row["id"]: {item["id"]: item["value"] for item in row["custom_fields"]} for row in tickets}
    fields = {field["title"]: field for field in sandbox.records("zendesk", "skyfit", "ticket_fields")}
    labels = {
        option["value"]: option["name"] or option["value"]
        for title in ("Product area", "Channels affected") for option in fields[title]["custom_field_options"]
    }  # fmt: skip
    rows = lake.query(
        "SELECT id, product_area, channels_affected, vip, seats_affected, credit_amount FROM raw.zendesk_tickets"
    )
    assert {row[1] for row in rows} >= {"Billing::Refunds", "Größe/Maß", "unlabelled", "retired_option"}
    for number, area, channels, vip, seats, credit in rows:
        values = stored[number] or dict.fromkeys(field["id"] for field in fields.values())
        value = {title: values.get(field["id"]) for title, field in fields.items()}
        assert area == labels.get(value["Product area"] or "", value["Product area"])
        assert channels == (
            None if value["Channels affected"] is None else [labels[item] for item in value["Channels affected"]]
        )
        assert vip == value["VIP"]
        assert seats == (None if value["Seats affected"] is None else int(value["Seats affected"]))
        assert credit == (None if value["Credit amount"] is None else float(value["Credit amount"]))


def test_names_do_not_depend_on_the_order_of_the_fields() -> None:
    titles = (("text", "A b"), ("text", "a  B!"), ("subject", "X"), ("new_kind", "2nd €"))
    fields = [{"id": number, "type": kind, "title": title} for number, (kind, title) in enumerate(titles, 1)]
    names = {column.path[1]: (column.name, column.type) for column in custom_columns(fields)}
    assert names == {"id=1": ("a_b_1", "text"), "id=2": ("a_b_2", "text"), "id=4": ("field_2nd", "text")}
    assert names == {column.path[1]: (column.name, column.type) for column in custom_columns(fields[::-1])}


def test_a_custom_field_added_between_two_syncs_is_a_column(lake: ZendeskLake, sandbox: Sandbox) -> None:
    lake.capture("tickets")
    [field] = sandbox.change(
        "zendesk", "skyfit", "ticket_fields", put=[{"type": "decimal", "title": "Net Promoter", "removable": True}]
    )
    ticket = next(row for row in sandbox.records("zendesk", "skyfit", "tickets") if row["status"] == "open")
    values = [*ticket["custom_fields"], {"id": field, "value": "9.5"}]
    sandbox.change("zendesk", "skyfit", "tickets", put=[{"id": ticket["id"], "custom_fields": values}])
    later(sandbox, 61)
    outcome = lake.capture("tickets")["tickets"]
    assert [change.column for change in outcome.schema_changes if change.kind == "added"] == ["net_promoter"]
    assert outcome.rows_written == 1
    assert lake.query(f"SELECT net_promoter FROM raw.zendesk_tickets WHERE id = {ticket['id']}") == [(9.5,)]
    assert lake.query("SELECT count(net_promoter) FROM raw.zendesk_tickets") == [(1,)]


def test_odd_values_are_kept_exactly(lake: ZendeskLake, sandbox: Sandbox) -> None:
    odd = [
        {"subject": None, "status": "on_the_moon", "priority": "", "requester_id": None, "custom_fields": None},
        {"subject": "\u202e 🎯 <b>&amp;", "updated_at": None, "tags": None, "requester_id": 2**53 + 1},
        {"subject": "far", "via": None, "satisfaction_rating": {"score": "new_score"}, "id": 2**62},
    ]
    numbers = sandbox.change("zendesk", "skyfit", "tickets", put=odd)
    later(sandbox, 61)
    lake.capture("tickets")
    lake.assert_is_source("tickets")
    rows = lake.query(f"SELECT id, subject, status, requester_id FROM raw.zendesk_tickets WHERE id IN {tuple(numbers)}")
    assert set(rows) == {
        (numbers[0], None, "on_the_moon", None),
        (numbers[1], "\u202e 🎯 <b>&amp;", "new", 2**53 + 1),
        (2**62, "far", "new", None),
    }
    assert lake.query("SELECT count(*) FROM raw.zendesk_tickets WHERE id = 9007199254740993") == [(1,)]
    sandbox.change("zendesk", "skyfit", "tickets", delete=numbers)
    later(sandbox, 61)


def test_include_and_exclude_leave_columns_and_values_out(lake: ZendeskLake) -> None:
    lake.capture("tickets", "users", tables={
        "tickets": {"include": ["subject", "vip", "tags"]}, "users": {"exclude": ["email", "phone", "photo"]},
    })  # fmt: skip
    ticket = json.loads(lake.bronze("tickets")[0]["raw_data"])
    assert set(ticket) == {"id", "subject", "tags", "updated_at", "status", "generated_timestamp", "custom_fields"}
    assert [item["id"] for item in ticket["custom_fields"]] == [6133000000102]
    columns = {row[0] for row in lake.query("DESCRIBE SELECT * FROM raw.zendesk_tickets") if not row[0].startswith("_")}
    assert columns == {"tenant_id", "id", "subject", "tags", "updated_at", "status", "generated_timestamp", "vip"}
    user = json.loads(lake.bronze("users")[0]["raw_data"])
    assert not user.keys() & {"email", "phone", "photo"}
    assert "name" in user
    outcome = lake.capture("tickets", tables={"tickets": {"include": ["subjekt"]}})["tickets"]
    assert outcome.status == "failed"
    assert "subjekt (did you mean subject or" in outcome.message
    outcome = lake.capture("users", tables={"users": {"exclude": ["e-mail"]}})["users"]
    assert outcome.status == "failed"
    assert "tenants.skyfit.sources.zendesk.tables.users.exclude names" in outcome.message
    assert "e-mail (did you mean email" in outcome.message


# -- what is asked -------------------------------------------------------------------------------------------------------


def test_no_minute_ever_sees_an_eleventh_export_whichever_table(
    lake: ZendeskLake, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a minute of a fifth of a second on both sides."""
    limit(sandbox, exports=10, seconds=0.2, reset=True)
    scaled: list[RateLimit] = []

    def rate_limit(self: Any, name: str, count: int, seconds: float) -> RateLimit:
        import time

        scaled[:] = scaled or [RateLimit(count, seconds * 0.2 / 60, time.monotonic, time.sleep)]
        return scaled[0]

    monkeypatch.setattr(NoWaiting, "rate_limit", rate_limit)
    for _ in range(3):
        outcomes = lake.capture(*EXPORTED, full=True, page_size=100, exports_per_minute=10)
        assert not any(outcome.failed for outcome in outcomes.values())
    seen = limit(sandbox)
    assert seen["served_exports"] > 30
    assert seen["most_exports_in_a_minute"] <= 10
    assert seen["refused"] == 0
    lake.assert_is_source(*EXPORTED)


@pytest.mark.parametrize("style", ["json", "text"])
def test_others_use_of_the_minute_is_waited_for(lake: ZendeskLake, sandbox: Sandbox, style: str) -> None:
    limit(sandbox, exports=1, style=style)
    outcomes = lake.capture("tickets", "users")
    assert {outcome.status for outcome in outcomes.values()} == {"ok"}
    assert lake.waited
    assert max(lake.waited) >= 1
    assert limit(sandbox)["refused"] >= 1


def test_small_plans_have_no_forms_and_everything_else_is_read(lake: ZendeskLake, sandbox: Sandbox) -> None:
    limit(sandbox, plan="team")
    outcomes = lake.capture(*TABLES)
    assert {table: outcome.status for table, outcome in outcomes.items() if outcome.status != "ok"} == {
        "ticket_forms": "not_permitted"
    }
    assert "plan" in outcomes["ticket_forms"].message
    assert lake.query("SELECT count(*) FROM raw.zendesk_ticket_forms") == [(0,)]
    unknown = lake.capture("brands", tables=["brands"])["brands"]
    assert unknown.status == "missing_at_source"


def test_a_days_budget_that_ends_keeps_what_was_read_and_the_next_day_goes_on(
    lake: ZendeskLake, sandbox: Sandbox
) -> None:
    days = iter([datetime.now(UTC) + timedelta(days=number) for number in range(40)])
    read = []
    for tomorrow in days:
        budget = Budget(None, "skyfit", "zendesk", 3, now=lambda tomorrow=tomorrow: tomorrow)
        [outcome] = lake.capture("tickets", page_size=100, budget=budget).values()
        read.append(outcome.rows_read)
        if outcome.resumes_at is None:
            break
        assert outcome.rows_read == 200
    assert len(read) > 2
    lake.assert_is_source("tickets")
    assert sum(read) == len(sandbox.records("zendesk", "skyfit", "tickets"))
    for tomorrow in days:
        budget = Budget(None, "skyfit", "zendesk", 8, now=lambda tomorrow=tomorrow: tomorrow)
        [outcome] = lake.capture("ticket_metric_events", page_size=200, budget=budget).values()
        if outcome.resumes_at is None:
            break
    lake.assert_is_source("ticket_metric_events")


def test_a_poll_tells_what_no_sync_has_seen(lake: ZendeskLake, sandbox: Sandbox) -> None:
    later(sandbox, 400)
    lake.capture(*TABLES)

    def news() -> bool:
        since = {table: lake.state(table).watermark for table in TABLES}
        return lake.connector().has_changes({table: mark for table, mark in since.items() if mark})

    assert not news()
    sandbox.reset_requests()
    assert not news()
    assert sum(entry["requests"] for entry in sandbox.requests()) == 3
    for turn, table in enumerate(("users", "organizations")):
        number = next(row["id"] for row in sandbox.records("zendesk", "skyfit", table))
        sandbox.change("zendesk", "skyfit", table, put=[{"id": number, "notes": f"changed {turn}"}])
        assert not news()
        later(sandbox, 61)
        assert news()
        lake.capture(*TABLES)
        later(sandbox, 61)
        lake.capture(*TABLES)
        assert not news()


def test_check_says_who_logged_in(lake: ZendeskLake) -> None:
    assert "logged in as Agent 0 (admin)" in lake.connector().check()
    agent = lake.connector(username="agent@skyfit.example")
    with pytest.raises(NotPermitted, match="incremental exports are for admins"):
        list(agent.changes(agent.schema("tickets"), Window()))
    with_oauth = {"username": None, "token": None, "oauth_token": "admin-oauth"}
    assert "logged in" in lake.connector(**with_oauth).check()
    with pytest.raises(
        PermanentError, match=r"tenant skyfit, source zendesk.*HTTP 401.*request [0-9a-f]+-SBX.*the login failed"
    ):
        lake.connector(token="wr0ng").check()


@pytest.mark.parametrize("block", [{}, {"token": "t"}, {"username": "u", "token": "t", "oauth_token": "o"}])
def test_configuration_names_one_way_to_log_in(tmp_path: Path, sandbox: Sandbox, block: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"either `username` and `token` or `oauth_token`"):
        ZendeskLake(tmp_path, sandbox, **{"username": None, "token": None, **block})


def test_a_connector_touches_no_network_until_it_is_asked() -> None:
    settings = ZendeskSource.model_validate({"url": "http://127.0.0.1:1", "oauth_token": "${NOT_SET_ANYWHERE}"})
    connector = ZendeskConnector("zendesk", settings, "skyfit")
    assert connector.tables() == list(TABLES)
    with pytest.raises(PermanentError, match="NOT_SET_ANYWHERE is not set"):
        connector.check()
