"""The records of one object of a stand-in that answers JSON: found by id, and in the order in which they changed."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import orjson

Record = dict[str, Any]
Key = tuple[str, int | str]
"""(modification time as text that sorts by time, id)."""


class Collection:
    """Records by id, each serialised once.

    Parameters:
        id_key, modified_key: which members of a record these are; a dotted path reaches into objects. Without a
            `modified_key` the order is by id.
    """

    def __init__(self, name: str, id_key: str = "id", modified_key: str | None = None) -> None:
        self.name, self.id_key, self.modified_key = name, id_key, modified_key
        self.rows: dict[int | str, Record] = {}
        self._texts: dict[int | str, bytes] = {}
        self._order: list[Key] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.rows.values())

    def put(self, record: Record) -> None:
        """Insert a record, or replace the one of its id."""
        record_id = record[self.id_key]
        self.rows[record_id] = record
        self._texts.pop(record_id, None)
        self._order = None

    def remove(self, record_id: int | str) -> None:
        """Delete for good."""
        del self.rows[record_id]
        self._texts.pop(record_id, None)
        self._order = None

    def text(self, record_id: int | str) -> bytes:
        """The record's JSON. Who changes a record in place must `put` it again."""
        if record_id not in self._texts:
            # A copy: orjson's own result keeps the room of the buffer that it was written in.
            self._texts[record_id] = bytes(memoryview(orjson.dumps(self.rows[record_id])))
        return self._texts[record_id]

    def modified(self, record: Record) -> str:
        """When the record changed, as it says itself; empty if it does not."""
        value: Any = record
        for part in self.modified_key.split(".") if self.modified_key else ():
            value = value.get(part) if isinstance(value, dict) else None
        return str(value or "") if self.modified_key else ""

    def order(self) -> list[Key]:
        """(modified, id) of all records, ascending: what keyset paging and time windows walk along."""
        if self._order is None:
            self._order = sorted((self.modified(record), record_id) for record_id, record in self.rows.items())  # type: ignore[type-var]
        return self._order

    def between(self, lo: str | None, hi: str | None) -> list[Key]:
        """The part of `order()` with lo <= modified < hi; an end open where None."""
        order = self.order()
        begin = 0 if lo is None else bisect_left(order, (lo,))  # type: ignore[arg-type]
        end = len(order) if hi is None else bisect_left(order, (hi,))  # type: ignore[arg-type]
        return order[begin:end]
