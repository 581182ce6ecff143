"""fact_sales: every line sold, on its business date, whatever happens to it later."""

import tempfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.gold.work import MartWork
from tests.gold.shop import PROPERTY, Shop, day, sell

SALES = "SELECT CAST(date AS VARCHAR) AS date, line_id, revenue FROM gold.fact_sales ORDER BY date, line_id"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def sales(shop: Shop) -> list[tuple[str, str, float]]:
    return [(row["date"], row["line_id"], float(row["revenue"])) for row in shop.rows(SALES)]


def test_a_line_has_what_the_order_and_the_line_say(shop: Shop) -> None:
    shop.odoo.put("res_partner", 3, name="Ada Till", complete_name="Ada Till")
    shop.odoo.put("res_users", 2, login="ada", partner_id=(3, "Ada Till"))
    sell(shop.odoo, 1, {11: 100.0}, user_id=(2, "Shop, Ada"), partner_id=(40, "Deco Addict"))
    shop.sync(day(0), "fact_sales")

    (row,) = shop.rows("FROM gold.fact_sales")

    assert row["tenant_id"] == "nkretail"
    assert row["date"] == date(2026, 11, 2)
    assert (row["order_id"], row["order_name"], row["line_id"], row["product_id"]) == ("1", "Shop/1", "11", "7")
    assert (float(row["revenue"]), float(row["revenue_with_tax"]), row["quantity"]) == (100.0, 119.0, 1.0)
    assert (row["store"], row["cashier"], row["cashier_id"], row["customer_id"]) == ("Shop", "Ada Till", "2", "40")
    assert row["is_refund"] is False
    assert row["run_id"]


def test_the_business_date_is_the_tenants_own(shop: Shop) -> None:
    sell(shop.odoo, 1, {11: 1.0}, at="2026-11-02 22:59:59")  # 23:59:59 in Berlin
    sell(shop.odoo, 2, {12: 1.0}, at="2026-11-02 23:00:00")  # midnight
    sell(shop.odoo, 3, {13: 1.0}, at="2026-07-02 22:30:00")  # half past midnight, summer time
    shop.sync(day(0), "fact_sales")

    assert [(at, line) for at, line, _ in sales(shop)] == [
        ("2026-07-03", "13"),
        ("2026-11-02", "11"),
        ("2026-11-03", "12"),
    ]


def test_a_moved_tenant_gets_all_dates_made_again(shop: Shop) -> None:
    sell(shop.odoo, 1, {11: 1.0}, at="2026-11-02 23:30:00")
    shop.sync(day(0), "fact_sales")
    shop.timezone = "UTC"
    shop.make("fact_sales")

    assert sales(shop) == [("2026-11-02", "11", 1.0)]


def test_drafts_and_cancelled_orders_are_no_sales(shop: Shop) -> None:
    for order, state in enumerate(["draft", "cancel", "paid", "done", "invoiced"], 1):
        sell(shop.odoo, order, {order * 10: 1.0}, state=state)
    shop.sync(day(0), "fact_sales")
    assert [line for _, line, _ in sales(shop)] == ["30", "40", "50"]

    shop.odoo.put("pos_order", 1, state="paid")
    shop.odoo.put("pos_order", 3, state="cancel")
    shop.sync(day(1), "fact_sales")
    assert [line for _, line, _ in sales(shop)] == ["10", "40", "50"]


def test_a_refund_is_negative_and_says_what_it_refunds(shop: Shop) -> None:
    sell(shop.odoo, 1, {11: 10.0})
    sell(shop.odoo, 2, {12: 10.0})
    shop.odoo.put(
        "pos_order_line", 12, qty=-1.0, price_subtotal=-10.0, price_subtotal_incl=-11.9, refunded_orderline_id=11
    )
    shop.sync(day(0), "fact_sales")

    columns = "line_id, is_refund, refunded_line_id, CAST(revenue AS DOUBLE) AS revenue"
    rows = shop.rows(f"SELECT {columns} FROM gold.fact_sales ORDER BY 1")
    assert rows == [
        {"line_id": "11", "is_refund": False, "refunded_line_id": None, "revenue": 10.0},
        {"line_id": "12", "is_refund": True, "refunded_line_id": "11", "revenue": -10.0},
    ]


def test_a_corrected_line_reaches_its_own_business_date_and_no_other_file_is_touched(shop: Shop) -> None:
    for order in range(1, 6):
        sell(shop.odoo, order, {order * 10: 5.0}, at=f"2026-11-0{order} 10:00:00")
    shop.sync(day(5), "fact_sales")
    before = shop.files("fact_sales")

    shop.odoo.put("pos_order_line", 20, price_subtotal=4.0)
    shop.capture(day(6))
    outcome = shop.make("fact_sales", day(6))

    assert outcome.dates == [date(2026, 11, 2)]
    assert ("2026-11-02", "20", 4.0) in sales(shop)
    after = shop.files("fact_sales")
    assert [path for path in after if after[path] != before[path]] == [path for path in before if "day=02" in path]


def test_a_corrected_date_moves_the_rows_and_leaves_the_old_date_empty(shop: Shop) -> None:
    sell(shop.odoo, 1, {11: 1.0, 12: 2.0}, at="2026-11-02 10:00:00")
    sell(shop.odoo, 2, {21: 3.0}, at="2026-11-03 10:00:00")
    shop.sync(day(1), "fact_sales")

    shop.odoo.put("pos_order", 1, date_order="2026-11-03 11:00:00")
    shop.sync(day(2), "fact_sales")

    assert sales(shop) == [("2026-11-03", "11", 1.0), ("2026-11-03", "12", 2.0), ("2026-11-03", "21", 3.0)]
    assert [path for path in shop.files("fact_sales") if "day=02" in path] != []


def test_a_line_that_changes_its_order_leaves_the_old_one(shop: Shop) -> None:
    sell(shop.odoo, 1, {11: 1.0}, at="2026-11-02 10:00:00")
    sell(shop.odoo, 2, {21: 3.0}, at="2026-11-03 10:00:00")
    shop.sync(day(1), "fact_sales")
    shop.odoo.put("pos_order_line", 11, order_id=2)
    shop.sync(day(2), "fact_sales")

    assert sales(shop) == [("2026-11-03", "11", 1.0), ("2026-11-03", "21", 3.0)]


def test_deleted_lines_and_orders_vanish(shop: Shop) -> None:
    sell(shop.odoo, 1, {11: 1.0, 12: 2.0})
    sell(shop.odoo, 2, {21: 3.0})
    sell(shop.odoo, 3, {31: 4.0})
    shop.sync(day(0), "fact_sales")
    shop.odoo.remove("pos_order_line", 12)
    shop.odoo.remove("pos_order", 2)
    shop.sync(day(1), "fact_sales")

    assert [line for _, line, _ in sales(shop)] == ["11", "31"]


def test_lines_that_come_before_their_order_wait_for_it(shop: Shop) -> None:
    sell(shop.odoo, 1, {11: 1.0})
    order = shop.odoo.records["pos_order"].pop()
    shop.sync(day(0), "fact_sales")
    assert sales(shop) == []

    shop.odoo.records["pos_order"].append(order)
    shop.sync(day(1), "fact_sales")
    assert sales(shop) == [("2026-11-02", "11", 1.0)]


def test_an_order_whose_new_version_is_rejected_is_no_sale_until_it_is_corrected(shop: Shop) -> None:
    sell(shop.odoo, 1, {11: 1.0})
    sell(shop.odoo, 2, {21: 1.0})
    shop.sync(day(0), "fact_sales")
    shop.odoo.put("pos_order", 1, name=None)
    shop.sync(day(1), "fact_sales")
    assert [line for _, line, _ in sales(shop)] == ["21"]

    shop.odoo.put("pos_order", 1, name="Shop/1")
    shop.sync(day(2), "fact_sales")
    assert [line for _, line, _ in sales(shop)] == ["11", "21"]


def test_a_renamed_cashier_shows_on_sales_that_were_not_read_again(shop: Shop) -> None:
    shop.odoo.put("res_partner", 3, name="Ada Till", complete_name="Ada Till")
    shop.odoo.put("res_partner", 4, name="Bob Till", complete_name="Bob Till")
    for user, partner in ((2, 3), (5, 4)):
        shop.odoo.put("res_users", user, login=f"user{user}", partner_id=partner)
    sell(shop.odoo, 1, {11: 1.0}, at="2026-11-02 10:00:00", user_id=2)
    sell(shop.odoo, 2, {21: 1.0}, at="2026-11-03 10:00:00", user_id=5)
    shop.sync(day(1), "fact_sales")

    shop.odoo.put("res_partner", 3, name="Ada Byron", complete_name="Ada Byron")
    shop.capture(day(2))
    outcome = shop.make("fact_sales", day(2))

    assert outcome.dates == [date(2026, 11, 2)]
    cashiers = shop.rows("SELECT line_id, cashier FROM gold.fact_sales ORDER BY 1")
    assert cashiers == [{"line_id": "11", "cashier": "Ada Byron"}, {"line_id": "21", "cashier": "Bob Till"}]


def test_nothing_new_makes_nothing(shop: Shop) -> None:
    sell(shop.odoo, 1, {11: 1.0})
    shop.sync(day(0), "fact_sales")
    before = shop.files("fact_sales")
    shop.capture(day(1))

    assert shop.make("fact_sales", day(1)).status == "unchanged"
    assert shop.files("fact_sales") == before


def test_a_lost_state_and_a_crash_before_the_state_is_saved_end_in_the_same_rows(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(shop.odoo, 1, {11: 1.0}, at="2026-11-02 10:00:00")
    sell(shop.odoo, 2, {21: 3.0}, at="2026-11-03 10:00:00")
    shop.sync(day(1), "fact_sales")
    shop.odoo.put("pos_order", 1, date_order="2026-11-05 10:00:00")
    shop.capture(day(2))
    with monkeypatch.context() as patch:
        patch.setattr(MartWork, "save_state", lambda work: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shop.make("fact_sales", day(2))
    shop.make("fact_sales", day(2))
    expected = shop.content("fact_sales")
    assert [line for _, line, _ in sales(shop)] == ["21", "11"]

    shop.forget("fact_sales")
    shop.make("fact_sales", day(2))
    assert shop.content("fact_sales") == expected


def test_a_crash_between_two_dates_heals(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sell(shop.odoo, 1, {11: 1.0}, at="2026-11-02 10:00:00")
    sell(shop.odoo, 2, {21: 3.0}, at="2026-11-02 10:00:00")
    shop.sync(day(1), "fact_sales")
    shop.odoo.put("pos_order", 1, date_order="2026-11-01 10:00:00")
    shop.capture(day(2))

    write = MartWork.write

    def crash_on_the_second(work: MartWork, *args: object) -> None:
        if work.outcome.changed:
            raise KeyboardInterrupt
        write(work, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(MartWork, "write", crash_on_the_second)
        with pytest.raises(KeyboardInterrupt):
            shop.make("fact_sales", day(2))
    assert len(sales(shop)) == 3  # the line stands on its old date too

    shop.make("fact_sales", day(2))
    assert sales(shop) == [("2026-11-01", "11", 1.0), ("2026-11-02", "21", 3.0)]


def test_a_tenant_without_tills_has_no_fact(shop: Shop) -> None:
    shop.odoo.put("product_category", 1, name="All", complete_name="All")
    shop.sync(day(0), "fact_sales")

    assert shop.files("fact_sales") == {}
    assert shop.rows("FROM gold.fact_sales") == []


change = st.one_of(
    st.tuples(st.just("order"), st.integers(1, 4), st.integers(1, 3), st.sampled_from(["paid", "draft", "done"])),
    st.tuples(st.just("line"), st.integers(1, 8), st.integers(1, 4), st.integers(-3, 9)),
    st.tuples(st.just("drop order"), st.integers(1, 4)),
    st.tuples(st.just("drop line"), st.integers(1, 8)),
    st.tuples(st.just("spoil"), st.integers(1, 4)),
)


SYNCS = st.lists(st.tuples(st.integers(0, 3), st.lists(change, min_size=1, max_size=6)), min_size=2, max_size=5)


@settings(PROPERTY, max_examples=6)
@given(SYNCS)
def test_what_is_kept_up_to_date_equals_what_is_made_from_scratch(days: list[tuple[int, list[tuple]]]) -> None:
    check_fact(days)


@pytest.mark.torture
@settings(PROPERTY, max_examples=100)
@given(SYNCS)
def test_what_is_kept_up_to_date_equals_what_is_made_from_scratch_in_many_ways(
    days: list[tuple[int, list[tuple]]],
) -> None:
    check_fact(days)


def check_fact(days: list[tuple[int, list[tuple]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        shop.odoo.records |= {"pos_order": [], "pos_order_line": []}
        sell(shop.odoo, 1, {1: 1.0})
        for number, changes in days:
            for kind, key, *values in changes:
                if kind == "order":
                    sell(shop.odoo, key, {}, at=f"2026-11-0{values[0]} 12:00:00", state=values[1])
                elif kind == "line":
                    order, price = values
                    shop.odoo.put(
                        "pos_order_line", key, order_id=order, product_id=7, qty=1.0, price_subtotal=float(price)
                    )
                elif kind == "spoil":
                    shop.odoo.put("pos_order", key, state="paid", date_order=None)
                else:
                    shop.odoo.remove("pos_order" if kind == "drop order" else "pos_order_line", key)
            shop.sync(day(number), "fact_sales")
        kept = shop.content("fact_sales")
        shop.forget("fact_sales", files=True)
        shop.make("fact_sales")
        assert kept == shop.content("fact_sales")
