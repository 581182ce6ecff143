"""The records of one object in the orders in which Pipedrive lists them.

A `Collection` keeps each record and its JSON; here are sorted (value, id) lists per part (a deal is live, archived,
deleted or both) and sort field, kept up to date change by change, so that no page scans a table.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.collection import Collection, Record

Key = tuple[Any, int]
"""(what it is sorted by, id)."""
LIVE, GONE = "live", "gone"


def live_or_gone(record: Record) -> str:
    """The part of a record that may be deleted but not archived."""
    return GONE if record.get("is_deleted") else LIVE


def deal_part(record: Record) -> str:
    """The part of a deal."""
    return ("archived " if record["is_archived"] else "") + live_or_gone(record)


class Table:
    """One object's records.

    Parameters:
        part: which list a record is in; nothing ever serves `gone` ones of objects other than deals.
        modified_key: None for objects without a modification time that the API shows.
    """

    def __init__(
        self, name: str, part: Callable[[Record], str] = live_or_gone, modified_key: str | None = None
    ) -> None:
        self.name, self.part = name, part
        self.modified_key = modified_key or "id"
        self.collection = Collection(name, modified_key=modified_key)
        self.next_id = 1
        self.previous: dict[int, Record] = {}
        """What a record was before its last change, for webhooks."""
        self.linked: dict[str, dict[int, list[int]]] = {}
        """Reference -> id referred to -> ids of the records that refer to it; empty again after any change."""
        self._orders: dict[tuple[str, str], list[Key]] = {}

    def __len__(self) -> int:
        return len(self.collection)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.collection)

    def get(self, record_id: int) -> Record | None:
        """The record of that id."""
        return self.collection.rows.get(record_id)

    def text(self, record_id: int) -> bytes:
        """Its JSON."""
        return self.collection.text(record_id)

    def load(self, record: Record) -> None:
        """Insert while the story is being told, before anybody asks."""
        self.collection.put(record)

    def put(self, record: Record) -> None:
        """Insert a record, or replace the one of its id. The old one is not touched."""
        self.linked.clear()
        old = self.get(record["id"])
        if old is not None:
            self._forget(old)
            self.previous[record["id"]] = old
        self.collection.put(record)
        for (part, field), order in self._orders.items():
            if part == self.part(record):
                insort(order, sort_key(record, field))

    def remove(self, record_id: int) -> None:
        """Delete for good."""
        self.linked.clear()
        self._forget(self.collection.rows[record_id])
        self.collection.remove(record_id)
        self.previous.pop(record_id, None)

    def order(self, part: str, field: str) -> list[Key]:
        """The keys of one part, ascending."""
        if (part, field) not in self._orders:
            self._orders[part, field] = sorted(sort_key(row, field) for row in self if self.part(row) == part)
        return self._orders[part, field]

    def _forget(self, record: Record) -> None:
        for (part, field), order in self._orders.items():
            if part == self.part(record):
                del order[bisect_left(order, sort_key(record, field))]


def sort_key(record: Record, field: str) -> Key:
    """Where a record stands in a list sorted by `field`; nothing sorts before everything."""
    value = record[field]
    return ("" if value is None else value), record["id"]
