"""The benchmark of Pipedrive runs and finds what the store has; what it measures is not looked at here."""

from pathlib import Path

import pytest

from bench import sources_pipedrive
from bench.harness import Bench


def test_our_sync_and_the_bare_reader_read_the_deals_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources_pipedrive, "LATENCIES_MS", (0,))
    bench = Bench(runs=1, leads=300, folder=tmp_path, say=lambda text: None)
    speed, requests = sources_pipedrive.pipedrive_beside_dlt_and_reader(bench, with_dlt=False, warm_up=False)
    assert (speed.notes["rows"], speed.notes["refused"]) == (300, 0)
    assert requests.ours == requests.theirs == 4
    assert not list(tmp_path.iterdir())
