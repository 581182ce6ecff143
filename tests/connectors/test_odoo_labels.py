"""Labels from the cache are those of a classic read, whatever the user may see."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.connectors.base import Column, NotPermitted, TableSchema, Window
from resources.connectors.odoo_labels import LabelledColumns, Labels
from resources.connectors.odoo_pages import PageReader
from sandbox.server import Sandbox
from tests.connectors.conftest import DATABASE, Connect, ids, read, records

USER = "salesown"


@pytest.fixture
def rights(sandbox: Sandbox) -> Iterator[Callable[..., None]]:
    """Changes rights of one user, undone at the end."""
    changed: list[str] = []

    def change(model: str, **rule: Any) -> None:
        changed.append(model)
        sandbox.rights(DATABASE, USER, model, **rule)

    yield change
    for model in changed:
        sandbox.rights(DATABASE, USER, model, allow=True, domain=[])


def expected(witness: Callable[..., Any], schema: TableSchema, user: str) -> list[dict[str, Any]]:
    fields = [column.name for column in schema.columns]
    model, context = schema.source_name, {"active_test": False}
    return witness(model, "search_read", [], fields, order="id", context=context, user=user)


def asked(sandbox: Sandbox, model: str) -> int:
    return sum(
        entry["requests"] for entry in sandbox.requests() if (entry["model"], entry["method"]) == (model, "search_read")
    )


@pytest.mark.usefixtures("always_bare")
@pytest.mark.parametrize("protocol", ["jsonrpc", "json2"])
def test_labels_of_a_model_that_the_user_may_not_read(
    connect: Connect, witness: Callable[..., Any], sandbox: Sandbox, rights: Callable[..., None], protocol: str
) -> None:
    for model in ("res.partner", "crm.stage", "res.users"):
        rights(model, allow=False)
    connector = connect(protocol, user=USER, page_size=10)
    schema = connector.schema("crm_lead")
    sandbox.reset_requests()
    rows = read(connector, schema)
    assert asked(sandbox, "res.partner") == 1  # and then remembered as not permitted
    assert rows == expected(witness, schema, USER)
    assert any(isinstance(row["partner_id"], list) for row in rows)


@pytest.mark.usefixtures("always_bare")
def test_labels_of_records_that_a_rule_hides(
    connect: Connect, witness: Callable[..., Any], sandbox: Sandbox, rights: Callable[..., None]
) -> None:
    shown = sandbox.ids(DATABASE, "res.partner")[::2]
    rights("res.partner", domain=[["id", "in", shown]])
    connector = connect(user=USER, page_size=10)
    schema = connector.schema("crm_lead")
    assert read(connector, schema) == expected(witness, schema, USER)


@pytest.mark.usefixtures("always_bare")
def test_empty_names_are_written_as_a_classic_read_does(
    connect: Connect, witness: Callable[..., Any], sandbox: Sandbox
) -> None:
    stages = sandbox.truth(DATABASE, "crm.stage", "name")
    sandbox.write(DATABASE, "crm.stage", [row["id"] for row in stages], {"name": ""}, sql=True)
    try:
        connector = connect(page_size=10)
        schema = connector.schema("crm_lead")
        assert read(connector, schema) == expected(witness, schema, "admin")
    finally:
        for row in stages:
            sandbox.write(DATABASE, "crm.stage", [row["id"]], {"name": row["name"]}, sql=True)


@pytest.mark.usefixtures("always_bare")
def test_each_label_is_asked_for_once_in_a_sync(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(page_size=25)
    schema = connector.schema("crm_lead")
    first = read(connector, schema)
    sandbox.reset_requests()
    assert read(connector, schema) == first
    assert {entry["model"] for entry in sandbox.requests()} == {"crm.lead"}


def test_forgotten_labels_are_asked_for_anew(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(page_size=25)
    schema = connector.schema("crm_lead")
    read(connector, schema)
    (stage,) = sandbox.create(DATABASE, "crm.stage", [{"name": "Old name"}])
    (lead,) = sandbox.create(DATABASE, "crm.lead", [{"name": "x", "stage_id": stage}])
    labels = []
    for name in ("Old name", "New name"):
        sandbox.write(DATABASE, "crm.stage", [stage], {"name": name})
        connector.forget_labels()
        labels += [row["stage_id"] for row in read(connector, schema) if row["id"] == lead]
    assert labels == [[stage, "Old name"], [stage, "New name"]]


def test_a_small_table_takes_one_request(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(page_size=1000)
    schema = connector.schema("crm_lead")
    sandbox.reset_requests()
    read(connector, schema)
    assert [(entry["model"], entry["requests"]) for entry in sandbox.requests()] == [("crm.lead", 1)]


@pytest.mark.parametrize(("bare_cost", "bare_in_the_end"), [(0.5, True), (1.5, False)])
def test_the_cheaper_way_of_reading_wins(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, bare_cost: float, bare_in_the_end: bool
) -> None:
    choose = PageReader._choose_way
    ways: list[bool] = []
    decided: list[bool] = []

    def noted(self: PageReader, cost: float) -> None:
        ways.append(self._bare)
        choose(self, bare_cost if self._bare else 1.0)
        decided.append(self._bare)

    monkeypatch.setattr(PageReader, "_choose_way", noted)
    connector = connect(page_size=10)
    rows = read(connector, "crm_lead")
    assert ways == [False, True, True]
    assert decided[-1] is bare_in_the_end
    assert rows == read(connect(page_size=10_000), "crm_lead")


class Source:
    """An Odoo of one table, in memory: some related records hidden, some dangling, some of the table's own deleted."""

    def __init__(self, truth: dict[int, Any], rows: list[dict[str, Any]], hidden: set[int], gone: set[int]) -> None:
        self.truth, self.rows, self.hidden, self.gone = truth, rows, hidden, gone

    def classic(self, row: dict[str, Any]) -> dict[str, Any]:
        return row | {name: self.pair(row[name]) for name in ("a_id", "b_id")}

    def pair(self, related: Any) -> Any:
        return [related, self.truth[related]] if related in self.truth else False

    def ask(self, model: str, wanted: list[int]) -> list[dict[str, Any]]:
        if model == "closed":
            raise NotPermitted("no")
        return [
            {"id": value, "display_name": self.truth[value] or False}
            for value in wanted
            if value in self.truth and value not in self.hidden
        ]

    def read_again(self, wanted: list[int], columns: list[str]) -> list[dict[str, Any]]:
        found = (row for row in self.rows if row["id"] in wanted and row["id"] not in self.gone)
        return [{name: self.classic(row)[name] for name in ["id", *columns]} for row in found]


COLUMNS = TableSchema(
    "t",
    "t",
    (
        Column("a_id", "reference", "many2one", relation="open"),
        Column("b_id", "reference", "many2one", relation="closed"),
    ),
)
related = st.one_of(st.just(False), st.integers(1, 8))


@given(
    truth=st.dictionaries(st.integers(1, 8), st.text(max_size=3)),
    pairs=st.lists(st.tuples(related, related), max_size=12),
    hidden=st.sets(st.integers(1, 8)),
    gone=st.sets(st.integers(0, 11)),
    cut=st.integers(0, 12),
)
def test_completed_records_equal_a_classic_read(
    truth: dict[int, str], pairs: list[tuple[Any, Any]], hidden: set[int], gone: set[int], cut: int
) -> None:
    rows = [{"id": number, "a_id": a, "b_id": b} for number, (a, b) in enumerate(pairs)]
    source, labels = Source(truth, rows, hidden, gone), Labels()
    columns = LabelledColumns.of(COLUMNS, ["a_id", "b_id"])
    labels.learn([source.classic(row) for row in rows[:cut]], columns)
    page = [dict(row) for row in rows[cut:]]
    labels.complete(page, columns, source.ask, source.read_again)
    for row, completed in zip(rows[cut:], page, strict=True):
        for name in ("a_id", "b_id"):
            # Of a record deleted meanwhile, the bare id may be all there is.
            allowed = [source.classic(row)[name]] + ([row[name]] if row["id"] in gone else [])
            assert completed[name] in allowed


@pytest.mark.parametrize(
    ("value", "again"), [({"type": "many2one", "value": 5}, True), ({"type": "char", "value": "x"}, False)]
)
def test_properties_that_refer_to_records_are_read_again(value: dict[str, Any], again: bool) -> None:
    schema = TableSchema("t", "t", (Column("props", "json", "properties"),))
    columns = LabelledColumns.of(schema, ["props"])
    page = [{"id": 1, "props": [value]}]
    classic = {"id": 1, "props": [{"type": "many2one", "value": [5, "Five"]}]}
    Labels().complete(page, columns, lambda model, wanted: [], lambda wanted, names: [dict(classic)])
    assert (page[0]["props"] == classic["props"]) is again


def test_a_schema_without_references_has_nothing_to_complete() -> None:
    assert not LabelledColumns.of(TableSchema("t", "t", (Column("name", "text", "char"),)), ["name"])


def test_window_pages_carry_labels_too(connect: Connect) -> None:
    connector = connect(page_size=10)
    schema = connector.schema("crm_lead")
    by_window = records(connector.changes(schema, Window()))
    some = [str(value) for value in ids(by_window)[5:40]]
    assert records(connector.by_ids(schema, some)) == by_window[5:40]
