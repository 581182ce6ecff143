"""One `(field, operator, value)` of a domain: checked as the server checks it, compiled to a predicate over rows."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.odoo.dates import date_literal, moment_literal
from sandbox.odoo.errors import data_error
from sandbox.odoo.schema import NUMERIC, RELATED_FIELDS, X2MANY, Field

if TYPE_CHECKING:
    from sandbox.odoo.store import Row, Table

Predicate = Callable[["Row"], Any]
Checker = Callable[["Table", str], None]

OPERATORS = frozenset(
    {
        "=", "!=", "<>", "==", ">", "<", ">=", "<=", "=?", "like", "ilike", "=like", "=ilike", "not like", "not ilike",
        "in", "not in", "any", "not any", "child_of", "parent_of",
    }
)  # fmt: skip
NEGATIVE = {"!=": "=", "not in": "in", "not like": "like", "not ilike": "ilike", "not any": "any"}
_ALIASES = {"<>": "!=", "==": "="}
_LIKE = ("like", "ilike", "=like", "=ilike")


@dataclass
class Query:
    """A compiled domain. `low`/`high` bound the id (inclusive), `since`/`until` the stored write_date."""

    test: Predicate | None = None
    low: int | None = None
    high: int | None = None
    ids: frozenset[int] | None = None
    since: str | None = None
    until: str | None = None


def anything(row: "Row") -> bool:
    """Always true."""
    return True


def nothing(row: "Row") -> bool:
    """Never true."""
    return False


class Leaf:
    """One `(field, operator, value)`."""

    def __init__(self, table: "Table", leaf: Any, check: Checker | None, query: Query | None) -> None:
        self.table, self.check, self.query = table, check, query
        if isinstance(leaf, str):
            raise IndexError("string index out of range")  # what the server trips over
        parts = tuple(leaf)
        operator = str(parts[1]).lower() if len(parts) == 3 else ""
        if operator not in OPERATORS:
            raise ValueError(f"Invalid leaf {parts!r}")
        self.parts, self.operator = parts, _ALIASES.get(operator, operator)
        self.value: Any = parts[2]
        if isinstance(self.value, tuple):
            self.value = list(self.value)
        if self.operator in ("in", "not in") and not isinstance(self.value, list):
            if not isinstance(self.value, bool):
                raise ValueError(f"Invalid domain term {parts!r}")
            self.operator = "=" if (self.operator == "in") is not self.value else "!="
            self.value = False
        elif self.operator in ("=", "!=") and isinstance(self.value, list):
            self.operator = "in" if self.operator == "=" else "not in"

    def compile(self) -> Predicate:
        """The predicate of this leaf."""
        name = self.parts[0]
        if name in (0, 1) and self.operator == "=" and self.value == 1:
            return anything if name == 1 else nothing
        first, _, rest = str(name).partition(".")
        field = self.table.fields.get(first)
        if field is None:
            raise ValueError(f"Invalid field {self.table.name}.{first} in leaf {self.parts!r}")
        if self.check is not None:
            self.check(self.table, first)
        if not rest and (self.table.name, first) in RELATED_FIELDS:
            first, rest = RELATED_FIELDS[self.table.name, first]
            field = self.table.fields[first]
        if rest:
            return self._members(field, self._target_ids(field, [[rest, self.operator, self.value]]), "in")
        if field.slot is None:
            return self._computed(field)
        if self.operator == "=?":
            if self.value is False or self.value is None:
                return anything
            self.operator = "="
        if self.operator in ("child_of", "parent_of"):
            return self._hierarchy(field)
        if field.type == "many2one":
            return self._many2one(field)
        if field.type in X2MANY:
            return self._x2many(field)
        if field.name == "id":
            return self._id()
        return self._scalar(field)

    # -- relations -------------------------------------------------------------------------------------------------

    def _target(self, field: Field) -> "Table":
        return self.table.database.tables[field.relation]

    def _target_ids(self, field: Field, domain: list[Any]) -> frozenset[int]:
        """Ids of the related model that match, archived ones included."""
        if field.relation not in self.table.database.tables:
            return frozenset()
        from sandbox.odoo.domain import compile_domain  # a leaf may hold a domain of its own

        target = self._target(field)
        test = compile_domain(target, domain, self.check).test
        return frozenset(row[0] for row in target.rows.values() if test is None or test(row))

    def _named(self, field: Field, operator: str, names: list[str]) -> frozenset[int]:
        """Ids of the related records whose label matches."""
        target = self._target(field)
        tests = [_pattern(name, operator) for name in names]
        labels = target.labels
        return frozenset(i for i in target.ids if any(test(labels[i][1]) for test in tests))

    def _members(self, field: Field, ids: frozenset[int], operator: str, null: bool = False) -> Predicate:
        """Rows related to one of `ids` (or, `null`, to nothing); `not in` is the complement."""
        slot = field.column
        if field.name == "id":
            return (lambda row: row[0] in ids) if operator == "in" else (lambda row: row[0] not in ids)
        if field.type == "many2one":
            wanted: frozenset[int | None] = ids | {None} if null else ids
            if operator == "in":
                return lambda row: row[slot] in wanted
            return lambda row: row[slot] not in wanted
        if operator == "in":
            return lambda row: (null and not row[slot]) or not ids.isdisjoint(row[slot] or ())
        return lambda row: not ((null and not row[slot]) or not ids.isdisjoint(row[slot] or ()))

    def _related(self, field: Field) -> Predicate | None:
        """What many2one and x2many share: names, sub-domains and lists."""
        operator, value = self.operator, self.value
        positive = NEGATIVE.get(operator, operator)
        sign = "not in" if operator in NEGATIVE else "in"
        if positive == "any":
            return self._members(field, self._target_ids(field, value), sign)
        if positive in _LIKE:
            return self._members(field, self._named(field, positive, [str(value)]), sign)
        if positive == "in":
            names = [item for item in value if isinstance(item, str)]
            ids = frozenset(item for item in value if isinstance(item, int) and not isinstance(item, bool))
            if names:
                ids |= self._named(field, "=", names)
            return self._members(field, ids, sign, any(item is False or item is None for item in value))
        if positive == "=" and isinstance(value, str):
            return self._members(field, self._named(field, "=", [value]), sign)
        return None

    def _many2one(self, field: Field) -> Predicate:
        related = self._related(field)
        if related is not None:
            return related
        slot, operator, value = field.column, self.operator, self.value
        if operator in ("=", "!="):
            if value is False or value is None:
                return (lambda row: row[slot] is None) if operator == "=" else (lambda row: row[slot] is not None)
            return (lambda row: row[slot] == value) if operator == "=" else (lambda row: row[slot] != value)
        return _ordering(slot, operator, value)

    def _x2many(self, field: Field) -> Predicate:
        related = self._related(field)
        if related is not None:
            return related
        slot, value = field.column, self.value
        if value is False or value is None:
            return (lambda row: not row[slot]) if self.operator == "=" else (lambda row: bool(row[slot]))
        return self._members(field, frozenset([value]), "not in" if self.operator == "!=" else "in")

    def _hierarchy(self, field: Field) -> Predicate:
        target = self.table if field.name == "id" else self._target(field)
        values = self.value if isinstance(self.value, list) else [self.value]
        names = [value for value in values if isinstance(value, str)]
        roots = {value for value in values if isinstance(value, int) and not isinstance(value, bool)}
        if names:
            tests = [_pattern(name, "ilike") for name in names]
            roots |= {i for i in target.ids if any(test(target.labels[i][1]) for test in tests)}
        parent = target.slots.get("parent_id")
        family = set(roots)
        if parent is not None and self.operator == "child_of":
            while added := {r[0] for r in target.rows.values() if r[parent] in family and r[0] not in family}:
                family |= added
        elif parent is not None:
            frontier = set(roots)
            while frontier:
                frontier = {target.rows[i][parent] for i in frontier if i in target.rows} - family - {None}
                family |= frontier
        return self._members(field, frozenset(family), "in")

    # -- values ----------------------------------------------------------------------------------------------------

    def _computed(self, field: Field) -> Predicate:
        """A field that is not stored: searchable by label only; anything else is ignored, as the server does."""
        if field.name != "display_name" or not isinstance(self.value, str):
            return anything
        positive = NEGATIVE.get(self.operator, self.operator)
        test, label = _pattern(self.value, positive), self.table.labels.text
        return (lambda row: not test(label(row))) if self.operator in NEGATIVE else (lambda row: test(label(row)))

    def _id(self) -> Predicate:
        operator, value, query = self.operator, self.value, self.query
        if operator in ("in", "not in"):
            ids = frozenset(int(_number(item, "integer")) for item in value if item is not False and item is not None)
            if query is not None and operator == "in":
                query.ids = ids if query.ids is None else query.ids & ids
            return (lambda row: row[0] in ids) if operator == "in" else (lambda row: row[0] not in ids)
        if value is False or value is None:
            return anything if operator == "!=" else nothing
        if operator not in ("=", "!=", "<", "<=", ">", ">="):
            test = _pattern(str(value), NEGATIVE.get(operator, operator))
            return (lambda row: not test(str(row[0]))) if operator in NEGATIVE else (lambda row: test(str(row[0])))
        number = _number(value, "integer")
        if query is not None:
            if operator in ("=", ">=", ">"):
                low = int(number) + (operator == ">")
                query.low = low if query.low is None else max(query.low, low)
            if operator in ("=", "<=", "<"):
                high = int(number) - (operator == "<")
                query.high = high if query.high is None else min(query.high, high)
        if operator == "=":
            return lambda row: row[0] == number
        if operator == "!=":
            return lambda row: row[0] != number
        return _ordering(0, operator, number)

    def _literal(self, field: Field, value: Any) -> Any:
        """A value as the column would hold it."""
        if field.type == "datetime":
            return moment_literal(str(value), self.operator)
        if field.type == "date":
            return date_literal(str(value))
        if field.type in NUMERIC:
            return _number(value, field.type)
        return value if isinstance(value, str | bool) else str(value)

    def _scalar(self, field: Field) -> Predicate:
        slot, operator, value = field.column, self.operator, self.value
        if field.type == "boolean":
            return self._boolean(slot)
        positive, negated = NEGATIVE.get(operator, operator), operator in NEGATIVE
        if positive == "in":
            null = any(item is False or item is None for item in value)
            wanted = frozenset(self._literal(field, item) for item in value if item is not False and item is not None)
            if negated:
                return lambda row: (row[slot] is not None if null else True) and row[slot] not in wanted
            return lambda row: row[slot] in wanted or (null and row[slot] is None)
        if positive in _LIKE:
            test = _pattern("" if value is False or value is None else str(value), positive)
            if negated:
                return lambda row: row[slot] is None or not test(str(row[slot]))
            return lambda row: row[slot] is not None and test(str(row[slot]))
        if value is False or value is None:
            if positive != "=":
                return nothing
            return (lambda row: row[slot] is not None) if negated else (lambda row: row[slot] is None)
        literal = self._literal(field, value)
        if positive == "=":
            if negated:
                return lambda row: row[slot] is None or row[slot] != literal
            return lambda row: row[slot] == literal
        if field.name == "write_date" and self.query is not None:
            self._bound(operator, literal)
        return _ordering(slot, operator, literal)

    def _bound(self, operator: str, literal: str) -> None:
        """Tell the query the window; inclusive on both sides, the predicate decides about the edges."""
        query = self.query
        assert query is not None
        if operator in (">", ">="):
            query.since = literal if query.since is None else max(query.since, literal)
        else:
            query.until = literal if query.until is None else min(query.until, literal)

    def _boolean(self, slot: int) -> Predicate:
        values = self.value if isinstance(self.value, list) else [self.value]
        wanted = {bool(value) for value in values}
        if self.operator in ("!=", "not in"):
            wanted = {True, False} - wanted
        elif self.operator not in ("=", "in"):
            return nothing
        return lambda row: bool(row[slot]) in wanted


def _ordering(slot: int, operator: str, value: Any) -> Predicate:
    """`<`, `<=`, `>`, `>=`; never true for NULL."""
    if operator == ">":
        return lambda row: (v := row[slot]) is not None and v > value
    if operator == ">=":
        return lambda row: (v := row[slot]) is not None and v >= value
    if operator == "<":
        return lambda row: (v := row[slot]) is not None and v < value
    return lambda row: (v := row[slot]) is not None and v <= value


def _number(value: Any, kind: str) -> float | int:
    if isinstance(value, int | float):
        return value
    try:
        return int(value) if kind == "integer" else float(value)
    except (TypeError, ValueError):
        raise data_error("InvalidTextRepresentation", f'invalid input syntax for type {kind}: "{value}"\n') from None


def _pattern(value: str, operator: str) -> Callable[[str], Any]:
    """A matcher for `=`, `like` and its kin: `%` and `_` are wildcards, a backslash takes that away."""
    if operator == "=":
        return lambda text: text == value
    if operator not in _LIKE:
        raise ValueError(f"Invalid operator {operator!r} for a text")
    if operator in ("like", "ilike"):
        value = f"%{value}%"
    parts, escaped = [], False
    for letter in value:
        if escaped:
            parts.append(re.escape(letter))
            escaped = False
        elif letter == "\\":
            escaped = True
        else:
            parts.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
    flags = re.DOTALL | (re.IGNORECASE if operator in ("ilike", "=ilike") else 0)
    return re.compile("".join(parts), flags).fullmatch
