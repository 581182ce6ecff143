"""What the platform's tests share."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder in which Postgres can run.

    Not `tmp_path`: as root, Postgres runs as another user, and every start of pytest closes its own temporary folders, also
    those of a session that is under way, to all other users.
    """
    place = Path(tempfile.mkdtemp(prefix="revlake-test-"))
    yield place
    shutil.rmtree(place)


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
