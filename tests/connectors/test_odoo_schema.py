"""Which tables and fields are read, and what they are called in the lake."""

from typing import Any

import pytest

from resources.connecting import connect
from resources.connectors.base import MissingAtSource, PermanentError
from resources.connectors.odoo import BUILT_IN_TABLES, OdooConnector, OdooSource, _possible_models
from sandbox.server import Sandbox
from tests.connectors.conftest import DATABASE, Connect, read


def settings(**options: Any) -> OdooSource:
    required = {"url": "http://127.0.0.1:9", "database": "d", "username": "u", "password": "p"}
    return OdooSource.model_validate(required | options)


def test_the_registry_makes_connectors_without_network() -> None:
    connector = connect("t", "odoo_eu", settings())
    assert isinstance(connector, OdooConnector)
    assert connector.tables() == list(BUILT_IN_TABLES)


def test_a_mapping_of_tables_adds_and_a_list_replaces() -> None:
    added = connect("t", "odoo", settings(tables={"x_my_model": None, "crm_lead": {"exclude": ["name"]}}))
    assert added.tables() == [*BUILT_IN_TABLES, "x_my_model"]
    assert connect("t", "odoo", settings(tables=["crm.lead", "res_currency"])).tables() == ["crm_lead", "res_currency"]


def test_every_built_in_table_is_there(connect: Connect) -> None:
    found = set()
    for database in ("northwind", "nkretail", "podium"):
        connector = connect(database=database)
        for table in BUILT_IN_TABLES:
            try:
                schema = connector.schema(table)
            except MissingAtSource:
                continue
            assert schema.source_name == table.replace("_", ".")
            found.add(table)
    assert found == set(BUILT_IN_TABLES)


@pytest.mark.parametrize("protocol", ["jsonrpc", "json2"])
def test_stored_fields_with_their_types(connect: Connect, protocol: str) -> None:
    schema = connect(protocol).schema("crm_lead")
    columns = {column.name: column for column in schema.columns}
    assert list(columns) == sorted(columns)
    assert len(columns) == 74  # as counted on a real Odoo 17
    assert (schema.id_column, schema.modified_column) == ("id", "write_date")
    expected = {
        "id": "integer",
        "active": "boolean",
        "expected_revenue": "decimal",
        "probability": "double",
        "name": "text",
        "priority": "text",
        "description": "text",
        "date_deadline": "date",
        "write_date": "timestamp",
        "stage_id": "reference",
        "tag_ids": "references",
        "lead_properties": "json",
    }
    assert {name: columns[name].type for name in expected} == expected
    assert columns["stage_id"].relation == "crm.stage"
    assert columns["stage_id"].label == "Stage"
    assert columns["stage_id"].source_type == "many2one"
    empty_is_false = {name for name in expected if columns[name].empty_is_false}
    assert empty_is_false == set(expected) - {"id", "active", "expected_revenue", "probability"}
    assert "display_name" not in columns
    assert "stage_id" in schema.labelled


def test_fields_without_a_store_attribute_count_as_stored(connect: Connect) -> None:
    schema = connect().schema("res_users")
    assert any(column.name.startswith("in_group_") for column in schema.columns)


def test_no_binary_fields(connect: Connect) -> None:
    assert not [column for column in connect().schema("res_partner").columns if column.source_type == "binary"]


def test_include_and_exclude(connect: Connect) -> None:
    connector = connect(tables={"crm_lead": {"include": ["name", "stage_id"], "exclude": ["stage_id", "id"]}})
    schema = connector.schema("crm_lead")
    assert [column.name for column in schema.columns] == ["id", "name", "write_date"]
    assert set(read(connector, schema)[0]) == {"id", "name", "write_date"}
    excluding = connect(tables={"crm_lead": {"exclude": ["description"]}}).schema("crm_lead")
    assert len(excluding.columns) == 73


def test_a_computed_field_is_read_where_asked_for(connect: Connect) -> None:
    connector = connect(tables={"crm_stage": {"include": ["display_name"]}})
    row = read(connector, "crm_stage")[0]
    assert row["display_name"]


def test_an_unknown_included_field_names_the_close_ones(connect: Connect) -> None:
    connector = connect(tables={"crm_lead": {"include": ["expected_revenu", "zzzz"]}})
    with pytest.raises(PermanentError, match=r"expected_revenu \(did you mean expected_revenue") as caught:
        connector.schema("crm_lead")
    assert "tenants.northwind.sources.odoo.tables.crm_lead.include" in str(caught.value)
    assert "zzzz" in str(caught.value)


def test_other_models_are_found_by_their_dotted_name(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(tables=["res.currency"])
    assert connector.tables() == ["res_currency"]
    schema = connector.schema("res_currency")
    assert schema.source_name == "res.currency"
    assert [row["id"] for row in read(connector, schema)] == sandbox.ids(DATABASE, "res.currency")


def test_names_a_table_may_stand_for() -> None:
    assert _possible_models("res_currency") == ["res.currency", "res_currency"]
    assert _possible_models("x_my_model") == ["x.my.model", "x_my_model", "x_my.model"]
    assert "l10n_latam.document.type" in _possible_models("l10n_latam_document_type")
    assert _possible_models("single") == ["single"]


def test_an_unknown_model_names_what_was_tried(connect: Connect) -> None:
    with pytest.raises(MissingAtSource, match=r"no model x\.my\.model nor x_my_model") as caught:
        connect(tables=["x_my_model"]).schema("x_my_model")
    assert "tenants.northwind.sources.odoo.tables" in str(caught.value)
