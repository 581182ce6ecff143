"""Finding rows: the domain's predicate over as few candidates as the indexes allow, then order, offset and limit."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from sandbox.odoo.domain import compile_domain
from sandbox.odoo.errors import data_error, user_error
from sandbox.odoo.leaf import Checker, Query

if TYPE_CHECKING:
    from sandbox.odoo.store import Row, Table

_TERM = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*(asc|desc)?\s*(nulls\s+(?:first|last))?\s*", re.IGNORECASE)


def parse_order(table: "Table", order: str) -> list[tuple[str, bool]]:
    """`"stage_id, id desc"` to `[("stage_id", False), ("id", True)]`."""
    terms = []
    for part in order.split(","):
        match = _TERM.fullmatch(part)
        if match is None:
            raise user_error(
                f'Invalid "order" specified ({order}). A valid "order" specification is a comma-separated list of '
                "valid field names (optionally followed by asc/desc for the direction)"
            )
        name = match[1]
        if name not in table.fields:
            raise ValueError(f"Invalid field {name!r} on model {table.name!r}")
        terms.append((name, (match[2] or "").lower() == "desc"))
    return terms


def search(
    table: "Table",
    domain: list[Any],
    order: str | None = None,
    offset: int = 0,
    limit: int | None = None,
    check: Checker | None = None,
) -> "list[Row]":
    """The matching rows. `limit` 0 or None means all; without `order` the model's own applies."""
    query = compile_domain(table, domain, check)
    terms = parse_order(table, order or table.order)
    if check is not None:
        for name, _ in terms:
            check(table, name)
    if limit and limit < 0:
        raise data_error("InvalidRowCountInLimitClause", "LIMIT must not be negative\n")
    if offset and offset < 0:
        raise data_error("InvalidRowCountInResultOffsetClause", "OFFSET must not be negative\n")
    stop = None if not limit else (offset or 0) + limit
    if terms[0][0] == "id":
        rows = _matching(query, _by_id(table, query, terms[0][1], stop))
        return list(islice(rows, offset or 0, stop))
    rows = list(_matching(query, _by_id(table, query, False, None)))
    rows.sort(key=lambda row: row[1])  # heap order decides among equals, and every write changes it
    for name, descending in reversed(terms):
        _sort(table, rows, name, descending)
    return rows[offset or 0 : stop]


def count(table: "Table", domain: list[Any], limit: int | None = None, check: Checker | None = None) -> int:
    """How many rows match (at most `limit`)."""
    query = compile_domain(table, domain, check)
    if query == Query():
        total = len(table.ids)
        return min(total, limit) if limit else total
    rows = _matching(query, _by_id(table, query, False, limit))
    return sum(1 for _ in (islice(rows, limit) if limit else rows))


def _matching(query: Query, rows: "Iterable[Row]") -> "Iterator[Row]":
    return iter(rows) if query.test is None else filter(query.test, rows)


def _by_id(table: "Table", query: Query, descending: bool, stop: int | None) -> "Iterable[Row]":
    """Candidates in id order: from the date index if its window is small, else from the id index."""
    rows, ids = table.rows, table.ids
    if query.ids is not None:
        return table.pick(sorted(query.ids, reverse=descending))
    first = 0 if query.low is None else bisect_left(ids, query.low)
    last = len(ids) if query.high is None else bisect_right(ids, query.high)
    if query.since is not None or query.until is not None:
        begin = 0 if query.since is None else bisect_left(table.dates, (query.since, -(2**63)))
        end = len(table.dates) if query.until is None else bisect_right(table.dates, (query.until, 2**63))
        window = max(0, end - begin)
        # a scan by id meets a match every len(ids)/window rows and stops after `stop` of them
        scan = last - first if stop is None else min(last - first, stop * len(ids) // max(window, 1))
        if window * 2 < scan:
            chosen = (record_id for _, record_id in table.dates[begin:end])
            return [rows[record_id] for record_id in sorted(chosen, reverse=descending)]
    if descending:
        return (rows[ids[position]] for position in range(last - 1, first - 1, -1))
    return (rows[ids[position]] for position in range(first, last))


def _sort(table: "Table", rows: "list[Row]", name: str, descending: bool) -> None:
    """One stable pass; NULLs come last ascending and first descending, a relation sorts by its target's order."""
    field = table.fields[name]
    slot = field.slot
    if slot is None:
        return  # a computed field in the order is ignored, as recorded
    if field.type == "many2one":
        ranks = _ranks(table, field.relation)
        rows.sort(key=lambda row: (row[slot] is None, ranks.get(row[slot], -1)), reverse=descending)
    elif field.type == "boolean":
        rows.sort(key=lambda row: bool(row[slot]), reverse=descending)
    else:
        rows.sort(key=lambda row: ((v := row[slot]) is None, v if v is not None else 0), reverse=descending)


def _ranks(table: "Table", model: str) -> dict[int | None, int]:
    target = table.database.tables.get(model)
    if target is None:
        return {}
    rows = sorted(target.rows.values(), key=lambda row: row[1])
    for name, descending in reversed(parse_order(target, target.order)):
        if target.fields[name].type == "many2one":
            slot = target.slots[name]  # one level is enough: deeper, the id decides
            rows.sort(key=lambda row, slot=slot: (row[slot] is None, row[slot] or 0), reverse=descending)
        else:
            _sort(target, rows, name, descending)
    return {row[0]: rank for rank, row in enumerate(rows)}
