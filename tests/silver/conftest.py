"""Fixtures of silver's tests."""

from pathlib import Path

import pytest

from tests.silver.support import TestLake


@pytest.fixture
def lake(tmp_path: Path) -> TestLake:
    """An empty lake on disk."""
    return TestLake(tmp_path / "lake")
