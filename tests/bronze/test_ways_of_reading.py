"""Tables that are read whole or by list, records that the source shows as deleted, budgets that end, records asked for by id."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lake_assets.bronze.state import load_state
from lake_assets.bronze.window import day_bounds
from resources.connectors.base import BudgetSpent, Page, PermanentError, TableSchema, TransientError, Window
from tests.bronze.conftest import SOURCE, TABLE, TENANT, Captured
from tests.bronze.moving_source import MovingSource


class Shaped(MovingSource):
    """A moving source whose schema and budget a test shapes."""

    shape: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.shape = {}
        self.allowed: int | None = None
        self.fetched: list[str] = []
        self.rest = True

    def schema(self, table: str) -> TableSchema:
        return replace(super().schema(table), **self.shape)

    def spend(self, rest: str | None = None) -> None:
        if self.allowed is not None:
            if self.allowed == 0:
                raise BudgetSpent("the day's budget is spent", datetime(2030, 1, 1, tzinfo=UTC), rest)
            self.allowed -= 1

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        after = int(window.rest or 0)
        for page in super().changes(schema, Window() if window.rest else window):
            records = [record for record in page.records if record["id"] > after]
            if not records:
                continue
            self.spend(str(after) if self.rest else None)
            after = records[-1]["id"]
            yield replace(page, records=records)

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        for record_id in ids:
            self.spend()
            self.fetched.append(record_id)
            if int(record_id) in self.records:
                yield Page([dict(self.records[int(record_id)])], self.read_clock())

    def inventory(self, schema: TableSchema, window: Window = Window()) -> Iterator[list[tuple[str, str | None]]]:  # noqa: B008
        lo = window.lo.replace(tzinfo=UTC) if window.lo else None
        entries = [
            (str(record_id), self.records[record_id]["write_date"] or None)
            for record_id in sorted(self.records)
            if schema.whole or lo is None or (self.modified[record_id] or lo) >= lo
        ]
        yield from (entries[start : start + 4] for start in range(0, len(entries), 4))


@pytest.fixture
def shaped(captured: Captured) -> Shaped:
    """Seven records that the lake holds."""
    source = Shaped()
    for record_id, record in captured.source.records.items():
        source.put(record_id, record["name"], captured.source.modified[record_id])
    source.now = captured.source.now
    captured.source = source
    return source


def test_what_is_missing_from_a_table_read_whole_is_gone(captured: Captured, shaped: Shaped) -> None:
    shaped.shape = {"whole": True, "modified_column": None}
    shaped.unlink(3)
    outcome = captured.sync()
    assert outcome.rows_deleted == 1
    assert "3" not in captured.raw()
    assert captured.sync().status == "unchanged"


def test_a_table_read_whole_that_lost_much_waits_for_a_confirmation(captured: Captured, shaped: Shaped) -> None:
    for record_id in range(8, 60):
        shaped.put(record_id)
    shaped.shape = {"whole": True, "modified_column": None}
    captured.sync()
    shaped.unlink(*range(20, 60))
    held = captured.sync()
    assert (held.held_deletes, held.rows_deleted) == (40, 0)
    assert captured.sync(confirm_deletes=True).rows_deleted == 40


def test_of_a_listed_table_only_what_moved_is_fetched(captured: Captured, shaped: Shaped) -> None:
    shaped.shape = {"listed": True}
    assert captured.sync().status == "unchanged"
    assert shaped.fetched == []
    shaped.later(hours=1)
    shaped.put(2, "moved")
    shaped.put(9, "new")
    shaped.later(seconds=5)
    outcome = captured.sync()
    assert (shaped.fetched, outcome.rows_written) == (["2", "9"], 2)
    assert captured.raw()["2"] == "moved"


def test_a_listed_table_that_is_listed_whole_shows_what_is_gone(captured: Captured, shaped: Shaped) -> None:
    shaped.shape = {"listed": True, "whole": True}
    shaped.unlink(5)
    assert captured.sync().rows_deleted == 1
    assert (shaped.fetched, "5" in captured.raw()) == ([], False)


@pytest.mark.parametrize("value", [True, ...], ids=["by a value", "by any value"])
def test_a_record_that_the_source_calls_deleted_becomes_a_tombstone_with_all_it_holds(
    captured: Captured, shaped: Shaped, value: Any
) -> None:
    shaped.shape = {"deleted": ("is_deleted", value)}
    shaped.later(minutes=1)
    shaped.put(4, "farewell", is_deleted=True)
    shaped.put(8, "born deleted", is_deleted=True)
    outcome = captured.sync()
    assert (outcome.rows, outcome.rows_deleted) == (6, 2)
    assert captured.versions(4)[-1] == ("delete", "farewell")
    assert "4" not in captured.raw()
    assert captured.sync().status == "unchanged"
    shaped.later(minutes=1)
    shaped.put(4, "back", is_deleted=None)
    assert captured.sync().rows == 7


def test_members_that_differ_without_a_change_are_no_change(captured: Captured, shaped: Shaped) -> None:
    shaped.shape = {"unchecked": ("seen_at",)}
    for record_id in range(1, 8):
        shaped.put(record_id, f"record {record_id}", shaped.modified[record_id], seen_at="monday")
    assert captured.sync().status == "unchanged"


@pytest.mark.parametrize("rest", [True, False], ids=["resumable", "not resumable"])
def test_a_spent_budget_keeps_what_was_read_and_the_next_sync_goes_on(
    captured: Captured, shaped: Shaped, rest: bool
) -> None:
    shaped.rest = rest
    shaped.later(hours=1)
    for record_id in range(10, 22):
        shaped.put(record_id)
    shaped.allowed = 4
    paused = captured.sync()
    assert paused.status == "ok"
    assert paused.resumes_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert "the sync goes on at 2030-01-01 00:00 UTC" in paused.message
    assert len(captured.raw()) == 7 + 5
    shaped.allowed = None
    after = captured.sync()
    assert (after.resumes_at, after.message) == (None, "")
    assert set(captured.raw()) == {str(record_id) for record_id in shaped.records}
    ids = [row["source_id"] for row in captured.rows()]
    assert len(ids) == len(set(ids))
    assert captured.sync().status == "unchanged"


def pause(captured: Captured, shaped: Shaped) -> None:
    """A sync that ran out of budget after the first of its pages."""
    shaped.later(hours=1)
    for record_id in range(10, 40):
        shaped.put(record_id)
    shaped.allowed = 4
    assert captured.sync().resumes_at is not None
    shaped.allowed = None


def test_a_sync_of_an_earlier_day_leaves_what_a_paused_one_left(captured: Captured, shaped: Shaped) -> None:
    pause(captured, shaped)
    captured.sync(day=datetime.now(UTC).date() - timedelta(days=2))
    assert load_state(captured.lake, TENANT, SOURCE, TABLE).resumes_at is not None
    captured.sync()
    assert load_state(captured.lake, TENANT, SOURCE, TABLE).resumes_at is None
    assert set(captured.raw()) == {str(record_id) for record_id in shaped.records}


def test_a_state_that_is_lost_after_a_paused_sync_skips_nothing(captured: Captured, shaped: Shaped) -> None:
    for path in captured.files():
        Path(captured.lake.storage.url(path)).unlink()
    captured.state_file().unlink()
    shaped.allowed = 1
    assert captured.sync().rows_written == 3
    captured.state_file().unlink()
    shaped.allowed = None
    captured.sync()
    assert shaped.windows[-1].lo is None
    assert set(captured.raw()) == {str(record_id) for record_id in shaped.records}


def test_a_failure_ends_a_pause(captured: Captured, shaped: Shaped) -> None:
    pause(captured, shaped)
    shaped.error, shaped.rest = PermanentError("the token is wrong"), False
    assert captured.sync().failed
    state = load_state(captured.lake, TENANT, SOURCE, TABLE)
    assert (state.resumes_at, state.rest is not None) == (None, True)


def test_reading_by_id_says_nothing_of_the_table(captured: Captured, shaped: Shaped) -> None:
    shaped.error = TransientError("away")
    shaped.later(minutes=1)
    for record_id in range(10, 20):
        shaped.put(record_id)
    assert captured.sync().failed
    before = load_state(captured.lake, TENANT, SOURCE, TABLE)
    assert captured.sync(ids={"crm_lead": ("10",)}).rows_written == 1
    after = load_state(captured.lake, TENANT, SOURCE, TABLE)
    assert (after.status, after.failures, after.retry, after.watermark) == ("failed", 1, True, before.watermark)
    assert after.rows == before.rows + 1


def test_where_reading_costs_todays_earlier_changes_are_not_read_again(captured: Captured, shaped: Shaped) -> None:
    captured.sync(thrifty=True)
    watermark = load_state(captured.lake, TENANT, SOURCE, TABLE).watermark
    assert watermark is not None
    captured.sync(thrifty=True)
    assert shaped.windows[-1].lo == watermark - timedelta(minutes=10)
    captured.sync(day=watermark.date() - timedelta(days=1), thrifty=True)
    assert shaped.windows[-1].lo == day_bounds(watermark.date() - timedelta(days=1))[0] - timedelta(minutes=10)


def test_a_listed_table_whose_budget_ends_fetches_the_others_next_time(captured: Captured, shaped: Shaped) -> None:
    shaped.shape = {"listed": True}
    shaped.later(hours=1)
    for record_id in range(10, 16):
        shaped.put(record_id)
    shaped.allowed = 2
    captured.sync()
    assert shaped.fetched == ["10", "11"]
    shaped.allowed = None
    captured.sync()
    assert shaped.fetched == [str(record_id) for record_id in range(10, 16)]


def test_records_asked_for_by_id_are_read_and_those_gone_are_noted(captured: Captured, shaped: Shaped) -> None:
    shaped.later(hours=1)
    shaped.put(1, "told by a webhook")
    shaped.put(2, "not told of")
    shaped.unlink(3, 4)
    outcome = captured.sync(ids={"crm_lead": ("1", "3", "99")})
    assert (outcome.rows_written, outcome.rows_deleted, outcome.held_deletes) == (2, 1, 0)
    assert captured.raw()["1"] == "told by a webhook"
    assert set(captured.raw()) == {"1", "2", "4", "5", "6", "7"}
    captured.sync(sweep=True)
    assert captured.raw()["2"] == "not told of"


def test_a_page_may_come_as_an_arrow_table(captured: Captured, shaped: Shaped) -> None:
    class Columnar(Shaped):
        def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
            texts = [json.dumps({"id": number, "name": "ä"}) for number in (1, 50)]
            table = pa.table(
                {
                    "source_id": ["1", "50"],
                    "raw_data": texts,
                    "checksum": ["sum of 1", "sum of 50"],
                    "modified": ["2026-05-01 10:00:00.123456", None],
                }
            )
            yield Page(table, datetime.now(UTC) + timedelta(seconds=1))

    captured.source = Columnar()
    assert captured.sync().rows_written == 2
    assert captured.raw()["50"] == "ä"
    moments = {
        row["source_id"]: row["source_modified_at"] for row in captured.rows() if row["checksum"].startswith("sum of")
    }
    assert moments == {"1": datetime(2026, 5, 1, 10, 0, 0, 123456), "50": None}  # noqa: DTZ001
    assert captured.sync().status == "unchanged"
