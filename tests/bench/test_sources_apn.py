"""The benchmark of the APN database runs and compares what it captured with the store."""

from pathlib import Path

from bench.harness import Bench
from bench.sources_apn import apn_opportunities


def test_opportunities_in_bronze_equal_those_in_the_database(tmp_path: Path) -> None:
    bench = Bench(runs=1, leads=50, folder=tmp_path, say=lambda text: None)
    [line] = apn_opportunities(bench, warm_up=False)
    assert (line.notes["rows"], line.notes["rows changed"]) == (1000, 20)
    assert not list(bench.folder.iterdir())
