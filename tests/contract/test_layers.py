"""After a first sync: what lies where, and whether each layer is the server's own rows."""

import hashlib
import json
import re
from collections import Counter
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from tests.cli.command import CommandLake
from tests.contract.server import Server, label, typed

Servers = dict[tuple[str, str], Server]

TABLES = [
    "crm_lead", "res_partner", "res_users", "crm_team", "crm_stage", "sale_order", "sale_order_line",
    "product_template", "product_product", "product_category", "account_move", "account_move_line", "project_project",
    "res_country", "res_country_state", "pos_order", "pos_order_line", "c_aws_accounts", "c_aws_funding_request",
    "c_billing_spp_bill", "c_billing_internal_cur", "c_billing_bill", "c_billing_bill_line",
]  # fmt: skip
ENTITIES = {
    "crm_lead": ["opportunity"],
    "res_partner": ["account", "contact"],
    "res_users": ["user"],
    "sale_order": ["sales_order"],
    "sale_order_line": ["sales_order_line"],
    "account_move": ["invoice"],
    "account_move_line": ["invoice_line"],
    "product_template": ["product_template"],
    "product_product": ["product"],
    "product_category": ["product_category"],
    "project_project": ["project"],
    "pos_order": ["pos_order"],
    "pos_order_line": ["pos_order_line"],
}
INSTANCES = [("acme", "odoo"), ("acme", "odoo_eu"), ("acme", "odoo_19"), ("podium", "odoo")]
LISTED = {
    ("podium", "odoo"): ["crm_lead", *(table for table in TABLES if table.startswith("c_"))],
    ("acme", "odoo_19"): ["crm_lead", "crm_stage", "res_partner", "res_users"],
}

_DAY = r"year=\d{4}/month=\d{2}/day=\d{2}"
_RUN = r"run_id=[0-9a-f-]{36}/part-00000\.parquet"
_NAME = r"[a-z][a-z0-9_]*"
PATHS = {
    "bronze": rf"bronze/tenant_id=[a-z0-9-]+/source=odoo(_eu|_19)?/entity={_NAME}/{_DAY}/{_RUN}",
    "silver": rf"silver/tenant_id=[a-z0-9-]+/entity={_NAME}/year=(\d{{4}})/month=(\d{{2}})/\1-\2-\d{{2}}\.parquet",
    "quarantine": rf"quarantine/tenant_id=[a-z0-9-]+/source=odoo(_eu|_19)?/entity={_NAME}/{_DAY}/{_RUN}",
    "gold": "gold/tenant_id=[a-z0-9-]+/("
    rf"mart=(opportunity|account|pipeline_mart)/date=\d{{4}}-\d{{2}}-\d{{2}}|mart=fact_sales/{_DAY}"
    r"|mart=dim_(products|categories|brands)(_history)?)/part-00000\.parquet",
}

BRONZE_FILE = {
    "id": "string", "source_id": "string", "raw_data": "string", "checksum": "string", "change_type": "string",
    "source_modified_at": "timestamp[us]", "read_at": "timestamp[us]", "ingested_at": "timestamp[us]", "sync_batch_id": "string",
}  # fmt: skip


def read_by(tenant: str, source: str) -> list[str]:
    return LISTED.get((tenant, source), TABLES)


@pytest.mark.parametrize("layer", PATHS)
def test_every_file_lies_where_the_contract_says(lake: CommandLake, layer: str) -> None:
    files = lake.files(layer)
    assert files
    assert [path for path in files if not re.fullmatch(PATHS[layer], path)] == []


def test_there_is_one_bronze_file_a_table_and_none_without_rows(lake: CommandLake, servers: Servers) -> None:
    made = Counter(path.split("/year=")[0] for path in lake.files("bronze"))
    expected = {
        f"bronze/tenant_id={tenant}/source={source}/entity={table}": 1
        for (tenant, source), server in servers.items()
        for table in read_by(tenant, source)
        if server.fields(table.replace("_", ".")) and server.records(table.replace("_", "."))
    }
    assert made == expected


def test_bronze_files_have_the_contracts_columns(lake: CommandLake) -> None:
    for path in lake.files("bronze"):
        schema = pq.read_schema(lake.root / path)
        assert {field.name: str(field.type) for field in schema} == BRONZE_FILE, path


@pytest.mark.parametrize(("tenant", "source"), INSTANCES)
def test_bronze_is_what_a_classic_read_gives_record_by_record(
    lake: CommandLake, servers: Servers, tenant: str, source: str
) -> None:
    server = servers[tenant, source]
    compared = 0
    for table in read_by(tenant, source):
        model = table.replace("_", ".")
        fields = server.fields(model)
        rows = lake.records(f"FROM bronze.odoo_{table} WHERE tenant_id = '{tenant}' AND source = '{source}'")
        if fields is None:
            assert rows == []
            continue
        expected = server.records(model)
        assert Counter(row["source_id"] for row in rows) == Counter(expected.keys())
        references = {name for name, kind in fields.items() if kind == "many2one"}
        for row in rows:
            record = json.loads(row["raw_data"])
            assert record == expected[row["source_id"]], f"{table} {row['source_id']}"
            assert row["checksum"] == checksum(record, references), f"{table} {row['source_id']}"
            assert row["source_modified_at"] == typed(record.get("write_date", False), "datetime")
            assert (row["entity"], row["change_type"]) == (table, "upsert")
            assert row["read_at"] <= row["ingested_at"]
            compared += 1
        assert len({row["id"] for row in rows}) == len(rows)
        assert len({row["sync_batch_id"] for row in rows}) <= 1
    assert compared > 300


def checksum(record: dict[str, Any], references: set[str]) -> str:
    """Of the record with sorted keys and without the labels of related records."""
    bare = {name: value[0] if name in references and value else value for name, value in record.items()}
    return hashlib.sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()


@pytest.mark.parametrize(("tenant", "source"), INSTANCES)
def test_raw_has_every_field_typed_and_equal_to_the_servers(
    lake: CommandLake, servers: Servers, tenant: str, source: str
) -> None:
    server = servers[tenant, source]
    for table in read_by(tenant, source):
        model = table.replace("_", ".")
        fields = server.fields(model)
        if fields is None:
            continue
        rows = lake.records(f"FROM raw.odoo_{table} WHERE tenant_id = '{tenant}' AND _source = '{source}'")
        expected = server.records(model)
        assert Counter(row["_source_id"] for row in rows) == Counter(expected.keys())
        for row in rows:
            record = expected[row["_source_id"]]
            for name, kind in fields.items():
                value = row[name]
                if kind in ("json", "properties", "properties_definition") and value is not None:
                    value = json.loads(value)
                assert value == typed(record[name], kind), f"{table}.{name} of {record['id']}"
                if kind == "many2one":
                    assert row[f"{name}__label"] == label(record[name])
            assert (row["_source_system"], type(row["_sync_batch_id"])) == ("odoo", str)
            assert row["_ingested_at"] is not None


@pytest.mark.parametrize(("tenant", "source"), INSTANCES)
def test_silver_and_quarantine_together_are_the_source(
    lake: CommandLake, servers: Servers, tenant: str, source: str
) -> None:
    where = f"WHERE tenant_id = '{tenant}' AND source = '{source}'"
    for table, entities in ENTITIES.items():
        model = table.replace("_", ".")
        known = [row[0] for entity in entities for row in lake.query(f"SELECT source_id FROM silver.{entity} {where}")]
        rejected = lake.query(
            f"SELECT source_id FROM quarantine.records {where} AND entity = '{table}' AND status = 'open'"
        )
        there = (
            servers[tenant, source].records(model)
            if table in read_by(tenant, source) and servers[tenant, source].fields(model)
            else {}
        )
        assert Counter([*known, *(row[0] for row in rejected)]) == Counter(there.keys()), table


def test_a_rejected_record_is_kept_with_its_reasons(lake: CommandLake, servers: Servers) -> None:
    where = "tenant_id = 'acme' AND source = 'odoo' AND entity = 'crm_lead' AND source_id = '7'"
    (nameless,) = lake.records(f"FROM quarantine.records WHERE {where}")
    assert json.loads(nameless["raw_data"]) == servers["acme", "odoo"].records("crm.lead")["7"]
    assert (nameless["status"], nameless["source"]) == ("open", "odoo")
    assert any("name" in reason for reason in nameless["reasons"])


def test_every_silver_row_leads_back_to_its_bronze_row(lake: CommandLake) -> None:
    for table, entities in ENTITIES.items():
        bronze = {
            (row["bronze_file"], row["bronze_row"]): (row["tenant_id"], row["source"], row["source_id"], row["read_at"])
            for row in lake.records(f"FROM bronze.odoo_{table}")
        }
        for entity in entities:
            for row in lake.records(f"FROM silver.{entity}"):
                assert bronze[row["bronze_file"], row["bronze_row"]] == (
                    row["tenant_id"],
                    row["source"],
                    row["source_id"],
                    row["read_at"],
                )
                assert (lake.root / row["bronze_file"]).is_file()


@pytest.mark.parametrize("source", ["odoo", "odoo_19"])
def test_opportunities_are_mapped_as_the_sales_intelligence_design_says(
    lake: CommandLake, servers: Servers, source: str
) -> None:
    server = servers["acme", source]
    leads, partners, stages = (server.records(model) for model in ("crm.lead", "res.partner", "crm.stage"))
    users = {user["id"]: partners[str(user["partner_id"][0])]["name"] for user in server.records("res.users").values()}
    rows = lake.records(f"FROM silver.opportunity WHERE tenant_id = 'acme' AND source = '{source}'")
    assert len(rows) > 290
    for row in rows:
        lead = leads[row["source_id"]]
        partner, stage, user = lead["partner_id"], lead["stage_id"], lead["user_id"]
        assert row["canonical_id"] == f"opp-{lead['id']}-{source}"
        assert row["source_refs"] == [{"source": source, "source_id": str(lead["id"])}]
        assert row["account_id"] == (str(partner[0]) if partner else None)
        assert row["account_name"] == (partners[str(partner[0])]["complete_name"] if partner else None)
        assert row["value"] == Decimal(repr(lead["expected_revenue"])).quantize(
            Decimal("0.01"), rounding="ROUND_HALF_UP"
        )
        assert row["stage"] == (stages[str(stage[0])]["name"] if stage else None)
        assert row["owner_id"] == (str(user[0]) if user else None)
        assert row["owner_name"] == (users[user[0]] if user else None)
        assert row["created_date"] == typed(lead["create_date"], "datetime")
        assert row["modified_date"] == row["source_modified_at"] == typed(lead["write_date"], "datetime")
        assert (row["name"], row["probability"], row["kind"]) == (lead["name"], lead["probability"], lead["type"])
        assert row["change_type"] == "upsert"
        assert row["validation_status"] == ("flagged" if row["validation_errors"] else "valid")
        assert 0 <= row["quality_score"] <= 1
        assert row["first_seen"] <= row["last_updated"]


def test_the_two_instances_of_a_tenant_do_not_mix(lake: CommandLake, servers: Servers) -> None:
    names = lake.query(
        "SELECT source, source_id, display_name, canonical_id FROM silver.account WHERE tenant_id = 'acme'"
    )
    assert {source for source, *_ in names} == {"odoo", "odoo_eu", "odoo_19"}
    for source, identity, name, canonical in names:
        assert name == servers["acme", source].records("res.partner")[identity]["complete_name"]
        assert canonical == f"acc-{identity}-{source}"


def test_fact_sales_are_the_lines_of_the_till_by_business_date(lake: CommandLake, servers: Servers) -> None:
    orders = servers["acme", "odoo_eu"].records("pos.order")
    lines = servers["acme", "odoo_eu"].records("pos.order.line")
    silver = {row[0] for row in lake.query("SELECT source_id FROM silver.pos_order_line WHERE source = 'odoo_eu'")}
    sold = {
        identity: line
        for identity, line in lines.items()
        if identity in silver
        and line["order_id"]
        and orders[str(line["order_id"][0])]["state"] in ("paid", "done", "invoiced")
    }
    rows = {row["source_id"]: row for row in lake.records("FROM gold.fact_sales")}
    assert rows.keys() == sold.keys()
    for identity, line in sold.items():
        row, order = rows[identity], orders[str(line["order_id"][0])]
        assert row["date_time"] == typed(order["date_order"], "datetime")
        assert row["revenue"] == Decimal(repr(line["price_subtotal"])).quantize(Decimal("0.01"))
        assert row["revenue_with_tax"] == Decimal(repr(line["price_subtotal_incl"])).quantize(Decimal("0.01"))
        assert (row["quantity"], row["discount"]) == (line["qty"], line["discount"])
    with duckdb.connect() as connection:
        zoned = "CAST(timezone('Europe/Berlin', timezone('UTC', ?::TIMESTAMP)) AS DATE)"
        for row in list(rows.values())[:50]:
            assert connection.execute(f"SELECT {zoned}", [row["date_time"]]).fetchall() == [(row["date"],)]
    dated = {(str(row["date"]), row["source_id"]) for row in rows.values()}
    for path in lake.files("gold/tenant_id=acme/mart=fact_sales"):
        year, month, day = re.findall(r"=(\d+)", path.split("mart=")[1])
        in_file = pq.ParquetFile(lake.root / path).read(["source_id"])["source_id"].to_pylist()
        assert {(f"{year}-{month}-{day}", identity) for identity in in_file} <= dated


def test_dim_products_are_the_variants_with_their_templates_names(lake: CommandLake, servers: Servers) -> None:
    server = servers["acme", "odoo_eu"]
    variants, templates = server.records("product.product"), server.records("product.template")
    categories = server.records("product.category")
    rows = {row["source_id"]: row for row in lake.records("FROM gold.dim_products WHERE source = 'odoo_eu'")}
    assert rows.keys() == variants.keys()
    for identity, variant in variants.items():
        row, template = rows[identity], templates[str(variant["product_tmpl_id"][0])]
        assert (row["product_name"], row["active"]) == (template["name"], variant["active"])
        assert row["product_code"] == (variant["default_code"] or None)
        assert row["product_category"] == categories[str(template["categ_id"][0])]["complete_name"]
        assert row["brand"] == (template["product_brand_id"][1] if template.get("product_brand_id") else "unbranded")
        assert row["list_price"] == Decimal(repr(template["list_price"])).quantize(Decimal("0.01"))
