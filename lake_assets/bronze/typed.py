"""Typed values out of a bronze record: for each source column, how to read it from the JSON text in SQL.

`raw.*` views and silver both parse a record once, with one `json_transform` into a struct of texts, and take every
value from that struct; the functions here say which struct and which expression. `r` is the struct's name in all of
them.
"""

from collections.abc import Iterable
from typing import Any

from resources.connectors.base import Column
from resources.lake import sql_name, sql_text

SQL_TYPES = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "double": "DOUBLE",
    "decimal": "DOUBLE",
    "text": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "reference": "BIGINT",
    "references": "BIGINT[]",
    "json": "JSON",
}
"""Column type -> DuckDB type in `raw.*`. Amounts stay doubles there, as the source's own JSON has them; silver rounds money."""


def parse_struct(columns: Iterable[Column]) -> str:
    """The expression that parses `raw_data` once into a struct with these columns."""
    fields = ", ".join(f"{_json_key(column.name)}: {_json_type(column)}" for column in columns)
    return f"json_transform(raw_data, {sql_text('{' + fields + '}')})"


def _json_key(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json_type(column: Column) -> str:
    if column.type == "reference":
        return '["VARCHAR"]'
    if column.type == "references":
        return '["BIGINT"]'
    if column.type == "json" or (column.type == "text" and column.empty_is_false):
        return '"JSON"'  # keeps the text "false" apart from the value false
    return '"VARCHAR"'


def text_sql(column: Column) -> str:
    """The value as text, NULL where the source has none."""
    value = f"r.{sql_name(column.name)}"
    if column.type == "reference":
        return f"{value}[1]"
    if column.type == "references":
        return f"CAST({value} AS VARCHAR)"
    if column.type == "json":
        return f"CASE WHEN CAST({value} AS VARCHAR) NOT IN ('false', 'null') THEN CAST({value} AS VARCHAR) END"
    if column.type == "text" and column.empty_is_false:
        return f"CASE WHEN {value} <> 'false' THEN {value}->>'$' END"
    if column.type == "boolean":
        return value
    return f"nullif({value}, 'false')"


def typed_sql(column: Column) -> str:
    """The value in its type of `SQL_TYPES`; NULL where the source has none or another type."""
    if column.type == "references":
        return f"r.{sql_name(column.name)}"
    text = text_sql(column)
    return text if column.type == "text" else f"TRY_CAST({text} AS {SQL_TYPES[column.type]})"


def label_sql(column: Column) -> str:
    """The label of a reference, as it was when the record was read."""
    return f"r.{sql_name(column.name)}[2]"


def merged_columns(schemas: Iterable[dict[str, Any]]) -> list[Column]:
    """The columns of several captured schemas of one table (tenants, instances, and what a table had earlier) as one
    list, by name. A column whose types disagree becomes text."""
    merged: dict[str, Column] = {}
    for schema in schemas:
        for stored in [*schema["columns"].values(), *schema["past_columns"].values()]:
            column = Column(**stored)
            known = merged.get(column.name)
            if known is not None and known.type != column.type:
                column = Column(
                    column.name, "text", "mixed", column.label, None, known.empty_is_false or column.empty_is_false
                )
            merged[column.name] = column
    return [merged[name] for name in sorted(merged)]
