"""The path contract (DESIGN section 4), to the letter."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_config.settings import SLUG, SOURCE_NAME
from resources import layout

DAY = date(2026, 3, 9)

slugs = st.from_regex(SLUG, fullmatch=True)
names = st.from_regex(SOURCE_NAME, fullmatch=True)
days = st.dates(date(1970, 1, 1), date(2999, 12, 31))


def test_paths_are_those_of_the_contract() -> None:
    bronze = "bronze/tenant_id=t/source=odoo/entity=crm_lead/year=2026/month=03/day=09/run_id=r/part-00000.parquet"
    assert layout.bronze_unit("t", "odoo", "crm_lead", DAY, "r") == bronze
    assert layout.quarantine_of(bronze, 0) == bronze.replace("bronze/", "quarantine/", 1)
    assert (
        layout.silver_day("t", "opportunity", DAY)
        == "silver/tenant_id=t/entity=opportunity/year=2026/month=03/2026-03-09.parquet"
    )
    assert (
        layout.gold_snapshot("t", "pipeline_mart", DAY)
        == "gold/tenant_id=t/mart=pipeline_mart/date=2026-03-09/part-00000.parquet"
    )
    fact = "gold/tenant_id=t/mart=fact_sales/year=2026/month=03/day=09/part-00000.parquet"
    assert layout.gold_fact("t", "fact_sales", DAY) == fact
    assert layout.gold_dimension("t", "dim_products") == "gold/tenant_id=t/mart=dim_products/part-00000.parquet"


@given(slugs, names, names, days)
def test_every_path_with_a_day_gives_it_back(tenant: str, source: str, entity: str, day: date) -> None:
    bronze = layout.bronze_unit(tenant, source, entity, day, "run-1", 3)
    for path in (
        bronze,
        layout.quarantine_of(bronze, 1),
        layout.silver_day(tenant, entity, day),
        layout.gold_snapshot(tenant, entity, day),
        layout.gold_fact(tenant, entity, day),
    ):
        assert layout.day_of(path) == day
        assert ".." not in path
        assert not path.startswith("/")


@given(slugs, names, names, slugs, names, names, days)
def test_two_tables_never_share_a_folder(t1: str, s1: str, e1: str, t2: str, s2: str, e2: str, day: date) -> None:
    one, two = layout.bronze_table(t1, s1, e1) + "/", layout.bronze_table(t2, s2, e2) + "/"
    if (t1, s1, e1) != (t2, s2, e2):
        assert not one.startswith(two)
        assert not two.startswith(one)


@given(slugs, names)
def test_a_path_without_a_day_says_so(tenant: str, mart: str) -> None:
    with pytest.raises(ValueError, match="no day in this path"):
        layout.day_of(layout.gold_dimension(tenant, mart))
