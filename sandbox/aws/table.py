"""One kind of AWS record: kept whole for `Get...`, shortened for `List...`, ordered by whatever a listing may sort by."""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from sandbox.collection import Collection, Key, Record


class BadToken(Exception):
    """A NextToken that this server did not hand out for this listing."""


class Table(Collection):
    """A collection whose records also have a short form.

    Parameters:
        summary: the short form of a record.
        sorts: name of an order -> what of a record it goes by.
    """

    def __init__(
        self,
        name: str,
        id_key: str,
        modified_key: str | None,
        summary: Callable[[Record], Record],
        sorts: Mapping[str, Callable[[Record], Any]],
    ) -> None:
        super().__init__(name, id_key, modified_key)
        self.summary, self.sorts = summary, sorts
        self._summaries: dict[int | str, bytes] = {}
        self._sorted: dict[str, list[Key]] = {}

    def put(self, record: Record) -> None:
        """Insert or replace."""
        super().put(record)
        self._summaries.pop(record[self.id_key], None)
        self._sorted.clear()

    def remove(self, record_id: int | str) -> None:
        """Delete for good."""
        super().remove(record_id)
        self._summaries.pop(record_id, None)
        self._sorted.clear()

    def summary_text(self, record_id: int | str) -> bytes:
        """The short form's JSON."""
        if record_id not in self._summaries:
            self._summaries[record_id] = orjson.dumps(self.summary(self.rows[record_id]))
        return self._summaries[record_id]

    def ordered(self, sort: str) -> list[Key]:
        """(what it is sorted by, id) of all records, ascending."""
        if sort not in self._sorted:
            value = self.sorts[sort]
            self._sorted[sort] = sorted((value(record) or "", key) for key, record in self.rows.items())  # type: ignore[type-var]
        return self._sorted[sort]


def page(
    order: list[Key],
    size: int,
    token: str | None,
    listing: str,
    descending: bool = False,
    accept: Callable[[Any], bool] | None = None,
) -> tuple[list[Any], str | None]:
    """The next `size` ids of an ordered listing, and the token that goes on behind them.

    INVENTED: AWS's tokens are opaque; here one holds the last key seen, so that records which move between two pages
    neither hide nor repeat others.

    Parameters:
        listing: what the token is good for (operation and filters): another listing's token is refused.
        accept: which ids are in the listing at all.

    Raises:
        BadToken.
    """
    begin, step = (len(order) - 1, -1) if descending else (0, 1)
    if token is not None:
        last = _open(token, listing)
        begin = bisect_left(order, last) - 1 if descending else bisect_right(order, last)
    found: list[Any] = []
    at = begin
    while 0 <= at < len(order):
        if accept is None or accept(order[at][1]):
            if len(found) == size:
                return [key[1] for key in found], _close(found[-1], listing)
            found.append(order[at])
        at += step
    return [key[1] for key in found], None


_MARK = "AAMA-"
"""How the recorded tokens begin."""


def _close(key: Key, listing: str) -> str:
    return _MARK + base64.urlsafe_b64encode(orjson.dumps([listing, *key])).decode().rstrip("=")


def _open(token: str, listing: str) -> Key:
    try:
        text = token.removeprefix(_MARK)
        said, value, record_id = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error) as error:
        raise BadToken(token) from error
    if said != listing or not token.startswith(_MARK):
        raise BadToken(token)
    return value, record_id
