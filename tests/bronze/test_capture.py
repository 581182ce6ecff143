"""One table from a source to its files: what is written, what is not, and what survives which loss."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake_assets.bronze.state import load_state
from resources import layout
from resources.connectors.base import MissingAtSource, NotPermitted
from tests.bronze.conftest import SOURCE, TABLE, TENANT, Captured
from tests.bronze.moving_source import Unreachable


def test_a_first_sync_writes_everything_into_one_file(captured: Captured) -> None:
    assert len(captured.files()) == 1
    assert set(captured.raw()) == {str(number) for number in range(1, 8)}


def test_nothing_new_writes_no_file(captured: Captured) -> None:
    outcome = captured.sync()
    assert (outcome.status, outcome.rows_read, outcome.rows_written, outcome.file) == ("unchanged", 7, 0, None)
    assert len(captured.files()) == 1


def test_only_the_changed_record_is_written(captured: Captured) -> None:
    captured.source.put(4, "renamed")
    captured.source.put(20, "new")
    assert captured.sync().rows_written == 2
    assert captured.versions(4) == [("upsert", "record 4"), ("upsert", "renamed")]
    assert len(captured.rows()) == 9


def test_a_new_label_of_a_related_record_is_no_change(captured: Captured) -> None:
    captured.source.put(4, partner_id=[3, "Acme"])
    assert captured.sync().rows_written == 1
    captured.source.records[4]["partner_id"] = [3, "Acme, renamed"]
    assert captured.sync().status == "unchanged"


def test_a_full_sync_reads_everything_and_writes_nothing_known(captured: Captured) -> None:
    captured.source.later(days=30)
    outcome = captured.sync(full=True)
    assert (outcome.rows_read, outcome.rows_written) == (7, 0)
    assert captured.source.windows[-1].lo is None


def test_a_clock_that_jumps_back_an_hour_does_not_bring_old_versions_back(captured: Captured) -> None:
    captured.source.read_clock = lambda: datetime.now(UTC) - timedelta(hours=1)
    captured.source.put(4, "newer")
    captured.sync()
    captured.source.put(4, "newest")
    captured.sync()
    assert captured.versions(4) == [("upsert", "record 4"), ("upsert", "newer"), ("upsert", "newest")]
    assert captured.raw()["4"] == "newest"
    moments = [row["read_at"] for row in captured.rows() if row["source_id"] == "4"]
    assert moments == sorted(set(moments))


def test_a_clock_that_jumps_back_and_a_lost_watermark_together_do_no_harm(captured: Captured) -> None:
    captured.source.read_clock = lambda: datetime.now(UTC) - timedelta(hours=1)
    captured.state_file().unlink()
    captured.source.put(4, "newest")
    captured.sync()
    assert captured.raw()["4"] == "newest"


def test_a_page_that_comes_twice_is_written_once(captured: Captured) -> None:
    captured.source.each_page_times = 2
    for record_id in range(1, 8):
        captured.source.put(record_id, f"again {record_id}")
    outcome = captured.sync()
    assert (outcome.rows_written, outcome.rows) == (7, 7)
    assert set(captured.raw().values()) == {f"again {number}" for number in range(1, 8)}


def test_a_record_that_comes_twice_in_one_page_is_written_once(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured.source.put(4, "twice")
    changes = captured.source.changes

    def doubled(schema: Any, window: Any) -> Any:
        for page in changes(schema, window):
            page.records += [dict(record) for record in page.records]
            yield page

    monkeypatch.setattr(captured.source, "changes", doubled)
    outcome = captured.sync()
    assert (outcome.rows_written, outcome.rows) == (1, 7)
    assert captured.raw()["4"] == "twice"


def _on_page(number: int, act: Callable[[], None]) -> Callable[[int], None]:
    done: list[int] = []

    def before_page(page: int) -> None:
        if page == number and not done:
            done.append(page)
            act()

    return before_page


def test_a_record_that_moves_while_read_is_not_lost(captured: Captured) -> None:
    source = captured.source
    source.put(1, "before")
    source.put(5, "five")
    source.before_page = _on_page(2, lambda: source.put(1, "moved after it was passed"))
    captured.sync()
    source.later(seconds=30)
    captured.sync()
    assert captured.raw()["1"] == "moved after it was passed"


def test_a_record_that_is_deleted_between_two_pages_is_found_gone_by_the_sweep(captured: Captured) -> None:
    source = captured.source
    for record_id in range(1, 8):
        source.put(record_id, f"again {record_id}")
    source.before_page = _on_page(2, lambda: source.unlink(2, 5))
    outcome = captured.sync(sweep=True)
    assert outcome.rows_deleted == 2
    assert set(captured.raw()) == {"1", "3", "4", "6", "7"}
    assert captured.versions(2) == [("upsert", "record 2"), ("upsert", "again 2"), ("delete", None)]


def test_a_record_that_commits_late_is_caught_by_the_overlap(captured: Captured) -> None:
    source = captured.source
    began = source.now
    source.later(minutes=8)
    captured.sync()
    source.put(30, "late", at=began)
    captured.sync()
    assert captured.raw()["30"] == "late"


def test_a_deleted_record_gets_a_tombstone_and_may_come_back_unchanged(captured: Captured) -> None:
    source = captured.source
    gone, modified = dict(source.records[3]), source.modified[3]
    source.unlink(3)
    assert captured.sync().rows_deleted == 0  # deletes are what a sweep looks for
    outcome = captured.sync(sweep=True)
    assert (outcome.rows_deleted, outcome.rows) == (1, 6)
    assert "3" not in captured.raw()
    assert captured.sync(sweep=True).status == "unchanged"
    source.records[3], source.modified[3] = gone, modified
    source.later(days=2)
    outcome = captured.sync(sweep=True)
    assert (outcome.rows_written, outcome.rows) == (1, 7)
    assert captured.raw()["3"] == "record 3"
    assert [kind for kind, _ in captured.versions(3)] == ["upsert", "delete", "upsert"]


def test_a_sweep_that_would_delete_much_waits_for_a_confirmation(captured: Captured) -> None:
    source = captured.source
    for record_id in range(100, 200):
        source.put(record_id)
    captured.sync()
    source.unlink(*range(100, 111))
    outcome = captured.sync(sweep=True)
    assert (outcome.held_deletes, outcome.rows_deleted, outcome.rows) == (11, 0, 107)
    assert "--confirm-deletes" in outcome.message
    assert "11 of 107" in outcome.message
    assert len(captured.raw()) == 107
    outcome = captured.sync(sweep=True, confirm_deletes=True)
    assert (outcome.held_deletes, outcome.rows_deleted, outcome.rows) == (0, 11, 96)
    assert len(captured.raw()) == 96


def test_few_deletes_need_no_confirmation(captured: Captured) -> None:
    captured.source.unlink(1, 2, 3, 4, 5)  # 5 of 7, but not more than ten rows
    assert captured.sync(sweep=True).rows_deleted == 5


def test_a_held_sweep_reads_strays_all_the_same(captured: Captured) -> None:
    source = captured.source
    for record_id in range(100, 200):
        source.put(record_id)
    captured.sync()
    source.unlink(*range(100, 150))
    source.later(days=5)
    source.put(300, "restored from a backup", at=source.now - timedelta(days=400))
    captured.sync()
    assert "300" not in captured.raw()
    outcome = captured.sync(sweep=True)
    assert outcome.held_deletes == 50
    assert captured.raw()["300"] == "restored from a backup"


def test_a_record_without_a_modification_time_is_read_first_and_by_sweeps(captured: Captured) -> None:
    source = captured.source
    source.put(40, "undated", undated=True)
    captured.sync()
    assert "40" not in captured.raw()
    captured.sync(sweep=True)
    assert captured.raw()["40"] == "undated"
    source.put(40, "undated, changed", undated=True)
    captured.sync(sweep=True)
    assert captured.raw()["40"] == "undated, changed"
    assert [row["source_modified_at"] for row in captured.rows() if row["source_id"] == "40"] == [None, None]


def test_a_source_that_reports_deletes_itself_gets_tombstones(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = captured.source.changes

    def with_deletes(schema: Any, window: Any) -> Any:
        for page in changes(schema, window):
            page.deleted_ids = [5, 6, 999] if page.records[0]["id"] == 1 else []
            page.records = [record for record in page.records if record["id"] not in (5, 6)]
            page.cursor = f"after {page.records[-1]['id']}" if page.records else None
            yield page

    monkeypatch.setattr(captured.source, "changes", with_deletes)
    captured.sync()
    assert set(captured.raw()) == {"1", "2", "3", "4", "7"}
    state = load_state(captured.lake, TENANT, SOURCE, TABLE)
    assert state.cursor == "after 7"


@pytest.mark.parametrize("loss", ["gone", "empty", "torn", "not a mapping"])
def test_a_lost_watermark_is_rebuilt_from_bronze(captured: Captured, loss: str) -> None:
    before = load_state(captured.lake, TENANT, SOURCE, TABLE)
    file = captured.state_file()
    if loss == "gone":
        file.unlink()
    else:
        file.write_text({"empty": "", "torn": file.read_text()[:40], "not a mapping": "[]"}[loss])
    rebuilt = load_state(captured.lake, TENANT, SOURCE, TABLE)
    assert before.watermark is not None
    assert rebuilt.watermark is not None
    assert rebuilt.watermark <= before.watermark
    assert rebuilt.watermark > before.watermark - timedelta(days=2)
    assert (rebuilt.rows, rebuilt.last_read_at, rebuilt.files) == (before.rows, before.last_read_at, before.files)
    captured.source.put(4, "changed")
    assert captured.sync().rows_written == 1
    assert captured.source.windows[-1].lo is not None


def test_a_state_of_another_version_of_revlake_is_read(captured: Captured) -> None:
    file = captured.state_file()
    state = json.loads(file.read_text())
    del state["files"]
    file.write_text(json.dumps({**state, "something_new": 1}))
    captured.source.put(4, "changed")
    outcome = captured.sync()
    assert (outcome.rows_written, outcome.rows) == (1, 7)


def test_a_crash_between_the_file_and_the_watermark_does_no_harm(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = captured.source
    before = captured.state_file().read_text()
    source.put(4, "changed")
    source.put(50, "new")
    source.unlink(1)
    captured.sync(sweep=True)
    captured.state_file().write_text(before)  # as if the process had died between the two
    source.read_clock = lambda: datetime.now(UTC) - timedelta(hours=1)
    outcome = captured.sync(sweep=True)
    assert (outcome.status, outcome.rows_written, outcome.rows) == ("unchanged", 0, 7)
    source.put(4, "changed again")
    captured.sync()
    assert captured.raw()["4"] == "changed again"
    assert load_state(captured.lake, TENANT, SOURCE, TABLE).rows == 7 == len(captured.raw())


def test_a_damaged_file_fails_its_table_with_its_name_also_when_the_state_is_lost(captured: Captured) -> None:
    path = Path(captured.lake.storage.url(captured.files()[0]))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    captured.state_file().unlink()
    captured.source.put(4, "changed")
    for _ in range(2):
        outcome = captured.sync()
        assert outcome.status == "failed"
        assert "northwind/odoo/crm_lead" in outcome.message
        assert path.name in outcome.message
    path.write_bytes(whole)
    assert captured.sync().status == "ok"
    assert captured.raw() == {str(number): f"record {number}" for number in range(1, 8)} | {"4": "changed"}


def test_a_failure_in_the_middle_writes_nothing_and_the_next_sync_completes_it(captured: Captured) -> None:
    source = captured.source
    watermark = load_state(captured.lake, TENANT, SOURCE, TABLE).watermark
    for record_id in range(1, 8):
        source.put(record_id, f"again {record_id}")
    source.later(hours=1)
    source.error = Unreachable("the source went away")
    outcome = captured.sync()
    assert (outcome.status, outcome.message, outcome.rows) == ("failed", "the source went away", 7)
    assert len(captured.files()) == 1
    state = load_state(captured.lake, TENANT, SOURCE, TABLE)
    assert (state.watermark, state.status, state.failures) == (watermark, "failed", 1)
    outcome = captured.sync()
    assert (outcome.status, outcome.rows_written, outcome.recovered) == ("ok", 7, True)
    assert load_state(captured.lake, TENANT, SOURCE, TABLE).failures == 0


@pytest.mark.parametrize(
    ("error", "status"), [(MissingAtSource("no"), "missing_at_source"), (NotPermitted("no"), "not_permitted")]
)
def test_a_table_that_is_not_there_for_us_is_a_status(captured: Captured, error: Exception, status: str) -> None:
    captured.source.put(1, "x")
    captured.source.put(6, "x")
    captured.source.page_size = 1
    captured.source.error = error
    assert captured.sync().status == status
    assert len(captured.raw()) == 7


def test_a_mistake_of_ours_in_one_table_is_told_and_kept_from_the_others(captured: Captured) -> None:
    captured.source.put(1, "x")
    captured.source.records[1]["name"] = object()  # cannot be encoded
    outcome = captured.sync()
    assert outcome.status == "failed"
    assert "northwind/odoo/crm_lead" in outcome.message


def test_days_in_any_order_give_the_same_records(captured: Captured) -> None:
    source = captured.source
    today = datetime.now(UTC).date()
    source.put(4, "yesterday's", at=source.now - timedelta(days=1))
    source.put(5, "today's")
    for back in (1, 0, 3, 1, 0):
        captured.sync(today - timedelta(days=back))
    assert captured.raw()["4"] == "yesterday's"
    assert captured.raw()["5"] == "today's"
    assert len(captured.versions(4)) == len(captured.versions(5)) == 2
    assert {layout.day_of(path) for path in captured.files()} == {today, today - timedelta(days=1)}


def test_a_step_that_is_tried_again_in_one_run_takes_the_next_part(captured: Captured) -> None:
    captured.source.put(4, "first try")
    captured.sync()
    captured.runs -= 1
    captured.source.put(4, "second try")
    captured.sync()
    assert [path.rsplit("/", 1)[1] for path in captured.files()] == [
        "part-00000.parquet",
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert captured.raw()["4"] == "second try"


def test_a_change_that_no_window_showed_is_found_by_the_sweep(captured: Captured) -> None:
    """As when access rights hid the record while it was changed."""
    source = captured.source
    source.put(4, "changed while hidden")
    changed_at = source.now
    source.later(days=3)
    captured.source.modified[4] = changed_at - timedelta(days=30)  # out of the window's reach
    captured.sync()
    assert captured.raw()["4"] == "record 4"
    captured.sync(sweep=True)
    assert captured.raw()["4"] == "changed while hidden"
