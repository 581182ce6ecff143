"""The SQL views: which there are, their columns, and that every way to them gives the same answers."""

from pathlib import Path

import duckdb
import pytest

from lake_assets.silver.spec import load_specs
from lake_config import source_types
from tests.cli.command import CommandLake
from tests.contract.test_layers import TABLES

BRONZE = "tenant_id source entity id source_id raw_data checksum change_type source_modified_at read_at ingested_at sync_batch_id"
RAW = "tenant_id _ingested_at _source_system _sync_batch_id"
SILVER = (
    "tenant_id canonical_id source_refs validation_status validation_errors quality_score change_type source_modified_at read_at "
    "bronze_file bronze_row sync_batch_id"
)
QUARANTINE = "tenant_id source entity raw_data reasons status"
OPPORTUNITY = (
    "name kind account_id account_name value probability stage_id stage owner_id owner_name created_date modified_date"
)
FACT_SALES = (
    "tenant_id date date_time order_id line_id product_id quantity price_unit discount revenue revenue_with_tax currency store "
    "cashier customer_id run_id"
)
DIM_PRODUCTS = (
    "tenant_id product_id product_name product_code product_category category_id brand list_price active run_id"
)
SERVING = "tenant_id date serving_id canonical_refs aggregation_type last_aggregated run_id"
PIPELINE = "tenant_id date stage team owner_name value weighted_value win_rate run_id"
DIMENSIONS = ["dim_products", "dim_categories", "dim_brands"]
SNAPSHOTS = ["opportunity", "account", "pipeline_mart"]

COLUMNS = {
    **{f"bronze.odoo_{table}": BRONZE for table in TABLES},
    **{f"raw.odoo_{table}": RAW for table in TABLES},
    **{f"silver.{entity}": f"{SILVER} first_seen last_updated" for entity in load_specs()},
    **{f"silver.{entity}_changes": SILVER for entity in load_specs()},
    "quarantine.records": QUARANTINE,
    "gold.fact_sales": FACT_SALES,
    "gold.dim_products": DIM_PRODUCTS,
    "gold.dim_products_history": f"{DIM_PRODUCTS} valid_from valid_to is_current",
    **{f"gold.{name}{history}": "tenant_id run_id" for name in DIMENSIONS[1:] for history in ("", "_history")},
    **{f"gold.{name}{snapshots}": SERVING for name in SNAPSHOTS[:2] for snapshots in ("", "_snapshots")},
    **{f"gold.pipeline_mart{snapshots}": PIPELINE for snapshots in ("", "_snapshots")},
}
COMPARED = [
    "bronze.odoo_crm_lead", "raw.odoo_pos_order", "raw.odoo_c_aws_accounts", "silver.opportunity", "silver.user_changes",
    "quarantine.records", "gold.fact_sales", "gold.dim_products_history", "gold.pipeline_mart", "gold.account_snapshots",
]  # fmt: skip
ENTITIES = [
    "opportunity", "account", "contact", "user", "sales_order", "sales_order_line", "invoice", "invoice_line", "product",
    "project", "pos_order", "pos_order_line",
]  # fmt: skip


def test_every_entity_of_the_contract_has_its_views() -> None:
    assert set(ENTITIES) <= set(load_specs())


@pytest.mark.parametrize("layer", ["bronze", "raw", "silver", "quarantine", "gold"])
def test_views_have_the_contracts_columns(lake: CommandLake, layer: str) -> None:
    found = lake.query(f"SELECT view_name FROM duckdb_views() WHERE schema_name = '{layer}'")
    views = {view: columns for view, columns in COLUMNS.items() if view.startswith(f"{layer}.")}
    others = tuple(f"{kind}_" for kind in source_types() if kind != "odoo")
    assert {f"{layer}.{name}" for (name,) in found if not name.startswith(others)} == views.keys()
    for view, wanted in views.items():
        columns = lake.columns(view)
        assert set(wanted.split()) <= columns.keys(), view
        assert columns["tenant_id"] == "VARCHAR", view
        if view in ("silver.opportunity", "silver.opportunity_changes", "gold.opportunity"):
            assert set(OPPORTUNITY.split()) <= columns.keys(), view
        # Times are UTC, in microseconds; money has two decimals; ids are text; nothing that only DuckDB knows.
        assert not {"HUGEINT", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_NS"} & set(columns.values()), view
        if layer in ("silver", "gold"):
            for name, kind in columns.items():
                if name.endswith("_id"):
                    assert kind == "VARCHAR", f"{view}.{name}"
                if name.startswith(("amount_", "price_", "revenue")) or name in (
                    "value",
                    "weighted_value",
                    "list_price",
                ):
                    assert kind == "DECIMAL(18,2)", f"{view}.{name}"
                if name in ("date_time", "last_updated") or name.endswith("_at"):
                    assert kind == "TIMESTAMP", f"{view}.{name}"


def test_bronze_views_have_their_columns_first_and_in_order(lake: CommandLake) -> None:
    for table in TABLES:
        assert list(lake.columns(f"bronze.odoo_{table}"))[:12] == BRONZE.split()


def test_a_tenant_that_was_never_synced_is_in_no_view(lake: CommandLake) -> None:
    for view in COLUMNS:
        assert lake.query(f"SELECT count(*) FROM {view} WHERE tenant_id = 'idle'") == [(0,)], view


def test_all_ways_to_the_views_agree(lake: CommandLake) -> None:
    """`lake sql` of all tenants, of one, and the catalog file opened by DuckDB alone, elsewhere."""

    def sums(where: str) -> str:
        sums = " UNION ALL ".join(
            f"SELECT '{view}' AS view, count(*) AS rows, CAST(bit_xor(hash(v)) AS VARCHAR) AS content FROM {view} AS v {where}"
            for view in COMPARED
        )
        return f"{sums} ORDER BY view"

    by_file = lake.records(sums(""))
    assert lake.json("sql", sums(""), "--format", "json") == by_file
    assert all(row["rows"] for row in by_file)
    of_one = lake.records(sums("WHERE tenant_id = 'podium'"))
    assert lake.json("sql", sums(""), "--tenant", "podium", "--format", "json") == of_one
    assert of_one != by_file


def test_the_catalog_file_holds_views_only_and_opens_from_anywhere(
    lake: CommandLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lake.query("SELECT count(*) FROM duckdb_tables()") == [(0,)]
    ((rows,),) = lake.query("SELECT count(*) FROM silver.opportunity")
    assert rows > 550
    with (
        duckdb.connect(str(lake.catalog), read_only=True) as first,
        duckdb.connect(str(lake.catalog), read_only=True) as second,
    ):
        assert first.execute("SELECT count(*) FROM silver.opportunity").fetchall() == [(rows,)]
        assert second.execute("SELECT count(*) FROM silver.opportunity").fetchall() == [(rows,)]


def test_the_readmes_queries_run_as_written(lake: CommandLake) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = (part.split("```")[0] for part in readme.split("```sql\n")[1:])
    trend, top = (query.replace("nkretail", "acme") for query in block.split(";") if query.strip())
    assert len(lake.query(trend)) > 20
    lake.query(top)  # finds nothing on the first of a month, before the shops open
    assert 0 < len(lake.query(top.replace("current_date", "(SELECT max(date) FROM gold.fact_sales)"))) <= 20
    (command,) = (line for line in readme.splitlines() if line.startswith(".venv/bin/lake sql "))
    assert lake.query(command.split('"')[1])
