"""Domains select what a plain reading of their definition selects; orders, limits and indexes change nothing about it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.clock import stamp
from sandbox.odoo.search import count, search
from sandbox.odoo.seeding import models
from sandbox.odoo.store import Database

BASE = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = ("", "Alpha", "alpha beta", "100% sure", "under_score", "Gamma", None)
STAGES = {1: "New", 2: "Qualified", 3: "Proposition", 4: "Won"}


def _database() -> Database:
    """Sixty leads in every combination that matters: NULLs, ties, archived rows, several tags."""
    database = Database("test", models())
    for record_id, name in STAGES.items():
        database["crm.stage"].load({"id": record_id, "name": name, "sequence": 10 - record_id})
    for record_id in (1, 2, 3):
        database["crm.tag"].load({"id": record_id, "name": f"Tag {record_id}"})
    for number in range(60):
        moment = BASE + timedelta(seconds=number // 5, microseconds=137 if number % 3 else 0)
        database["crm.lead"].load(
            {
                "id": number * 2 + 1,
                "name": NAMES[number % len(NAMES)],
                "active": number % 7 != 0,
                "stage_id": (None, 1, 2, 3, 4)[number % 5],
                "tag_ids": ((), (1,), (1, 2), (3,))[number % 4],
                "expected_revenue": (None, 0.0, 10.0, 99.5, -5.0)[number % 5],
                "color": number % 4,
                "write_date": None if number % 11 == 0 else stamp(moment),
                "date_deadline": None if number % 6 == 0 else f"2026-11-{number % 28 + 1:02d}",
            }
        )
    database.finish_loading()
    return database


DATABASE = _database()
LEADS = DATABASE["crm.lead"]
RECORDS = [{name: row[slot] for name, slot in LEADS.slots.items()} for row in LEADS.rows.values()]


def holds(leaf: tuple[str, str, Any], record: dict[str, Any]) -> bool:
    """What one leaf means, written down a second time, from the definition."""
    name, operator, wanted = leaf
    if name == "stage_id.name":
        return holds(("name", operator, wanted), {"name": STAGES[record["stage_id"]]}) if record["stage_id"] else False
    value = record[name]
    if operator in ("not in", "not ilike", "!="):
        positive = {"not in": "in", "not ilike": "ilike", "!=": "="}[operator]
        return not holds((name, positive, wanted), record)
    if name == "active":
        return bool(value) in ([bool(item) for item in wanted] if operator == "in" else [bool(wanted)])
    if name == "tag_ids":
        if operator == "in":
            return any((not value) if item is False else item in value for item in wanted)
        return not value if wanted is False else wanted in value
    if operator == "in":
        return any(value is None if item is False else value == item for item in wanted)
    if operator == "=":
        return value is None if wanted is False else value == wanted
    if operator in ("ilike", "=ilike", "like"):
        text = wanted if operator == "=ilike" else f"%{wanted}%"
        pattern = re.escape(text).replace("%", ".*").replace("_", ".")
        return value is not None and bool(re.fullmatch(pattern, value, 0 if operator == "like" else re.I))
    if value is None or wanted is False:
        return False
    return {"<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[operator]


ordered = st.sampled_from(("=", "!=", "<", "<=", ">", ">="))
number = st.sampled_from((0.0, 10.0, 99.5, -5.0, 3.25))
moments = st.integers(-1, 13).map(lambda second: stamp(BASE + timedelta(seconds=second)))
days = st.integers(1, 28).map(lambda day: f"2026-11-{day:02d}")
stage = st.sampled_from((1, 2, 3, 4, 99))


def members(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A list for `in`, sometimes with the False that stands for NULL."""
    return st.lists(st.one_of(values, st.just(False)), max_size=3)


def leaves(name: str, operators: st.SearchStrategy[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Leaves about one field."""
    return st.tuples(st.just(name), operators, values)


inside = st.sampled_from(("in", "not in"))
same = st.sampled_from(("=", "!="))
leaf = st.one_of(
    leaves("id", ordered, st.integers(-1, 125)),
    leaves("id", inside, st.lists(st.integers(0, 125), max_size=5)),
    leaves("color", ordered, st.integers(-1, 4)),
    leaves("expected_revenue", ordered, st.one_of(number, st.just(False))),
    leaves("expected_revenue", inside, members(number)),
    leaves("write_date", ordered, st.one_of(moments, st.just(False))),
    leaves("date_deadline", ordered, st.one_of(days, st.just(False))),
    leaves("active", same, st.booleans()),
    leaves("active", inside, st.lists(st.booleans(), min_size=1, max_size=2)),
    leaves("stage_id", same, st.one_of(stage, st.just(False))),
    leaves("stage_id", inside, members(stage)),
    leaves("stage_id.name", st.sampled_from(("=", "ilike")), st.sampled_from(("New", "o", "won"))),
    leaves("tag_ids", same, st.one_of(st.sampled_from((1, 2, 3)), st.just(False))),
    leaves("tag_ids", inside, members(st.sampled_from((1, 2, 3)))),
    leaves("name", same, st.one_of(st.sampled_from(("Alpha", "", "x")), st.just(False))),
    leaves(
        "name",
        st.sampled_from(("ilike", "not ilike", "=ilike", "like")),
        st.sampled_from(("alpha", "%a", "_", "100%", "A")),
    ),
)
trees = st.recursive(leaf, lambda inner: st.one_of(
    st.tuples(st.just("!"), inner), st.tuples(st.sampled_from(("&", "|")), inner, inner)), max_leaves=6)  # fmt: skip


def tokens(tree: Any) -> list[Any]:
    """A tree in prefix notation; leaves as lists, as JSON brings them."""
    if tree[0] in ("!", "&", "|"):
        return [tree[0], *(token for part in tree[1:] for token in tokens(part))]
    return [list(tree)]


def truth(tree: Any, record: dict[str, Any]) -> bool:
    """Whether a tree holds for a record."""
    if tree[0] == "!":
        return not truth(tree[1], record)
    if tree[0] in ("&", "|"):
        parts = [truth(part, record) for part in tree[1:]]
        return all(parts) if tree[0] == "&" else any(parts)
    return holds(tree, record)


@settings(max_examples=400, deadline=None)
@given(st.lists(trees, max_size=3))
def test_a_domain_selects_what_its_definition_says(conjuncts: list[Any]) -> None:
    domain = [token for tree in conjuncts for token in tokens(tree)]
    expected = [record["id"] for record in RECORDS if all(truth(tree, record) for tree in conjuncts)]
    assert [row[0] for row in search(LEADS, domain, "id")] == expected
    assert [row[0] for row in search(LEADS, domain, "id desc")] == expected[::-1]
    assert count(LEADS, domain) == len(expected)
    assert sorted(row[0] for row in search(LEADS, domain, "write_date, id")) == expected


@settings(max_examples=100, deadline=None)
@given(trees, st.integers(0, 20), st.integers(1, 20))
def test_limit_and_offset_cut_the_ordered_result(tree: Any, offset: int, limit: int) -> None:
    for order in ("id", "id desc", "stage_id, id", "expected_revenue desc, id"):
        whole = search(LEADS, tokens(tree), order)
        assert search(LEADS, tokens(tree), order, offset, limit) == whole[offset : offset + limit]


def ids(domain: list[Any], order: str = "id") -> list[int]:
    """Ids that match."""
    return [row[0] for row in search(LEADS, domain, order)]


def test_a_bare_day_means_its_end_for_greater_and_its_beginning_else() -> None:
    assert ids([["write_date", ">", "2026-10-31"]]) == ids([["write_date", ">", "2026-10-31 23:59:59"]])
    assert ids([["write_date", ">", "2026-11-01"]]) == []
    assert ids([["write_date", ">=", "2026-11-01"]]) == ids([["write_date", "!=", False]])
    assert ids([["write_date", "<=", "2026-11-01"]]) == ids([["write_date", "!=", False]])
    assert ids([["write_date", "<", "2026-11-01"]]) == []


def test_a_zone_is_read_and_ignored() -> None:
    plain = ids([["write_date", ">=", "2026-11-01 00:00:05"]])
    assert plain
    for written in ("2026-11-01 00:00:05Z", "2026-11-01T00:00:05+05:00", "2026-11-01 00:00:05.000000"):
        assert ids([["write_date", ">=", written]]) == plain


def test_a_second_is_compared_with_microseconds() -> None:
    shown = "2026-11-01 00:00:01"
    stored = {row[LEADS.slots["write_date"]] for row in LEADS.rows.values() if row[LEADS.slots["write_date"]]}
    ties = [moment for moment in stored if moment.startswith(shown) and not moment.endswith(".000000")]
    assert ties
    later = ids([["write_date", ">", shown], ["write_date", "<", "2026-11-01 00:00:02"]])
    assert later, "a row shown with this very second still counts as later"


def test_null_sorts_last_ascending_and_first_descending() -> None:
    values = {row[0]: row[LEADS.slots["expected_revenue"]] for row in LEADS.rows.values()}
    up, down = ids([], "expected_revenue, id"), ids([], "expected_revenue desc, id")
    assert values[up[-1]] is None
    assert values[down[0]] is None
    stages = [LEADS.rows[i][LEADS.slots["stage_id"]] for i in ids([], "stage_id, id")]
    assert list(dict.fromkeys(stages)) == [4, 3, 2, 1, None], "a relation sorts by its target's own order"


def test_names_and_hierarchies_reach_through_relations() -> None:
    database = Database("tree", models())
    for record_id, parent, name in ((1, None, "All"), (2, 1, "Food"), (3, 2, "Coffee"), (4, 1, "Garden")):
        database["product.category"].load({"id": record_id, "parent_id": parent, "name": name, "complete_name": name})
    for record_id in (1, 2, 3, 4):
        database["product.template"].load({"id": record_id, "name": f"P{record_id}", "categ_id": record_id})
    database.finish_loading()
    products = database["product.template"]

    def found(*leaf: Any) -> list[int]:
        return [row[0] for row in search(products, [list(leaf)], "id")]

    assert found("categ_id", "child_of", 2) == [2, 3]
    assert found("categ_id", "parent_of", 3) == [1, 2, 3]
    assert found("categ_id", "=", "Coffee") == [3]
    assert found("categ_id", "ilike", "o") == [2, 3]
    assert found("categ_id.parent_id.name", "=", "Food") == [3]
    assert found("categ_id", "any", [["name", "=like", "%den"]]) == [4]
    assert found("categ_id", "not ilike", "o") == [1, 4]
    assert found("display_name", "=", "P2") == [2]
    assert found("name", "=?", False) == [1, 2, 3, 4]


@pytest.mark.parametrize("order", ["id; drop", "stage_id.name", "id sideways"])
def test_an_order_that_is_none_is_refused(order: str) -> None:
    with pytest.raises(Exception, match='Invalid "order" specified'):
        ids([], order)
