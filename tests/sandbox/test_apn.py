"""The stand-in APN database: a real Postgres with the proposed schema, the story in it, days, late commits and trouble."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import sandbox.apn
from sandbox.server import Sandbox, running

START = "2026-11-14"
COLUMNS = {
    "opportunity": 66, "funding_request": 57, "cash_claim": 26, "funding_request_history": 14, "end_user": 18, "users": 6,
}  # fmt: skip


def reader(server: Sandbox) -> psycopg.Connection[Any]:
    port = server.health()["sources"]["apn"]["podium"]["port"]
    return psycopg.connect(f"postgresql://reader:reader@127.0.0.1:{port}/apn", autocommit=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """20,000 opportunities, enough for a COPY to be ended in the middle."""
    with running(start=START, sources="apn", records=20_000) as started:
        yield started


@pytest.fixture
def connection(server: Sandbox) -> Iterator[psycopg.Connection[Any]]:
    with reader(server) as opened:
        yield opened


def test_the_tables_are_those_of_the_schema(connection: psycopg.Connection[Any], server: Sandbox) -> None:
    found = connection.execute(
        "SELECT table_name, count(*) FROM information_schema.columns WHERE table_schema = 'apn' GROUP BY 1"
    ).fetchall()
    assert dict(found) == COLUMNS
    counts = server.health()["sources"]["apn"]["podium"]
    assert counts["opportunity"] == 20_000
    assert counts["end_user"] == 6_000
    assert all(counts[table] for table in COLUMNS)
    ddl = (Path(sandbox.apn.__file__).parent / "apn_schema.sql").read_text()
    assert all(f"CREATE TABLE apn.{table} ( -- {amount} columns" in ddl for table, amount in COLUMNS.items())


def test_references_hold(connection: psycopg.Connection[Any]) -> None:
    references = connection.execute(
        """SELECT conrelid::regclass::text, a.attname, confrelid::regclass::text FROM pg_constraint c
           JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = conkey[1] WHERE contype = 'f'"""
    ).fetchall()
    assert len(references) == 9
    for table, column, parent in references:
        lost: Any = (
            f"SELECT count(*) FROM {table} WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT id FROM {parent})"
        )
        assert connection.execute(lost).fetchall() == [(0,)], (table, column)


def test_the_data_has_the_dirt_of_real_data(connection: psycopg.Connection[Any]) -> None:
    def one(query: str) -> Any:
        statement: Any = query
        return connection.execute(statement).fetchall()[0][0]

    ties = "SELECT count(*) FROM opportunity GROUP BY last_modified_date ORDER BY 1 DESC LIMIT 1"
    assert one(ties) == 2500  # one import touched a whole block
    assert one("SELECT count(*) FROM opportunity WHERE id > 2^53") == 1
    assert one("SELECT count(*) FROM opportunity WHERE id > 2^31 AND id < 2^53") > 100
    assert one("SELECT count(*) FROM opportunity WHERE status = 'Pending Partner Input'") > 0  # the docs lack it
    assert one("SELECT count(*) FROM opportunity WHERE apn_programs IS NULL") > 0
    assert one("SELECT count(*) FROM opportunity WHERE apn_programs = '{}'") > 0
    assert one("SELECT count(*) FROM opportunity WHERE next_step = ''") > 0
    assert one("SELECT count(*) FROM opportunity WHERE partner_project_title ~ '[^\\x01-\\xff]'") > 0
    assert one("SELECT count(*) FROM opportunity WHERE created_date > last_modified_date") == 0
    assert one("SELECT count(*) FROM opportunity WHERE last_modified_date > now()") == 0


def test_the_reader_may_only_read(connection: psycopg.Connection[Any], server: Sandbox) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE users SET full_name = ''")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM clock.ahead")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"host=127.0.0.1 port={connection.info.port} dbname=apn user=reader password=no")


def test_the_database_tells_the_sandbox_s_time(connection: psycopg.Connection[Any], server: Sandbox) -> None:
    def is_ahead_by(seconds: float) -> bool:
        before = datetime.fromisoformat(server.health()["now"])
        now = connection.execute("SELECT now()").fetchall()[0][0] - timedelta(seconds=seconds)
        slack = timedelta(seconds=0.1)
        return before - slack <= now <= datetime.fromisoformat(server.health()["now"]) + slack

    assert is_ahead_by(0)
    server._call("POST", "apn/podium/clock", {"ahead_seconds": 300})
    assert is_ahead_by(300)
    server._call("POST", "apn/podium/clock", {"ahead_seconds": 0})


def test_a_transaction_commits_late(connection: psycopg.Connection[Any], server: Sandbox) -> None:
    begun = server.health()["now"]
    statement = "UPDATE users SET full_name = 'Late', updated_at = now() WHERE id = 3 RETURNING id"
    assert server._call("POST", "apn/podium/sql", {"statement": statement, "hold_seconds": 60})["rows"] == [[3]]
    look = "SELECT full_name, updated_at FROM users WHERE id = 3"
    assert connection.execute(look).fetchall()[0][0] != "Late"
    assert server._call("POST", "apn/podium/commit", {}) == {"committed": 1}
    name, stamp = connection.execute(look).fetchall()[0]
    assert (name, stamp - datetime.fromisoformat(begun) < timedelta(seconds=30)) == ("Late", True)


def test_a_copy_is_ended_in_the_middle(connection: psycopg.Connection[Any], server: Sandbox) -> None:
    server._call("POST", "apn/podium/terminate", {"after_rows": 3000})
    seen = 0

    def read() -> None:
        nonlocal seen
        with connection.cursor().copy("COPY opportunity TO STDOUT") as copy:
            for block in copy:
                seen += bytes(block).count(b"\n")
                time.sleep(0.0001)

    with pytest.raises(psycopg.OperationalError):
        read()
    assert 0 < seen < 20_000
    assert reader(server).execute("SELECT count(*) FROM opportunity").fetchall() == [(20_000,)]


def test_a_lock_and_a_lost_right_stop_the_reader(connection: psycopg.Connection[Any], server: Sandbox) -> None:
    lock = {"statement": "LOCK TABLE apn.end_user IN ACCESS EXCLUSIVE MODE", "hold_seconds": 60}
    server._call("POST", "apn/podium/sql", lock)
    connection.execute("SET lock_timeout = '50ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        connection.execute("SELECT count(*) FROM end_user")
    connection.execute("SET lock_timeout = 0; SET statement_timeout = '50ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT count(*) FROM end_user")
    server._call("POST", "apn/podium/commit", {})
    connection.execute("SET statement_timeout = 0")
    server._call("POST", "apn/podium/sql", {"statement": "REVOKE SELECT ON end_user FROM reader"})
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT count(*) FROM end_user")
    server._call("POST", "apn/podium/sql", {"statement": "GRANT SELECT ON end_user TO reader"})
    with pytest.raises(RuntimeError, match="does not exist"):
        server._call("POST", "apn/podium/sql", {"statement": "SELECT * FROM nowhere"})


def test_rows_can_be_put_and_deleted(server: Sandbox) -> None:
    put: list[dict[str, Any]] = [{"stage": "Prospect"}, {"id": 1, "stage": "Launched"}]
    (new, one) = server.change("apn", "podium", "opportunity", put, [])
    server.change("apn", "podium", "opportunity", [], [new + 1])  # gone already: nothing to do
    rows = {row["id"]: row for row in server.records("apn", "podium", "opportunity")}
    assert rows[new]["stage"] == "Prospect"
    assert rows[one]["stage"] == "Launched"
    assert rows[one]["last_modified_date"] > rows[3]["last_modified_date"]
    assert rows[1]["expected_monthly_aws_revenue"].partition(".")[2].isdigit()  # exact, as text
    assert server.change("apn", "podium", "funding_request_history", [{"comment": "x"}], [2])
    assert {2, 3} & {row["id"] for row in server.records("apn", "podium", "funding_request_history")} == {3}
    with pytest.raises(RuntimeError, match="ForeignKeyViolation"):  # as the database would say
        server.change("apn", "podium", "users", [], [1])


def test_days_pass_the_same_in_one_step_or_in_three() -> None:
    def rows(moments: list[str]) -> Any:
        with running(start=START, sources="apn", records=120, seed=3) as server:
            changes = [server.advance(moment)["apn"]["podium"] for moment in moments]
            return changes, {table: server.records("apn", "podium", table) for table in COLUMNS}

    (all_at_once,), lived = rows(["2026-11-21"])
    steps, again = rows(["2026-11-16", "2026-11-18", "2026-11-21"])
    assert lived == again
    for entity, changes in all_at_once.items():
        created = sorted(record_id for step in steps for record_id in step.get(entity, {}).get("created", []))
        touched = {record_id for step in steps for kind in step.get(entity, {}).values() for record_id in kind}
        assert created == changes["created"], entity
        assert touched == {*changes["created"], *changes["updated"]}, entity
        known = {row["id"]: row for row in lived[entity]}
        assert touched <= known.keys()
    assert all_at_once["opportunity"]["created"]
    assert all_at_once["opportunity"]["updated"]
    moves = [row for row in lived["funding_request_history"] if row["changed_at"] > START and row["from_stage"]]
    stages = {row["id"]: row["stage"] for row in lived["funding_request"]}
    assert moves
    last_move = {row["funding_request_id"]: row["to_stage"] for row in sorted(moves, key=lambda row: row["changed_at"])}
    assert all(stages[request] == stage for request, stage in last_move.items())


def test_it_tells_which_company_and_deal_is_which() -> None:
    with running(start=START, sources="apn") as server:
        told = server.identities("podium")
        deals = {entry["number"]: entry["id"] for entry in told if entry["kind"] == "deal"}
        keys = {str(row["id"]): row["apn_opportunity_id"] for row in server.records("apn", "podium", "opportunity")}
        assert {number: keys[record_id] for number, record_id in deals.items()} == {
            number: f"O{1_000_000 + number}" for number in range(80)
        }
        assert sum(entry["kind"] == "company" for entry in told) == 24


def test_a_killed_sandbox_leaves_no_server_and_no_folder(tmp_path: Path) -> None:
    code = (
        "import sys, time; from sandbox.apn.server import Server; s = Server(0)\n"
        "print(s.port, s.connect().execute('SHOW data_directory').fetchall()[0][0], flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "TMPDIR": str(tmp_path)}
    tmp_path.chmod(0o755)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    port, data = process.stdout.readline().split()
    assert Path(data).exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 60
    while Path(data).parent.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(data).parent.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"host=127.0.0.1 port={port} dbname=apn user=reader password=reader")
