"""What a real Odoo 17 answered, through bronze and silver: nothing lost, nothing misread, little to complain about."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lake_assets.silver.compile import silver_columns
from lake_assets.silver.make import SilverOutcome
from lake_assets.silver.spec import SQL_TYPES, load_specs
from tests.silver.support import Record, TestLake, is_recorded, recorded, recorded_types, table_of

ENTITIES = sorted(entity for entity in load_specs() if is_recorded(table_of(entity)))
TABLES = sorted({table_of(entity) for entity in ENTITIES})

NOT_ON_THIS_SERVER = {
    "pos_order": ["odoo.pos_order.currency_id", "odoo.pos_order.employee_id"],
    "product_template": ["odoo.product_template.product_brand_id"],
}
"""Fields that specs read for the sake of other servers: with employees at the till, with brands."""


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> tuple[TestLake, dict[str, SilverOutcome]]:
    """All recordings in one lake, and what making each entity said."""
    lake = TestLake(tmp_path_factory.mktemp("stock") / "lake")
    return lake, {entity: lake.load(entity, recorded(table_of(entity))) for entity in ENTITIES}


@pytest.mark.parametrize("table", TABLES)
def test_silver_and_quarantine_are_the_source(table: str, lake: TestLake) -> None:
    entities = [entity for entity in load_specs() if table_of(entity) == table]
    records = recorded(table)
    # One in seven gets no name, number or document, so that quarantine has something to hold.
    for record in records[::7]:
        for name in ("name", "complete_name", "email", "phone", "mobile", "login", "order_id", "move_id", "move_type"):
            if name in record:
                record[name] = False
    for entity in entities:
        lake.load(entity, records)
    rows = [row for entity in entities for row in [*lake.silver(entity), *lake.quarantine(entity)]]
    assert Counter(row["source_id"] for row in rows) == Counter(str(record["id"]) for record in records)
    if table != "product_product":  # a variant's only requirement is its product
        assert any(lake.quarantine(entity) for entity in entities)


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_stock_server_has_next_to_nothing_to_complain_about(
    entity: str, stock: tuple[TestLake, dict[str, SilverOutcome]]
) -> None:
    lake, outcomes = stock
    rows = lake.silver(entity)
    assert lake.quarantine(entity) == []
    assert outcomes[entity].missing_fields == NOT_ON_THIS_SERVER.get(entity, [])
    flagged = [row for row in rows if row["validation_status"] == "flagged"]
    # The recordings hold broken addresses and unassigned opportunities on purpose.
    assert len(flagged) <= {"contact": 0.15, "opportunity": 0.25}.get(entity, 0.0) * len(rows)
    assert all(0 <= row["quality_score"] <= 1 for row in rows)


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_column_holds_the_sources_value(entity: str, stock: tuple[TestLake, dict[str, SilverOutcome]]) -> None:
    """Plain mappings, held against the recorded records in Python."""
    table = table_of(entity)
    spec = load_specs()[entity]
    types = recorded_types(table)
    records = {str(record["id"]): record for record in recorded(table)}
    compared = 0
    for row in stock[0].silver(entity):
        for column, expression in spec.sources[f"odoo.{table}"].columns.items():
            field, _, part = expression.partition(".")
            if field in types and part in ("", "id", "label"):
                value = records[row["source_id"]][field]
                expected = expected_value(value, types[field], part, spec.columns[column].type)
                assert row[column] == expected, f"{column} of {row['canonical_id']}"
                compared += 1
    assert compared > 0


def expected_value(value: Any, odoo_type: str, part: str, silver_type: str) -> Any:
    read: dict[str, Callable[[Any], Any]] = {
        "ids": lambda ids: [str(each) for each in ids],
        "money": lambda amount: Decimal(repr(amount)).quantize(Decimal("0.01"), rounding="ROUND_HALF_UP"),
        "json": lambda content: json.dumps(content, separators=(",", ":")),
        "date": date.fromisoformat,
        "timestamp": datetime.fromisoformat,
        "number": float,
        "integer": int,
    }
    if odoo_type == "many2one":
        return (value[1] if part == "label" else str(value[0])) if value else None
    if value is False and odoo_type != "boolean":
        return None
    return read[silver_type](value) if silver_type in read else value


def test_accounts_and_contacts_share_the_partners_without_rest(lake: TestLake) -> None:
    partners = recorded("res_partner")
    for partner, nothing in zip(partners[:3], (None, False, "maybe"), strict=True):
        partner["is_company"] = nothing
    lake.load("account", partners)
    lake.make("contact")
    accounts = {row["source_id"] for row in lake.silver("account")}
    contacts = {row["source_id"] for row in lake.silver("contact")}
    assert accounts == {str(partner["id"]) for partner in partners if partner["is_company"] is True}
    assert contacts == {str(partner["id"]) for partner in partners} - accounts


def test_a_server_without_the_company_field_has_contacts_only(lake: TestLake) -> None:
    types = {"id": "integer", "name": "char", "write_date": "datetime"}
    records: list[Record] = [{"id": 1, "name": "Ada", "write_date": "2026-11-01 00:00:00"}]
    assert "odoo.res_partner.is_company" in lake.load("account", records, types).missing_fields
    lake.make("contact")
    assert (len(lake.silver("account")), len(lake.silver("contact"))) == (0, 1)


def test_the_opportunity_mapping_of_the_sales_intelligence_design_holds_literally(lake: TestLake) -> None:
    records = {str(record["id"]): record for record in recorded("crm_lead")}
    lake.load("opportunity", list(records.values()))

    def reference(value: Any) -> tuple[str | None, str | None]:
        return (str(value[0]), value[1]) if value else (None, None)

    rows = lake.silver("opportunity")
    assert len(rows) == len(records)
    for row in rows:
        record = records[row["source_id"]]
        assert row["canonical_id"] == f"opp-{record['id']}-odoo"
        assert row["source_refs"] == [{"source": "odoo", "source_id": str(record["id"])}]
        assert (row["account_id"], row["account_name"]) == reference(record["partner_id"])
        assert (row["owner_id"], row["owner_name"]) == reference(record["user_id"])
        assert row["stage"] == reference(record["stage_id"])[1]
        assert row["value"] == Decimal(repr(record["expected_revenue"])).quantize(Decimal("0.01"))
        assert (row["name"], row["probability"], row["kind"]) == (record["name"], record["probability"], record["type"])
        assert row["created_date"] == datetime.fromisoformat(record["create_date"])
        modified = datetime.fromisoformat(record["write_date"]) if record["write_date"] else None
        assert row["modified_date"] == row["source_modified_at"] == modified
        assert row["tenant_id"] == "northwind"
    assert {row["kind"] for row in rows} == {"lead", "opportunity"}


def test_an_empty_number_does_not_hide_another(lake: TestLake) -> None:
    lead = recorded("crm_lead")[0] | {
        "phone": "",
        "mobile": "+49 30 901820",
        "email_from": "",
        "email_normalized": "a@b.de",
    }
    lake.load("opportunity", [lead])
    (row,) = lake.silver("opportunity")
    assert (row["phone"], row["email"]) == ("+49 30 901820", "a@b.de")
    partner = recorded("res_partner")[0] | {"is_company": False, "phone": "", "mobile": " ", "email": ""}
    lake.load("contact", [partner])
    (row,) = lake.silver("contact")
    assert row["phone"] is row["mobile"] is row["email"] is None
    assert row["validation_errors"] == []


def test_every_row_names_the_bronze_row_that_it_was_made_from(lake: TestLake) -> None:
    lake.load("opportunity", recorded("crm_lead"))
    root = lake.lake.storage.root
    with lake.lake.connection() as connection:
        found = connection.execute(
            f"""SELECT replace(filename, '{root}/', ''), file_row_number, source_id, sync_batch_id
                FROM read_parquet('{root}/bronze/**/*.parquet', filename = true, file_row_number = true)"""
        ).fetchall()
    anchors = {(path, number): (source_id, batch) for path, number, source_id, batch in found}
    rows = lake.silver("opportunity")
    assert {(row["bronze_file"], row["bronze_row"]) for row in rows} == set(anchors)
    for row in rows:
        assert anchors[row["bronze_file"], row["bronze_row"]] == (row["source_id"], row["sync_batch_id"])


@pytest.mark.parametrize("entity", ENTITIES)
def test_files_have_the_declared_columns_and_types(
    entity: str, stock: tuple[TestLake, dict[str, SilverOutcome]]
) -> None:
    lake, _ = stock
    files = lake.lake.storage.files(f"silver/tenant_id=northwind/entity={entity}", ".parquet")
    with lake.lake.connection() as connection:
        described = connection.execute(
            f"DESCRIBE SELECT * FROM read_parquet({lake.lake.sql_list(files)}, hive_partitioning = false)"
        ).fetchall()
    declared = silver_columns(load_specs()[entity])
    assert [name for name, *_ in described] == list(declared)
    plain = {name: kind for name, kind in declared.items() if kind in SQL_TYPES.values()}
    assert {name: kind for name, kind, *_ in described if name in plain} == plain


def test_path_of_the_silver_file(lake: TestLake, tmp_path: Path) -> None:
    lake.load("user", recorded("res_users"))
    assert (tmp_path / "lake/silver/tenant_id=northwind/entity=user/year=2026/month=11/2026-11-20.parquet").is_file()
