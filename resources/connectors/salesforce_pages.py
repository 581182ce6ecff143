"""Which records of an object are asked for: by time, by id, or all of them.

A query's result is a snapshot that Salesforce hands out batch by batch, one after the other. So a long span of time is cut
into pieces of one or two batches, by counting the records of each day, and the pieces are read side by side. Where a
cursor is lost, reading goes on behind the last record.
"""

import logging
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any

from resources.connectors import json_text
from resources.connectors.base import BudgetSpent, Page, PermanentError, SourceError, TableSchema
from resources.connectors.salesforce_rest import Batch, CursorExpired, FieldGone, QueryTimeout, Rest
from resources.connectors.windows import SPLIT_ABOVE_PAGES, Span, Step
from resources.http import SlowAnswer

log = logging.getLogger(__name__)

ID = "Id"
LONGEST_COLUMNS = 13_000
LONGEST_LISTS = 15_000
"""Characters of a column list, and of it and a list of ids, in an address: Salesforce takes 16,384 for address and headers."""

ID_LENGTH = len("'001000000000000AAA',")

COUNT_BEYOND = timedelta(days=2)
"""A shorter span is read without counting first."""

FULL, LONGEST_PIECE = 0.9, 2
"""A piece ends where so much of its batches is filled, or before it has more batches than that; a longer day is one alone."""

MOST_DAYS = 2000
"""Groups that one aggregate query may answer with."""

OLDEST = datetime(1999, 1, 1, tzinfo=UTC)
"""Before there was Salesforce."""

CURSORS = 8
"""A user may have ten open; the oldest goes when another is opened."""

REPEATS = 3
"""So often a batch is asked for whose answer is the one before it."""

SMALLEST_SPAN = timedelta(hours=1)
"""A query over less that still times out is not halved again."""


@dataclass
class Piece(Span):
    """A span of so many batches."""

    batches: int = 0


class PageReader:
    """Reads one object. Safe to use from many threads.

    Parameters:
        page_size: records a batch.
        cursors: bounds the cursors that are open at the same time, over all tables.
    """

    def __init__(self, rest: Rest, schema: TableSchema, page_size: int, cursors: threading.Semaphore) -> None:
        self._rest, self._schema, self._size, self._cursors = rest, schema, page_size, cursors
        self._stamp = schema.modified_column
        self._parts = self._split([column.name for column in schema.columns])
        self._lock = threading.Lock()

    # -- by time -------------------------------------------------------------------------------------------------------

    def is_long(self, span: Span, now: datetime) -> bool:
        """Whether it is worth a call to find out where the span's records lie."""
        return min(span.hi or now, now) - (span.lo or OLDEST) > COUNT_BEYOND

    def begin(self, span: Span) -> tuple[Page | None, Callable[[], list[Span]]]:
        """The oldest records of a long span, and what gives the rest in pieces: each of a few well-filled batches, those
        of most batches first. The records are counted by day while the first ones come."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="counting")
        counting = pool.submit(self._counts, span)
        pool.shutdown(wait=False)
        batch = self._oldest(span)
        if batch is None:
            counting.exception()  # waited for: it is not to be sent, and paid for, after the reading is over
            return None, lambda: [span]
        # A batch may be smaller than what was asked for, if the records are large.
        if batch.more is None and len(batch.records) < self._size:
            counting.exception()
            return Page(self._complete(batch.records), batch.read_at), list
        # Records without a time come first, where the span has no beginning.
        stamps = [stamp for record in batch.records if (stamp := self._moment_of(record))]
        undated = len(batch.records) - len(stamps)
        if not stamps:
            counting.exception()
            return None, lambda: [span]
        # The last second may go on behind this batch: it belongs to the rest.
        dated = bisect_left(stamps, stamps[-1])
        kept = undated + dated
        read = Counter(stamp.date() for stamp in stamps[:dated])
        rest = Span(stamps[-1], span.hi, span.part) if kept else span

        def pieces() -> list[Span]:
            return self._pieces(rest, {day: number - read[day] for day, number in counting.result()})

        return Page(self._complete(batch.records[:kept]), batch.read_at) if kept else None, pieces

    def _oldest(self, span: Span) -> Batch | None:
        stamp = self._stamp or ""
        try:
            return self._ask(0, self._bounds(span), [stamp, ID], limit=self._size)
        except (BudgetSpent, QueryTimeout, SlowAnswer):
            # Reading the span as a whole knows how to leave off and how to ask for less.
            return None

    def _counts(self, span: Span) -> list[tuple[date, int]]:
        """Records of each day; none where Salesforce does not count."""
        day, name = f"DAY_ONLY({self._stamp})", self._schema.source_name
        soql = f"SELECT {day} d, COUNT(Id) n FROM {name}{_where(self._bounds(span))}"
        soql += f" GROUP BY {day} ORDER BY {day} DESC LIMIT {MOST_DAYS}"
        try:
            found = self._rest.query(soql, self._schema.table, name)
            rows = map(_decoded, found.records)
            return [(date.fromisoformat(row["d"]), int(row["n"])) for row in rows if row["d"] is not None]
        except (SourceError, KeyError, TypeError, ValueError) as error:
            # Some objects cannot be counted by day, and the largest may take too long.
            log.info("reading without counting first: %s", error, extra=self._rest.http.names(self._schema.table))
            return []

    def _pieces(self, span: Span, counts: Mapping[date, int]) -> list[Span]:
        pieces: list[Span] = []
        begin, records = span.lo, 0
        if len(counts) == MOST_DAYS:  # earlier days were not counted
            begin = datetime.combine(min(counts), time(), UTC)
            pieces.append(Span(span.lo, begin, span.part))
        for day in sorted(day for day, number in counts.items() if number > 0):
            batches, more = (-(-number // self._size) for number in (records, records + counts[day]))
            if records and (records >= FULL * batches * self._size or more > LONGEST_PIECE):
                midnight = datetime.combine(day, time(), UTC)
                pieces.append(Piece(begin, midnight, span.part, batches))
                begin, records = midnight, 0
            records += counts[day]
        last = Piece(begin, span.hi, span.part, -(-records // self._size))
        pieces.append(last if records else Span(begin, span.hi, span.part))  # nothing was counted: it may be long
        return sorted(pieces, key=lambda piece: -piece.batches if isinstance(piece, Piece) else 0)

    def read(self, span: Span) -> Iterator[Step]:
        """One span by ascending time, for `windows.read_side_by_side`."""
        try:
            yield from self._read(span)
        except (QueryTimeout, SlowAnswer):
            begin, end = span.lo or OLDEST, span.hi or datetime.now(UTC)
            if end - begin <= SMALLEST_SPAN:
                raise
            middle = begin + (end - begin) / 2
            yield from self.read(Span(span.lo, middle, span.part))
            yield from self.read(Span(middle, span.hi, span.part))

    def _read(self, span: Span) -> Iterator[Step]:
        stamp = self._stamp or ""
        for batch in self._batches(self._bounds(span), [stamp, ID]):
            if not batch.records:
                continue
            began, reached = (self._moment_of(batch.records[place]) for place in (0, -1))
            if began and reached and reached < began:
                raise PermanentError(f"{self._where}: the server does not keep the order by {stamp}.")
            page = Page(self._complete(batch.records), batch.read_at)
            # Without a time at which it began, a chain is not split: it is known to end soon.
            short = isinstance(span, Piece) and span.batches <= SPLIT_ABOVE_PAGES
            yield Step(page, None if short else began, reached, batch.more is None)

    def _bounds(self, span: Span) -> list[str]:
        """A bound inside a second is widened to the whole second, which is how Salesforce stamps."""
        hi = span.hi + timedelta(seconds=1) if span.hi and span.hi.microsecond else span.hi
        lower = [f"{self._stamp} >= {_second(span.lo)}"] if span.lo else []
        return lower + ([f"{self._stamp} < {_second(hi)}"] if hi else [])

    # -- others --------------------------------------------------------------------------------------------------------

    def all(self) -> Iterator[Page]:
        """Every record, by ascending id."""
        for batch in self._batches([], [ID]):
            yield Page(self._complete(batch.records), batch.read_at)

    def undated(self) -> Iterator[Page]:
        """The records without a modification time, by ascending id."""
        if self._stamp:
            for batch in self._batches([f"{self._stamp} = null"], [ID]):
                if batch.records:
                    yield Page(self._complete(batch.records), batch.read_at)

    def of_ids(self, ids: Iterable[str]) -> Iterator[Page]:
        """These records, where they are still there."""
        good = (value for value in ids if value.isalnum() and value.isascii())
        length = max(sum(len(name) + 1 for name in part) for part in self._parts)
        while some := list(islice(good, min(self._size, (LONGEST_LISTS - length) // ID_LENGTH))):
            yield self._of_ids(some)

    def listed(self) -> Iterator[list[tuple[str, str | None]]]:
        """Ids and modification times of all records that are not in the recycle bin, by ascending id."""
        columns = [ID, self._stamp] if self._stamp else [ID]
        # Not by `query`, which sees no archived tasks and events either: they would pass for deleted.
        kept = [f"{self._schema.deleted[0]} = false"] if self._schema.deleted else []
        for batch in self._batches(kept, [ID], columns):
            records = map(_decoded, batch.records)
            yield [(record[ID], record.get(self._stamp) if self._stamp else None) for record in records]

    def has_newer(self, moment: datetime) -> bool:
        """Whether a record was modified at `moment` or later."""
        soql = f"SELECT Id FROM {self._schema.source_name} WHERE {self._stamp} >= {_second(moment)} LIMIT 1"
        return bool(self._rest.query(soql, self._schema.table, self._schema.source_name).records)

    # -- asking --------------------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return self._rest.http.where(self._schema.table)

    def _moment_of(self, record: Any) -> datetime | None:
        """When the record was modified; None if it does not say so."""
        stamp = _decoded(record)[self._stamp or ""]
        return None if stamp is None else _moment(stamp)

    def _split(self, columns: Sequence[str]) -> list[list[str]]:
        """The columns in lists that fit into an address, each with the id and the modification time."""
        always = [ID] + ([self._stamp] if self._stamp else [])
        parts, length = [list(always)], 0
        for name in (name for name in columns if name not in always):
            if length + len(name) + 1 > LONGEST_COLUMNS:
                parts.append(list(always))
                length = 0
            parts[-1].append(name)
            length += len(name) + 1
        return parts

    def _ask(
        self, part: int, conditions: Sequence[str], order: Sequence[str] = (), columns: Sequence[str] = (),
        limit: int | None = None,
    ) -> Batch:  # fmt: skip
        parts = self._parts
        if part >= len(parts):
            return Batch([], None, datetime.now(UTC))
        soql = f"SELECT {','.join(columns or parts[part])} FROM {self._schema.source_name}{_where(conditions)}"
        soql += f" ORDER BY {','.join(order)}" if order else ""
        soql += f" LIMIT {limit}" if limit else ""
        try:
            return self._rest.query(soql, self._schema.table, self._schema.source_name)
        except FieldGone:
            # Another page's thread may have found out first.
            if not self._drop_lost_fields(parts):
                raise
        return self._ask(part, conditions, order, columns, limit)

    def _batches(
        self, conditions: list[str], order: list[str], columns: Sequence[str] = (), part: int = 0,
        long: bool = True,
    ) -> Iterator[Batch]:  # fmt: skip
        """A result's batches in their order; where its cursor is lost, those of a new query for what comes after. Not
        `long`: what is asked for while a batch of another result is being completed. It takes no place among the open
        cursors, because that other result holds one until it is complete: all places could be held by such as wait."""
        table = self._schema.table
        batch = self._ask(part, conditions, order, columns)
        if batch.more is None:
            yield batch
            return
        with self._cursors if long else nullcontext():
            while True:
                yield batch
                if batch.more is None:
                    return
                try:
                    batch = self._following(batch.more)
                except CursorExpired as error:
                    log.info("asking anew behind the last record: %s", error, extra=self._rest.http.names(table))
                    last = _decoded(batch.records[-1])
                    batch = self._ask(part, [*conditions, _after(order, last)], order, columns)

    def _following(self, path: str) -> Batch:
        for _ in range(REPEATS):
            batch = self._rest.more(path, self._schema.table, self._schema.source_name)
            if batch.more != path:  # else it is the batch before once more
                return batch
        raise CursorExpired(f"{self._where}: the server repeats a batch")

    def _drop_lost_fields(self, asked: list[list[str]]) -> bool:
        """Go on without the fields of `asked` that vanished since the schema was read; False if none did."""
        schema = self._schema
        there = {field["name"] for field in self._rest.describe(schema.source_name, schema.table)["fields"]}
        with self._lock:
            if self._parts is not asked:
                return True
            known = list(dict.fromkeys(name for part in self._parts for name in part))
            lost = [name for name in known if name not in there]
            if lost:
                log.warning("%s: the source lost %s; reading on without", self._where, ", ".join(lost))
                self._parts = self._split([name for name in known if name in there])
        return bool(lost)

    # -- more columns than fit into an address -------------------------------------------------------------------------

    def _complete(self, records: list[Any]) -> list[Any]:
        """The records with the columns of all parts."""
        if len(self._parts) == 1 or not records:
            return records
        found = [_decoded(record) for record in records]
        order = [self._stamp, ID] if self._stamp else [ID]
        within = [_between(order, found[0], found[-1])]
        for part in range(1, len(self._parts)):
            batches = self._batches(within, order, part=part, long=False)
            found = self._joined(found, (_decoded(record) for batch in batches for record in batch.records))
        # What moved meanwhile is read again; what moves all the time has a stamp that the next sync asks for.
        there = {record[ID] for record in found}
        moved = [record[ID] for record in map(_decoded, records) if record[ID] not in there]
        return found + [record for page in self.of_ids(moved) for record in page.records]

    def _of_ids(self, ids: list[str]) -> Page:
        listed = "Id IN ('" + "','".join(ids) + "')"
        batch = self._ask_all(0, listed)
        found, read_at = batch.records, batch.read_at
        for part in range(1, len(self._parts)):
            found = self._joined(map(_decoded, found), map(_decoded, self._ask_all(part, listed).records))
        return Page(found, read_at)

    def _ask_all(self, part: int, condition: str) -> Batch:
        batches = list(self._batches([condition], [ID], part=part, long=False))
        records = [record for batch in batches for record in batch.records]
        return Batch(records, None, batches[0].read_at)

    def _joined(self, some: Iterable[dict[str, Any]], others: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Both halves of the records that did not change between them."""
        by_id = {record[ID]: record for record in others}
        joined = []
        for record in some:
            other = by_id.get(record[ID])
            if other is not None and (self._stamp is None or other[self._stamp] == record[self._stamp]):
                joined.append({**record, **other})
        return joined


def _where(conditions: Sequence[str]) -> str:
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def _literal(name: str, record: dict[str, Any]) -> str:
    return f"'{record[ID]}'" if name == ID else _second(_moment(record[name]), exact=True)


def _after(order: Sequence[str], last: dict[str, Any]) -> str:
    """The condition for records behind `last` in this order of (stamp, id) or id, in which those without a stamp come first."""
    *first, _ = order
    behind = f"Id > {_literal(ID, last)}"
    for name in first:
        if last[name] is None:
            return f"({name} != null OR {behind})"
        value = _literal(name, last)
        behind = f"{name} >= {value} AND ({name} > {value} OR ({name} = {value} AND {behind}))"
    return f"({behind})"


def _between(order: Sequence[str], first: dict[str, Any], last: dict[str, Any]) -> str:
    """The condition for the records from `first` to `last`, both included, in this order."""
    *stamps, _ = order
    if not stamps:
        return f"Id >= {_literal(ID, first)} AND Id <= {_literal(ID, last)}"
    name, from_id, to_id = stamps[0], f"Id >= {_literal(ID, first)}", f"Id <= {_literal(ID, last)}"
    if last[name] is None:  # such records come first in the order
        return f"{name} = null AND {from_id} AND {to_id}"
    high = _literal(name, last)
    upper = f"{name} < {high} OR ({name} = {high} AND {to_id})"
    if first[name] is None:
        return f"({upper} OR ({name} = null AND {from_id}))"
    low = _literal(name, first)
    return f"({name} > {low} OR ({name} = {low} AND {from_id})) AND ({upper})"


def _second(moment: datetime, exact: bool = False) -> str:
    """A moment as SOQL writes it. `exact`: with its milliseconds.

    Raises:
        ValueError: `moment` has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{moment.microsecond // 1000:03d}Z" if exact and moment.microsecond else f"{text}Z"


def _moment(text: str) -> datetime:
    """The moment that a record's text names."""
    return datetime.fromisoformat(text)


def _decoded(record: Any) -> dict[str, Any]:
    return json_text.decode(record) if isinstance(record, bytes) else record
