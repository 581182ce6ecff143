"""What a list request may ask for, and the page that it gets.

Parameters and sort fields are those of the vendor's OpenAPI description of v2; what it does not list is refused. A
cursor is the vendor's own: base64 of the (sort value, id) of the first record of the next page, so pages stay right
while records come and go. INVENTED: the wording after `Validation failed: <parameter>:`, and that more than 500 a
page is an error and not cut down.
"""

import base64
import binascii
import heapq
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from sandbox.collection import Record
from sandbox.pipedrive.table import LIVE, Key, Table

LONGEST_PAGE, USUAL_PAGE, MOST_IDS, MOST_CUSTOM = 500, 100, 100, 15
STATUSES = ("open", "won", "lost", "deleted")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")


class Invalid(Exception):
    """A parameter that v2 refuses: `<parameter>: <what is wrong>`."""


@dataclass(frozen=True)
class Listing:
    """What one list endpoint can do. `prefix`: of the parts it lists, e.g. `archived `."""

    entity: str
    cost: int
    equal: tuple[str, ...] = ()
    """Parameters that filter by a field of the same name."""
    windows: bool = False
    sorts: tuple[str, ...] = ("id", "update_time", "add_time")
    include: tuple[str, ...] = ()
    ids: bool = True
    custom: bool = True
    statuses: bool = False
    prefix: str = ""

    def accepts(self) -> set[str]:
        """The names of its parameters."""
        names = {"limit", "cursor", "sort_by", "sort_direction", "api_token", *self.equal}
        names |= {"ids", "filter_id"} if self.ids else set()
        names |= {"updated_since", "updated_until"} if self.windows else set()
        names |= {"include_fields"} if self.include else set()
        names |= {"custom_fields"} if self.custom else set()
        return names | ({"status", "include_option_labels"} if self.statuses else set())


@dataclass
class Query:
    """One request, understood."""

    limit: int = USUAL_PAGE
    sort_by: str = "id"
    descending: bool = False
    cursor: Key | None = None
    since: str | None = None
    until: str | None = None
    ids: list[int] | None = None
    equal: dict[str, Any] = field(default_factory=dict)
    statuses: tuple[str, ...] | None = None
    include: tuple[str, ...] = ()
    custom: tuple[str, ...] | None = None
    option_labels: bool = False


def understand(listing: Listing, given: Mapping[str, str]) -> Query:
    """The request's parameters.

    Raises:
        Invalid: naming every parameter that is wrong.
    """
    query, problems = Query(), []
    for name, text in given.items():
        try:
            if name not in listing.accepts():
                raise Invalid(f"{name}: is not allowed")
            _take(query, listing, name, text)
        except Invalid as error:
            problems.append(str(error))
    if query.cursor is None and (text := given.get("cursor")) and not problems:
        try:
            query.cursor = read_cursor(text, query)
        except Invalid as error:
            problems.append(str(error))
    if problems:
        raise Invalid("; ".join(problems))
    return query


def _take(query: Query, listing: Listing, name: str, text: str) -> None:
    if name == "limit":
        query.limit = _integer(name, text)
        if not 1 <= query.limit <= LONGEST_PAGE:
            raise Invalid(f"limit: must be between 1 and {LONGEST_PAGE}")
    elif name == "sort_by":
        query.sort_by = _one_of(name, text, listing.sorts)
    elif name == "sort_direction":
        query.descending = _one_of(name, text, ("asc", "desc")) == "desc"
    elif name == "updated_since":
        query.since = _moment(name, text)
    elif name == "updated_until":
        query.until = _moment(name, text)
    elif name == "ids":
        query.ids = [_integer(name, part) for part in text.split(",")]
        if len(query.ids) > MOST_IDS:
            raise Invalid(f"ids: must contain at most {MOST_IDS} items")
    elif name == "status":
        query.statuses = tuple(_one_of(name, part, STATUSES) for part in text.split(","))
    elif name == "include_fields":
        query.include = tuple(_one_of(name, part, listing.include) for part in text.split(","))
    elif name == "custom_fields":
        query.custom = tuple(text.split(","))
        if len(query.custom) > MOST_CUSTOM:
            raise Invalid(f"custom_fields: must contain at most {MOST_CUSTOM} items")
    elif name == "include_option_labels":
        query.option_labels = _one_of(name, text, ("true", "false")) == "true"
    elif name == "filter_id":
        raise Invalid("filter_id: no filter with this id")
    elif name == "done":
        query.equal[name] = _one_of(name, text, ("true", "false")) == "true"
    elif name == "lead_id":
        query.equal[name] = text
    elif name in listing.equal:
        query.equal[name] = _integer(name, text)


def _integer(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,19}", text):
        raise Invalid(f"{name}: must be a number")
    return int(text)


def _one_of(name: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise Invalid(f"{name}: must be one of [{', '.join(allowed)}]")
    return text


def _moment(name: str, text: str) -> str:
    """RFC 3339 without a fraction, as records store it: v2 refuses fractions and spaces."""
    if not _MOMENT.fullmatch(text):
        raise Invalid(f"{name}: must be in RFC3339 format, e.g. 2025-01-01T10:20:00Z")
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Invalid(f"{name}: must be a valid date") from None
    return stored(moment)


def stored(moment: datetime) -> str:
    """A moment as Pipedrive stores and shows it: whole seconds, so text order is time order."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_cursor(query: Query, key: Key) -> str:
    """Where the next page begins."""
    direction = "desc" if query.descending else "asc"
    place = {"field": query.sort_by, "fieldValue": key[0], "sortDirection": direction, "id": key[1]}
    return base64.b64encode(orjson.dumps(place)).decode().rstrip("=")


def read_cursor(text: str, query: Query) -> Key:
    """The place a cursor names; it must be of the same order."""
    try:
        place = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
        value, record_id = place["fieldValue"], int(place["id"])
        same = place["field"] == query.sort_by and (place["sortDirection"] == "desc") == query.descending
    except (binascii.Error, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise Invalid("cursor: is invalid") from None
    if not same:
        raise Invalid("cursor: does not match sort_by and sort_direction")
    return value, record_id


def select(table: Table, listing: Listing, query: Query) -> tuple[list[int], str | None]:
    """The ids of a page and the cursor of the next one."""
    if query.ids is not None:
        keys = _by_ids(table, listing, query)
    else:
        parts = [_walk(table, part, query) for part in _parts(listing, query)]
        keys = parts[0] if len(parts) == 1 else heapq.merge(*parts, reverse=query.descending)
    wanted = []
    for key in keys:
        if _matches(table.collection.rows[key[1]], listing, query):
            if len(wanted) == query.limit:
                return wanted, write_cursor(query, key)
            wanted.append(key[1])
    return wanted, None


def _parts(listing: Listing, query: Query) -> list[str]:
    statuses = query.statuses
    parts = [LIVE] if statuses is None or set(statuses) - {"deleted"} else []
    parts += ["gone"] if statuses and "deleted" in statuses else []
    return [listing.prefix + part for part in parts]


def _by_ids(table: Table, listing: Listing, query: Query) -> Iterator[Key]:
    parts = _parts(listing, query)
    rows = (table.get(record_id) for record_id in dict.fromkeys(query.ids or ()))
    value = (lambda row: row["id"]) if query.sort_by == "id" else (lambda row: row[query.sort_by] or "")
    keys = sorted(
        ((value(row), row["id"]) for row in rows if row is not None and table.part(row) in parts),
        reverse=query.descending,
    )
    begin = query.cursor
    return (key for key in keys if begin is None or (key <= begin if query.descending else key >= begin))


def _walk(table: Table, part: str, query: Query) -> Iterator[Key]:
    """The keys of one part from the cursor on."""
    order = table.order(part, query.sort_by)
    lo, hi = 0, len(order)
    if query.sort_by == table.modified_key:
        lo = lo if query.since is None else bisect_left(order, (query.since,))
        hi = hi if query.until is None else bisect_left(order, (query.until,))
    elif query.since is not None or query.until is not None:
        moved = table.order(part, table.modified_key)
        begin = 0 if query.since is None else bisect_left(moved, (query.since,))
        end = len(moved) if query.until is None else bisect_left(moved, (query.until,))
        if (end - begin) * 4 < len(moved):  # few: sorting them is less than walking past all others
            rows = table.collection.rows
            order = sorted((rows[number][query.sort_by] or "", number) for _, number in moved[begin:end])
            lo, hi = 0, len(order)
    if query.cursor is not None:
        if query.descending:
            hi = min(hi, bisect_right(order, query.cursor))
        else:
            lo = max(lo, bisect_left(order, query.cursor))
    numbers = range(hi - 1, lo - 1, -1) if query.descending else range(lo, hi)
    return (order[number] for number in numbers)


def _matches(record: Record, listing: Listing, query: Query) -> bool:
    for name, value in query.equal.items():
        if record[name] != value:
            return False
    if query.since is not None and record["update_time"] < query.since:
        return False
    if query.until is not None and record["update_time"] >= query.until:
        return False
    return query.statuses is None or record["status"] in query.statuses
