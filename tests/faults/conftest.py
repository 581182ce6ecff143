"""What the tests of faults share: one process that runs syncs to be killed, because importing Dagster takes seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.faults.killing import Runner


@pytest.fixture(scope="session")
def _runner(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Runner]":
    from tests.faults.killing import running

    with running(tmp_path_factory.mktemp("runner") / "runner.log") as it:
        yield it


@pytest.fixture
def runner(_runner: "Runner", tmp_path: Path) -> "Runner":
    """Runs syncs in processes of their own; its log is the test's."""
    _runner.log = tmp_path / "runner.log"
    return _runner
