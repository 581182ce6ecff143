"""Values as servers really send them: what silver makes of each, and what it refuses with a reason."""

from decimal import Decimal
from typing import Any

import pytest

from resources.connectors.json_text import decode
from tests.silver.support import DAY, Record, TestLake

TYPES = {
    "id": "integer",
    "name": "char",
    "type": "selection",
    "partner_name": "char",
    "partner_id": "many2one",
    "user_id": "many2one",
    "expected_revenue": "monetary",
    "probability": "float",
    "priority": "selection",
    "active": "boolean",
    "tag_ids": "many2many",
    "date_deadline": "date",
    "create_date": "datetime",
    "write_date": "datetime",
}
LEAD: Record = {
    "id": 1,
    "name": "A deal",
    "type": "lead",
    "partner_name": False,
    "partner_id": False,
    "user_id": False,
    "expected_revenue": 10.5,
    "probability": 50.0,
    "priority": "1",
    "active": True,
    "tag_ids": [],
    "date_deadline": False,
    "create_date": "2026-11-01 08:00:00",
    "write_date": "2026-11-01 08:00:00",
}


def outcome(lake: TestLake, **changes: Any) -> tuple[Record | None, list[str]]:
    """(the silver row if there is one, the reasons of the quarantine otherwise)."""
    lake.load("opportunity", [LEAD | changes], TYPES)
    rows, rejected = lake.silver("opportunity"), lake.quarantine("opportunity")
    assert len(rows) + len(rejected) == 1
    return (rows[0], []) if rows else (None, rejected[0]["reasons"])


READ = [
    ("company_name", "partner_name", False, None),
    ("company_name", "partner_name", None, None),
    ("company_name", "partner_name", "", ""),
    ("company_name", "partner_name", "false", "false"),
    ("company_name", "partner_name", "null", "null"),
    ("company_name", "partner_name", "NaN", "NaN"),
    ("company_name", "partner_name", " two  spaces ", " two  spaces "),
    ("company_name", "partner_name", "a\0b", "a\0b"),
    ("company_name", "partner_name", "🚀 Ünï 東京 \u202e\ufeff", "🚀 Ünï 東京 \u202e\ufeff"),
    ("company_name", "partner_name", '\'; DROP TABLE "x" -- \\ \n\t{name}', '\'; DROP TABLE "x" -- \\ \n\t{name}'),
    ("company_name", "partner_name", "[1, 2]", "[1, 2]"),
    ("is_active", "active", False, False),
    ("account_id", "partner_id", False, None),
    ("account_id", "partner_id", [7, "Ada"], "7"),
    ("account_id", "partner_id", [2**70, "Ada"], str(2**70)),
    ("account_name", "partner_id", [7, "false"], "false"),
    ("account_name", "partner_id", [7, ""], ""),
    ("account_name", "partner_id", [7, None], None),
    ("value", "expected_revenue", 0, Decimal("0.00")),
    ("value", "expected_revenue", 2.2800000000000002, Decimal("2.28")),
    ("value", "expected_revenue", -9.094947017729282e-13, Decimal("0.00")),
    ("value", "expected_revenue", 0.125, Decimal("0.13")),
    ("value", "expected_revenue", 1e15, Decimal("1e15")),
    ("value", "expected_revenue", "12.5", Decimal("12.50")),
    ("tag_ids", "tag_ids", [3, 1], ["3", "1"]),
    ("tag_ids", "tag_ids", [], []),
    ("expected_close_date", "date_deadline", False, None),
]
"""Column of the entity, field of the record, its value, and what silver has."""

REFUSED = [
    ("expected_revenue", "NaN", "value: cannot be read as money"),
    ("expected_revenue", "Infinity", "value: cannot be read as money"),
    ("expected_revenue", 1e300, "value: cannot be read as money"),
    ("expected_revenue", 10**30, "value: cannot be read as money"),
    ("expected_revenue", "a lot", "value: cannot be read as money"),
    ("expected_revenue", [1], "value: cannot be read as money"),
    ("probability", "NaN", "probability: cannot be read as number"),
    ("probability", "-Infinity", "probability: cannot be read as number"),
    ("priority", 2**64, "priority: cannot be read as integer"),
    ("priority", "high", "priority: cannot be read as integer"),
    ("tag_ids", [1, 2**64], "tag_ids: cannot be read as ids"),
    ("date_deadline", "2026-02-30", "expected_close_date: cannot be read as date"),
    ("date_deadline", "soon", "expected_close_date: cannot be read as date"),
    ("create_date", "0000-00-00 00:00:00", "created_date: cannot be read as timestamp"),
    ("active", "perhaps", "is_active: cannot be read as boolean"),
    ("name", False, "name: required and missing"),
    ("name", "\t ", "name: required and missing"),
]
"""Field of the record, its value, and why the record is in quarantine."""


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> TestLake:
    """All of `READ` and `REFUSED` in one table: record n has the n-th value."""
    lake = TestLake(tmp_path_factory.mktemp("values") / "lake")
    changes = [{field: value} for _, field, value, _ in READ] + [{field: value} for field, value, _ in REFUSED]
    lake.load("opportunity", [LEAD | {"id": number} | change for number, change in enumerate(changes)], TYPES)
    return lake


@pytest.fixture(scope="module")
def accepted(together: TestLake) -> dict[str, Record]:
    return {row["source_id"]: row for row in together.silver("opportunity")}


@pytest.fixture(scope="module")
def quarantined(together: TestLake) -> dict[str, Record]:
    return {row["source_id"]: row for row in together.quarantine("opportunity")}


@pytest.mark.parametrize("number", range(len(READ)), ids=lambda number: f"{READ[number][1]}-{READ[number][2]!r:.30}")
def test_a_value_as_silver_has_it(accepted: dict[str, Record], number: int) -> None:
    column, _, _, expected = READ[number]
    assert accepted[str(number)][column] == expected


@pytest.mark.parametrize(
    "number", range(len(REFUSED)), ids=lambda number: f"{REFUSED[number][0]}-{REFUSED[number][1]!r:.30}"
)
def test_a_value_that_cannot_be_read_is_refused_with_its_column(quarantined: dict[str, Record], number: int) -> None:
    assert quarantined[str(len(READ) + number)]["reasons"] == [REFUSED[number][2]]


def test_nothing_else_is_refused(accepted: dict[str, Record], quarantined: dict[str, Record]) -> None:
    assert (len(accepted), len(quarantined)) == (len(READ), len(REFUSED))


def test_the_quarantine_keeps_the_whole_record_and_where_it_came_from(lake: TestLake) -> None:
    lake.load("opportunity", [LEAD | {"priority": 2**64, "probability": "NaN"}], TYPES)
    (rejected,) = lake.quarantine("opportunity")
    (captured,) = lake.bronze("crm_lead")
    assert rejected["raw_data"] == captured["raw_data"]
    assert rejected["reasons"] == ["probability: cannot be read as number", "priority: cannot be read as integer"]
    assert rejected["bronze_file"].startswith("bronze/tenant_id=northwind/source=odoo/entity=crm_lead/")
    assert (rejected["bronze_row"], rejected["status"], rejected["source_id"]) == (0, "open", "1")
    (path,) = lake.lake.storage.files("quarantine", ".parquet")
    folders = "quarantine/tenant_id=northwind/source=odoo/entity=crm_lead/year=2026/month=11/day=20/"
    assert path == f"{folders}run_id=run-1/part-00000.parquet"


def test_a_text_of_a_megabyte_comes_through(lake: TestLake) -> None:
    text = "0123456789é" * 100_000
    row, _ = outcome(lake, name=text)
    assert row is not None
    assert row["name"] == text


def test_an_id_beyond_64_bits_is_an_id(lake: TestLake) -> None:
    row, _ = outcome(lake, id=2**80)
    assert row is not None
    assert row["canonical_id"] == f"opp-{2**80}-odoo"


def test_what_a_server_sends_that_no_utf8_can_hold_stays_visible(lake: TestLake) -> None:
    body = b'{"name": "half \\ud83d a pair", "partner_name": "\\udc00", "expected_revenue": NaN}'
    sent = decode(body)
    row, reasons = outcome(lake, **(sent | {"expected_revenue": 1.0}))
    assert row is not None
    assert (row["name"], row["company_name"]) == ("half \\ud83d a pair", "\\udc00")
    assert reasons == []
    assert sent["expected_revenue"] == "NaN"


def test_one_bad_record_leaves_the_others_alone(lake: TestLake) -> None:
    strange = [{"priority": 2**70}, {"name": "a\0b"}, {"name": decode(b'"\\ud83d"')}, {"expected_revenue": "NaN"}]
    records = [LEAD | {"id": number} | change for number, change in enumerate([{}, *strange, {}], 1)]
    lake.load("opportunity", records, TYPES)
    assert [row["source_id"] for row in lake.silver("opportunity")] == ["1", "3", "4", "6"]
    assert [row["source_id"] for row in lake.quarantine("opportunity")] == ["2", "5"]


def test_a_field_that_the_server_lacks_is_null_and_named_once(lake: TestLake) -> None:
    made = lake.load("opportunity", [LEAD], TYPES)
    (row,) = lake.silver("opportunity")
    assert row["stage"] is row["lost_reason"] is row["closed_date"] is None
    assert "odoo.crm_lead.stage_id" in made.missing_fields
    assert len(made.missing_fields) == len(set(made.missing_fields))
    assert not {f"odoo.crm_lead.{name}" for name in TYPES} & set(made.missing_fields)


def test_a_server_that_has_nothing_but_ids(lake: TestLake) -> None:
    lake.load("opportunity", [{"id": 1}, {"id": 2}], {"id": "integer"})
    assert [row["reasons"] for row in lake.quarantine("opportunity")] == [["name: required and missing"]] * 2


RETYPED = [
    ("source_id", "lead_source", ("char", "Web", "Web"), ("many2one", [3, "Fair"], "Fair")),
    ("source_id", "lead_source", ("many2one", [3, "Fair"], "Fair"), ("char", "Web", "Web")),
    ("source_id", "lead_source", ("many2one", False, None), ("char", False, None)),
    ("partner_id", "account_id", ("integer", 7, "7"), ("many2one", [8, "Ada"], "8")),
    ("expected_revenue", "value", ("float", 1.5, Decimal("1.50")), ("char", "2.25", Decimal("2.25"))),
    ("priority", "priority", ("selection", "2", 2), ("integer", 3, 3)),
    ("partner_name", "company_name", ("char", "false", "false"), ("html", "<p>x</p>", "<p>x</p>")),
    ("partner_name", "company_name", ("char", "Ltd", "Ltd"), ("integer", 12, "12")),
]


@pytest.mark.parametrize(("field", "column", "before", "after"), RETYPED)
def test_a_field_that_changed_its_type_is_read_from_old_and_new_records(
    lake: TestLake, field: str, column: str, before: tuple[str, Any, Any], after: tuple[str, Any, Any]
) -> None:
    types = TYPES | {"source_id": "many2one"}
    lead = LEAD | {"source_id": False}
    lake.load("opportunity", [lead | {"id": 1, field: before[1]}], types | {field: before[0]})
    lake.load("opportunity", [lead | {"id": 2, field: after[1]}], types | {field: after[0]})
    expected = {"1": before[2], "2": after[2]}
    assert {row["source_id"]: row[column] for row in lake.silver("opportunity")} == expected
    lake.make("opportunity", force=[DAY])
    assert {row["source_id"]: row[column] for row in lake.silver("opportunity")} == expected


def test_a_field_that_vanished_keeps_its_values_in_old_records(lake: TestLake) -> None:
    lake.load("opportunity", [LEAD | {"partner_name": "Ltd"}], TYPES)
    fewer = {name: kind for name, kind in TYPES.items() if name != "partner_name"}
    record = {name: value for name, value in LEAD.items() if name != "partner_name"} | {"id": 2}
    made = lake.load("opportunity", [record], fewer)
    assert [row["company_name"] for row in lake.silver("opportunity")] == ["Ltd", None]
    assert "odoo.crm_lead.partner_name" not in made.missing_fields, "it is known from before"
