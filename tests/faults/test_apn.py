"""What goes wrong with a Postgres: nothing is lost, nothing comes twice, and the message says what it is and where."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql as psycopg_sql

from resources.connectors import postgres, postgres_session
from resources.connectors.apn import TABLES
from resources.connectors.base import PermanentError, TransientError, Window
from sandbox.server import Sandbox, running
from tests.connectors.apn_lake import connector, lake_of, port_of, sql
from tests.lakes import SyncedLake

ROWS = 12_000


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Enough rows for a COPY to be ended in the middle."""
    with running(sources="apn", records=ROWS) as started:
        yield started


@pytest.fixture(scope="module")
def port(sandbox: Sandbox) -> int:
    return port_of(sandbox)


@pytest.fixture
def lake(port: int, tmp_path: Path) -> SyncedLake:
    return lake_of(tmp_path, port, lock_timeout_seconds=0.2)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (postgres, postgres_session):
        monkeypatch.setattr(module, "wait_after", lambda attempt: 0.0)


def held_rows(lake: SyncedLake, table: str) -> list[tuple[str, str]]:
    return sorted((row["source_id"], row["checksum"]) for row in lake.bronze(table, source="apn"))


def capture(lake: SyncedLake, table: str, **options: Any) -> Any:
    return lake.capture(table, source="apn", **options)[table]


# -- lost connections ----------------------------------------------------------------------------------------------------


def test_a_first_sync_that_loses_its_connection_writes_nothing_and_the_next_one_all(
    sandbox: Sandbox, lake: SyncedLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_session, "BLOCK_BYTES", 100_000)  # some of it has been handed on by then
    sandbox._call("POST", "apn/podium/terminate", {"after_rows": 500})
    outcome = capture(lake, "opportunity")
    assert (outcome.status, outcome.retry, outcome.rows_written) == ("failed", True, 0)
    assert "tenant podium, source apn, table opportunity" in outcome.message
    assert "SQLSTATE 57P01" in outcome.message or "connection" in outcome.message
    assert lake.files("bronze") == []
    assert capture(lake, "opportunity").rows_written == ROWS
    ids = [source_id for source_id, _ in held_rows(lake, "opportunity")]
    assert len(set(ids)) == len(ids) == ROWS


def test_an_increment_goes_on_where_its_connection_was_lost(
    sandbox: Sandbox, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_session, "BLOCK_BYTES", 100_000)
    source = connector(port)
    schema = source.schema("opportunity")
    window = Window(datetime.now(UTC) - timedelta(days=3000))
    seen: list[str] = []
    pages = source.changes(schema, window)
    sandbox._call("POST", "apn/podium/terminate", {"after_rows": 500})
    for page in pages:
        seen += page.records["source_id"].to_pylist()  # type: ignore[call-overload, index]
    assert len(set(seen)) == ROWS
    assert len(seen) < 1.5 * ROWS  # not from the beginning


def test_the_server_is_away(tmp_path: Path) -> None:
    with running(sources="apn", records=100) as sandbox:
        port = port_of(sandbox)
        lake = lake_of(tmp_path, port)
        assert capture(lake, "users").status == "ok"
    outcome = lake_of(tmp_path, port, timeout_seconds=2).capture("users", source="apn")["users"]
    assert (outcome.status, outcome.retry) == ("failed", True)
    assert "refused" in outcome.message


def test_a_server_without_a_free_connection_is_tried_again(sandbox: Sandbox, port: int) -> None:
    sql(sandbox, "ALTER ROLE reader CONNECTION LIMIT 0")
    waited: list[float] = []
    try:
        source = connector(port)
        source._sleep = waited.append
        with pytest.raises(TransientError, match=r"no connection left for this user.*53300"):
            source.server_time()
        assert len(waited) == 3
    finally:
        sql(sandbox, "ALTER ROLE reader CONNECTION LIMIT -1")


@pytest.fixture
def slow(sandbox: Sandbox) -> Iterator[str]:
    """Rows that come one by one, the first and the last after long; each fills the server's buffer."""
    sql(
        sandbox,
        """CREATE VIEW apn.slow AS SELECT i AS id, repeat('x', 9000) AS note FROM generate_series(1, 9) AS i
        WHERE pg_sleep(CASE i WHEN 1 THEN 1.7 WHEN 9 THEN 4 ELSE 0.1 END)::text = ''; GRANT SELECT ON apn.slow TO reader""",
    )
    yield "slow"
    sql(sandbox, "DROP VIEW apn.slow")


def test_a_server_that_works_slowly_is_waited_for(port: int, slow: str) -> None:
    source = connector(port, timeout_seconds=1.5, tables={slow: {"key": ["id"]}})
    statement = psycopg_sql.SQL("COPY (SELECT * FROM apn.slow LIMIT 8) TO STDOUT").format()
    assert len([row for rows in source._sessions.copied(statement, slow) for row in rows]) == 8
    with pytest.raises(TransientError, match=r"table slow: the server sent nothing for"):
        list(source._sessions.copied(psycopg_sql.SQL("COPY (SELECT * FROM apn.slow) TO STDOUT").format(), slow))


def test_what_sends_no_row_at_all_counts_as_lost(sandbox: Sandbox, port: int) -> None:
    source = connector(port, lock_timeout_seconds=30)
    statement = psycopg_sql.SQL("COPY apn.users TO STDOUT").format()
    sql(sandbox, "LOCK TABLE apn.users IN ACCESS EXCLUSIVE MODE", hold_seconds=60)
    try:
        with (
            pytest.raises(TransientError, match=r"table users: the server sent nothing for"),
            source._sessions.statement() as connection,
        ):
            list(postgres_session._streamed(connection, statement, 0.3, 20, "table users"))
    finally:
        sandbox._call("POST", "apn/podium/commit", {})


# -- refusals ------------------------------------------------------------------------------------------------------------


def test_a_locked_table_fails_alone(sandbox: Sandbox, lake: SyncedLake) -> None:
    sql(sandbox, "LOCK TABLE apn.cash_claim IN ACCESS EXCLUSIVE MODE", hold_seconds=60)
    try:
        outcomes = lake.capture("cash_claim", "users", source="apn")
    finally:
        sandbox._call("POST", "apn/podium/commit", {})
    assert (outcomes["cash_claim"].status, outcomes["cash_claim"].retry) == ("failed", True)
    assert "another session holds a lock" in outcomes["cash_claim"].message
    assert outcomes["users"].status == "ok"
    assert capture(lake, "cash_claim").status == "ok"


def test_a_statement_that_takes_too_long_is_ended_by_the_server(port: int) -> None:
    source = connector(port, statement_timeout_seconds=0.001)
    with pytest.raises(TransientError, match="statement_timeout_seconds"):
        list(source.changes(source.schema("opportunity"), Window()))


def test_rights_that_are_taken_away_and_tables_that_are_gone(sandbox: Sandbox, lake: SyncedLake) -> None:
    assert capture(lake, "end_user").status == "ok"
    rows = held_rows(lake, "end_user")
    sql(sandbox, "REVOKE SELECT ON apn.end_user FROM reader")
    outcome = capture(lake, "end_user", sweep=True)
    assert (outcome.status, outcome.rows_deleted) == ("not_permitted", 0)
    sql(sandbox, "GRANT SELECT ON apn.end_user TO reader; ALTER TABLE apn.end_user RENAME TO elsewhere")
    try:
        assert capture(lake, "end_user", sweep=True).status == "missing_at_source"
    finally:
        sql(sandbox, "ALTER TABLE apn.elsewhere RENAME TO end_user")
    assert capture(lake, "end_user", sweep=True).status == "unchanged"
    assert held_rows(lake, "end_user") == rows


def test_a_wrong_password_is_told_without_it(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = connector(port, password="hunter2-${APN_TEST_SECRET}")
    with pytest.raises(PermanentError, match="environment variable APN_TEST_SECRET is not set"):
        source.check()
    monkeypatch.setenv("APN_TEST_SECRET", "s3cr3t")
    with pytest.raises(PermanentError, match="wrong user or password") as caught:
        source.check()
    assert "hunter2" not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(PermanentError, match="there is no such database"):
        connector(port, database="nowhere").check()


def test_a_session_can_write_nothing_even_where_the_user_may(sandbox: Sandbox, port: int) -> None:
    sql(sandbox, "GRANT ALL ON apn.users TO reader")
    try:
        with pytest.raises(PermanentError, match="read-only transaction"):
            connector(port)._sessions.query("DELETE FROM apn.users RETURNING id")
    finally:
        sql(sandbox, "REVOKE ALL ON apn.users FROM reader; GRANT SELECT ON apn.users TO reader")


# -- things that move ------------------------------------------------------------------------------------------------------


def test_a_transaction_that_commits_late_is_found(sandbox: Sandbox, lake: SyncedLake) -> None:
    statement = "UPDATE apn.users SET full_name = {!r}, updated_at = now() WHERE id = {} RETURNING id"
    sql(sandbox, statement.format("Late", 3), hold_seconds=60)
    assert capture(lake, "users").status == "ok"
    assert capture(lake, "users").status == "unchanged"  # the watermark passes the stamp of what nobody sees yet
    sandbox._call("POST", "apn/podium/commit", {})
    outcome = capture(lake, "users")
    assert outcome.rows_written == 1
    assert lake.query("SELECT full_name FROM raw.apn_users WHERE id = 3") == [("Late",)]


def test_one_that_commits_later_than_the_overlap_is_found_where_the_user_may_see_it(
    sandbox: Sandbox, port: int
) -> None:
    source = connector(port)
    before = source.server_time()
    sql(sandbox, "UPDATE apn.users SET full_name = 'Later' WHERE id = 4 RETURNING id", hold_seconds=60)
    begun = datetime.now(UTC)
    try:
        assert source.server_time() >= before  # cannot be seen: the overlap has to do
        sql(sandbox, "GRANT pg_read_all_stats TO reader")
        sql(sandbox, "SELECT pg_sleep(0.3)")
        assert connector(port).server_time() <= begun + timedelta(seconds=0.1)
    finally:
        sandbox._call("POST", "apn/podium/commit", {})
        sql(sandbox, "REVOKE pg_read_all_stats FROM reader")


def test_a_standby_is_as_late_as_what_it_has_replayed(sandbox: Sandbox, port: int) -> None:
    """INVENTED: a standby played by functions that hide Postgres's own."""
    source = connector(port)

    def standby(replayed: str) -> None:
        create = "CREATE OR REPLACE FUNCTION clock.{} RETURNS {} LANGUAGE sql STABLE AS $$SELECT {}$$"
        sql(sandbox, create.format("pg_is_in_recovery()", "boolean", "true"))
        sql(sandbox, create.format("pg_last_xact_replay_timestamp()", "timestamptz", replayed))

    try:
        standby("timestamptz '2026-01-05 12:00Z'")
        assert source.server_time() == datetime(2026, 1, 5, 12, tzinfo=UTC)
        for unknown in ("now() + interval '1 day'", "NULL::timestamptz"):
            standby(unknown)
            assert abs(source.server_time() - datetime.now(UTC)) < timedelta(seconds=5)
    finally:
        sql(sandbox, "DROP FUNCTION clock.pg_is_in_recovery(), clock.pg_last_xact_replay_timestamp()")


def test_a_clock_five_minutes_off_loses_nothing(sandbox: Sandbox, lake: SyncedLake) -> None:
    for wrong_by in (300, -300):
        sandbox._call("POST", "apn/podium/clock", {"ahead_seconds": wrong_by})
        try:
            capture(lake, "users")
            name = f"Clock {wrong_by}"
            sql(sandbox, f"UPDATE apn.users SET full_name = '{name}', updated_at = now() WHERE id = 5")
            capture(lake, "users")
        finally:
            sandbox._call("POST", "apn/podium/clock", {"ahead_seconds": 0})
        assert lake.query("SELECT full_name FROM raw.apn_users WHERE id = 5") == [(name,)]


def test_a_row_that_moves_while_the_table_is_read_comes_once_more_later(sandbox: Sandbox, lake: SyncedLake) -> None:
    source = connector(port_of(sandbox))
    schema = source.schema("opportunity")
    pages = source.changes(schema, Window())
    first = next(pages)
    sandbox.change("apn", "podium", "opportunity", [{"id": 1, "stage": "Moved"}])
    seen = first.records["source_id"].to_pylist()  # type: ignore[call-overload, index]
    for page in pages:
        seen += page.records["source_id"].to_pylist()  # type: ignore[call-overload, index]
    assert len(seen) == len(set(seen)) == ROWS  # one snapshot
    later: list[Any] = list(source.changes(schema, Window(datetime.now(UTC) - timedelta(minutes=1))))
    assert "1" in [record_id for page in later for record_id in page.records["source_id"].to_pylist()]


def test_deleted_rows_are_found_by_the_sweep(sandbox: Sandbox, lake: SyncedLake) -> None:
    assert capture(lake, "funding_request_history", sweep=True).status == "ok"
    sandbox.change("apn", "podium", "funding_request_history", [], [7, 8])
    assert capture(lake, "funding_request_history").status == "unchanged"
    outcome = capture(lake, "funding_request_history", sweep=True)
    assert (outcome.rows_deleted, outcome.rows_written) == (2, 2)
    gone = "SELECT count(*) FROM raw.apn_funding_request_history WHERE id IN (7, 8)"
    assert lake.query(gone) == [(0,)]


def test_a_column_that_comes_is_read_for_all_rows_and_an_unknown_value_kept(sandbox: Sandbox, lake: SyncedLake) -> None:
    assert capture(lake, "cash_claim").status == "ok"
    rows = len(sandbox.records("apn", "podium", "cash_claim"))
    sql(sandbox, "ALTER TABLE apn.cash_claim ADD COLUMN risk text DEFAULT 'low'")
    try:
        outcome = capture(lake, "cash_claim")
        assert [(change.column, change.kind) for change in outcome.schema_changes] == [("risk", "added")]
        assert outcome.rows_written == rows
        assert lake.query("SELECT DISTINCT risk FROM raw.apn_cash_claim") == [("low",)]
        sandbox.change("apn", "podium", "cash_claim", [{"id": 1, "claim_status": "Frobbed", "risk": None}])
        assert capture(lake, "cash_claim").rows_written == 1
        assert lake.query("SELECT claim_status, risk FROM raw.apn_cash_claim WHERE id = 1") == [("Frobbed", None)]
    finally:
        sql(sandbox, "ALTER TABLE apn.cash_claim DROP COLUMN risk")


def test_the_day_s_budget_stops_a_sync(port: int, tmp_path: Path) -> None:
    lake = lake_of(tmp_path, port, max_per_day=22)
    outcomes = lake.capture(*TABLES, source="apn").values()
    stopped = [outcome for outcome in outcomes if outcome.resumes_at]
    assert 0 < len(stopped) < len(TABLES)
    assert all("day's budget of 22" in outcome.message for outcome in stopped)
    lake.reconfigure({"max_per_day": 1000}, source="apn")
    assert all(outcome.complete for outcome in lake.capture(*TABLES, source="apn").values())


def test_a_reader_that_stops_early_leaves_no_statement_behind(sandbox: Sandbox, port: int) -> None:
    source = connector(port)
    pages: Any = source.changes(source.schema("opportunity"), Window())
    next(pages)
    pages.close()
    owner = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader' AND state = 'active'"
    deadline = time.monotonic() + 10
    while (left := sql(sandbox, owner)[0][0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == 0
    source.close()
