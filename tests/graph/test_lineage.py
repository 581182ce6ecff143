"""The kept column lineage of the marts is what their statements say."""

from lake_assets.gold.lineage import compute_lineage, load_lineage
from lake_assets.gold.spec import load_marts


def test_the_kept_lineage_is_the_statements() -> None:
    computed = {mart: compute_lineage(spec) for mart, spec in load_marts().items()}
    assert computed == load_lineage(), "write it anew with `python -m lake_assets.gold.lineage` and look at the diff"


def test_lineage_follows_a_column_through_expressions() -> None:
    assert load_lineage()["opportunity"]["weighted_value"] == [("opportunity", "probability"), ("opportunity", "value")]
