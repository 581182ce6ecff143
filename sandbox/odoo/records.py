"""Create, write and unlink with what they entail: stamps, required fields, stored computes, cascades.

`Records` is the ORM of the stand-in. The RPC methods and the story's `advance` both write through it, so that what a
client sees after a change is what a real server would show: a changed order line bumps its order, an archived lead
keeps its row, a renamed stage leaves the leads' write_date alone.
"""

from collections.abc import Iterable
from typing import Any

from sandbox.odoo import computes
from sandbox.odoo.errors import missing, required, user_error
from sandbox.odoo.schema import DESCRIPTIONS, NUMERIC, X2MANY, Field
from sandbox.odoo.store import INVERSES, Database, Row, Table

CASCADES = {
    "account.move": [("account.move.line", "move_id")],
    "c.billing.bill": [("c.billing.bill.line", "bill_id")],
    "pos.order": [("pos.order.line", "order_id"), ("pos.payment", "pos_order_id")],
    "product.template": [("product.product", "product_tmpl_id")],
    "sale.order": [("sale.order.line", "order_id")],
}
"""Rows that go with their parent."""


class Changes:
    """Ids created, changed and deleted per model, as `advance` reports them."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, set[int]]] = {}

    def note(self, kind: str, model: str, record_id: int) -> None:
        """Remember one change; a record created and deleted again never existed for a reader."""
        seen = self._seen.setdefault(model, {"created": set(), "changed": set(), "deleted": set()})
        if kind == "changed" and record_id in seen["created"]:
            return
        if kind == "deleted":
            seen["changed"].discard(record_id)
            if record_id in seen["created"]:
                seen["created"].discard(record_id)
                return
        seen[kind].add(record_id)

    def describe(self) -> dict[str, dict[str, list[int]]]:
        """model -> {created, changed, deleted} as sorted lists, models without a change left out."""
        return {
            model: {kind: sorted(ids) for kind, ids in kinds.items()}
            for model, kinds in sorted(self._seen.items())
            if any(kinds.values())
        }


class Records:
    """Writes to one database, in the name of `uid`, at the moment `now` (the transaction's start)."""

    def __init__(self, database: Database, now: str, uid: int = 2, changes: Changes | None = None) -> None:
        self.database, self.now, self.uid = database, now, uid
        self.changes = changes or Changes()

    def row(self, model: str, record_id: int) -> Row:
        """The row, or MissingError."""
        row = self.database[model].rows.get(record_id)
        if row is None:
            raise missing(model, record_id, self.uid)
        return row

    def get(self, model: str, record_id: int, name: str) -> Any:
        """One stored value."""
        return self.database[model].value(self.row(model, record_id), name)

    # -- create ------------------------------------------------------------------------------------------------------

    def create(self, model: str, given: dict[str, Any]) -> int:
        """Insert one record with defaults, computed values and lines; returns its id."""
        table = self.database[model]
        values, lines = self._split(table, given, None)
        values = computes.defaults(self, table, values) | values
        self._require(table, values)
        values |= {"create_date": self.now, "create_uid": self.uid, "write_date": self.now, "write_uid": self.uid}
        values = {name: value for name, value in values.items() if name in table.slots}
        values |= computes.stored(self, table, values, None)
        record_id = table.insert(values)
        self.changes.note("created", model, record_id)
        self._apply_lines(table, record_id, lines)
        computes.after(self, model, record_id, set(values))
        return record_id

    def _require(self, table: Table, values: dict[str, Any]) -> None:
        for name, field in sorted(table.fields.items()):
            if not field.attributes.get("required") or field.slot is None or field.type in NUMERIC | {"boolean"}:
                continue
            if values.get(name) is None and table.blank(name) is None:
                description = DESCRIPTIONS.get(table.name, table.name)
                raise required(table.name, description, name, field.attributes["string"])

    # -- write -------------------------------------------------------------------------------------------------------

    def write(self, model: str, ids: Iterable[int], given: dict[str, Any]) -> None:
        """Set fields on records. Every write bumps write_date, also one that changes nothing."""
        table = self.database[model]
        ids = list(ids)
        for record_id in ids:
            self.row(model, record_id)
        for record_id in ids:
            row = self.row(model, record_id)
            values, lines = self._split(table, given, row)
            self.touch(model, record_id, values | computes.stored(self, table, values, row))
            self._apply_lines(table, record_id, lines)
            computes.after(self, model, record_id, set(values))

    def touch(self, model: str, record_id: int, values: dict[str, Any]) -> None:
        """Write without computing anything further."""
        stamps = {"write_date": self.now, "write_uid": self.uid}
        table = self.database[model]
        table.update(record_id, values | {name: value for name, value in stamps.items() if name in table.slots})
        self.changes.note("changed", model, record_id)

    # -- unlink ------------------------------------------------------------------------------------------------------

    def unlink(self, model: str, ids: Iterable[int]) -> None:
        """Delete records and what goes with them; many2one fields that pointed to them become empty, unstamped."""
        doomed = set(ids)
        table = self.database[model]
        for record_id in doomed:
            self.row(model, record_id)
        if model == "account.move" and any(self.get(model, i, "state") == "posted" for i in doomed):
            raise user_error(
                "You can't delete a posted journal item. Don’t play games with your accounting records; reset the "
                "journal entry to draft before deleting it."
            )
        for other, name in CASCADES.get(model, ()):
            if other in self.database.tables:
                child = self.database[other]
                slot = child.slots[name]
                lines = [row[0] for row in child.rows.values() if row[slot] in doomed]
                if lines:
                    self.unlink(other, lines)
        parents = computes.parents(self, model, doomed)
        for record_id in sorted(doomed):
            table.delete(record_id)
            self.changes.note("deleted", model, record_id)
        self._clear_references(model, doomed)
        for parent_model, parent_id in sorted(parents):
            computes.recompute(self, parent_model, parent_id)

    def _clear_references(self, model: str, gone: set[int]) -> None:
        """ON DELETE SET NULL happens inside Postgres: no write_date moves."""
        for other in self.database.tables.values():
            for field in other.fields.values():
                if field.slot is None or field.relation != model:
                    continue
                slot = field.slot
                if field.type == "many2one":
                    hit = [row for row in other.rows.values() if row[slot] in gone]
                elif field.type == "many2many":
                    hit = [row for row in other.rows.values() if row[slot] and not gone.isdisjoint(row[slot])]
                else:
                    continue
                for row in hit:
                    row[slot] = None if field.type == "many2one" else tuple(i for i in row[slot] if i not in gone)
                    other.views.drop(row[0])

    # -- values and commands -------------------------------------------------------------------------------------------

    def _split(
        self, table: Table, given: dict[str, Any], row: Row | None
    ) -> tuple[dict[str, Any], dict[tuple[str, str], list[Any]]]:
        """Values in stored form for a row (None: a new one), and commands about its lines by (model, many2one)."""
        values: dict[str, Any] = {}
        lines: dict[tuple[str, str], list[Any]] = {}
        for name, value in given.items():
            field = table.fields.get(name)
            if field is None:
                raise ValueError(f"Invalid field {name!r} on model {table.name!r}")
            steps = value if isinstance(value, list) and (not value or isinstance(value[0], list | tuple)) else None
            if field.type in X2MANY and steps is not None:
                mirror = INVERSES.get((table.name, name))
                if mirror is not None:
                    lines[mirror] = steps
                elif field.slot is not None:
                    values[name] = _apply_members(() if row is None else row[field.slot] or (), steps)
            elif field.slot is not None:
                values[name] = to_stored(field, value)
        return values, lines

    def _apply_lines(self, table: Table, record_id: int, lines: dict[tuple[str, str], list[Any]]) -> None:
        for (model, many2one), steps in lines.items():
            for step in steps:
                if step[0] == 0:
                    self.create(model, step[2] | {many2one: record_id})
                elif step[0] == 1:
                    self.write(model, [step[1]], step[2])
                elif step[0] == 2:
                    self.unlink(model, [step[1]])


def _apply_members(members: tuple[int, ...], steps: list[Any]) -> tuple[int, ...]:
    """The many2many commands: 3 takes one out, 4 adds one, 5 empties, 6 replaces."""
    for step in steps:
        if step[0] == 6:
            members = tuple(step[2])
        elif step[0] == 5:
            members = ()
        elif step[0] == 4 and step[1] not in members:
            members = (*members, step[1])
        elif step[0] in (2, 3):
            members = tuple(member for member in members if member != step[1])
    return members


def to_stored(field: Field, value: Any) -> Any:
    """A value as a client sends it, in stored form."""
    if field.type == "boolean":
        return bool(value)
    if field.type in X2MANY:
        return tuple(value or ())
    if value is None or (value is False and field.type not in NUMERIC):
        return None
    if field.type == "datetime" and isinstance(value, str):
        text = value.replace("T", " ").removesuffix("Z")
        return text if len(text) == 26 else f"{text[:19]:<19}.000000"
    if field.type in ("float", "monetary") and isinstance(value, int):
        return float(value)
    return value
