"""A change at the source, from there to gold: exactly what changed moves, and all that depends on it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.server import Sandbox
from tests.lakes import SyncedLake, assert_lake_is_source, odoo_source, today


def _files(lake: SyncedLake, prefix: str) -> dict[str, int]:
    """File -> when it was last replaced."""
    import os

    return {path: os.stat(lake.lake.storage.url(path)).st_mtime_ns for path in lake.files(prefix)}


def test_one_changed_record_is_exactly_one_new_row(northwind: SyncedLake, odoo: Sandbox) -> None:
    assert northwind.sync("crm_lead", "crm_stage", "crm_team")
    before = _files(northwind, "bronze")
    changed = odoo.ids("northwind", "crm.lead")[7]
    odoo.write("northwind", "crm.lead", [changed], {"expected_revenue": 4321.5, "type": "opportunity"})
    assert northwind.sync("crm_lead", "crm_stage", "crm_team")
    added = sorted(_files(northwind, "bronze").keys() - before.keys())
    assert len(added) == 1
    with northwind.lake.connection() as connection:
        rows = connection.execute(f"SELECT source_id FROM '{northwind.lake.storage.url(added[0])}'").fetchall()
    assert rows == [(str(changed),)]
    for relation in ("silver.opportunity", "gold.opportunity"):
        [(value,)] = northwind.query(f"SELECT value FROM {relation} WHERE source_id = '{changed}'")
        assert float(value) == 4321.5
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])


def test_a_renamed_stage_shows_everywhere_without_reading_opportunities(northwind: SyncedLake, odoo: Sandbox) -> None:
    assert northwind.sync("crm_lead", "crm_stage")
    before = _files(northwind, "bronze/tenant_id=northwind/source=odoo/entity=crm_lead")
    [(stage,)] = northwind.query(
        "SELECT stage_id FROM gold.pipeline_mart GROUP BY 1 ORDER BY sum(open_count) DESC LIMIT 1"
    )
    [(count,)] = northwind.query(f"SELECT count(*) FROM silver.opportunity WHERE stage_id = '{stage}'")
    odoo.write("northwind", "crm.stage", [int(stage)], {"name": "Almost there"})
    assert northwind.sync("crm_lead", "crm_stage")
    assert _files(northwind, "bronze/tenant_id=northwind/source=odoo/entity=crm_lead") == before
    for relation in ("silver.opportunity", "gold.opportunity"):
        assert northwind.query(f"SELECT stage, count(*) FROM {relation} WHERE stage_id = '{stage}' GROUP BY ALL") == [
            ("Almost there", count)
        ]
    assert northwind.query(f"SELECT DISTINCT stage FROM gold.pipeline_mart WHERE stage_id = '{stage}'") == [
        ("Almost there",)
    ]


def test_a_renamed_partner_shows_everywhere_without_reading_opportunities(northwind: SyncedLake, odoo: Sandbox) -> None:
    tables = ("crm_lead", "res_partner")
    assert northwind.sync(*tables)
    [(account, name)] = northwind.query(
        """SELECT opportunity.account_id, account.name FROM silver.opportunity
           JOIN silver.account ON account.source_id = account_id GROUP BY ALL ORDER BY count(*) DESC, account_id LIMIT 1"""
    )
    before = _files(northwind, "bronze/tenant_id=northwind/source=odoo/entity=crm_lead")
    odoo.write("northwind", "res.partner", [int(account)], {"name": "Renamed & Sons"})
    assert northwind.sync(*tables)
    assert _files(northwind, "bronze/tenant_id=northwind/source=odoo/entity=crm_lead") == before
    for relation in ("silver.opportunity", "gold.opportunity"):
        [(shown,)] = northwind.query(f"SELECT DISTINCT account_name FROM {relation} WHERE account_id = '{account}'")
        assert "Renamed & Sons" in shown
        assert name not in shown
    assert northwind.query(f"SELECT name FROM gold.account WHERE source_id = '{account}'") == [("Renamed & Sons",)]


@pytest.fixture
def shop(start_odoo: Callable[..., Sandbox], new_lake: Callable[..., SyncedLake]) -> tuple[SyncedLake, Sandbox]:
    """A synced lake of a retailer: its tills' orders of some days."""
    sandbox = start_odoo(databases="nkretail", scale=0.02)
    lake = new_lake({"shop": {"odoo": odoo_source(sandbox, "nkretail")}}, timezone="Europe/Berlin")
    assert lake.sync(*SHOP_TABLES)
    return lake, sandbox


SHOP_TABLES = ("pos_order", "pos_order_line")
FACT = "gold/tenant_id=shop/mart=fact_sales"


def test_a_corrected_till_line_reaches_its_own_business_date_in_the_same_run(shop: tuple[SyncedLake, Sandbox]) -> None:
    lake, sandbox = shop
    dates = [row[0] for row in lake.query("SELECT DISTINCT date FROM gold.fact_sales ORDER BY 1")]
    assert len(dates) > 20
    some_day = dates[5]
    [(line, order)] = lake.query(
        f"SELECT line_id, order_id FROM gold.fact_sales WHERE date = DATE '{some_day}' ORDER BY 1 LIMIT 1"
    )
    others = lake.query(f"SELECT line_id, revenue FROM gold.fact_sales WHERE line_id <> '{line}' ORDER BY 1")
    before = _files(lake, FACT)
    sandbox.write("nkretail", "pos.order.line", [int(line)], {"price_subtotal": 77.77, "price_subtotal_incl": 92.55})
    assert lake.sync(*SHOP_TABLES)
    [(date, revenue, with_tax)] = lake.query(
        f"SELECT date, revenue, revenue_with_tax FROM gold.fact_sales WHERE line_id = '{line}'"
    )
    assert (date, float(revenue), float(with_tax)) == (some_day, 77.77, 92.55)
    assert lake.query(f"SELECT line_id, revenue FROM gold.fact_sales WHERE line_id <> '{line}' ORDER BY 1") == others
    after = _files(lake, FACT)
    replaced = {path for path in after if after[path] != before.get(path)}
    assert replaced == {f"{FACT}/year={some_day:%Y}/month={some_day:%m}/day={some_day:%d}/part-00000.parquet"}, order


def test_an_order_that_moves_to_another_day_leaves_its_old_one(shop: tuple[SyncedLake, Sandbox]) -> None:
    lake, sandbox = shop
    total = lake.query("SELECT count(*), sum(revenue) FROM gold.fact_sales")
    [(order, old)] = lake.query("SELECT order_id, date FROM gold.fact_sales ORDER BY date LIMIT 1")
    new = old + timedelta(days=3)
    sandbox.write("nkretail", "pos.order", [int(order)], {"date_order": f"{new} 11:00:00"})
    assert lake.sync(*SHOP_TABLES)
    assert lake.query(f"SELECT DISTINCT date FROM gold.fact_sales WHERE order_id = '{order}'") == [(new,)]
    assert lake.query("SELECT count(*), sum(revenue) FROM gold.fact_sales") == total


def test_a_day_may_lose_its_last_order(shop: tuple[SyncedLake, Sandbox]) -> None:
    lake, sandbox = shop
    [(day,)] = lake.query(
        "SELECT date FROM gold.fact_sales GROUP BY date ORDER BY count(DISTINCT order_id), date LIMIT 1"
    )
    orders = [
        int(row[0]) for row in lake.query(f"SELECT DISTINCT order_id FROM gold.fact_sales WHERE date = DATE '{day}'")
    ]
    lines = [int(row[0]) for row in lake.query(f"SELECT line_id FROM gold.fact_sales WHERE date = DATE '{day}'")]
    sandbox.unlink("nkretail", "pos.order.line", lines)
    sandbox.unlink("nkretail", "pos.order", orders)
    assert lake.sync(*SHOP_TABLES, sweep=True)
    assert lake.query(f"SELECT count(*) FROM gold.fact_sales WHERE date = DATE '{day}'") == [(0,)]
    # Its file stays, empty: a reader that has just listed the files must find each of them.
    assert [path for path in lake.files(FACT) if f"year={day:%Y}/month={day:%m}/day={day:%d}/" in path]
    assert_lake_is_source(lake, sandbox, "nkretail", SHOP_TABLES)


def test_a_sync_of_a_past_day_makes_the_later_snapshots_again(
    start_odoo: Callable[..., Sandbox], new_lake: Callable[..., SyncedLake]
) -> None:
    days = [today() - timedelta(days=back) for back in (2, 1, 0)]
    sandbox = start_odoo(start=f"{days[0]}T06:00:00Z")
    lake = new_lake({"northwind": {"odoo": odoo_source(sandbox)}})
    for day in days:
        sandbox.advance("now" if day == days[-1] else f"{day}T23:59:50Z", "northwind")
        sandbox.create("northwind", "crm.lead", {"name": f"new on {day}"})
        assert lake.sync("crm_lead", day=day)
    [(record, name)] = lake.query(
        f"SELECT source_id, name FROM gold.opportunity_snapshots WHERE date = DATE '{days[0]}' ORDER BY 1 LIMIT 1"
    )
    # A change that today's window no longer reaches: only a sync of its own day can find it.
    moment = datetime.combine(days[1], datetime.min.time(), UTC) + timedelta(hours=12)
    sandbox.write(
        "northwind",
        "crm.lead",
        [int(record)],
        {"name": "written yesterday", "write_date": f"{moment:%Y-%m-%d %H:%M:%S}"},
        sql=True,
    )
    assert lake.capture("crm_lead")["crm_lead"].rows_written == 0
    assert lake.sync("crm_lead", day=days[1])
    shown = dict(lake.query(f"SELECT date, name FROM gold.opportunity_snapshots WHERE source_id = '{record}'"))
    assert [shown[day] for day in days] == [name, "written yesterday", "written yesterday"]
    assert lake.query(f"SELECT name FROM silver.opportunity WHERE source_id = '{record}'") == [("written yesterday",)]
    assert_lake_is_source(lake, sandbox, "northwind", ["crm_lead"])


class _AnHourBack(datetime):
    """A machine whose clock was put back."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return super().now(tz) - timedelta(hours=1)


def test_a_clock_that_jumps_back_an_hour_brings_no_old_state_back(
    northwind: SyncedLake, odoo: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert northwind.sync("crm_lead")
    changed, gone = odoo.ids("northwind", "crm.lead")[:2]
    for module in ("resources.http", "lake_assets.bronze.capture", "lake_assets.gold.work"):
        monkeypatch.setattr(f"{module}.datetime", _AnHourBack)
    odoo.write("northwind", "crm.lead", [changed], {"name": "newer"})
    odoo.unlink("northwind", "crm.lead", [gone])
    assert northwind.sync("crm_lead", sweep=True)
    odoo.write("northwind", "crm.lead", [changed], {"name": "newest"})
    assert northwind.sync("crm_lead")
    for relation in ("silver.opportunity", "gold.opportunity"):
        assert northwind.query(
            f"SELECT source_id, name FROM {relation} WHERE source_id IN ('{changed}', '{gone}')"
        ) == [(str(changed), "newest")]
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])


def test_two_tenants_with_equal_ids_stay_apart(
    start_odoo: Callable[..., Sandbox], new_lake: Callable[..., SyncedLake]
) -> None:
    sandboxes = {"anna": start_odoo(leads=30), "bert": start_odoo(leads=40, seed=8)}
    lake = new_lake({slug: {"odoo": odoo_source(sandbox)} for slug, sandbox in sandboxes.items()})
    tables = ("crm_lead", "crm_stage")
    for slug, sandbox in sandboxes.items():
        [first] = sandbox.ids("northwind", "crm.lead")[:1]
        sandbox.write("northwind", "crm.lead", [first], {"name": f"{slug}'s deal"})
        sandbox.write("northwind", "crm.stage", [1], {"name": f"{slug}'s stage"})
        assert lake.sync(*tables, tenant=slug)
    for slug, sandbox in sandboxes.items():
        assert_lake_is_source(lake, sandbox, "northwind", tables, slug)
        other = "bert" if slug == "anna" else "anna"
        for relation in ("silver.opportunity", "gold.opportunity"):
            both = lake.query(f"SELECT tenant_id, source_id, name, stage FROM {relation}")
            mine = lake.query(f"SELECT tenant_id, source_id, name, stage FROM {relation}", slug)
            assert {row[0] for row in mine} == {slug}
            assert sorted(mine, key=str) == sorted((row for row in both if row[0] == slug), key=str)
            assert f"{other}'s" not in str(mine)
            assert f"{slug}'s stage" in str(mine)
    # One tenant's change touches nothing of the other's.
    before = _files(lake, "")
    sandboxes["anna"].write(
        "northwind", "crm.lead", [sandboxes["anna"].ids("northwind", "crm.lead")[0]], {"name": "again"}
    )
    assert lake.sync(*tables, tenant="anna")
    assert {
        path for path, at in _files(lake, "").items() if before.get(path) != at and "tenant_id=anna" not in path
    } == set()


def test_two_instances_of_one_tenant_with_equal_ids_stay_apart(
    start_odoo: Callable[..., Sandbox], new_lake: Callable[..., SyncedLake]
) -> None:
    sandboxes = {"odoo": start_odoo(leads=30), "odoo_eu": start_odoo(leads=40, seed=8)}
    lake = new_lake({"anna": {name: odoo_source(sandbox) for name, sandbox in sandboxes.items()}})
    assert lake.sync("crm_lead", "crm_stage")
    for name, sandbox in sandboxes.items():
        found = {row[0] for row in lake.query(f"SELECT source_id FROM silver.opportunity WHERE source = '{name}'")}
        rejected = {row[0] for row in lake.query(f"SELECT source_id FROM quarantine.records WHERE source = '{name}'")}
        assert found | rejected == {str(number) for number in sandbox.ids("northwind", "crm.lead")}
    assert lake.query("SELECT count(*) - count(DISTINCT canonical_id) FROM silver.opportunity") == [(0,)]
    assert lake.query("SELECT count(*) - count(DISTINCT serving_id) FROM gold.opportunity") == [(0,)]
