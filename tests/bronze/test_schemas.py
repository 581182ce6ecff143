"""Fields that appear, vanish and change at the source."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lake_assets.bronze.state import load_schema, load_state
from resources import layout
from resources.connectors.base import Column
from tests.bronze.conftest import SOURCE, TABLE, TENANT, Captured
from tests.bronze.moving_source import MovingSource, Unreachable


def test_a_lost_schema_is_captured_by_the_next_sync(captured: Captured) -> None:
    Path(captured.lake.storage.url(layout.schema_file(TENANT, SOURCE, TABLE))).unlink()
    assert captured.sync().schema_changes == []
    stored = load_schema(captured.lake, TENANT, SOURCE, TABLE)
    assert stored is not None
    assert set(stored["columns"]) == {"id", "name", "partner_id", "write_date"}
    assert captured.raw()["4"] == "record 4"


def test_fields_that_come_go_and_change_are_named_and_old_rows_stay_readable(captured: Captured) -> None:
    source = captured.source
    source.columns = [column for column in source.columns if column.name != "partner_id"]
    source.columns[1] = Column("name", "integer", "integer")
    source.columns.append(Column("phone", "text", "char", empty_is_false=True))
    for record in source.records.values():
        del record["partner_id"]
    source.put(4, "forty-four", phone="1")
    outcome = captured.sync()
    assert [str(change) for change in outcome.schema_changes] == [
        "name retyped (char -> integer)",
        "partner_id removed (many2one)",
        "phone added (char)",
    ]
    assert captured.raw()["4"] == "forty-four"
    assert captured.raw()["1"] == "record 1"
    assert captured.sync().schema_changes == []


def _gain_a_field(source: MovingSource) -> None:
    """As Odoo does it when a module is installed: every record has a value, no modification time moves."""
    source.columns.append(Column("phone", "text", "char", empty_is_false=True))
    for record_id, record in source.records.items():
        record["phone"] = f"0{record_id}"


def test_a_field_that_appears_is_read_for_every_record(captured: Captured) -> None:
    _gain_a_field(captured.source)
    outcome = captured.sync()
    assert (outcome.status, outcome.rows_written) == ("ok", 7)
    assert captured.raw("phone") == {str(number): f"0{number}" for number in range(1, 8)}
    assert captured.source.windows[-1].lo is None
    outcome = captured.sync()
    assert (outcome.status, outcome.schema_changes) == ("unchanged", [])
    assert captured.source.windows[-1].lo is not None


def test_a_field_that_appears_while_the_source_fails_is_told_and_read_by_the_next_sync(captured: Captured) -> None:
    source = captured.source
    _gain_a_field(source)
    watermark = load_state(captured.lake, TENANT, SOURCE, TABLE).watermark
    source.error = Unreachable("the source went away")
    assert captured.sync().status == "failed"
    assert load_state(captured.lake, TENANT, SOURCE, TABLE).watermark == watermark
    outcome = captured.sync()
    assert [str(change) for change in outcome.schema_changes] == ["phone added (char)"]
    assert outcome.rows_written == 7


def test_a_field_that_appears_in_a_sync_of_a_past_day_reaches_later_changes_too(captured: Captured) -> None:
    source, now = captured.source, datetime.now(UTC)
    for record_id in source.records:
        source.put(record_id, at=now - timedelta(days=1 if record_id == 4 else 5))
    captured.sync(full=True)
    _gain_a_field(source)
    outcome = captured.sync(day=now.date() - timedelta(days=2))
    assert (len(outcome.schema_changes), outcome.rows_written) == (1, 6)
    captured.sync()
    assert captured.raw("phone") == {str(number): f"0{number}" for number in range(1, 8)}
