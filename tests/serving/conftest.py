"""The HTTP server over a lake of its own, with a Postgres of its own, as `lake serve` runs it."""

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import uvicorn

from resources.embedded_postgres import EmbeddedPostgres
from resources.postgres import URL_VARIABLE
from sandbox.pipedrive.login import secret
from sandbox.server import Sandbox, running
from serving.app import build
from tests.lakes import SyncedLake

SECRET = "s3cret-of-the-hook"


@dataclass
class Served:
    """A lake that takes webhooks."""

    lake: SyncedLake
    url: str
    postgres_url: str
    sandbox: Sandbox

    def queue(self) -> list[tuple[str, str, bool]]:
        """(table, id, whether a run has read it) of each queued change, in order."""
        with psycopg.connect(self.postgres_url) as connection:
            rows = connection.execute(
                "SELECT entity, source_id, processed_at IS NOT NULL FROM ops.ingest_queue ORDER BY seq"
            )
            return rows.fetchall()


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    # Not below pytest's folder, which another start of pytest closes to the user that Postgres runs as.
    with tempfile.TemporaryDirectory(prefix="revlake-test-") as folder, EmbeddedPostgres(Path(folder)).running() as url:
        yield url


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running(sources="pipedrive", records=40) as server:
        yield server


@pytest.fixture
def served(
    new_lake: Callable[..., SyncedLake],
    postgres_url: str,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Served]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS ops.ingest_queue")
    monkeypatch.setenv(URL_VARIABLE, postgres_url)
    block = {
        "url": sandbox.source_url("pipedrive", "skyfit"),
        "api_token": secret("skyfit", "api token"),
        "webhook_secret": SECRET,
        "tables": ["deals", "persons"],
    }
    quiet = {key: value for key, value in block.items() if key != "webhook_secret"} | {"type": "pipedrive"}
    second = {**block, "type": "pipedrive"}
    empty = {**second, "webhook_secret": "${HOOK_SECRET}"}
    sources = {"pipedrive": block, "quiet": quiet, "second": second, "empty": empty}
    lake = new_lake({"skyfit": sources, "gone": {}})
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(build(lake.settings, postgres_url), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended before it had started"
        time.sleep(0.01)
    yield Served(lake, f"http://127.0.0.1:{listener.getsockname()[1]}", postgres_url, sandbox)
    server.should_exit = True
    thread.join(10)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets this machine's own Dagster home."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
