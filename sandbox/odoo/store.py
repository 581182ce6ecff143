"""Rows in memory: one `Database` per tenant, one `Table` per model.

A row is a plain list: slot 0 the id, slot 1 its place in the heap (every write moves a row to the end, which is what
makes unordered pages of a real Postgres drift), then one slot per stored field. Unset is None. Moments are 26-character
texts with microseconds, so text order is time order. 500,000 leads take about 1.2 GB this way, a third of dicts.

What belongs here: keeping rows, their indexes and what was cached of them consistent. Meaning belongs to `records`.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sandbox.odoo.labels import Labels
from sandbox.odoo.schema import ORDERS, X2MANY, Field, recorded_defaults
from sandbox.odoo.views import Views, is_odd

ID, HEAP, FIRST = 0, 1, 2
Row = list[Any]

INVERSES = {
    ("account.move", "line_ids"): ("account.move.line", "move_id"),
    ("crm.lead", "order_ids"): ("sale.order", "opportunity_id"),
    ("pos.config", "session_ids"): ("pos.session", "config_id"),
    ("pos.order", "lines"): ("pos.order.line", "order_id"),
    ("pos.order", "payment_ids"): ("pos.payment", "pos_order_id"),
    ("pos.order.line", "refund_orderline_ids"): ("pos.order.line", "refunded_orderline_id"),
    ("pos.session", "order_ids"): ("pos.order", "session_id"),
    ("product.category", "child_id"): ("product.category", "parent_id"),
    ("product.template", "product_variant_ids"): ("product.product", "product_tmpl_id"),
    ("res.country", "state_ids"): ("res.country.state", "country_id"),
    ("res.partner", "child_ids"): ("res.partner", "parent_id"),
    ("res.partner", "opportunity_ids"): ("crm.lead", "partner_id"),
    ("res.partner", "pos_order_ids"): ("pos.order", "partner_id"),
    ("res.partner", "sale_order_ids"): ("sale.order", "partner_id"),
    ("sale.order", "order_line"): ("sale.order.line", "order_id"),
}
"""one2many -> (model, many2one) it mirrors. Others (messages, activities, ...) stay empty."""


class Table:
    """The rows of one model with their indexes: sorted ids and sorted (write_date, id)."""

    def __init__(self, database: "Database", name: str, fields: dict[str, dict[str, Any]]) -> None:
        self.database, self.name = database, name
        self.fields: dict[str, Field] = {}
        self.slots: dict[str, int] = {"id": ID}
        self.rows: dict[int, Row] = {}
        self.ids: list[int] = []
        self.dates: list[tuple[str, int]] = []
        self.odd: set[int] = set()  # rows with values that only Python's own json can write
        self.next_id = 1
        self.order = ORDERS.get(name, "id")
        self._blank: Row = [None, 0]
        for key, attributes in fields.items():
            self.add_field(key, attributes)
        for key, value in recorded_defaults(name).items():
            if key in self.slots:
                self._blank[self.slots[key]] = value
        self.labels = Labels(self)
        self.views = Views(self)
        self.inverses: list[tuple[int, str, str]] = []  # (slot of the many2one here, model there, one2many there)

    # -- fields ------------------------------------------------------------------------------------------------

    def add_field(self, name: str, attributes: dict[str, Any], value: Any = None) -> None:
        """Add a field; existing rows get `value`."""
        known = Field(name, attributes)
        self.fields[name] = known
        if name == "id":
            known.slot = ID
        elif known.stored:
            known.slot = self.slots[name] = len(self._blank)
            blank = () if known.type in X2MANY and value is None else value
            self._blank.append(blank)
            for row in self.rows.values():
                row.append(blank)

    def remove_field(self, name: str) -> None:
        """Drop a field, as uninstalling an add-on does."""
        del self.fields[name]
        self.slots.pop(name, None)
        self.views.clear()

    def blank(self, name: str) -> Any:
        """What a new row holds in a field that nobody sets."""
        return self._blank[self.slots[name]]

    def value(self, row: Row, name: str) -> Any:
        """The stored value of a field."""
        return row[self.slots[name]]

    # -- loading (no indexes, no hooks: for generating much, followed by `Database.finish_loading`) ---------------

    def load(self, values: dict[str, Any]) -> int:
        """Append a row; returns its id."""
        row = self._blank.copy()
        slots = self.slots
        for name, value in values.items():
            row[slots[name]] = value
        record_id = row[ID] or self.next_id
        row[ID] = record_id
        row[HEAP] = self.database.tick()
        self.next_id = max(self.next_id, record_id + 1)
        self.rows[record_id] = row
        return record_id

    def finish_loading(self) -> None:
        """Build the indexes."""
        self.ids = sorted(self.rows)
        slot = self.slots.get("write_date")
        if slot is not None:
            self.dates = sorted((row[slot], row[ID]) for row in self.rows.values() if row[slot] is not None)
        self.labels.clear()
        self.views.clear()

    # -- changing single rows ------------------------------------------------------------------------------------

    def insert(self, values: dict[str, Any]) -> int:
        """Add one row and index it."""
        record_id = self.load(values)
        row = self.rows[record_id]
        insort(self.ids, record_id)
        self._index_date(row)
        self._check_odd(row)
        for slot, model, field in self.inverses:
            self.database.tables[model].link(row[slot], field, record_id)
        return record_id

    def update(self, record_id: int, values: dict[str, Any]) -> None:
        """Set fields of one row; the row moves to the end of the heap."""
        row = self.rows[record_id]
        before = [row[slot] for slot, _, _ in self.inverses]
        self._unindex_date(row)
        for name, value in values.items():
            row[self.slots[name]] = value
        row[HEAP] = self.database.tick()
        self._index_date(row)
        self._check_odd(row)
        self.views.drop(record_id)
        self.labels.changed(record_id, values)
        for old, (slot, model, field) in zip(before, self.inverses, strict=True):
            if old != row[slot]:
                self.database.tables[model].unlink_from(old, field, record_id)
                self.database.tables[model].link(row[slot], field, record_id)

    def delete(self, record_id: int) -> None:
        """Remove one row without a trace."""
        row = self.rows.pop(record_id)
        self._unindex_date(row)
        del self.ids[bisect_left(self.ids, record_id)]
        self.odd.discard(record_id)
        self.views.drop(record_id)
        self.labels.changed(record_id, None)
        for slot, model, field in self.inverses:
            self.database.tables[model].unlink_from(row[slot], field, record_id)

    def link(self, record_id: int | None, field: str, other: int) -> None:
        """Add `other` to a one2many, which is no write: the row's write_date stays."""
        if record_id is not None and (row := self.rows.get(record_id)) is not None:
            slot = self.slots[field]
            row[slot] = (*row[slot], other)
            self.views.drop(record_id)

    def unlink_from(self, record_id: int | None, field: str, other: int) -> None:
        """Take `other` out of a one2many."""
        if record_id is not None and (row := self.rows.get(record_id)) is not None:
            slot = self.slots[field]
            row[slot] = tuple(item for item in row[slot] if item != other)
            self.views.drop(record_id)

    def _index_date(self, row: Row) -> None:
        slot = self.slots.get("write_date")
        if slot is not None and row[slot] is not None:
            insort(self.dates, (row[slot], row[ID]))

    def _unindex_date(self, row: Row) -> None:
        slot = self.slots.get("write_date")
        if slot is not None and row[slot] is not None:
            del self.dates[bisect_left(self.dates, (row[slot], row[ID]))]

    def _check_odd(self, row: Row) -> None:
        if any(is_odd(value) for value in row):
            self.odd.add(row[ID])
        else:
            self.odd.discard(row[ID])

    # -- looking -------------------------------------------------------------------------------------------------

    def scan(self, after: int = -(2**63)) -> Iterator[Row]:
        """Rows by ascending id, above `after`."""
        rows, ids = self.rows, self.ids
        for position in range(bisect_left(ids, after + 1), len(ids)):
            yield rows[ids[position]]

    def pick(self, ids: Iterable[int]) -> list[Row]:
        """The rows of those ids that exist, in the given order."""
        rows = self.rows
        return [rows[record_id] for record_id in ids if record_id in rows]


class Database:
    """One tenant's Odoo: its tables, and what its users may do (`access`)."""

    def __init__(self, name: str, models: dict[str, dict[str, dict[str, Any]]]) -> None:
        self.name = name
        self._ticks = 0
        self.lived_until: datetime | None = None
        self.tables = {model: Table(self, model, fields) for model, fields in models.items()}
        for (model, field), (other, many2one) in INVERSES.items():
            if model in self.tables and other in self.tables and field in self.tables[model].slots:
                self.tables[other].inverses.append((self.tables[other].slots[many2one], model, field))

    def __getitem__(self, model: str) -> Table:
        return self.tables[model]

    def tick(self) -> int:
        """The next place in the heap."""
        self._ticks += 1
        return self._ticks

    def finish_loading(self) -> None:
        """Fill the one2many mirrors and build all indexes after rows were loaded in bulk."""
        for table in self.tables.values():
            for slot, model, field in table.inverses:
                target, mirror = self.tables[model], self.tables[model].slots[field]
                members: dict[int, list[int]] = {}
                for row in table.rows.values():
                    if row[slot] is not None:
                        members.setdefault(row[slot], []).append(row[ID])
                for record_id, ids in members.items():
                    if record_id in target.rows:
                        target.rows[record_id][mirror] = tuple(sorted(ids))
        for table in self.tables.values():
            table.finish_loading()
