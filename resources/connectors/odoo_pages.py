"""Reading one Odoo table page by page.

A `PageReader` lives as long as one walk through a table and remembers what it learned on the way: which fields vanished
meanwhile, how large a page the server manages, and whether bare ids plus labels or classic reads come cheaper. Once that
is known it lists the ids that are left and reads their pages side by side, which keeps more than one worker of the
server busy, and the server while we decode.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import msgspec

from resources.connectors.base import Page, PermanentError, TableSchema
from resources.connectors.odoo_errors import FieldGone
from resources.connectors.odoo_labels import LabelledColumns, Labels, Record
from resources.connectors.odoo_rpc import Reply, Rpc
from resources.http import SlowAnswer

log = logging.getLogger(__name__)

Domain = list[Any]
"""Odoo's search condition in Polish notation, e.g. `["|", (field, "=", value), (field, "<", value)]`."""

SMALLEST_PAGE = 50
"""Records a page to go down to when a server cannot answer in time."""

BARE_PAGES_ON_TRIAL = 2
"""The first bare pages pay for labels that later ones have for free."""

PAGES_AT_ONCE = 2
"""Of one table. More would mostly wait for each other here; other tables are read at the same time."""

IDS_A_LIST = 20_000
"""Ids a request: they are cheap."""


class PageReader:
    """One walk through one table.

    Parameters:
        page_size: records a page.
        names: tenant, source and table, for logs.
    """

    def __init__(
        self, rpc: Rpc, labels: Labels, schema: TableSchema, page_size: int, names: dict[str, str | None]
    ) -> None:
        self._rpc, self._labels, self._schema, self._names = rpc, labels, schema, names
        self._where = f"tenant {names['tenant']}, source {names['source']}, table {schema.table}"
        self._page_size = page_size
        self._fields = [column.name for column in schema.columns]
        self._labelled = LabelledColumns.of(schema, self._fields)
        self._bare = False
        self._bare_on_trial = BARE_PAGES_ON_TRIAL if self._labelled else 0
        self._classic_cost = 0.0
        self._seconds = 0.0

    def pages(self, domain: Domain) -> Iterator[Page]:
        """The records that match, by ascending id."""
        last_id = None
        for page, last_id in self._one_after_the_other(domain):
            yield page
            if last_id is not None and not self._bare_on_trial:
                break
        if last_id is None:
            return
        for ids in self._lists_of_ids(domain, last_id):
            yield from self.of_ids(ids, domain)

    def of_ids(self, ids: list[int], domain: Iterable[Any] = ()) -> Iterator[Page]:
        """Those of these records that match, in the order of `ids`, which ascends."""
        size = self._page_size
        with ThreadPoolExecutor(PAGES_AT_ONCE, thread_name_prefix="pages") as pool:
            under_way: deque[Future[list[Page]]] = deque()
            try:
                for start in range(0, len(ids), size):
                    some = ids[start : start + size]
                    if self._bare_on_trial:
                        yield from self._some(some, domain)
                        continue
                    if len(under_way) == PAGES_AT_ONCE:
                        yield from under_way.popleft().result()
                    under_way.append(pool.submit(self._some, some, domain))
                while under_way:
                    yield from under_way.popleft().result()
            finally:
                for future in under_way:
                    future.cancel()

    def _some(self, ids: list[int], domain: Iterable[Any]) -> list[Page]:
        # By ids and not by a range of them: a record that enters the range now would push another off the page.
        only = [*domain, (self._schema.id_column, "in", ids)]
        return [page for page, _ in self._one_after_the_other(only, at_most=len(ids))]

    def _lists_of_ids(self, domain: Domain, last_id: int) -> Iterator[list[int]]:
        id_column = self._schema.id_column
        while True:
            reply = self._rpc.call(
                self._schema.source_name,
                "search",
                self._schema.table,
                domain=[*domain, (id_column, ">", last_id)],
                order=id_column,
                limit=IDS_A_LIST,
            )
            ids = self._list_of(reply, "search")
            if ids:
                self._check_order(ids, last_id)
                yield ids
                last_id = ids[-1]
            # What comes to be meanwhile is newer than this sync's watermark: the next one reads it.
            if len(ids) < IDS_A_LIST:
                return

    def _one_after_the_other(self, domain: Domain, at_most: int | None = None) -> Iterator[tuple[Page, int | None]]:
        """Pages by ascending id, none empty, each with its last id if it is full, so that more may follow.

        Parameters:
            at_most: stop after so many records; more cannot match.
        """
        last_id = count = 0
        while True:
            limit = self._page_size
            try:
                page = self._page([*domain, (self._schema.id_column, ">", last_id)], limit)
            except SlowAnswer as error:
                if limit <= SMALLEST_PAGE:
                    raise
                self._page_size = min(self._page_size, max(SMALLEST_PAGE, limit // 4))
                log.warning("%s Trying pages of %d.", error, self._page_size, extra=self._names)
                continue
            records = page.records
            if not records:
                return
            count += len(records)
            if len(records) < limit or (at_most is not None and count >= at_most):
                yield page, None
                return
            ids = [_id_of(record) for record in records]
            self._check_order(ids, last_id)
            last_id = ids[-1]
            yield page, last_id

    def _check_order(self, ids: list[int], after: int) -> None:
        if any(one >= other for one, other in pairwise([after, *ids])):
            raise PermanentError(f"{self._where}: the server does not keep the order by id: records would be lost.")

    def _page(self, domain: Domain, limit: int) -> Page:
        self._seconds = 0.0
        if self._bare:
            try:
                reply = self._search_read(domain, self._fields, limit, bare=True)
            except PermanentError as error:
                # Old versions, and modules that override search_read, do not know how to leave labels out.
                log.info("%s: reading with labels: %s", self._where, error, extra=self._names)
                self._bare, self._bare_on_trial = False, 0
                return self._page(domain, limit)
            self._labels.complete(reply.value, self._labelled, self._ask_for_labels, self._read_again)
        else:
            reply = self._read_classic(domain, limit)
            if self._bare_on_trial:  # else no bare page of this table will want them
                self._labels.learn(reply.value, self._labelled)
        if reply.value and self._bare_on_trial:
            self._choose_way(self._seconds / len(reply.value))
        return Page(reply.value, reply.read_at)

    def _choose_way(self, cost: float) -> None:
        """Whether the next page is read bare, after this one took `cost` seconds a record."""
        if not self._bare:
            self._classic_cost = cost
            self._bare = self._bare_on_trial > 0
            return
        self._bare_on_trial -= 1
        # Where nearly every record has related records of its own, labels cost more than they save.
        if self._bare_on_trial == 0 and cost > self._classic_cost:
            self._bare = False

    def _read_classic(self, domain: Domain, limit: int) -> Reply:
        fields, undecoded = self._fields, not self._bare_on_trial
        try:
            return self._search_read(domain, fields, limit, bare=False, undecoded=undecoded)
        except FieldGone:
            # Another page's thread may have found out first.
            if self._fields is fields and not self._drop_lost_fields():
                raise
            return self._search_read(domain, self._fields, limit, bare=False, undecoded=undecoded)

    def _search_read(
        self,
        domain: Domain,
        fields: list[str],
        limit: int | None,
        bare: bool,
        model: str | None = None,
        undecoded: bool = False,
    ) -> Reply:
        options: dict[str, Any] = {"load": None} if bare else {}
        if limit is not None:
            options["limit"] = limit
        model = model or self._schema.source_name
        order = self._schema.id_column
        if undecoded:
            options["undecoded"] = True
        reply = self._rpc.call(
            model, "search_read", self._schema.table, domain=domain, fields=fields, order=order, **options
        )
        self._seconds += reply.seconds
        self._list_of(reply, "search_read", model)
        return reply

    def _list_of(self, reply: Reply, method: str, model: str | None = None) -> list[Any]:
        if not isinstance(reply.value, list):
            model = model or self._schema.source_name
            raise PermanentError(f"{self._where}: the server answered {method} of {model} with no list.")
        return reply.value

    # Both ask by a search: rules that hide single records shorten its answer, while a `read` would fail as a whole.
    def _ask_for_labels(self, model: str, ids: list[int]) -> list[Record]:
        return self._search_read([("id", "in", ids)], ["display_name"], None, bare=True, model=model).value

    def _read_again(self, ids: list[int], columns: list[str]) -> list[Record]:
        return self._search_read([("id", "in", ids)], columns, None, bare=False).value

    def _drop_lost_fields(self) -> bool:
        """Go on without the fields that vanished since the schema was read; False if none did."""
        schema = self._schema
        there = self._rpc.fields(schema.source_name, schema.table).keys()
        lost = [name for name in self._fields if name not in there]
        if lost:
            log.warning("%s: the source lost %s; reading on without", self._where, ", ".join(lost), extra=self._names)
            self._fields = [name for name in self._fields if name in there]
            self._labelled = LabelledColumns.of(schema, self._fields)
        return bool(lost)


class _Id(msgspec.Struct):
    id: int


_decode_id = msgspec.json.Decoder(_Id).decode


def _id_of(record: dict[str, Any] | bytes) -> int:
    return _decode_id(record).id if isinstance(record, bytes) else record["id"]
