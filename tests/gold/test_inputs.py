"""What a mart is made from: which days moved, which instance came first, and silver files of an earlier spec."""

import json
from pathlib import Path

import duckdb
import pytest

from lake_assets.gold.inputs import first_source, fresh_files, input_versions, version_as_of
from lake_assets.gold.spec import load_marts
from resources import layout
from tests.gold.shop import Shop, day


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.odoo.put("crm_stage", 1, name="New")
    shop.odoo.put("crm_lead", 1, name="Deal", type="opportunity", stage_id=1)
    return shop


def versions(shop: Shop) -> dict:
    spec = load_marts()["opportunity"]
    return input_versions(shop.lake, "nkretail", spec.inputs, spec.words)


def test_versions_move_with_what_the_statement_reads_and_with_nothing_else(shop: Shop) -> None:
    shop.capture(day(0))
    first = versions(shop)
    shop.odoo.put("product_category", 1, name="All", complete_name="All")
    shop.capture(day(1))
    assert versions(shop) == first

    shop.odoo.put("crm_stage", 1, name="Fresh")
    shop.capture(day(2))
    assert versions(shop).keys() == {day(0), day(2)}
    assert version_as_of(versions(shop), day(1)) == version_as_of(first, day(0))


def test_days_before_the_first_record_belong_to_its_day(shop: Shop) -> None:
    deals = shop.odoo.records.pop("crm_lead")
    shop.capture(day(0))
    assert versions(shop) == {}

    shop.odoo.records["crm_lead"] = deals
    shop.capture(day(3))
    assert versions(shop).keys() == {day(3)}


def test_fresh_files_are_those_that_came_and_those_of_a_changed_spec() -> None:
    known = {"2026-11-02": {"files": ["a"], "spec": "1"}, "2026-11-03": {"files": ["b"], "spec": "1"}}
    now = {"2026-11-02": {"files": ["a", "c"], "spec": "1"}, "2026-11-03": {"files": ["b"], "spec": "2"}}
    assert fresh_files(now, known) == ["c", "b"]
    assert fresh_files(known, known) == []


def test_the_first_source_stays_the_first(shop: Shop) -> None:
    assert first_source(shop.lake, "nkretail") == "odoo"
    shop.capture(day(1))
    shop.instance("nkretail", "another").put("crm_stage", 1, name="New")
    shop.capture(day(1))
    assert first_source(shop.lake, "nkretail") == "odoo"


@pytest.mark.parametrize("state_is_lost", [False, True])
def test_silver_files_of_an_earlier_spec_are_read_with_todays_columns(shop: Shop, state_is_lost: bool) -> None:
    shop.capture(day(0))
    lake = shop.lake
    url = lake.storage.url(layout.silver_day("nkretail", "opportunity", day(0)))
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE old AS SELECT * EXCLUDE (city) FROM '{url}'")
        connection.execute("ALTER TABLE old ALTER value TYPE VARCHAR")
        connection.execute(f"COPY old TO '{url}' (FORMAT parquet)")
    path = layout.asset_state("silver", "nkretail", "opportunity")
    state = json.loads(Path(lake.storage.url(path)).read_text())
    state[day(0).isoformat()]["spec"] = "an earlier one"
    lake.storage.write_json(path, {day(5).isoformat(): {"files": [], "spec": "x"}} if state_is_lost else state)
    shop.make("opportunity", force=[day(5)])

    assert shop.rows("SELECT name, city, value + 1 AS more FROM gold.opportunity")[0]["name"] == "Deal"
