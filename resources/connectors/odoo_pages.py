"""Reading one Odoo table page by page.

A `PageReader` lives as long as one walk through a table and remembers what it learned on the way: which fields vanished
meanwhile, how large a page the server manages, and whether bare ids plus labels or classic reads come cheaper.
"""

import logging
from collections.abc import Iterator
from typing import Any

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


class PageReader:
    """One walk through one table, by one thread.

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

    def pages(self, domain: Domain, at_most: int | None = None) -> Iterator[Page]:
        """The records that match, by ascending id.

        Parameters:
            at_most: stop after so many records; more cannot match.
        """
        last_id = count = 0
        while at_most is None or count < at_most:
            limit = self._page_size
            try:
                page = self._page([*domain, (self._schema.id_column, ">", last_id)], limit)
            except SlowAnswer as error:
                if limit <= SMALLEST_PAGE:
                    raise
                self._page_size = max(SMALLEST_PAGE, limit // 4)
                log.warning("%s Trying pages of %d.", error, self._page_size, extra=self._names)
                continue
            records = page.records
            if not records:
                return
            full = len(records) >= limit
            count += len(records)
            previous, last_id = last_id, records[-1]["id"]
            if last_id <= previous:
                raise PermanentError(f"{self._where}: the server does not keep the order by id: records would be lost.")
            yield page
            if not full:
                return

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
        if reply.value:
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
        try:
            return self._search_read(domain, self._fields, limit, bare=False)
        except FieldGone:
            if not self._drop_lost_fields():
                raise
            return self._search_read(domain, self._fields, limit, bare=False)

    def _search_read(
        self, domain: Domain, fields: list[str], limit: int | None, bare: bool, model: str | None = None
    ) -> Reply:
        options: dict[str, Any] = {"load": None} if bare else {}
        if limit is not None:
            options["limit"] = limit
        model = model or self._schema.source_name
        order = self._schema.id_column
        reply = self._rpc.call(
            model, "search_read", self._schema.table, domain=domain, fields=fields, order=order, **options
        )
        self._seconds += reply.seconds
        if not isinstance(reply.value, list):
            raise PermanentError(f"{self._where}: the server answered search_read of {model} with no list of records.")
        return reply

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
