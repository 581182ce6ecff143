"""The checksum moves with the record and with nothing else; the text keeps what the source said."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.bronze.rows import encode_records, last_of_each, tombstones
from resources.connectors.base import TableSchema
from tests.bronze.moving_source import COLUMNS

SCHEMA = TableSchema("crm_lead", "crm.lead", COLUMNS, "id", "write_date")
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
RECORD = {"id": 7, "name": "Deal", "partner_id": [3, "Acme"], "write_date": "2026-03-09 11:59:58"}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _checksum(record: dict[str, Any]) -> str:
    return encode_records([record], SCHEMA, NOW)["checksum"][0].as_py()


def test_a_row_holds_id_text_and_modification_time() -> None:
    row = encode_records([RECORD], SCHEMA, NOW).to_pylist()[0]
    assert (row["source_id"], row["change_type"], row["modified"]) == ("7", "upsert", "2026-03-09 11:59:58")
    assert json.loads(row["raw_data"]) == RECORD
    assert row["read_at"] == NOW.replace(tzinfo=None)


def test_a_label_is_not_part_of_the_checksum() -> None:
    assert (
        _checksum(RECORD)
        == _checksum({**RECORD, "partner_id": [3, "Acme, renamed"]})
        == _checksum({**RECORD, "partner_id": 3})
    )
    assert _checksum(RECORD) != _checksum({**RECORD, "partner_id": [4, "Acme"]})
    assert _checksum(RECORD) != _checksum({**RECORD, "partner_id": False})


def test_a_label_is_kept_in_the_text() -> None:
    assert '"Acme"' in encode_records([RECORD], SCHEMA, NOW)["raw_data"][0].as_py()


def test_encoding_leaves_the_record_as_it_was() -> None:
    record = {**RECORD, "partner_id": [3, "Acme"]}
    encode_records([record], SCHEMA, NOW)
    assert record == RECORD


@given(st.dictionaries(st.text(min_size=1), json_values, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(values: dict[str, Any], random: Any) -> None:
    record = {**values, "id": 7}
    keys = list(record)
    random.shuffle(keys)
    assert _checksum(record) == _checksum({key: record[key] for key in keys})


@given(st.dictionaries(st.text(min_size=1), json_values, max_size=6))
def test_every_reader_gets_back_what_the_source_gave(values: dict[str, Any]) -> None:
    record = {**values, "id": 7}
    assert json.loads(encode_records([record], SCHEMA, NOW)["raw_data"][0].as_py()) == record


@pytest.mark.parametrize(
    "change", [{"name": "Deal "}, {"name": False}, {"id": 8}, {"extra": None}, {"write_date": False}]
)
def test_any_other_change_moves_the_checksum(change: dict[str, Any]) -> None:
    assert _checksum(RECORD) != _checksum({**RECORD, **change})


@given(st.dictionaries(st.text(min_size=1), json_values, max_size=6), st.booleans())
def test_a_text_is_kept_as_it_is_and_has_the_checksum_of_what_it_says(values: dict[str, Any], ascii_only: bool) -> None:
    record = {**values, "id": 7, "partner_id": [3, "Acmé"]}
    text = json.dumps(record, ensure_ascii=ascii_only, indent=1)
    of_text = encode_records([text.encode()], SCHEMA, NOW)
    assert of_text["raw_data"][0].as_py() == text
    assert of_text.drop_columns("raw_data") == encode_records([record], SCHEMA, NOW).drop_columns("raw_data")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b'{"id": 7, "name": "half \\ud83d"}', '{"id":7,"name":"half \\\\ud83d"}'),
        (b'{"id": 7, "name": "\xff"}', '{"id":7,"name":"\\\\udcff"}'),
        (b'{"id": 7, "value": NaN}', '{"id":7,"value":"NaN"}'),
    ],
)
def test_a_text_that_not_every_reader_can_parse_is_kept_visibly(written: bytes, kept: str) -> None:
    assert encode_records([written], SCHEMA, NOW)["raw_data"][0].as_py() == kept


def test_no_records_are_no_rows() -> None:
    assert encode_records([], SCHEMA, NOW).num_rows == 0
    assert tombstones([], SCHEMA, NOW).num_rows == 0


def test_a_tombstone_holds_nothing_but_the_id() -> None:
    row = tombstones(["7"], SCHEMA, NOW).to_pylist()[0]
    assert (row["source_id"], row["change_type"], json.loads(row["raw_data"])) == ("7", "delete", {"id": "7"})


def test_a_record_given_twice_in_one_answer_counts_as_it_came_last() -> None:
    rows = encode_records([RECORD, {**RECORD, "id": 8}, {**RECORD, "name": "Deal, corrected"}], SCHEMA, NOW)
    kept = last_of_each(rows).to_pylist()
    assert [row["source_id"] for row in kept] == ["8", "7"]
    assert json.loads(kept[1]["raw_data"])["name"] == "Deal, corrected"
