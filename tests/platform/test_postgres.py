"""Which Postgres a configuration means, connecting with retries, and the lock that a crash releases."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lake_config import MissingVariableError, Settings, settings_from_mapping
from resources.embedded_postgres import EmbeddedPostgres
from resources.locks import LockHeld
from resources.postgres import ConnectionFailed, advisory_lock, connect, postgres, without_password

HOLDER = """
import sys
from resources.postgres import advisory_lock

with advisory_lock(sys.argv[1], "northwind/odoo", "sync of northwind"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def _settings(folder: Path, server: str) -> Settings:
    return settings_from_mapping(
        {"lake": {"start_date": "2026-01-01", "postgres": server}, "tenants": {}}, folder / "lake.yaml"
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="revlake-test-") as folder,
        EmbeddedPostgres(Path(folder)).running() as running,
    ):
        yield running


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("resources.postgres.time.sleep", slept.append)
    return slept


def test_a_configured_url_is_taken_with_its_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_POSTGRES_URL", "postgres://lake:pw@db/lake")
    with postgres(_settings(tmp_path, "${LAKE_POSTGRES_URL}"), tmp_path) as found:
        assert found == "postgresql://lake:pw@db/lake"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_variable_is_named_with_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKE_POSTGRES_URL", raising=False)
    with (
        pytest.raises(MissingVariableError, match=r"lake\.postgres: environment variable LAKE_POSTGRES_URL is not set"),
        postgres(_settings(tmp_path, "${LAKE_POSTGRES_URL}"), tmp_path),
    ):
        pass


def test_what_is_no_url_of_postgres_is_refused_without_repeating_it(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "mysql://lake:s3cret@db/lake")
    with pytest.raises(ConnectionFailed, match="postgresql://") as caught, postgres(settings, tmp_path):
        pass
    assert "s3cret" not in str(caught.value)


def test_a_child_of_a_process_that_runs_the_server_takes_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVLAKE_DAGSTER_POSTGRES_URL", "postgresql:///parents")
    with postgres(_settings(tmp_path, "embedded"), tmp_path) as found:
        assert found == "postgresql:///parents"
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_is_tried_again_after_2_4_and_8_seconds(free_port: int, waits: list[float]) -> None:
    with pytest.raises(ConnectionFailed, match="Connection refused") as caught:
        connect(f"postgresql://lake:s3cret@127.0.0.1:{free_port}/lake")
    assert waits == [2, 4, 8]
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://lake:s3 cret@127.0.0.1/lake",
        "postgresql://lake:s3%zzcret@127.0.0.1/lake",
        "postgresql://lake:s3cret@127.0.0.1:notaport/lake",
        "postgresql://127.0.0.1/lake?user=lake&password=s3cret&s3cret=1",
    ],
)
def test_a_malformed_url_fails_at_once_and_shows_no_password(wrong: str, waits: list[float]) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        connect(wrong)
    assert waits == []
    assert "cret" not in str(caught.value)


def test_a_missing_database_fails_at_once(url: str, waits: list[float]) -> None:
    with pytest.raises(ConnectionFailed, match='database "elsewhere" does not exist'):
        connect(url.replace("/revlake?", "/elsewhere?"))
    assert waits == []


def test_passwords_are_hidden_as_written_and_decoded() -> None:
    url = "postgresql://lake:p%40ss@db/lake"
    assert without_password("tried p%40ss, that is p@ss", url) == "tried ***, that is ***"


def test_a_lock_is_refused_with_the_holders_name_and_free_after_its_death(url: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(LockHeld, match=rf"second sync: already being done by revlake .* process {holder.pid} since 20"),
        advisory_lock(url, "northwind/odoo", "second sync"),
    ):
        pass
    with advisory_lock(url, "nkretail/odoo", "another tenant's sync"):
        pass
    holder.kill()
    holder.communicate()
    with advisory_lock(url, "northwind/odoo", "third sync", wait_seconds=10):
        pass


def test_a_lock_is_waited_for(url: str) -> None:
    order: list[str] = []
    taken = threading.Event()

    def first() -> None:
        with advisory_lock(url, "waited/for", "first"):
            taken.set()
            threading.Event().wait(0.3)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    taken.wait(10)
    with advisory_lock(url, "waited/for", "second", wait_seconds=10):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_lost_with_its_connection_is_an_error(url: str) -> None:
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^revlake .* process'"
    with (
        pytest.raises(ConnectionFailed, match="the connection that held the lock was lost"),
        advisory_lock(url, "cut", "sync"),
        psycopg.connect(url) as admin,
    ):
        admin.execute(ends)


def test_what_fails_under_a_lock_is_what_is_reported(url: str) -> None:
    with pytest.raises(ZeroDivisionError), advisory_lock(url, "fails", "sync"):
        raise ZeroDivisionError
    with advisory_lock(url, "fails", "again"):
        pass
