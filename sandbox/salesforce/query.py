"""What a SOQL query finds.

A condition on the object's stamp (or on Id) is answered by a slice of the ordered records; the rest of the condition,
and a sort by anything else, looks at that slice only.
"""

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.collection import Record
from sandbox.salesforce.ids import canonical
from sandbox.salesforce.objects import COMPOUND, Field
from sandbox.salesforce.soql import Compare, Condition, Junction, Query, SoqlError, Value
from sandbox.salesforce.table import Table

Test = Callable[[Record], bool]
Bounds = tuple[str | None, str | None, bool]
"""(lo, hi, exact): lo <= text < hi; exact if the condition says nothing else."""

_AFTER = "\x00"
_DATED = "0"
"""Before every moment, and behind those records that have none: no comparison finds them."""
MOST_GROUPS = 2000
_KINDS = {
    "datetime": "moment", "date": "date", "boolean": "boolean", "currency": "number", "double": "number",
    "percent": "number",
    "int": "number",
}  # fmt: skip
_NAMES = {"datetime": "dateTime"}


@dataclass
class Found:
    """What a query answers with: records and the columns of them, or rows of aggregates."""

    records: list[Record]
    columns: tuple[str, ...] = ()
    total: int | None = None
    aggregates: list[dict[str, Any]] | None = None


def run(table: Table, query: Query, deleted: bool) -> Found:
    """Carry the query out. `deleted`: see the recycle bin and what is archived, as queryAll does.

    Raises:
        SoqlError.
    """
    if (counts := _counts_by_day(table, query, deleted)) is not None:
        return Found([], aggregates=counts)
    columns = _columns(table, query)
    order = _order(table, query)
    records, ordered_by = _matching(table, query.where, deleted, order)
    if query.count:
        return Found([], total=min(len(records), query.limit if query.limit is not None else len(records)))
    if query.aggregates:
        return Found([], aggregates=_aggregates(table, query, records))
    for name, descending in reversed(order if ordered_by is None else []):
        records.sort(key=_sort_key(name), reverse=descending)
    if query.offset or query.limit is not None:
        end = None if query.limit is None else query.offset + query.limit
        records = records[query.offset : end]
    return Found(records, columns)


def _known(table: Table, name: str) -> Field:
    field = table.field(name)
    if field is None:
        message = (
            f"\nSELECT {name} FROM {table.name}\n       ^\nERROR at Row:1:Column:8\nNo such column '{name}' on entity "
            f"'{table.name}'. If you are attempting to use a custom field, be sure to append the '__c' after the "
            "custom field name. "
            "Please reference your WSDL or the describe call for the appropriate names."
        )
        raise SoqlError("INVALID_FIELD", message)
    return field


def _columns(table: Table, query: Query) -> tuple[str, ...]:
    columns: list[str] = []
    for name in query.fields:
        if name.startswith("FIELDS("):
            if query.limit is None or query.limit > 200:
                raise SoqlError("MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200")
            wanted = {"FIELDS(ALL)": None, "FIELDS(STANDARD)": False, "FIELDS(CUSTOM)": True}.get(name)
            columns += [field.name for field in table.fields.values() if wanted is None or field.custom is wanted]
        else:
            columns.append(_known(table, name).name)
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise SoqlError("INVALID_FIELD", f"duplicate field selected: {twice}")
    return tuple(columns)


def _order(table: Table, query: Query) -> list[tuple[str, bool]]:
    order = []
    for name, descending in query.order or ():
        field = _known(table, name)
        if field.type in (*COMPOUND, "base64", "textarea", "multipicklist"):
            raise SoqlError("INVALID_FIELD", f"field '{field.name}' can not be sorted in a query call")
        order.append((field.name, descending))
    return order


def _sort_key(name: str) -> Callable[[Record], tuple[bool, Any]]:
    def key(record: Record) -> tuple[bool, Any]:
        value = record[name]
        if value is None:
            return False, 0
        return True, value.casefold() if isinstance(value, str) and name != "Id" else value

    return key


def _counts_by_day(table: Table, query: Query, deleted: bool) -> list[dict[str, Any]] | None:
    """How many records were modified on each day, from the order that is kept; None if the query asks for more."""
    stamp = table.modified_key
    aliases = {function: alias for function, name, alias in query.aggregates or () if name in (stamp, "Id")}
    if query.days_of != stamp or stamp is None or set(aliases) != {"DAY_ONLY", "COUNT"} or not query.limit:
        return None
    lo, hi, exact = _bounds(query.where, stamp)
    if not (exact or query.where is None) or not (deleted or not table.has_bin):
        return None
    keys = table.between(lo, hi)
    found = []
    place = undated = bisect_left(keys, (_DATED,))  # type: ignore[arg-type]
    while place < len(keys):
        day = keys[place][0][:10]
        end = bisect_left(keys, (day + "~",), place)  # type: ignore[arg-type]
        found.append({aliases["DAY_ONLY"]: day, aliases["COUNT"]: end - place})
        place = end
    if query.order and query.order[0][1]:
        found.reverse()
    if undated:
        found.insert(0, {aliases["DAY_ONLY"]: None, aliases["COUNT"]: undated})
    return found[: query.limit]


def _aggregates(table: Table, query: Query, records: list[Record]) -> list[dict[str, Any]]:
    groups: dict[str, list[Record]] = {"": records}
    if query.days_of is not None:
        name = _known(table, query.days_of).name
        groups = {}
        for record in records:
            groups.setdefault(record[name][:10], []).append(record)
    elif any(function == "DAY_ONLY" for function, _, _ in query.aggregates or ()):
        raise SoqlError("MALFORMED_QUERY", "Field must be grouped or aggregated: DAY_ONLY")
    descending = bool(query.order and query.order[0][1])
    found = [
        {
            alias: day if function == "DAY_ONLY" else _aggregate(table, function, name, grouped)
            for function, name, alias in query.aggregates or ()
        }
        for day, grouped in sorted(groups.items(), reverse=descending)
    ]
    if query.limit is None and len(found) > MOST_GROUPS:
        message = "aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch"
        raise SoqlError("EXCEEDED_ID_LIMIT", message)
    return found[: query.limit]


def _aggregate(table: Table, function: str, name: str, records: list[Record]) -> Any:
    field = _known(table, name)
    values = [record[field.name] for record in records if record[field.name] is not None]
    if function == "COUNT":
        return len(values)
    return (min if function == "MIN" else max)(values, default=None)


def _matching(
    table: Table, where: Condition | None, deleted: bool, order: list[tuple[str, bool]]
) -> tuple[list[Record], str | None]:
    """The records, and by which field they are in the order asked for (None: not at all)."""
    stamp = table.modified_key
    rows = table.rows
    test = None if where is None else _test(table, where)
    if (ids := _listed(where)) is not None:
        records = [rows[record_id] for record_id in sorted(ids) if record_id in rows]
        keyed, exact = "Id", False
    else:
        by_stamp = _bounds(where, stamp) if stamp else (None, None, False)
        by_id = _bounds(where, "Id")
        if by_id[:2] != (None, None) and by_stamp[:2] == (None, None):
            keyed, exact = "Id", by_id[2]
            all_ids = table.ids()
            begin = bisect_left(all_ids, by_id[0]) if by_id[0] else 0
            end = bisect_left(all_ids, by_id[1]) if by_id[1] else len(all_ids)
            records = [rows[record_id] for record_id in all_ids[begin:end]]
        elif by_stamp[:2] == (None, None) and order[:1] in ([("Id", False)], []):
            keyed, exact = "Id", where is None
            records = [rows[record_id] for record_id in table.ids()]
        else:
            keyed, exact = stamp or "Id", by_stamp[2] or where is None
            records = [rows[record_id] for _, record_id in table.between(by_stamp[0], by_stamp[1])]
    if not exact and test is not None:
        records = [record for record in records if test(record)]
    if not deleted and table.has_bin:
        # Tasks and events of long ago are archived: for `query` they are not there either.
        records = [record for record in records if not record["IsDeleted"] and not record.get("IsArchived")]
    natural = [[], [(keyed, False)], [(keyed, False), ("Id", False)]]
    if order == [(keyed, True)]:
        records.reverse()
        return records, keyed
    return records, keyed if order in natural else None


def _listed(where: Condition | None) -> list[str] | None:
    """The ids that an `Id IN (...)` or `Id = ...` allows, alone or under AND."""
    parts = where.parts if isinstance(where, Junction) and where.word == "AND" else (where,)
    for part in parts:
        if isinstance(part, Compare) and part.field.lower() == "id" and part.operator in ("IN", "="):
            values = part.value if isinstance(part.value, tuple) else (part.value,)
            return sorted({canonical(str(value.value)) for value in values})
    return None


def _bounds(where: Condition | None, name: str) -> Bounds:
    """What a condition says of a field whose texts sort as it does."""
    if isinstance(where, Compare):
        if (
            where.field.lower() == name.lower()
            and isinstance(where.value, Value)
            and isinstance(where.value.value, str)
        ):
            value = canonical(where.value.value) if name == "Id" else where.value.value
            bounds = {
                ">=": (value, None), ">": (value + _AFTER, None), "<": (_DATED, value), "<=": (_DATED, value + _AFTER),
                "=": (value, value + _AFTER),
            }.get(where.operator)  # fmt: skip
            if bounds:
                return *bounds, True
        return None, None, False
    if isinstance(where, Junction) and where.word in ("AND", "OR"):
        parts = [_bounds(part, name) for part in where.parts]
        los, his = [part[0] for part in parts], [part[1] for part in parts]
        if where.word == "AND":
            lo = max((lo for lo in los if lo), default=None)
            return lo, min((hi for hi in his if hi), default=None), all(part[2] for part in parts)
        return (
            None if None in los else min(lo for lo in los if lo),
            None if None in his else max(hi for hi in his if hi),
            False,
        )
    return None, None, False


def _test(table: Table, where: Condition) -> Test:
    if isinstance(where, Junction):
        tests = [_test(table, part) for part in where.parts]
        if where.word == "NOT":
            return lambda record: not tests[0](record)
        if where.word == "AND":
            return lambda record: all(test(record) for test in tests)
        return lambda record: any(test(record) for test in tests)
    field = _known(table, where.field)
    if field.type in (*COMPOUND, "base64", "textarea"):
        raise SoqlError("INVALID_FIELD", f"field '{field.name}' can not be filtered in a query call")
    name = field.name
    fold = _as_it_is if field.type in ("id", "reference") else _lower
    if isinstance(where.value, tuple):
        allowed = {_value(field, value) for value in where.value}
        if where.operator == "NOT IN":
            return lambda record: fold(record[name]) not in allowed
        return lambda record: fold(record[name]) in allowed
    wanted = _value(field, where.value)
    if where.operator == "LIKE":
        if field.type in _KINDS or field.type in ("id", "reference"):
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field")
        pattern = re.compile(re.escape(str(wanted)).replace("%", ".*").replace("_", "."), re.DOTALL)
        return lambda record: record[name] is not None and pattern.fullmatch(fold(record[name])) is not None
    if where.operator == "=":
        return lambda record: fold(record[name]) == wanted
    if where.operator == "!=":
        return lambda record: fold(record[name]) != wanted
    compare = {
        "<": lambda value: value < wanted, "<=": lambda value: value <= wanted,
        ">": lambda value: value > wanted, ">=": lambda value: value >= wanted,
    }[where.operator]  # fmt: skip
    return lambda record: record[name] is not None and compare(fold(record[name]))


def _lower(value: Any) -> Any:
    """SOQL compares texts without regard to case."""
    return value.lower() if isinstance(value, str) else value


def _as_it_is(value: Any) -> Any:
    """Ids keep their case."""
    return value


def _value(field: Field, literal: Value) -> Any:
    """The literal in the form in which the field's values are compared.

    Raises:
        SoqlError: it is written as another type.
    """
    if literal.kind == "null":
        return None
    kind = _KINDS.get(field.type, "string")
    if literal.kind != kind:
        quotes = (
            "and should not be enclosed in quotes" if literal.kind == "string" else "and should be enclosed in quotes"
        )
        said = _NAMES.get(field.type, field.type)
        tail = quotes if "string" in (kind, literal.kind) else ""
        message = f"value of filter criterion for field '{field.name}' must be of type {said} {tail}".strip()
        raise SoqlError("INVALID_FIELD", message)
    if field.type in ("id", "reference"):
        return canonical(literal.value)
    return _lower(literal.value)
