"""The records of one object: kept as the JSON that goes over the wire, in the order of the exports and in that of the lists.

Whole records are parsed only when somebody changes them: half a million tickets fit, and a page is a join of texts.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

Record = dict[str, Any]


def dumps(value: Any) -> bytes:
    """JSON as Rails writes it: UTF-8, but `&`, `<` and `>` escaped."""
    text = bytes(memoryview(orjson.dumps(value)))  # a copy: orjson's own bytes keep the room they were written in
    return text.replace(b"&", b"\\u0026").replace(b"<", b"\\u003c").replace(b">", b"\\u003e")


class Table:
    """Records by id; each has a stamp (Unix seconds: when it was last generated), which the exports go by."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts: dict[int, bytes] = {}
        self.stamps: dict[int, int] = {}
        self.exported: list[tuple[int, int]] = []
        """(stamp, id), ascending: the order of the exports, deleted records included."""
        self.listed: list[int] = []
        """The ids that lists show: those not deleted."""

    def __len__(self) -> int:
        return len(self.texts)

    def load(self, rows: Iterable[tuple[Record, int, bool]]) -> None:
        """Fill an empty table with (record, stamp, listed)."""
        for record, stamp, listed in rows:
            self.append(record, stamp, listed)
        self.sort()

    def append(self, record: Record, stamp: int, listed: bool = True) -> None:
        """One more record while a table is filled; `sort` ends that."""
        self.texts[record["id"]] = dumps(record)
        self.stamps[record["id"]] = stamp
        if listed:
            self.listed.append(record["id"])

    def sort(self) -> None:
        """Bring what was appended into its orders."""
        self.listed.sort()
        self.exported = sorted((stamp, record_id) for record_id, stamp in self.stamps.items())

    def get(self, record_id: int) -> Record:
        """One record, parsed: a copy."""
        return orjson.loads(self.texts[record_id])

    def all(self) -> Iterator[Record]:
        """Every record, parsed."""
        return map(orjson.loads, self.texts.values())

    def put(self, record: Record, stamp: int, listed: bool = True) -> None:
        """Insert a record, or replace the one of its id."""
        record_id = record["id"]
        if (old := self.stamps.get(record_id)) is not None:
            del self.exported[bisect_left(self.exported, (old, record_id))]
        self.texts[record_id] = dumps(record)
        self.stamps[record_id] = stamp
        insort(self.exported, (stamp, record_id))
        self._list(record_id, listed)

    def remove(self, record_id: int) -> None:
        """Delete for good."""
        del self.exported[bisect_left(self.exported, (self.stamps.pop(record_id), record_id))]
        del self.texts[record_id]
        self._list(record_id, False)

    def _list(self, record_id: int, listed: bool) -> None:
        at = bisect_left(self.listed, record_id)
        known = at < len(self.listed) and self.listed[at] == record_id
        if listed and not known:
            self.listed.insert(at, record_id)
        elif known and not listed:
            del self.listed[at]

    def after(self, key: tuple[int, int], until: int, count: int) -> tuple[list[tuple[int, int]], bool]:
        """Up to `count` keys behind `key` with a stamp of at most `until`, and whether more follow."""
        begin = bisect_right(self.exported, key)
        end = bisect_right(self.exported, (until, 1 << 64))
        return self.exported[begin : min(begin + count, end)], begin + count < end

    def join(self, ids: Iterable[int]) -> bytes:
        """The records as the inside of a JSON list."""
        texts = self.texts
        return b",".join([texts[record_id] for record_id in ids])
