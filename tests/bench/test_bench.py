"""The benchmarks run and find equal results; what they measure is not looked at here."""

from pathlib import Path

import pytest

from bench.bronze import sync_beside_loop_and_dlt
from bench.harness import Bench, Comparison, run_worker
from bench.layers import layers_beside_statements


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(runs=1, leads=500, folder=tmp_path, say=lambda text: None)


def test_our_sync_and_the_bare_loop_read_the_same_records(bench: Bench) -> None:
    [line] = sync_beside_loop_and_dlt(bench, with_dlt=False, warm_up=False)
    assert line.notes["rows"] == 500
    assert line.ratio == pytest.approx(line.ours / (line.theirs or 0))
    assert not list(bench.folder.iterdir())


def test_silver_and_gold_equal_the_statements_by_hand(bench: Bench) -> None:
    lines = layers_beside_statements(bench, warm_up=False)
    assert [line.what.split(" / ")[0] for line in lines] == [
        "silver opportunity",
        "gold opportunity",
        "gold pipeline_mart",
    ]
    assert all(line.runs["ours"] and line.runs["statement"] for line in lines)


def test_a_target_is_met_missed_or_not_set() -> None:
    assert Comparison("a", "", "s", 1, 1, ratio=1.0, target=1.25).met is True
    assert Comparison("a", "", "s", 2, 1, ratio=2.0, target=1.25).met is False
    assert Comparison("g", "", "s", 2).met is None


def test_a_worker_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        run_worker("bench.baselines.bare_loop", "/nowhere/asked.json")
