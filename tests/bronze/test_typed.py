"""Values that lie deep in a record, stand for labels, or have a precise type."""

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from lake_assets.bronze.typed import merged_fields, parse_struct, sql_type, text_sql, typed_sql
from resources.connectors.base import Column

HASH = "9dc80c50d78a15643bfc4ca79d76156a73a1ca0e"
RECORD = {
    "id": 9007199254740993,
    "value": 10.1,
    "plain": "false",
    "amount": "531.10",
    "tags": ["a", 'b"c'],
    "custom_fields": {HASH: 19, "set": [19, 22], "money": {"value": 2300, "currency": "EUR"}, "none": None},
    "fields": [{"id": 360001, "value": "x"}, {"id": 360002, "value": ["p", "q"]}, {"id": 360003, "value": None}],
}
OPTIONS = {"19": "Hot", "22": "It's cold"}


def value(column: Column, record: dict[str, Any] | None = None, text: bool = False) -> Any:
    expression = text_sql(column) if text else typed_sql(column)
    query = f"SELECT {expression} FROM (SELECT {parse_struct([column])} AS r FROM (SELECT ? AS raw_data))"
    return duckdb.execute(query, [json.dumps(record or RECORD)]).fetchall()[0][0]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column("id", "integer", "int"), 9007199254740993),
        (Column("plain", "text", "str"), "false"),
        (Column("amount", "decimal", "money", sql_type="DECIMAL(18,2)"), Decimal("531.10")),
        (Column("tags", "texts", "array"), ["a", 'b"c']),
        (Column("Temperature", "text", "enum", path=("custom_fields", HASH), options=OPTIONS), "Hot"),
        (Column("Temperature", "integer", "enum", path=("custom_fields", HASH)), 19),
        (Column("Moods", "texts", "set", path=("custom_fields", "set"), options=OPTIONS), ["Hot", "It's cold"]),
        (Column("Budget", "double", "monetary", path=("custom_fields", "money", "value")), 2300.0),
        (Column("Budget_currency", "text", "monetary", path=("custom_fields", "money", "currency")), "EUR"),
        (Column("None", "text", "varchar", path=("custom_fields", "none")), None),
        (Column("Nowhere", "text", "varchar", path=("custom_fields", "nowhere")), None),
        (Column("x", "text", "text", path=("fields", "id=360001", "value")), "x"),
        (Column("x", "text", "tagger", path=("fields", "id=360001", "value"), options={"x": "X!"}), "X!"),
        (Column("x", "texts", "multiselect", path=("fields", "id=360002", "value")), ["p", "q"]),
        (Column("x", "text", "text", path=("fields", "id=360003", "value")), None),
        (Column("x", "text", "text", path=("fields", "id=9", "value")), None),
    ],
)
def test_a_value_is_found_and_typed(column: Column, expected: Any) -> None:
    assert value(column) == expected


def test_an_option_that_is_not_known_yet_shows_as_it_is() -> None:
    column = Column("Temperature", "text", "enum", path=("custom_fields", HASH), options={"1": "One"})
    assert value(column) == "19"


def test_several_columns_share_one_parse() -> None:
    columns = [
        Column("a", "text", "enum", path=("custom_fields", HASH)),
        Column("b", "double", "money", path=("custom_fields", "money", "value")),
        Column("c", "text", "t", path=("fields", "id=360001", "value")),
        Column("d", "texts", "t", path=("fields", "id=360002", "value")),
        Column("tags", "texts", "t"),
    ]
    query = f"SELECT {', '.join(map(typed_sql, columns))} FROM (SELECT {parse_struct(columns)} AS r FROM (SELECT ? AS raw_data))"
    row = duckdb.execute(query, [json.dumps(RECORD)]).fetchall()[0]
    assert row == ("19", 2300.0, "x", ["p", "q"], ["a", 'b"c'])


def test_a_column_that_leads_through_another_is_an_error() -> None:
    with pytest.raises(ValueError, match="custom_fields"):
        parse_struct(
            [Column("custom_fields", "json", "object"), Column("a", "text", "t", path=("custom_fields", HASH))]
        )


def stored(*columns: Column, past: tuple[Column, ...] = ()) -> dict[str, Any]:
    def mapping(some: tuple[Column, ...]) -> dict[str, Any]:
        return json.loads(json.dumps({column.name: asdict(column) for column in some}))

    return {"columns": mapping(columns), "past_columns": mapping(past)}


def test_tenants_that_keep_a_field_under_codes_of_their_own_share_its_column() -> None:
    ours = Column("Industry", "text", "varchar", path=("custom_fields", "aaa"))
    theirs = Column("Industry", "text", "varchar", path=("custom_fields", "bbb"))
    assert merged_fields([stored(ours), stored(theirs)]) == {"Industry": [ours, theirs]}


def test_a_custom_field_that_was_renamed_shows_under_its_new_name() -> None:
    old = Column("Industry", "text", "varchar", path=("custom_fields", "aaa"))
    new = Column("Sector", "text", "varchar", path=("custom_fields", "aaa"))
    assert merged_fields([stored(new, past=(old,))]) == {"Sector": [new]}


def test_columns_whose_types_disagree_become_text() -> None:
    fields = merged_fields(
        [stored(Column("a", "integer", "int")), stored(Column("a", "decimal", "n", sql_type="DECIMAL(9,2)"))]
    )
    assert [(column.type, sql_type(column)) for column in fields["a"]] == [("text", "VARCHAR")]
