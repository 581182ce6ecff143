"""Rows of a COPY become JSON, many at once: whatever is in them, the same as one by one."""

import hashlib
import string
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from resources.connectors.postgres_catalog import Form, PgColumn, PgTable
from resources.connectors.postgres_copy import RowEncoder

FORMS: dict[str, tuple[str, Form]] = {
    "flag": ("boolean", "boolean"),
    "id": ("bigint", "number"),
    'list "a"': ("text[]", "texts"),
    "modified": ("timestamp with time zone", "text"),
    "share": ("double precision", "float"),
    "text": ("text", "text"),
    "words": ("text[]", "texts"),
}
COLUMNS = tuple(PgColumn(name, kind, kind, form, False, "", None) for name, (kind, form) in FORMS.items())
TABLE = PgTable("public", "odd", COLUMNS, ("id",), "modified")

# Control characters beside these three make a block go one by one; all of them are tried against a server in `test_apn`.
TEXTS = st.text(
    st.one_of(
        st.sampled_from('\n\t\r"\\,{}[]~:' + string.ascii_lowercase), st.characters(categories=["L", "N", "P", "S"])
    )
)
LISTS = st.none() | st.lists(st.none() | TEXTS, max_size=3)
ROWS = st.fixed_dictionaries(
    {
        "flag": st.none() | st.booleans(),
        "id": st.integers(-(2**63), 2**63 - 1),
        'list "a"': LISTS,
        "modified": st.none() | st.datetimes().map(lambda at: f"{at}+00"),
        "share": st.none() | st.sampled_from(["NaN", "Infinity", "-Infinity", 0.25, -1e300]),
        "text": st.none() | TEXTS,
        "words": LISTS,
    }
)


def _as_postgres_writes(encoder: RowEncoder, row: dict[str, Any]) -> bytes:
    """A line of `COPY ... (FORMAT csv, NULL 'null', ESCAPE '\\', DELIMITER 0x1f, FORCE_QUOTE (...))`."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def value(column: PgColumn, given: Any) -> str:
        if given is None:
            return "null"
        if column.form == "boolean":
            return "true" if given else "false"
        if column.form == "texts":
            items = [encoder._null if item is None else item for item in given]
            return quoted(encoder._between.join(items) if items else encoder._empty)
        return quoted(given) if column.form == "text" else str(given)

    return "".join(value(column, row[column.name]) + "\x1f" for column in COLUMNS).encode() + b"\n"


@given(st.lists(ROWS, min_size=1, max_size=8))
@example([{"flag": None, "id": 1, 'list "a"': [None], "modified": None, "share": None, "text": "null", "words": []}])
@example(
    [{"flag": True, "id": 1, 'list "a"': ["", ""], "modified": None, "share": "NaN", "text": "", "words": ["null"]}]
)
def test_many_rows_at_once_are_the_rows(rows: list[dict[str, Any]]) -> None:
    encoder = RowEncoder(TABLE)
    copied = [memoryview(_as_postgres_writes(encoder, row)) for row in rows]
    assert encoder._tokens(copied) is not None
    encoded = encoder.encode(copied)
    encoder._trusted = False
    assert encoded.equals(encoder.encode(copied))  # one by one
    texts = encoded["raw_data"].to_pylist()
    assert [orjson.loads(text) for text in texts] == rows
    assert encoded["source_id"].to_pylist() == [str(row["id"]) for row in rows]
    assert encoded["modified"].to_pylist() == [row["modified"] for row in rows]
    assert encoded["checksum"].to_pylist() == [hashlib.sha256(text.encode()).hexdigest() for text in texts]
