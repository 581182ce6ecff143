"""Typed values out of a bronze record: for each source column, how to read it from the JSON text in SQL.

`raw.*` views and silver both parse a record once, with one `json_transform` into a struct of texts, and take every
value from that struct; the functions here say which struct and which expression. `r` is the struct's name in all of
them.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
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
    "texts": "VARCHAR[]",
    "json": "JSON",
}
"""Column type -> DuckDB type in `raw.*`. Amounts stay doubles there, as the source's own JSON has them; silver rounds money."""


def sql_type(column: Column) -> str:
    """DuckDB's type of the column in `raw.*`."""
    return column.sql_type or SQL_TYPES[column.type]


def parse_struct(columns: Iterable[Column]) -> str:
    """The expression that parses `raw_data` once into a struct with these columns.

    Raises:
        ValueError: a column's path leads through another column.
    """
    tree: dict[str, Any] = {}
    for column in columns:
        _plant(tree, _path(column), _json_type(column))
    return f"json_transform(raw_data, {sql_text(json.dumps(tree, ensure_ascii=False))})"


_ITEM = "id="
"""How a path's key begins that takes one object out of a list."""


def _path(column: Column) -> tuple[str, ...]:
    return column.path or (column.name,)


def _in_list(column: Column) -> bool:
    return any(key.startswith(_ITEM) for key in column.path)


def _plant(tree: dict[str, Any], path: Sequence[str], leaf: Any) -> None:
    key, rest = path[0], path[1:]
    if not rest:
        known = tree.setdefault(key, leaf)
        if known != leaf:
            # Two columns take the same value: as text it serves both.
            tree[key] = "VARCHAR" if isinstance(known, str) and isinstance(leaf, str) else "JSON"
        return
    branch = tree.setdefault(key, [{"id": "VARCHAR"}] if rest[0].startswith(_ITEM) else {})
    if isinstance(branch, str):
        raise ValueError(f"a column's path leads through another column: {key}")
    if isinstance(branch, list):
        branch[0][rest[1]] = "JSON"  # the list's objects have values of different types there
    else:
        _plant(branch, rest, leaf)


def _json_type(column: Column) -> Any:
    if column.type in ("reference", "texts"):
        return ["VARCHAR"]
    if column.type == "references":
        return ["BIGINT"]
    if column.type == "json" or (column.type == "text" and column.empty_is_false):
        return "JSON"  # keeps the text "false" apart from the value false
    return "VARCHAR"


def _value(column: Column) -> str:
    path = _path(column)
    if not _in_list(column):
        return ".".join(["r", *map(sql_name, path)])
    place = next(place for place, key in enumerate(path) if key.startswith(_ITEM))
    items = ".".join(["r", *map(sql_name, path[:place])])
    wanted = sql_text(path[place].removeprefix(_ITEM))
    return f"list_filter({items}, lambda item: item.id = {wanted})[1].{sql_name(path[place + 1])}"


def text_sql(column: Column) -> str:
    """The value as text, NULL where the source has none."""
    value = _value(column)
    if column.type == "reference":
        return f"{value}[1]"
    if column.type in ("references", "texts"):
        return f"CAST({typed_sql(column)} AS VARCHAR)"
    if column.type == "json":
        return f"CASE WHEN CAST({value} AS VARCHAR) NOT IN ('false', 'null') THEN CAST({value} AS VARCHAR) END"
    if _in_list(column):
        return _labelled(column, f"({value})->>'$'")
    if column.type == "text" and column.empty_is_false:
        return f"CASE WHEN {value} <> 'false' THEN {value}->>'$' END"
    if column.type == "boolean" or not column.empty_is_false:
        return _labelled(column, value)
    return f"nullif({value}, 'false')"


def typed_sql(column: Column) -> str:
    """The value in its type of `sql_type`; NULL where the source has none or another type."""
    if column.type in ("references", "texts"):
        value = _value(column)
        if _in_list(column):
            value = f"json_transform({value}, '[\"VARCHAR\"]')"
        if column.type == "texts" and column.options:
            return f"list_transform({value}, lambda item: {_labelled(column, 'item')})"
        return value
    text = text_sql(column)
    return text if column.type == "text" else cast_sql(text, sql_type(column))


def cast_sql(text: str, sql_type: str) -> str:
    """A text in DuckDB's type, NULL where it says nothing of that type."""
    cast = f"TRY_CAST({text} AS {sql_type})"
    # Postgres writes ` BC` behind such times, and DuckDB overlooks what stands behind a time.
    return f"CASE WHEN NOT ends_with({text}, ' BC') THEN {cast} END" if sql_type in ("DATE", "TIMESTAMP") else cast


def label_sql(column: Column) -> str:
    """The label of a reference, as it was when the record was read."""
    return f"{_value(column)}[2]"


def _labelled(column: Column, value: str) -> str:
    if not column.options:
        return value
    pairs = ", ".join(f"{sql_text(key)}: {sql_text(label)}" for key, label in column.options.items())
    return f"coalesce(MAP {{{pairs}}}[{value}], {value})"


def merged_fields(schemas: Iterable[dict[str, Any]]) -> dict[str, list[Column]]:
    """The columns of several captured schemas of one table (tenants, instances, and what a table had earlier), by name: one
    column, or several where the value stands in different places of their records. Columns whose types disagree become
    text."""
    fields: dict[str, list[Column]] = {}
    for schema in schemas:
        current = [Column.stored(stored) for stored in schema["columns"].values()]
        taken = {column.path for column in current if column.path}
        past = [Column.stored(stored) for stored in schema["past_columns"].values()]
        # A custom field that was renamed shows under its new name.
        for column in [*current, *(column for column in past if column.path not in taken)]:
            fields.setdefault(column.name, []).append(column)
    return {name: _agreed(fields[name]) for name in sorted(fields)}


def _agreed(columns: list[Column]) -> list[Column]:
    """One column a place, all of one type."""
    if len({(column.type, column.sql_type) for column in columns}) > 1:
        false = any(column.empty_is_false for column in columns)
        columns = [
            replace(column, type="text", source_type="mixed", relation=None, empty_is_false=false, sql_type="")
            for column in columns
        ]
    places = {(column.path, repr(column.options)): column for column in reversed(columns)}
    return list(reversed(places.values()))
