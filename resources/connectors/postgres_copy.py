"""Rows as Postgres copies them out -> JSON texts, block by block.

Postgres is asked for a CSV that is nearly JSON already: quoted texts, bare numbers, `null`. What is left is escaping, brackets
and keys, done for a thousand rows at once by Arrow: a third of the cost of a loop over rows in Python, and without its lock.

    COPY ... (DELIMITER 0x1f, ESCAPE \\)  ->  bytes of JSON tokens  ->  Arrow columns  ->  {"key":token,...}

Texts may hold any character. A block in which one of the control characters used here (or another that JSON must escape)
appears in a value is found by counting and taken apart row by row instead. What belongs here: that. What does not: connections
and which rows (`postgres`).
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
from psycopg import sql

from resources.connectors.postgres_catalog import PgColumn, PgTable

pc: Any = pyarrow.compute  # its functions are made at run time

ENCODED = pa.schema([(name, pa.string()) for name in ("source_id", "raw_data", "modified", "checksum")])
_FIELD = re.compile(rb'(?:"((?:[^"\\]|\\["\\])*)"|([^\x1f]*))\x1f', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_NULL = pa.scalar("null")
_MOMENT = "moment"


class RowEncoder:
    """How the rows of one table are asked for and what becomes of the answer.

    Parameters:
        trusted: the server guarantees that texts are UTF-8 (it does, unless its database is SQL_ASCII).
    """

    def __init__(self, table: PgTable, trusted: bool = True) -> None:
        self.table = table
        self._trusted = trusted
        # Nothing in a value looks like these: they are drawn anew for each read.
        self._between, self._null, self._empty = (f"~{secrets.token_hex(8)}{kind}~" for kind in "bne")
        self._told_apart = modified_is_naive(table)
        self._sent = len(table.columns) + self._told_apart
        self._names = [f"c{place}" for place in range(len(table.columns))]
        self._place = {column.name: place for place, column in enumerate(table.columns)}
        keys = [orjson.dumps(column.name).decode() for column in table.columns]
        self._keys = [pa.scalar(f"{',' if place else '{'}{key}:") for place, key in enumerate(keys)]
        self._ends = [pa.scalar("}"), pa.scalar("")]

    def copy_statement(self, condition: sql.Composable, order: sql.Composable) -> sql.Composed:
        """`COPY ... TO STDOUT` of the rows that meet `condition`, in `order` (either may be empty)."""
        table = self.table
        values = [
            sql.SQL("{} AS {}").format(self._expression(column), sql.Identifier(name))
            for column, name in zip(table.columns, self._names, strict=True)
        ]
        quoted = [
            sql.Identifier(name)
            for column, name in zip(table.columns, self._names, strict=True)
            if column.form in ("text", "texts")
        ]
        force = sql.SQL(", FORCE_QUOTE ({})").format(sql.SQL(", ").join(quoted)) if quoted else sql.SQL("")
        if self._told_apart:
            values.append(sql.SQL("{} AS {}").format(moment(table), sql.Identifier(_MOMENT)))
            quoted.append(sql.Identifier(_MOMENT))
        # The empty last column takes the line break that ends a row, so that every line break is a value's own.
        return sql.SQL(
            "COPY (SELECT {}, '' FROM {} {} {}) TO STDOUT"
            " (FORMAT csv, NULL 'null', ESCAPE E'\\\\', DELIMITER E'\\x1f'{})"
        ).format(sql.SQL(", ").join(values), source(table), condition, order, force)

    def _expression(self, column: PgColumn) -> sql.Composable:
        name = sql.Identifier(column.name)
        if column.form == "boolean":
            return sql.SQL("{}::text").format(name)
        if column.form == "numbers":
            return sql.SQL("array_to_json({})").format(name)
        if column.form == "texts":
            # A list of lists, which a text[] may hold too, is one text: what Postgres writes for it.
            return sql.SQL(
                "CASE WHEN array_ndims({0}) = 1 THEN array_to_string({0}, {1}, {2})"
                " WHEN cardinality({0}) = 0 THEN {3} ELSE {0}::text END"
            ).format(name, *map(sql.Literal, (self._between, self._null, self._empty)))
        return name

    def encode(self, rows: list[bytes]) -> pa.Table:
        """Rows of the answer as a table of `ENCODED`.

        Raises:
            ValueError: these are not rows of this table.
        """
        tokens = self._tokens(rows) if self._trusted else None
        if tokens is None:
            texts, found = self._one_by_one(rows)
            raw = pa.array(texts, pa.binary()).cast(pa.string())
        else:
            found = self._columns(tokens, len(rows))
            raw = pc.binary_join_element_wise(*self._pieces(found))
        return pa.table(
            [self._ids(found), raw, self._moments(found), _checksums(raw)],
            schema=ENCODED,
        )

    # -- many rows at once ---------------------------------------------------------------------------------------------

    def _tokens(self, rows: list[bytes]) -> bytes | None:
        """The rows' values as JSON, a row a line; None if a value holds what only the slow way understands."""
        block = b"\x1e".join(rows)
        block = block.replace(b"\n", b"\\n").replace(b"\t", b"\\t").replace(b"\r", b"\\r")
        controls = np.count_nonzero(np.frombuffer(block, np.uint8) < 0x20)
        if controls != len(rows) * self._sent + len(rows) - 1:
            return None
        return block.replace(b"\x1e", b"\n")

    def _columns(self, tokens: bytes, count: int) -> list[Any]:
        names = [*self._names, _MOMENT] if self._told_apart else self._names
        table = pyarrow.csv.read_csv(
            pa.BufferReader(tokens),
            pyarrow.csv.ReadOptions(
                use_threads=False, column_names=[*names, "end"], block_size=len(tokens) + 1
            ),
            pyarrow.csv.ParseOptions(delimiter="\x1f", quote_char=False, double_quote=False, escape_char=False),
            pyarrow.csv.ConvertOptions(
                check_utf8=False, column_types=dict.fromkeys(names, pa.string()), include_columns=names,
                strings_can_be_null=False,
            ),
        )  # fmt: skip
        if table.num_rows != count:
            raise ValueError(f"{self.table.source_name}: {count} rows came as {table.num_rows}")
        return [column.combine_chunks() if column.num_chunks != 1 else column.chunk(0) for column in table.columns]

    def _pieces(self, found: list[Any]) -> list[Any]:
        """What a row's JSON text is joined from: keys and values in turns."""
        pieces: list[Any] = []
        for key, column, values in zip(self._keys, self.table.columns, found, strict=False):
            pieces += (key, self._shown(column, values))
        return pieces + self._ends

    def _shown(self, column: PgColumn, values: Any) -> Any:
        """The values as they stand in JSON: lists get their brackets, numbers that JSON lacks their quotes."""
        if column.form == "texts":
            coded = values.dictionary_encode()  # lists of picked values repeat
            found = coded.dictionary
            lists = pc.replace_substring(found, self._between, '","')
            if pc.any(pc.match_substring(lists, self._null)).as_py():
                lists = pc.replace_substring(lists, f'"{self._null}"', "null")
            lists = pc.if_else(pc.equal(found, f'"{self._empty}"'), "", lists)
            bracketed = pc.binary_join_element_wise("[", lists, "]", "")
            lists = pc.if_else(pc.equal(found, _NULL), _NULL, bracketed)
            return lists.take(coded.indices)
        if column.form == "float":
            special = pc.is_in(values, pa.array(["NaN", "Infinity", "-Infinity"]))
            return pc.if_else(special, pc.binary_join_element_wise('"', values, '"', ""), values)
        return values

    # -- row by row -------------------------------------------------------------------------------------------------------

    def _one_by_one(self, rows: list[bytes]) -> tuple[list[bytes], list[Any]]:
        """The rows' JSON texts, and the values' by column."""
        texts: list[bytes] = []
        columns: list[list[str]] = [[] for _ in range(self._sent)]
        for row in rows:
            fields = _FIELD.findall(row)
            if len(fields) != self._sent:
                raise ValueError(f"{self.table.source_name}: a row came with {len(fields)} values")
            members = []
            for column, values, (quoted, bare) in zip(self.table.columns, columns, fields, strict=False):
                token = bare if bare else self._quoted(column, _ESCAPED.sub(rb"\1", quoted))
                values.append(token.decode())
                shown: bytes = orjson.dumps(token.decode()) if _is_special(column, token) else token
                members.append(orjson.dumps(column.name) + b":" + shown)
            if self._told_apart:
                quoted, bare = fields[-1]
                columns[-1].append((bare or quoted).decode())
            texts.append(b"{" + b",".join(members) + b"}")
        return texts, [pa.array(values, pa.string()) for values in columns]

    def _quoted(self, column: PgColumn, value: bytes) -> bytes:
        if column.form != "texts":
            return _json_text(value)
        items = [] if value == self._empty.encode() else value.split(self._between.encode())
        return b"[" + b",".join(b"null" if item == self._null.encode() else _json_text(item) for item in items) + b"]"

    # -- ids, times, hashes -----------------------------------------------------------------------------------------------

    def _ids(self, found: list[Any]) -> Any:
        """A key of one column is its value as text; one of several a JSON list of the values."""
        keys = [(self.table.column(name), found[self._place[name]]) for name in self.table.key]
        if len(keys) > 1:
            between = [piece for _, values in keys for piece in (pa.scalar(","), values)][1:]
            return pc.binary_join_element_wise("[", *between, "]", "")
        column, values = keys[0]
        return values if column.form == "number" else _texts(values)

    def _moments(self, found: list[Any]) -> Any:
        if self.table.modified is None:
            return pa.nulls(len(found[0]), pa.string())
        values = found[-1] if self._told_apart else found[self._place[self.table.modified]]
        return pc.if_else(pc.equal(values, _NULL), pa.scalar(None, pa.string()), pc.ascii_trim(values, characters='"'))


def source(table: PgTable) -> sql.Composable:
    """The table in a statement."""
    return sql.Identifier(table.schema, table.name)


def modified_is_naive(table: PgTable) -> bool:
    """Whether the time of change is a date with a time of day, in a time zone that the column does not name."""
    if table.modified is None or table.zone is None:
        return False
    column = table.column(table.modified)
    return column.is_local_time and column.base_type != "date"


def moment(table: PgTable) -> sql.Composable:
    """When a row was changed, in a statement: a moment, whatever zone the column is in; of a date that date."""
    name = sql.Identifier(table.modified or "")
    return sql.SQL("({} AT TIME ZONE {})").format(name, sql.Literal(table.zone)) if modified_is_naive(table) else name


def changed(table: PgTable, operator: str, bound: sql.Composable) -> sql.Composable:
    """The condition that a row's time of change is `>=`, `>` or `<` a bound, which is a moment.

    Of a naive column the condition is said twice: of the moment, which is what counts, and, a day wider, of the column as it is,
    which an index may answer. Not of the column alone: where clocks go back an hour, a later moment has an earlier time of day.
    """
    name, comparison = sql.Identifier(table.modified or ""), sql.SQL(operator)  # pyright: ignore[reportArgumentType]
    if table.zone is None:
        return sql.SQL("{} {} {}").format(name, comparison, bound)
    local = sql.SQL("({}::timestamptz AT TIME ZONE {})").format(bound, sql.Literal(table.zone))
    if not modified_is_naive(table):
        return sql.SQL("{} {} {}::date").format(name, comparison, local)
    return sql.SQL("{0} {1} {2}::timestamptz AND {3} {1} {4} {5} interval '1 day'").format(
        moment(table), comparison, bound, name, local, sql.SQL("+" if operator == "<" else "-")
    )


def key_ids(table: PgTable, ids: Sequence[str]) -> sql.Composable:
    """The condition that a row has one of these ids, as `RowEncoder` tells them."""
    if len(table.key) == 1:
        values = [sql.Literal(record_id) for record_id in ids]
        return sql.SQL("{} IN ({})").format(sql.Identifier(table.key[0]), sql.SQL(", ").join(values))
    rows = [
        sql.SQL("({})").format(sql.SQL(", ").join(sql.Literal(_sql_text(part)) for part in orjson.loads(record_id)))
        for record_id in ids
    ]
    names = sql.SQL(", ").join(map(sql.Identifier, table.key))
    return sql.SQL("({}) IN ({})").format(names, sql.SQL(", ").join(rows))


def _sql_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _json_text(value: bytes) -> bytes:
    return orjson.dumps(value.decode("utf-8", "backslashreplace"))


def _texts(tokens: Any) -> Any:
    """JSON texts as what they say."""
    return pa.array(orjson.loads("[" + ",".join(tokens.to_pylist()) + "]"), pa.string())


def _is_special(column: PgColumn, token: bytes) -> bool:
    return column.form == "float" and token in (b"NaN", b"Infinity", b"-Infinity")


def _checksums(raw: Any) -> Any:
    """The sha256 of each text, in hex: the keys stand in order, so the text is the record's canonical one."""
    count = len(raw)
    offsets = np.frombuffer(raw.buffers()[1], np.int32)[raw.offset : raw.offset + count + 1].tolist()
    content = memoryview(raw.buffers()[2] or b"")
    sha256 = hashlib.sha256
    digests = b"".join([sha256(content[begin:end]).digest() for begin, end in pairwise(offsets)])
    ends = np.arange(0, 64 * (count + 1), 64, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(ends), pa.py_buffer(digests.hex().encode())])
