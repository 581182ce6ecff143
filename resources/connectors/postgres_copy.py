"""Rows as Postgres copies them out -> JSON texts, block by block.

Postgres is asked for a CSV that is nearly JSON already: quoted texts, bare numbers, `null`. What is left is escaping, brackets
and keys, done for a thousand rows at once by Arrow: a quarter of the cost of a loop over rows in Python, and without its lock.

    COPY ... (DELIMITER 0x1f, ESCAPE \\)  ->  an array of all JSON tokens  ->  keys and tokens in turns  ->  {"key":token,...}

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
from psycopg import sql

from resources.connectors.postgres_catalog import PgColumn, PgTable
from resources.connectors.postgres_keys import UnsoundKey

pc: Any = pyarrow.compute  # its functions are made at run time

ENCODED = pa.schema([(name, pa.string()) for name in ("source_id", "raw_data", "modified", "checksum")])
_FIELD = re.compile(rb'(?:"((?:[^"\\]|\\["\\])*)"|([^\x1f]*))\x1f', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_SPECIAL_FLOATS = ("NaN", "Infinity", "-Infinity")
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
        place = {column.name: place for place, column in enumerate(table.columns)}
        self._key_places = [place[name] for name in table.key]
        self._moment_place = (
            len(table.columns) if self._told_apart else place[table.modified] if table.modified else None
        )
        rewriting = {"texts": self._list, "float": _float}
        by_form = {form: [place[column.name] for column in table.columns if column.form == form] for form in rewriting}
        self._rewritten = [(rewriting[form], places) for form, places in by_form.items() if places]
        keys = [orjson.dumps(column.name).decode() + ":" for column in table.columns]
        self._keys = pa.array(["{" + keys[0], *keys[1:]], pa.string())

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

    def encode(self, rows: Sequence[Any]) -> pa.Table:
        """Rows of the answer, as psycopg hands them out, as a table of `ENCODED`.

        Raises:
            ValueError: these are not rows of this table.
            UnsoundKey: a row has NULL in its key.
        """
        if not rows:
            return ENCODED.empty_table()
        tokens = self._tokens(rows) if self._trusted else None
        if tokens is None:
            texts, found = self._one_by_one(rows)
            raw = pa.array(texts, pa.binary()).cast(pa.string())
        else:
            raw = self._joined(tokens, len(rows))
            needed = [*self._key_places, *([self._moment_place] if self._moment_place is not None else [])]
            found = {place: _parted(self._columns(tokens, len(rows), [place]))[0] for place in needed}
        ids = self._ids(found)
        if ids.null_count:
            record = orjson.loads(raw.filter(pc.is_null(ids))[0].as_py())
            raise UnsoundKey(self.table, [record[name] for name in self.table.key], 1)
        return pa.table([ids, raw, self._moments(found), _checksums(raw)], schema=ENCODED)

    # -- many rows at once ---------------------------------------------------------------------------------------------

    def _tokens(self, rows: Sequence[Any]) -> Any:
        """The rows' values as JSON, row after row, each with the comma or brace that follows it, and after those of a row one
        that means nothing; None if a value holds what only the slow way understands."""
        block = b"\x1e".join(rows)
        block = block.replace(b"\n", b"\\n").replace(b"\t", b"\\t").replace(b"\r", b"\\r")
        content = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(content < 0x20)
        step = self._sent + 1
        if len(ends) != len(rows) * step - 1:
            return None
        content = content.copy()
        content[ends] = ord(",")
        content[ends[len(self.table.columns) - 1 :: step]] = ord("}")
        offsets = np.empty(len(rows) * step + 1, np.int32)
        offsets[0], offsets[-1] = 0, len(content)
        np.add(ends, 1, out=offsets[1:-1], casting="unsafe")
        return pa.Array.from_buffers(
            pa.string(), len(rows) * step, [None, pa.py_buffer(offsets), pa.py_buffer(content)]
        )

    def _places(self, count: int, columns: Sequence[int]) -> Any:
        """Where the values of these columns are among the tokens: a line a row."""
        starts = np.arange(0, count * (self._sent + 1), self._sent + 1, dtype=np.int32)
        return starts[:, None] + np.array(columns, np.int32)

    def _columns(self, tokens: Any, count: int, columns: Sequence[int]) -> Any:
        """The values of these columns, row after row, as they stand among the tokens."""
        return tokens.take(pa.array(self._places(count, columns).ravel()))

    def _joined(self, tokens: Any, count: int) -> Any:
        """The rows' JSON texts: keys and values taken in turns from one array of all that there is."""
        columns = len(self.table.columns)
        wanted = np.empty((count, columns, 2), np.int32)
        wanted[:, :, 0] = np.arange(len(tokens), len(tokens) + columns)
        wanted[:, :, 1] = self._places(count, range(columns))
        pool = [tokens, self._keys]
        filled = len(tokens) + columns
        for rewrite, places in self._rewritten:
            coded = self._columns(tokens, count, places).dictionary_encode()  # lists of picked values repeat
            wanted[:, places, 1] = coded.indices.to_numpy().reshape(count, -1) + filled
            values, ends = _parted(coded.dictionary)
            pool.append(pc.binary_join_element_wise(rewrite(values), ends, ""))
            filled += len(values)
        taken = pc.take(pa.concat_arrays(pool), pa.array(wanted.ravel()), boundscheck=False)
        _, offsets, content = taken.buffers()
        ends = np.frombuffer(offsets, np.int32)[: len(taken) + 1 : 2 * columns]
        return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(ends.copy()), content])

    def _list(self, values: Any) -> Any:
        """Lists as JSON."""
        lists = pc.replace_substring(values, self._between, '","')
        if pc.any(pc.match_substring(lists, self._null)).as_py():
            lists = pc.replace_substring(lists, f'"{self._null}"', "null")
        lists = pc.if_else(pc.equal(values, f'"{self._empty}"'), "", lists)
        return pc.if_else(pc.equal(values, "null"), values, pc.binary_join_element_wise("[", lists, "]", ""))

    # -- row by row -------------------------------------------------------------------------------------------------------

    def _one_by_one(self, rows: Sequence[Any]) -> tuple[list[bytes], list[Any]]:
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

    def _ids(self, found: Any) -> Any:
        """A key of one column is its value as text; one of several a JSON list of the values. None where one is NULL."""
        keys = [found[place] for place in self._key_places]
        forms = [self.table.column(name).form for name in self.table.key]
        if not self.table.key_is_certain:
            keys = [_without_null(values) for values in keys]
        if len(keys) > 1:
            keys = [_float(values) if form == "float" else values for values, form in zip(keys, forms, strict=True)]
            between = [piece for values in keys for piece in (",", values)][1:]
            return pc.binary_join_element_wise("[", *between, "]", "")
        return keys[0] if forms[0] in ("number", "float", "boolean") else _texts(keys[0])

    def _moments(self, found: Any) -> Any:
        if self._moment_place is None:
            return pa.nulls(len(found[self._key_places[0]]), pa.string())
        return pc.ascii_trim(_without_null(found[self._moment_place]), characters='"')


def _parted(tokens: Any) -> tuple[Any, Any]:
    """Tokens without what follows them, and what follows them."""
    return pc.utf8_slice_codeunits(tokens, 0, -1), pc.utf8_slice_codeunits(tokens, -1)


def _without_null(tokens: Any) -> Any:
    """JSON tokens, None for `null`."""
    return pc.if_else(pc.equal(tokens, "null"), pa.scalar(None, pa.string()), tokens)


def _float(values: Any) -> Any:
    """Numbers; those that JSON lacks in quotes."""
    special = pc.is_in(values, pa.array(_SPECIAL_FLOATS))
    return pc.if_else(special, pc.binary_join_element_wise('"', values, '"', ""), values)


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
    return pa.array(orjson.loads("[" + ",".join(pc.fill_null(tokens, "null").to_pylist()) + "]"), pa.string())


def _is_special(column: PgColumn, token: bytes) -> bool:
    return column.form == "float" and token.decode() in _SPECIAL_FLOATS


def _checksums(raw: Any) -> Any:
    """The sha256 of each text, in hex: the keys stand in order, so the text is the record's canonical one."""
    count = len(raw)
    offsets = np.frombuffer(raw.buffers()[1], np.int32)[raw.offset : raw.offset + count + 1].tolist()
    content = memoryview(raw.buffers()[2] or b"")
    sha256 = hashlib.sha256
    digests = b"".join([sha256(content[begin:end]).digest() for begin, end in pairwise(offsets)])
    ends = np.arange(0, 64 * (count + 1), 64, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(ends), pa.py_buffer(digests.hex().encode())])
