"""Rows to JSON: fragments per record, made once per (field list, load mode) and kept until the record changes.

A page is then a join of bytes, so that a client measures itself and not this server. The text differs from a real
server's only in the blanks after `:` and `,`. Values that only Python's json writes (NaN, integers beyond 64 bits,
lone surrogates) are written by it, as on a real server.
"""

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from sandbox.odoo.schema import NUMERIC, RELATED_FIELDS, X2MANY

if TYPE_CHECKING:
    from sandbox.odoo.store import Row, Table

CACHE_BYTES = 2_500_000_000
"""Least recently used views are dropped when one model's fragments pass this (two full views of 500,000 leads fit)."""


_ENCODER, _BUFFER = msgspec.json.Encoder(), bytearray()


def is_odd(value: Any) -> bool:
    """Whether fast encoders would refuse the value or, as for NaN, change it silently."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, int):
        return not -(2**63) <= value < 2**64
    if isinstance(value, str):
        return not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return any(is_odd(item) for item in value.values())
    return isinstance(value, list | tuple) and any(is_odd(item) for item in value)


def dumps(value: Any) -> bytes:
    """Any answer as JSON. Odoo's answers are Python's own: ASCII, all else escaped; only where nothing is, a faster way gives
    the same (but for blanks)."""
    try:
        if not is_odd(value) and (text := orjson.dumps(value)).isascii():
            return text
    except (TypeError, ValueError):
        pass
    return json.dumps(value).encode()


class View:
    """The JSON of one model's records for one field list and load mode."""

    def __init__(self, table: "Table", fields: tuple[str, ...], classic: bool) -> None:
        self.table, self.classic = table, classic
        self.fragments: dict[int, bytes] = {}
        self.size = 0
        self.stale: dict[str, set[int]] = {}  # model -> ids whose label changed since
        self.label_slots: dict[str, list[int]] = {}
        self.live = any((table.name, name) in RELATED_FIELDS for name in fields)  # shows other rows: not kept
        self.display = self._compile(fields)

    def _compile(self, fields: tuple[str, ...]) -> Callable[["Row"], dict[str, Any]]:
        """A function from row to dict, written out as one expression: five times faster than a loop over fields."""
        names: dict[str, Any] = {}
        items = ["'id': r[0]"]
        for name in fields:
            if name != "id":
                items.append(f"{name!r}: {self._expression(name, names)}")
        return eval(f"lambda r: {{{', '.join(items)}}}", names)

    def _expression(self, name: str, names: dict[str, Any]) -> str:
        field = self.table.fields[name]
        kind, slot = field.type, field.slot
        if slot is None:
            if name == "display_name":
                names["label"] = self.table.labels.text
                return "label(r)"
            if (self.table.name, name) in RELATED_FIELDS:
                names[f"related_{name}"] = _related(self.table, name, self.classic)
                return f"related_{name}(r)"
            return {"integer": "0", "float": "0.0", "monetary": "0.0"}.get(kind, "()" if kind in X2MANY else "False")
        if kind == "many2one" and self.classic:
            target = self.table.database.tables.get(field.relation)
            if target is not None:
                self.label_slots.setdefault(field.relation, []).append(slot)
                names[f"pair{slot}"] = target.labels
                return f"pair{slot}[r[{slot}]]"
            model = field.relation
            names[f"pair{slot}"] = lambda value, model=model: [value, f"{model},{value}"]
            return f"False if r[{slot}] is None else pair{slot}(r[{slot}])"
        if kind == "datetime":
            return f"False if (v := r[{slot}]) is None else v[:19]"
        if kind == "boolean":
            return f"r[{slot}] or False"
        if kind in NUMERIC:
            zero = "0" if kind == "integer" else "0.0"
            return f"{zero} if (v := r[{slot}]) is None else v"
        if kind in X2MANY or kind == "properties":
            return f"r[{slot}] or ()"
        return f"False if (v := r[{slot}]) is None else v"

    def render(self, rows: Iterable["Row"]) -> list[bytes]:
        """The fragments of those rows."""
        self._drop_stale()
        if self.live:
            return [self._encode(row) for row in rows]
        fragments, answer = self.fragments, []
        for row in rows:
            fragment = fragments.get(row[0])
            if fragment is None:
                fragment = fragments[row[0]] = self._encode(row)
                self.size += len(fragment)
            answer.append(fragment)
        return answer

    def _encode(self, row: "Row") -> bytes:
        shown = self.display(row)
        if row[0] in self.table.odd:
            return json.dumps(shown).encode()
        try:
            # into one buffer and out at its exact size: fragments that orjson grew and shrank itself left so many
            # holes that 50,000 of them took four times their size, and twice the time in page faults
            _ENCODER.encode_into(shown, _BUFFER)
        except (TypeError, ValueError, OverflowError):  # a label of another record may be odd, too
            return json.dumps(shown).encode()
        return bytes(_BUFFER) if _BUFFER.isascii() else json.dumps(shown).encode()

    def drop(self, record_id: int) -> None:
        """Forget one record."""
        fragment = self.fragments.pop(record_id, None)
        if fragment is not None:
            self.size -= len(fragment)

    def _drop_stale(self) -> None:
        """Forget the records that show a changed label: one pass however many labels changed."""
        if not self.stale:
            return
        rows = self.table.rows
        checks = [(slot, ids) for model, ids in self.stale.items() for slot in self.label_slots[model]]
        self.stale = {}
        for record_id in list(self.fragments):
            row = rows[record_id]
            if any(row[slot] in ids for slot, ids in checks):
                self.drop(record_id)


def _related(table: "Table", name: str, classic: bool) -> Callable[["Row"], Any]:
    """A reader of a field of the record a many2one points to."""
    through, source = RELATED_FIELDS[table.name, name]
    slot, target = table.slots[through], table.database.tables[table.fields[through].relation]
    shown = View(target, (source,), classic).display

    def read(row: "Row") -> Any:
        other = target.rows.get(row[slot])
        return False if other is None else shown(other)[source]

    return read


class Views:
    """The views of one model that clients have asked for, most recently used last."""

    def __init__(self, table: "Table") -> None:
        self.table = table
        self._views: OrderedDict[tuple[tuple[str, ...], bool], View] = OrderedDict()

    def get(self, fields: tuple[str, ...], classic: bool) -> View:
        """The view of that field list and load mode."""
        key = (fields, classic)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = View(self.table, fields, classic)
        self._views.move_to_end(key)
        while len(self._views) > 1 and sum(v.size for v in self._views.values()) > CACHE_BYTES:
            self._views.popitem(last=False)
        while len(self._views) > 64:
            self._views.popitem(last=False)
        return view

    def drop(self, record_id: int) -> None:
        """A record changed."""
        for view in self._views.values():
            view.drop(record_id)

    def label_changed(self, model: str, record_id: int) -> None:
        """What a target is called changed."""
        for view in self._views.values():
            if model in view.label_slots:
                view.stale.setdefault(model, set()).add(record_id)
        if model == self.table.name:
            self.drop(record_id)

    def clear(self) -> None:
        """Forget everything (fields changed, rows were loaded)."""
        self._views.clear()
