"""opportunity, account and pipeline_mart: the state of every day on which something moved."""

import itertools
import tempfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources import layout
from tests.gold.shop import PROPERTY, Odoo, Row, Shop, day


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    add_stages(shop.odoo)
    return shop


def add_stages(odoo: Odoo) -> None:
    for stage, (name, is_won) in enumerate([("New", False), ("Qualified", False), ("Won", True)], 1):
        odoo.put("crm_stage", stage, name=name, is_won=is_won)


def add_deal(odoo: Odoo, deal: int, **fields: object) -> None:
    defaults = {
        "name": f"Deal {deal}",
        "type": "opportunity",
        "expected_revenue": 100.0,
        "probability": 10.0,
        "stage_id": 1,
        "team_id": 1,
        "user_id": 2,
        "create_date": "2026-10-01 08:00:00",
        "date_last_stage_update": "2026-11-01 20:00:00",
    }
    known = {record["id"] for record in odoo.records.get("crm_lead", [])}
    odoo.put("crm_lead", deal, **(fields if deal in known else {**defaults, **fields}))


def days_of(shop: Shop, mart: str) -> list[date]:
    return [row["date"] for row in shop.rows(f"SELECT DISTINCT date FROM gold.{mart}_snapshots ORDER BY 1")]


def test_a_day_has_a_snapshot_exactly_if_its_inputs_moved(shop: Shop) -> None:
    add_deal(shop.odoo, 1)
    shop.sync(day(0), "opportunity")
    shop.sync(day(1), "opportunity")
    shop.odoo.put("crm_lead", 1, name="Better deal")
    shop.sync(day(2), "opportunity")
    shop.odoo.put("crm_stage", 1, name="Fresh")
    shop.sync(day(4), "opportunity")
    shop.odoo.put("pos_order", 1, name="Shop/1")  # nothing that a deal shows
    shop.sync(day(5), "opportunity")

    assert days_of(shop, "opportunity") == [day(0), day(2), day(4)]
    rows = shop.rows("SELECT date, name, stage FROM gold.opportunity_snapshots ORDER BY date")
    assert [tuple(row.values()) for row in rows] == [
        (day(0), "Deal 1", "New"),
        (day(2), "Better deal", "New"),
        (day(4), "Better deal", "Fresh"),
    ]
    assert shop.rows("SELECT name, stage FROM gold.opportunity") == [{"name": "Better deal", "stage": "Fresh"}]


def test_a_deal_is_served_with_its_refs_and_its_status(shop: Shop) -> None:
    add_deal(shop.odoo, 1, expected_revenue=200.0, probability=25.0)
    add_deal(shop.odoo, 2, stage_id=3, probability=100.0)
    add_deal(shop.odoo, 3, active=False, probability=0.0)
    shop.sync(day(0), "opportunity")

    rows = shop.rows("FROM gold.opportunity ORDER BY source_id")
    assert [row["status"] for row in rows] == ["open", "won", "lost"]
    assert (rows[0]["serving_id"], rows[0]["canonical_refs"]) == ("nkretail:opp-1-odoo", ["opp-1-odoo"])
    assert (rows[0]["aggregation_type"], float(rows[0]["weighted_value"])) == ("current_state", 50.0)
    assert all(row["last_aggregated"] and row["run_id"] and row["sync_batch_id"] for row in rows)


def test_a_record_deleted_later_is_still_in_the_earlier_snapshot(shop: Shop) -> None:
    add_deal(shop.odoo, 1)
    add_deal(shop.odoo, 2)
    shop.sync(day(0), "opportunity")
    shop.odoo.remove("crm_lead", 1)
    shop.sync(day(3), "opportunity")

    rows = shop.rows("SELECT date, source_id FROM gold.opportunity_snapshots ORDER BY ALL")
    assert [tuple(row.values()) for row in rows] == [(day(0), "1"), (day(0), "2"), (day(3), "2")]


def test_rows_added_to_a_past_day_make_the_later_snapshots_again_and_no_earlier_one(shop: Shop) -> None:
    add_deal(shop.odoo, 1)
    for number in (0, 2, 4):
        shop.odoo.put("crm_lead", 1, name=f"Deal {number}")
        shop.sync(day(number), "opportunity")
    before = shop.files("opportunity")
    add_deal(shop.odoo, 9)
    shop.capture(day(2))
    outcome = shop.make("opportunity", day(2))

    assert outcome.dates == [day(2), day(4)]
    after = shop.files("opportunity")
    assert [path for path in before if after[path] == before[path]] == [
        path for path in before if f"date={day(0)}" in path
    ]
    rows = shop.rows("SELECT date, count(*) AS deals FROM gold.opportunity_snapshots GROUP BY date ORDER BY date")
    assert [row["deals"] for row in rows] == [1, 2, 2]


def test_a_lost_state_makes_equal_rows_again(shop: Shop) -> None:
    add_deal(shop.odoo, 1)
    shop.sync(day(0), "opportunity", "pipeline_mart")
    shop.sync(day(1), "opportunity", "pipeline_mart")
    add_deal(shop.odoo, 2)
    shop.sync(day(2), "opportunity", "pipeline_mart")
    views = ("opportunity_snapshots", "pipeline_mart_snapshots", "pipeline_mart")
    expected = [shop.content(view) for view in views]
    for mart in ("opportunity", "pipeline_mart"):
        shop.forget(mart)
        shop.make(mart, day(2))

    assert [shop.content(view) for view in views] == expected
    assert days_of(shop, "pipeline_mart") == [day(0), day(1), day(2)]


def test_a_forced_day_is_made_again_although_nothing_moved(shop: Shop) -> None:
    add_deal(shop.odoo, 1)
    shop.sync(day(0), "opportunity")
    assert shop.make("opportunity", day(0)).status == "unchanged"

    assert shop.make("opportunity", day(0), force=[day(0)]).dates == [day(0)]


def test_equal_ids_of_two_tenants_never_mix_and_each_has_its_own_latest_day(shop: Shop) -> None:
    other = shop.instance("podium", "odoo")
    other.put("crm_stage", 1, name="Lead in")
    add_deal(shop.odoo, 1, name="Ours")
    add_deal(other, 1, name="Theirs")
    shop.sync(day(0), "opportunity", "pipeline_mart")
    shop.odoo.put("crm_lead", 1, name="Ours again")
    shop.sync(day(1), "opportunity")

    expected = [("nkretail", "Ours again", "New", day(1)), ("podium", "Theirs", "Lead in", day(0))]
    for by_pattern in (False, True):
        rows = shop.rows("SELECT tenant_id, name, stage, date FROM gold.opportunity ORDER BY 1", by_pattern)
        assert [tuple(row.values()) for row in rows] == expected
    rows = shop.rows("SELECT tenant_id, stage, open_count FROM gold.pipeline_mart ORDER BY 1")
    assert [tuple(row.values()) for row in rows] == [("nkretail", "New", 1), ("podium", "Lead in", 1)]


def test_the_pipeline_says_what_came_went_and_changed_its_value(shop: Shop) -> None:
    for deal in (1, 2, 3):
        add_deal(shop.odoo, deal)
    shop.sync(day(0), "pipeline_mart")
    shop.odoo.put("crm_lead", 1, stage_id=2, expected_revenue=150.0)
    shop.odoo.put("crm_lead", 2, expected_revenue=130.0)
    shop.odoo.put("crm_lead", 3, stage_id=3, probability=100.0)
    shop.sync(day(1), "pipeline_mart")

    columns = "stage, open_count, value, entered_count, entered_value, left_count, left_value, revaluation, won_count"
    rows = shop.rows(f"SELECT date, {columns} FROM gold.pipeline_mart_snapshots ORDER BY date, stage_id")
    assert [tuple(float(v) if hasattr(v, "quantize") else v for v in row.values()) for row in rows] == [
        (day(0), "New", 3, 300.0, None, None, None, None, None, 0),
        (day(1), "New", 1, 130.0, 0, 0.0, 2, 200.0, 30.0, 0),
        (day(1), "Qualified", 1, 150.0, 1, 150.0, 0, 0.0, 0.0, 0),
        (day(1), "Won", 0, 0.0, 0, 0.0, 0, 0.0, 0.0, 1),
    ]


def test_the_pipeline_has_a_snapshot_of_every_day_asked_for_because_ages_move(shop: Shop) -> None:
    add_deal(shop.odoo, 1, date_last_stage_update="2026-11-01 20:00:00")
    shop.sync(day(0), "pipeline_mart")
    shop.sync(day(1), "pipeline_mart")
    shop.sync(day(5), "pipeline_mart")

    rows = shop.rows(
        "SELECT date, average_days_in_stage AS age, entered_count FROM gold.pipeline_mart_snapshots ORDER BY date"
    )
    assert [tuple(row.values()) for row in rows] == [(day(0), 1.0, None), (day(1), 2.0, 0), (day(5), 6.0, 0)]


def test_the_pipeline_counts_open_opportunities_and_rates_closed_ones(shop: Shop) -> None:
    add_deal(shop.odoo, 1)
    add_deal(shop.odoo, 2, type="lead")
    add_deal(shop.odoo, 3, stage_id=None, team_id=None, user_id=None)
    add_deal(shop.odoo, 4, active=False)
    add_deal(shop.odoo, 5, probability=100.0)
    add_deal(shop.odoo, 6, active=False, stage_id=2)
    shop.odoo.records["crm_stage"].clear()  # which stage means won is not known: a certain deal is won
    shop.sync(day(0), "pipeline_mart")

    columns = "stage_id, team_id, owner_id, open_count, won_count, lost_count, win_rate, owner_win_rate"
    rows = shop.rows(f"SELECT {columns} FROM gold.pipeline_mart ORDER BY 1")
    assert [tuple(row.values()) for row in rows] == [
        ("1", "1", "2", 1, 1, 1, 0.5, 0.3333),
        ("2", "1", "2", 0, 0, 1, 0.0, 0.3333),
        ("none", "none", "none", 1, 0, 0, None, None),
    ]


def test_an_account_sums_up_what_it_and_its_people_do(shop: Shop) -> None:
    odoo = shop.odoo
    odoo.put("res_partner", 10, name="Deco", complete_name="Deco", is_company=True, commercial_partner_id=10)
    odoo.put("res_partner", 11, name="Ada", complete_name="Deco, Ada", parent_id=10, commercial_partner_id=10)
    odoo.put(
        "res_partner", 12, name="Gone", complete_name="Deco, Gone", parent_id=10, commercial_partner_id=10, active=False
    )
    odoo.put("res_partner", 20, name="Quiet", complete_name="Quiet", is_company=True, commercial_partner_id=20)
    add_deal(odoo, 1, partner_id=10)
    add_deal(odoo, 2, partner_id=11, expected_revenue=50.0)
    add_deal(odoo, 3, partner_id=11, stage_id=3)
    add_deal(odoo, 4, partner_id=10, active=False)
    add_deal(odoo, 5, partner_id=10, type="lead")
    for order, state, partner, amount, rate in ((1, "sale", 11, 220.0, 1.1), (2, "draft", 10, 999.0, 1.0)):
        at = f"2026-11-0{order} 09:00:00"
        odoo.put("sale_order", order, name=f"S{order}", state=state, partner_id=partner, date_order=at)
        odoo.put("sale_order", order, amount_total=amount, currency_rate=rate)
    for number, kind, amount, left in (
        (1, "out_invoice", 200.0, 80.0),
        (2, "out_refund", -50.0, 0.0),
        (3, "in_invoice", -70.0, 0.0),
    ):
        odoo.put("account_move", number, name=f"INV{number}", state="posted", move_type=kind, invoice_date="2026-11-01")
        odoo.put("account_move", number, partner_id=11, commercial_partner_id=10)
        odoo.put("account_move", number, amount_total_signed=amount, amount_residual_signed=left)
    shop.sync(day(0), "account")

    deco, quiet = shop.rows("FROM gold.account ORDER BY name")
    figures = {name: float(value) for name, value in deco.items() if name.endswith(("_count", "_value", "_amount"))}
    assert figures == {
        "contact_count": 1, "open_deal_count": 2, "open_deal_value": 150.0, "open_deal_weighted_value": 15.0, "won_deal_count": 1,
        "won_deal_value": 100.0, "lost_deal_count": 1, "lost_deal_value": 100.0, "order_count": 1, "ordered_amount": 200.0,
        "invoice_count": 1, "invoiced_amount": 150.0, "open_amount": 80.0,
    }  # fmt: skip
    assert deco["last_invoice_date"] == date(2026, 11, 1)
    assert (deco["serving_id"], deco["canonical_refs"]) == ("nkretail:acc-10-odoo", ["acc-10-odoo"])
    assert (quiet["open_deal_count"], quiet["last_activity_at"]) == (0, None)


def test_a_person_that_becomes_a_company_is_an_account_from_that_day_on(shop: Shop) -> None:
    shop.odoo.put("res_partner", 10, name="Deco", complete_name="Deco", is_company=True, commercial_partner_id=10)
    shop.odoo.put("res_partner", 11, name="Ada", complete_name="Deco, Ada", parent_id=10, commercial_partner_id=10)
    shop.sync(day(0), "account")
    shop.odoo.put("res_partner", 11, is_company=True, commercial_partner_id=11)
    shop.sync(day(1), "account")

    rows = shop.rows("SELECT date, name, contact_count FROM gold.account_snapshots ORDER BY ALL")
    assert [tuple(row.values()) for row in rows] == [(day(0), "Deco", 1), (day(1), "Ada", 0), (day(1), "Deco", 0)]


move = st.one_of(
    st.tuples(st.just("deal"), st.integers(1, 4), st.integers(1, 3), st.sampled_from([10.0, 20.0])),
    st.tuples(st.just("lose"), st.integers(1, 4), st.booleans(), st.just(0.0)),
    st.tuples(st.just("drop"), st.integers(1, 4), st.just(0), st.just(0.0)),
    st.tuples(st.just("stage"), st.integers(1, 3), st.booleans(), st.just(0.0)),
)


SYNCS = st.lists(st.tuples(st.integers(0, 3), st.lists(move, max_size=4)), min_size=2, max_size=5)


@settings(PROPERTY, max_examples=4)
@given(SYNCS)
def test_what_entered_less_what_left_is_the_difference(days: list[tuple[int, list[tuple]]]) -> None:
    check_pipeline(days)


@pytest.mark.torture
@settings(PROPERTY, max_examples=100)
@given(SYNCS)
def test_what_entered_less_what_left_is_the_difference_in_many_ways(days: list[tuple[int, list[tuple]]]) -> None:
    check_pipeline(days)


def check_pipeline(days: list[tuple[int, list[tuple]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        add_stages(shop.odoo)
        add_deal(shop.odoo, 1)
        for number, moves in days:
            for kind, key, value, amount in moves:
                if kind == "deal":
                    add_deal(shop.odoo, key, stage_id=value, expected_revenue=amount)
                elif kind == "lose":
                    add_deal(shop.odoo, key, active=value)
                elif kind == "stage":
                    shop.odoo.put("crm_stage", key, is_won=value)
                else:
                    shop.odoo.remove("crm_lead", key)
            shop.sync(day(number), "pipeline_mart", "opportunity")
        _assert_balanced(shop)
        _assert_as_in_the_deals(shop)


def _assert_balanced(shop: Shop) -> None:
    snapshots: dict[date, dict[str, Row]] = {layout.day_of(path): {} for path in shop.files("pipeline_mart")}
    for row in shop.rows("FROM gold.pipeline_mart_snapshots"):
        snapshots[row["date"]][row["stage_id"]] = row
    days = sorted(snapshots)
    assert all(row["entered_count"] is None for when in days[:1] for row in snapshots[when].values())
    figures = ("open_count", "value", "entered_count", "entered_value", "left_count", "left_value", "revaluation")
    nothing: Row = dict.fromkeys(figures, 0)
    for before, after in itertools.pairwise(snapshots[when] for when in days):
        for stage in before.keys() | after.keys():
            was, now = before.get(stage, nothing), after.get(stage, nothing)
            assert now["open_count"] == was["open_count"] + now["entered_count"] - now["left_count"]
            assert now["value"] == was["value"] + now["entered_value"] - now["left_value"] + now["revaluation"]


def _assert_as_in_the_deals(shop: Shop) -> None:
    counted = """
        SELECT date, stage_id, count(*) FILTER (status = 'open') AS open_count,
               coalesce(sum(value) FILTER (status = 'open'), 0) AS value,
               count(*) FILTER (status = 'won') AS won_count, count(*) FILTER (status = 'lost') AS lost_count
        FROM gold.opportunity_snapshots GROUP BY ALL"""
    columns = "date, stage_id, open_count, value, won_count, lost_count"
    held = f"SELECT {columns} FROM gold.pipeline_mart_snapshots SEMI JOIN gold.opportunity_snapshots USING (date)"
    nothing = "WHERE open_count + won_count + lost_count > 0"
    assert shop.rows(f"(FROM ({held}) {nothing}) EXCEPT ALL (SELECT {columns} FROM ({counted}))") == []
    assert shop.rows(f"(SELECT {columns} FROM ({counted})) EXCEPT ALL (FROM ({held}) {nothing})") == []
