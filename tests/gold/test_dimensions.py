"""Products, categories and brands as they are and as they were."""

import tempfile
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.gold.make import MartRequest
from lake_assets.gold.spec import load_marts
from lake_assets.gold.work import MartWork
from tests.gold.shop import PROPERTY, Odoo, Shop, day


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.odoo.put("product_category", 1, name="All", complete_name="All")
    shop.odoo.put("product_category", 2, name="Shoes", complete_name="All / Shoes", parent_id=1)
    return shop


def add_product(odoo: Odoo, number: int, name: str, **template: object) -> None:
    odoo.put("product_template", number, name=name, list_price=9.5, **{"categ_id": (2, "All / Shoes"), **template})
    odoo.put("product_product", number, product_tmpl_id=(number, name), default_code=f"P{number}")


def test_a_product_shows_what_its_template_category_and_brand_say(shop: Shop) -> None:
    add_product(shop.odoo, 7, "Boot", product_brand_id=(3, "Grip"))
    shop.sync(day(0), "dim_products")

    (row,) = shop.rows("FROM gold.dim_products")
    assert (row["tenant_id"], row["product_id"], row["product_name"], row["product_code"]) == (
        "nkretail",
        "7",
        "Boot",
        "P7",
    )
    assert (row["product_category"], row["category_id"]) == ("All / Shoes", "2")
    assert (row["brand"], row["brand_id"]) == ("Grip", "3")
    assert (float(row["list_price"]), row["active"]) == (9.5, True)


def test_products_without_a_brand_are_unbranded(shop: Shop) -> None:
    add_product(shop.odoo, 7, "Boot", product_brand_id=(3, "Grip"))
    add_product(shop.odoo, 8, "Lace")
    shop.sync(day(0), "dim_products", "dim_brands")

    assert shop.rows("SELECT product_id, brand FROM gold.dim_products ORDER BY 1") == [
        {"product_id": "7", "brand": "Grip"},
        {"product_id": "8", "brand": "unbranded"},
    ]
    assert shop.rows("SELECT brand_id, brand, product_count FROM gold.dim_brands ORDER BY 1") == [
        {"brand_id": "3", "brand": "Grip", "product_count": 1},
        {"brand_id": "unbranded", "brand": "unbranded", "product_count": 1},
    ]


def test_a_server_without_brands_has_the_brand_unbranded(shop: Shop) -> None:
    add_product(shop.odoo, 7, "Boot")
    del shop.odoo.types["product_template"]["product_brand_id"]
    for record in shop.odoo.records["product_template"]:
        del record["product_brand_id"]
    shop.sync(day(0), "dim_products", "dim_brands")

    assert [row["brand"] for row in shop.rows("FROM gold.dim_products")] == ["unbranded"]
    assert [row["brand_id"] for row in shop.rows("FROM gold.dim_brands")] == ["unbranded"]


def test_a_renamed_category_shows_in_every_path_below_it(shop: Shop) -> None:
    shop.odoo.put("product_category", 3, name="Boots", complete_name="All / Shoes / Boots", parent_id=2)
    add_product(shop.odoo, 7, "Boot", categ_id=(3, "All / Shoes / Boots"))
    shop.sync(day(0), "dim_categories", "dim_products")
    shop.odoo.put("product_category", 2, name="Footwear", complete_name="All / Footwear")
    shop.sync(day(1), "dim_categories", "dim_products")

    rows = shop.rows(
        "SELECT category_id, category, category_path, parent, level, root FROM gold.dim_categories ORDER BY 1"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("1", "All", "All", None, 0, "All"),
        ("2", "Footwear", "All / Footwear", "All", 1, "All"),
        ("3", "Boots", "All / Footwear / Boots", "Footwear", 2, "All"),
    ]
    assert [row["product_category"] for row in shop.rows("FROM gold.dim_products")] == ["All / Footwear / Boots"]


def test_categories_in_a_circle_are_not_lost(shop: Shop) -> None:
    shop.odoo.put("product_category", 1, parent_id=2)
    shop.sync(day(0), "dim_categories")

    assert [row["category"] for row in shop.rows("FROM gold.dim_categories ORDER BY category_id")] == ["All", "Shoes"]


def test_the_history_says_from_when_to_when(shop: Shop) -> None:
    add_product(shop.odoo, 7, "Boot")
    add_product(shop.odoo, 8, "Lace")
    shop.sync(day(0), "dim_products")
    shop.odoo.put("product_template", 7, list_price=12.0)
    shop.sync(day(2), "dim_products")
    shop.odoo.remove("product_product", 8)
    shop.sync(day(5), "dim_products")

    rows = shop.rows(
        "SELECT product_id, CAST(list_price AS DOUBLE) AS price, valid_from, valid_to, is_current FROM gold.dim_products_history"
        " ORDER BY product_id, valid_from"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("7", 9.5, day(0), day(2), False),
        ("7", 12.0, day(2), None, True),
        ("8", 9.5, day(0), day(5), False),
    ]
    assert [row["product_id"] for row in shop.rows("FROM gold.dim_products")] == ["7"]


def test_several_syncs_of_one_day_leave_one_version(shop: Shop) -> None:
    add_product(shop.odoo, 7, "Boot")
    shop.sync(day(0), "dim_products")
    for price in (10.0, 11.0, 12.0):
        shop.odoo.put("product_template", 7, list_price=price)
        shop.sync(day(1), "dim_products")

    rows = shop.rows("SELECT CAST(list_price AS DOUBLE) AS price, valid_from FROM gold.dim_products_history ORDER BY 2")
    assert [tuple(row.values()) for row in rows] == [(9.5, day(0)), (12.0, day(1))]


def test_only_days_that_moved_are_looked_at_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    add_product(shop.odoo, 7, "Boot")
    for number in range(4):
        shop.odoo.put("product_template", 7, list_price=float(number))
        shop.sync(day(number), "dim_products")
    looked_at: list[date | None] = []
    connection = MartWork.connection
    monkeypatch.setattr(
        MartWork, "connection", lambda work, as_of=None: looked_at.append(as_of) or connection(work, as_of)
    )

    shop.odoo.put("product_template", 7, list_price=20.0)
    shop.sync(day(5), "dim_products")
    assert looked_at == [None]

    looked_at.clear()
    shop.odoo.put("product_template", 7, list_price=30.0)
    shop.sync(day(2), "dim_products")  # a past day, whose later days move with it
    assert looked_at == [None, day(2), day(3)]

    looked_at.clear()
    shop.sync(day(6), "dim_products")
    assert looked_at == []


def test_a_lost_state_makes_equal_rows_again(shop: Shop) -> None:
    for number in range(3):
        add_product(shop.odoo, number + 7, "Boot")
        shop.odoo.put("product_template", 7, list_price=float(number))
        shop.sync(day(number), "dim_products", "dim_brands")
    marts = ("dim_products", "dim_products_history", "dim_brands", "dim_brands_history")
    expected = [shop.content(mart) for mart in marts]
    for mart in ("dim_products", "dim_brands"):
        shop.forget(mart, files=mart == "dim_brands")
        shop.make(mart)

    assert [shop.content(mart) for mart in marts] == expected


def test_equal_ids_of_two_instances_stay_apart_and_join_their_own_sales(shop: Shop) -> None:
    add_product(shop.odoo, 7, "Boot")
    shop.odoo.put("pos_order", 1, name="Shop/1", state="paid", date_order="2026-11-02 10:00:00")
    shop.odoo.put("pos_order_line", 1, order_id=1, product_id=7, qty=1.0, price_subtotal=10.0)
    shop.sync(day(0), "dim_products", "fact_sales")
    # Sorts before the first one and comes later: the first one's ids stay as they are.
    second = shop.instance("nkretail", "eu_odoo")
    add_product(second, 7, "Stiefel", categ_id=None)
    second.put("pos_order", 1, name="Laden/1", state="paid", date_order="2026-11-02 10:00:00")
    second.put("pos_order_line", 1, order_id=1, product_id=7, qty=1.0, price_subtotal=99.0)
    shop.sync(day(1), "dim_products", "fact_sales")

    rows = shop.rows(
        "SELECT product_id, product_name, order_id, line_id, CAST(revenue AS DOUBLE) AS revenue"
        " FROM gold.fact_sales JOIN gold.dim_products USING (product_id) ORDER BY 1"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("7", "Boot", "1", "1", 10.0),
        ("7-eu_odoo", "Stiefel", "1-eu_odoo", "1-eu_odoo", 99.0),
    ]


def test_an_instance_with_any_name_has_plain_ids_while_it_is_the_only_one(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    only = shop.instance("podium", "erp_main")
    add_product(only, 7, "Boot", categ_id=None)
    shop.sync(day(0), "dim_products")

    assert [(row["tenant_id"], row["product_id"]) for row in shop.rows("FROM gold.dim_products")] == [("podium", "7")]


step = st.tuples(
    st.integers(0, 4),
    st.lists(
        st.one_of(
            st.tuples(st.just("product"), st.integers(1, 3), st.integers(0, 3)),
            st.tuples(st.just("category"), st.integers(1, 2), st.integers(0, 2)),
            st.tuples(st.just("drop"), st.integers(1, 3), st.just(0)),
        ),
        min_size=1,
        max_size=4,
    ),
)


SYNCS = st.lists(step, min_size=2, max_size=5)


@settings(PROPERTY, max_examples=4)
@given(SYNCS)
def test_the_history_is_the_state_of_every_day(steps: list[tuple[int, list[tuple[str, int, int]]]]) -> None:
    check_history(steps)


@pytest.mark.torture
@settings(PROPERTY, max_examples=100)
@given(SYNCS)
def test_the_history_is_the_state_of_every_day_in_many_ways(
    steps: list[tuple[int, list[tuple[str, int, int]]]],
) -> None:
    check_history(steps)


def check_history(steps: list[tuple[int, list[tuple[str, int, int]]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        shop.odoo.put("product_category", 1, name="All", complete_name="All")
        shop.odoo.put("product_category", 2, name="Shoes", complete_name="All / Shoes", parent_id=1)
        add_product(shop.odoo, 1, "Boot")
        for number, changes in steps:
            for kind, key, value in changes:
                if kind == "product":
                    add_product(shop.odoo, key, f"Boot {value}", categ_id=1 + value % 2, product_brand_id=value or None)
                elif kind == "category":
                    shop.odoo.put("product_category", key, name=f"Category {value}", complete_name="old")
                else:
                    shop.odoo.remove("product_product", key)
            shop.sync(day(number), "dim_products", "dim_brands")
        for mart in ("dim_products", "dim_brands"):
            spec = load_marts()[mart]
            work = MartWork(shop.lake, spec, MartRequest("nkretail", day(4), "check"))
            columns = ", ".join(spec.columns)
            for number in range(min(number for number, _ in steps), 6):
                with work.connection(day(number)) as connection:
                    state = connection.sql(work.select(spec.sql)).to_arrow_table().to_pylist()
                valid = f"valid_from <= DATE '{day(number)}' AND (valid_to IS NULL OR valid_to > DATE '{day(number)}')"
                held = shop.rows(f"SELECT {columns} FROM gold.{mart}_history WHERE {valid}")
                assert Counter(map(repr, held)) == Counter(map(repr, state)), (mart, number)
            current = shop.rows(f"SELECT {columns} FROM gold.{mart}_history WHERE is_current")
            assert Counter(map(repr, current)) == Counter(map(repr, shop.rows(f"SELECT {columns} FROM gold.{mart}")))
            overlaps = f"""
                SELECT 1 FROM gold.{mart}_history AS a JOIN gold.{mart}_history AS b USING ({spec.key[0]})
                WHERE a.valid_from < b.valid_from AND coalesce(a.valid_to, DATE '9999-01-01') > b.valid_from"""
            assert shop.rows(overlaps) == []
