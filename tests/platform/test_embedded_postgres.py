"""The embedded Postgres: started, joined, stopped, killed. Real servers on temporary folders."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from resources.embedded_postgres import EmbeddedPostgres, PostgresError

USER_OF_SERVER = """
import sys, time
from pathlib import Path
from resources.embedded_postgres import EmbeddedPostgres

with EmbeddedPostgres(Path(sys.argv[1])).running() as url:
    print(url, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def place(folder: Path) -> Iterator[Path]:
    place = folder / "with space, comma and ü" / "postgres"
    yield place
    if process := _server(place):
        process.kill()


def _server(folder: Path) -> psutil.Process | None:
    pid_file = folder.resolve() / "data" / "postmaster.pid"
    if not pid_file.exists():
        return None
    try:
        return psutil.Process(int(pid_file.read_text().split()[0]))
    except psutil.NoSuchProcess:
        return None


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE  # a container may have nobody to reap it


def _start_user(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", USER_OF_SERVER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, process.stdout.readline().strip()


def _end_user(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def _remember(url: str, text: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (what text)")
        connection.execute("INSERT INTO kept VALUES (%s)", (text,))


def _remembered(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT what FROM kept ORDER BY what")]


def test_a_started_server_knows_vectors_and_keeps_its_data_over_a_restart(place: Path) -> None:
    with EmbeddedPostgres(place).running() as url:
        _remember(url, "before")
        with psycopg.connect(url) as connection:
            nearest = connection.execute(
                "SELECT name FROM (VALUES ('near', '[1,2,3]'::vector), ('far', '[9,9,9]')) AS t (name, place) "
                "ORDER BY place <-> '[1,2,4]' LIMIT 1"
            ).fetchone()
        assert nearest == ("near",)
    assert _server(place) is None
    with EmbeddedPostgres(place).running() as url:
        assert _remembered(url) == ["before"]


def test_who_comes_later_joins_and_who_leaves_last_stops(place: Path) -> None:
    first, url = _start_user(place)
    server = _server(place)
    second, joined_url = _start_user(place)
    assert (joined_url, _server(place)) == (url, server)
    _end_user(first)
    _remember(joined_url, "the second still works")
    _end_user(second)
    assert server is not None
    assert not _runs(server)


def test_ten_processes_that_come_and_go_at_once_share_one_server(place: Path) -> None:
    command = [sys.executable, "-c", USER_OF_SERVER, str(place)]
    users = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) for _ in range(10)]
    urls = {user.communicate(timeout=300)[0] for user in users}
    assert [user.returncode for user in users] == [0] * 10
    assert len(urls) == 1
    assert _server(place) is None


def test_after_its_owner_is_killed_the_server_is_joined_and_stopped_by_the_next(place: Path) -> None:
    owner, url = _start_user(place)
    _remember(url, "committed")
    owner.kill()
    owner.wait()
    server = _server(place)
    assert server is not None
    with EmbeddedPostgres(place).running() as again:
        assert _remembered(again) == ["committed"]
    assert not _runs(server)


def test_when_owner_and_server_are_killed_the_data_is_there_at_the_next_start(place: Path) -> None:
    owner, url = _start_user(place)
    _remember(url, "committed")
    server = _server(place)
    assert server is not None
    for process in (owner, server):
        process.send_signal(signal.SIGKILL)
    owner.wait()
    with EmbeddedPostgres(place).running() as again:
        assert _remembered(again) == ["committed"]


def test_a_recorded_process_id_that_now_is_another_process_does_not_prevent_the_start(place: Path) -> None:
    with EmbeddedPostgres(place).running() as url:
        _remember(url, "committed")
        recorded = (place / "data" / "postmaster.pid").read_text()
    (place / "data" / "postmaster.pid").write_text(recorded.replace(recorded.split()[0], str(os.getpid()), 1))
    with EmbeddedPostgres(place).running() as again:
        assert _remembered(again) == ["committed"]


def test_a_set_up_that_was_killed_half_way_is_begun_anew(place: Path) -> None:
    half = place / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(place).running() as url:
        _remember(url, "fresh")


def test_a_path_too_long_for_a_socket_gets_one_elsewhere(folder: Path) -> None:
    deep = folder / ("long" * 25) / "postgres"
    with EmbeddedPostgres(deep).running() as url:
        _remember(url, "reached")
    assert str(deep) not in url
    assert not Path(str(conninfo_to_dict(url)["host"])).exists()


def test_the_server_sees_none_of_our_secrets_and_listens_on_no_port(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_ODOO_PASSWORD", "s3cret")
    with EmbeddedPostgres(place).running():
        server = _server(place)
        assert server is not None
        assert "s3cret" not in str(server.environ())
        assert [c for c in server.net_connections("inet") if c.status == psutil.CONN_LISTEN] == []


def test_over_tcp_a_password_is_asked_for(place: Path, free_port: int) -> None:
    with EmbeddedPostgres(place, listen_port=free_port).running() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE ROLE guest LOGIN PASSWORD 'right'")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"postgresql://guest:wrong@127.0.0.1:{free_port}/revlake")
        psycopg.connect(f"postgresql://guest:right@127.0.0.1:{free_port}/revlake").close()


def test_data_of_another_version_is_refused_by_name(place: Path) -> None:
    (place / "data").mkdir(parents=True)
    (place / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(PostgresError, match="made by Postgres 14; this is 18"), EmbeddedPostgres(place).running():
        pass


def test_a_server_that_cannot_start_says_why_from_its_log(place: Path) -> None:
    with EmbeddedPostgres(place).running():
        pass
    with (place / "data" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    began = time.monotonic()
    with pytest.raises(PostgresError, match="no_such_setting"), EmbeddedPostgres(place).running():
        pass
    assert time.monotonic() - began < 50
