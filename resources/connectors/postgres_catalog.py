"""What a Postgres catalog says about a table: its columns and their types, the column that tells of changes.

What belongs here: questions to the catalog and what the answers mean. What does not: reading rows (`postgres_copy`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from resources.connectors.base import Column, ColumnType

MODIFIED_NAMES = (
    "updated_at", "last_modified_date", "last_modified_at", "modified_at", "changed_at", "last_updated_at", "last_modified",
    "last_updated", "modified_date", "updated_date", "date_modified", "modified_on", "updated_on", "write_date",
    "systemmodstamp", "modified", "updated",
)  # fmt: skip
"""Columns that are taken for the time of a row's last change, best first. `created_at` is none: updates would be missed."""

Form = Literal["number", "float", "boolean", "text", "texts", "numbers"]
"""How a value is written in JSON. `number`: digits as they are; `float`: the same, or a text if not finite; `text`: what Postgres
writes, quoted; `texts` and `numbers`: a list of those."""

_INTEGERS = {"smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT", "oid": "BIGINT"}

TABLES_SQL = """
    SELECT c.oid, has_schema_privilege(n.oid, 'USAGE') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = %s AND c.relname = %s
"""
COLUMNS_SQL = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod),
           CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE format_type(a.atttypid, a.atttypmod) END,
           coalesce(b.typcategory, t.typcategory) = 'A', a.attnotnull, coalesce(col_description(a.attrelid, a.attnum), ''),
           has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
           (SELECT min(f.confrelid::regclass::text) FROM pg_constraint f
            WHERE f.conrelid = a.attrelid AND f.contype = 'f' AND f.conkey = ARRAY[a.attnum])
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


@dataclass(frozen=True)
class PgColumn:
    """One column."""

    name: str
    source_type: str
    base_type: str
    """The type under a domain, else the same."""
    form: Form
    not_null: bool
    label: str
    relation: str | None

    @property
    def is_time(self) -> bool:
        """Whether it may tell when a row changed."""
        return self.base_type == "date" or self.base_type.startswith("timestamp")

    @property
    def is_local_time(self) -> bool:
        """Whether its value is another moment in each time zone."""
        return self.base_type == "date" or (self.is_time and self.base_type.endswith("without time zone"))

    def column(self) -> Column:
        """The same in the lake's words."""
        kind, sql_type = lake_type(self.base_type, self.form)
        return Column(self.name, kind, self.source_type, self.label, self.relation, sql_type=sql_type)


@dataclass(frozen=True)
class PgTable:
    """One table as it is read: the columns that this user may see, by name; `key`: those that identify a row."""

    schema: str
    name: str
    columns: tuple[PgColumn, ...]
    key: tuple[str, ...]
    modified: str | None
    zone: str | None = None
    """In which time zone the clock runs that `modified` shows, where the column does not say so itself."""
    key_is_certain: bool = True
    """The server sees to it that no two rows have the same key and none has NULL in it."""

    @property
    def source_name(self) -> str:
        return f"{self.schema}.{self.name}"

    def column(self, name: str) -> PgColumn:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


Query = Callable[[str, Any], Sequence[tuple[Any, ...]]]


def find_table(query: Query, schema: str, name: str) -> tuple[int, bool] | None:
    """(oid, may be looked into) of a table."""
    found = query(TABLES_SQL, [schema, name])
    return (found[0][0], found[0][1]) if found else None


def columns_of(query: Query, oid: int) -> tuple[list[PgColumn], list[str]]:
    """The columns that this user may read, and the names of the others."""
    readable, hidden = [], []
    for name, source_type, base, is_array, not_null, label, allowed, relation in query(COLUMNS_SQL, [oid]):
        if not allowed:
            hidden.append(name)
            continue
        readable.append(PgColumn(name, source_type, base, _form(base, is_array), not_null, label, relation))
    return sorted(readable, key=lambda column: column.name), hidden


def modified_of(columns: Sequence[PgColumn]) -> str | None:
    """The column that tells when a row changed, by its name and type."""
    times = {column.name.lower(): column.name for column in columns if column.is_time}
    return next((times[name] for name in MODIFIED_NAMES if name in times), None)


def _form(base: str, is_array: bool) -> Form:
    if is_array:
        return "numbers" if base.removesuffix("[]") in _INTEGERS else "texts"
    if base in _INTEGERS:
        return "number"
    if base in ("real", "double precision"):
        return "float"
    return "boolean" if base == "boolean" else "text"


def lake_type(base: str, form: Form) -> tuple[ColumnType, str]:
    """The lake's type of a Postgres one, and DuckDB's where it is known more precisely.

    Numerics keep their digits (a numeric without declared precision has no fixed type that holds it: its digits are in bronze,
    `raw.*` shows a double).
    """
    if form == "texts":
        return "texts", ""
    if form == "numbers":
        return "json", ""
    if form == "number":
        return "integer", _INTEGERS[base]
    if form == "float":
        return "double", "FLOAT" if base == "real" else "DOUBLE"
    if form == "boolean":
        return "boolean", ""
    name, _, rest = base.partition("(")
    if name == "numeric":
        precision, _, scale = rest.rstrip(")").partition(",")
        if precision and 0 <= int(scale or 0) <= int(precision) <= 38:
            return "decimal", f"DECIMAL({precision},{scale or 0})"
        return "decimal", ""
    if base == "date":
        return "date", ""
    return ("timestamp", "") if base.startswith("timestamp") else ("text", "")
