"""What `lake sql` and the file for BI tools offer of gold."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from lake_assets.gold.checks import inspect_mart
from lake_assets.gold.spec import MART_FOLDER, load_marts
from lake_assets.gold.views import define_gold, gold_views
from lake_assets.silver.spec import SpecError
from resources.lake import Lake
from resources.scope import Scope
from tests.gold.shop import Shop, day, sell

TREND = """
    SELECT date, SUM(revenue) AS revenue FROM gold.fact_sales
    WHERE tenant_id = 'nkretail' AND date >= current_date - 30 GROUP BY date ORDER BY date"""
TOP_PRODUCTS = """
    SELECT p.product_name, SUM(f.quantity) AS quantity, SUM(f.revenue) AS revenue
    FROM gold.fact_sales f JOIN gold.dim_products p USING (product_id)
    WHERE f.date >= date_trunc('month', current_date) GROUP BY 1 ORDER BY revenue DESC LIMIT 20"""


@pytest.mark.parametrize("by_pattern", [False, True])
def test_a_view_without_files_exists_and_is_empty(tmp_path: Path, by_pattern: bool) -> None:
    scope = Scope(Lake(str(tmp_path)), ("nkretail",), by_pattern=by_pattern)
    with scope.lake.connection() as connection:
        define_gold(connection, scope)
        for spec in load_marts().values():
            for view in gold_views(scope, spec):
                assert connection.execute(f"SELECT count(*), count(tenant_id) FROM gold.{view}").fetchall() == [(0, 0)]
        connection.execute(TREND)
        connection.execute(TOP_PRODUCTS)


@pytest.mark.parametrize("by_pattern", [False, True])
def test_the_retail_designs_queries_run_as_written(tmp_path: Path, by_pattern: bool) -> None:
    shop = Shop(tmp_path, timezone="UTC")
    today = datetime.now(UTC)
    for product, name in ((7, "Boot"), (8, "Lace")):
        shop.odoo.put("product_template", product, name=name, list_price=1.0)
        shop.odoo.put("product_product", product, product_tmpl_id=product)
    sell(shop.odoo, 1, {11: 10.0, 12: 5.0}, at=f"{today:%Y-%m-%d %H:%M:%S}")
    sell(shop.odoo, 2, {21: 99.0}, at=f"{today - timedelta(days=40):%Y-%m-%d %H:%M:%S}")
    shop.odoo.put("pos_order_line", 12, product_id=8)
    shop.sync(day(0), "fact_sales", "dim_products")

    assert [(row["date"], float(row["revenue"])) for row in shop.rows(TREND, by_pattern)] == [(today.date(), 15.0)]
    top = [(row["product_name"], row["quantity"], float(row["revenue"])) for row in shop.rows(TOP_PRODUCTS, by_pattern)]
    assert top == [("Boot", 1.0, 10.0), ("Lace", 1.0, 5.0)]


def test_views_by_pattern_see_files_that_come_later(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    sell(shop.odoo, 1, {11: 10.0})
    shop.sync(day(0), "fact_sales")
    with duckdb.connect() as connection:
        define_gold(connection, Scope(shop.lake, shop.tenants, by_pattern=True), ["fact_sales"])
        sell(shop.odoo, 2, {21: 5.0}, at="2026-11-05 10:00:00")
        shop.sync(day(1), "fact_sales")
        assert connection.execute("SELECT count(*) FROM gold.fact_sales").fetchall() == [(2,)]


def test_the_latest_snapshot_by_pattern_is_found_when_the_view_is_read(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.odoo.put("crm_lead", 1, name="Old", type="opportunity")
    shop.sync(day(0), "opportunity")
    with duckdb.connect() as connection:
        define_gold(connection, Scope(shop.lake, shop.tenants, by_pattern=True), ["opportunity"])
        shop.odoo.put("crm_lead", 1, name="New")
        shop.sync(day(1), "opportunity")
        assert connection.execute("SELECT name FROM gold.opportunity").fetchall() == [("New",)]


def test_files_of_an_earlier_spec_are_read_with_todays_columns(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    sell(shop.odoo, 1, {11: 10.0})
    shop.sync(day(0), "fact_sales")
    (path,) = shop.files("fact_sales")
    url = shop.lake.storage.url(path)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE old AS SELECT * EXCLUDE (cashier) FROM '{url}'")
        connection.execute("ALTER TABLE old ALTER quantity TYPE VARCHAR")
        connection.execute(f"COPY old TO '{url}' (FORMAT parquet)")

    assert shop.rows("SELECT quantity + 1 AS more, cashier FROM gold.fact_sales") == [{"more": 2.0, "cashier": None}]


def test_the_checks_find_keys_that_stand_twice_or_are_missing(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    sell(shop.odoo, 1, {11: 10.0, 12: 11.0})
    shop.sync(day(0), "fact_sales")
    spec = load_marts()["fact_sales"]
    made = shop.make("fact_sales", force=[day(0)])
    assert inspect_mart(shop.lake, spec, "nkretail", made.dates).duplicates == 0

    (path,) = shop.files("fact_sales")
    url = shop.lake.storage.url(path)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE bad AS FROM '{url}' UNION ALL FROM '{url}' WHERE line_id = '11'")
        connection.execute("UPDATE bad SET line_id = NULL WHERE line_id = '12'")
        connection.execute(f"COPY bad TO '{url}' (FORMAT parquet)")
    findings = inspect_mart(shop.lake, spec, "nkretail", made.dates)
    assert (findings.duplicates, findings.missing_keys) == (1, 1)


def test_every_marts_columns_are_those_of_its_statement() -> None:
    for spec in load_marts().values():
        assert spec.sql == (MART_FOLDER / f"{spec.mart}.sql").read_text(encoding="utf-8")
        assert set(spec.key) <= set(spec.columns)
        assert "tenant_id" in spec.columns


def test_a_wrong_spec_says_what_is_wrong(tmp_path: Path) -> None:
    spec = "mart: broken\nkind: snapshot\ndescription: x\ninputs: [opportunities]\nkey: [id]\ncolumns: {}\n"
    (tmp_path / "broken.yaml").write_text(spec)
    with pytest.raises(SpecError, match=r"(?s)broken.yaml.*opportunities"):
        load_marts(tmp_path)
