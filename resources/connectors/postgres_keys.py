"""Which columns of a Postgres table identify its rows, and whether they do.

An index sees to it, or the server is asked. What belongs here: that. What does not: how a key becomes an id (`postgres_copy`).
"""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, sql

from resources.connectors.postgres_catalog import PgColumn, PgTable, Query

KEYS_SQL = """
    SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                 WHERE k.place <= i.indnkeyatts ORDER BY k.place)
    FROM pg_index i
    WHERE i.indrelid = %s AND i.indisvalid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
      AND (i.indisprimary OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                                         AND NOT a.attnotnull))
    ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
"""


class UnsoundKey(ValueError):
    """Rows that cannot be told apart, or not be found again.

    Parameters:
        values: what the key's columns hold there, None for NULL.
        count: of so many rows.
    """

    def __init__(self, table: PgTable, values: Sequence[Any], count: int) -> None:
        rows = "a row has" if count == 1 else f"{count} rows have"
        given = ["NULL" if value is None else value for value in values]
        found = ", ".join(f"{name} = {value}" for name, value in zip(table.key, given, strict=True))
        super().__init__(f"({', '.join(table.key)}) does not identify the rows of {table.source_name}: {rows} {found}")


def keys_of(query: Query, oid: int) -> list[list[str]]:
    """The columns of the primary key and of each unique index without NULLs, best first."""
    return [list(names) for (names,) in query(KEYS_SQL, [oid])]


def is_certain(key: Sequence[str], columns: Sequence[PgColumn], unique: Sequence[Sequence[str]]) -> bool:
    """Whether the server sees to it that `key` identifies rows, given its `unique` indexes without NULLs."""
    filled = {column.name for column in columns if column.not_null}
    return set(key) <= filled and any(set(names) <= set(key) for names in unique)


def check_key(table: PgTable, connection: Connection[Any]) -> None:
    """Ask the server about every row.

    Raises:
        UnsoundKey: a key is NULL in part, or several rows have it.
    """
    # As texts, because ids are: types without an equality (json) have ids too.
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in table.key)
    question = sql.SQL(
        "SELECT {0}, count(*) FROM {1} GROUP BY {0} HAVING count(*) > 1 OR num_nulls({0}) > 0 LIMIT 1"
    ).format(texts, sql.Identifier(table.schema, table.name))
    if found := connection.execute(question).fetchone():
        raise UnsoundKey(table, found[:-1], found[-1])
