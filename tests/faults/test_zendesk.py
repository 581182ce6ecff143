"""What goes wrong at Zendesk: nothing is lost, nothing comes twice, and what failed is told without a credential."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from resources.connectors.zendesk_api import Api, Login
from resources.http import HttpClient
from sandbox.server import Sandbox, running
from tests.connectors.scripted_server import Answer, serving
from tests.connectors.zendesk_lake import TABLES, ZendeskLake, later, limit
from tests.lakes import evening

OTHERS = ("groups",)
ENCODED = base64.b64encode(b"admin@skyfit.example/token:sandbox-token").decode()


@pytest.fixture(scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with running(start=evening(20).isoformat(), seed=7, sources="zendesk", records=300) as server:
        yield server


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Iterator[Sandbox]:
    _sandbox.clear_faults()
    limit(_sandbox, exports=None, account=None, reset=True)
    later(_sandbox, 61)
    yield _sandbox
    _sandbox.clear_faults()


@pytest.fixture
def lake(sandbox: Sandbox, tmp_path: Path) -> ZendeskLake:
    return ZendeskLake(tmp_path, sandbox, page_size=100)


def strike(sandbox: Sandbox, kind: str, table: str = "tickets", **options: Any) -> None:
    """A fault on one table's requests of any kind."""
    sandbox.fault(kind, database="skyfit", model=table, **options)


PASSING: dict[str, dict[str, Any]] = {
    "429 without Retry-After": {"kind": "429"},
    "429 with Retry-After": {"kind": "429", "retry_after": 7},
    "429 in plain text": {"kind": "429", "style": "text", "retry_after": 7},
    "500": {"kind": "500", "times": 2},
    "503 with Retry-After": {"kind": "503", "retry_after": 3},
    "an HTML page with status 200": {"kind": "html"},
    "a cut body": {"kind": "cut"},
    "a reset connection": {"kind": "reset"},
    "a repeated page": {"kind": "repeat"},
    "a page repeated twice": {"kind": "repeat", "times": 2},
    "an expired cursor": {"kind": "expired"},
}


@pytest.mark.parametrize("after", [0, 2], ids=["at the first page", "in the middle"])
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_what_passes_costs_a_wait_and_no_row(
    lake: ZendeskLake, sandbox: Sandbox, fault: dict[str, Any], after: int
) -> None:
    if fault["kind"] in ("expired", "repeat") and not after:
        after = 1  # needs a page before
    strike(sandbox, **{"times": 1, **fault}, after=after)
    outcomes = lake.capture("tickets", *OTHERS)
    assert {outcome.status for outcome in outcomes.values()} == {"ok"}, outcomes["tickets"].message
    assert sandbox.faults()[0]["struck"] == fault.get("times", 1)
    lake.assert_is_source("tickets", *OTHERS)
    if fault["kind"] == "429":
        assert max(lake.waited) >= fault.get("retry_after", 60)


@pytest.mark.parametrize("table", ["organizations", "ticket_metric_events", "groups", "ticket_fields", "ticket_forms"])
@pytest.mark.parametrize("kind", ["429", "cut"])
def test_what_passes_at_other_tables(lake: ZendeskLake, sandbox: Sandbox, table: str, kind: str) -> None:
    lake.capture(table)
    [number] = sandbox.change(
        "zendesk", "skyfit", table, put=[{"name": "new"} if table != "ticket_metric_events" else {}]
    )
    later(sandbox, 61)
    strike(sandbox, kind, table)
    outcome = lake.capture(table, full=True)[table]
    assert not outcome.failed, outcome.message
    lake.assert_is_source(table)
    assert str(number) in {row["source_id"] for row in lake.bronze(table)}


@pytest.mark.parametrize("kind", ["repeat", "expired"])
@pytest.mark.parametrize("table", ["organizations", "ticket_metric_events", "groups", "ticket_fields"])
def test_a_page_repeated_and_a_cursor_expired_at_other_tables(
    lake: ZendeskLake, sandbox: Sandbox, table: str, kind: str
) -> None:
    named = {} if table == "ticket_metric_events" else {"name" if table != "ticket_fields" else "title": "many"}
    moment = {"ticket_metric_events": "time"}.get(table, "updated_at")
    put = [{**named, moment: f"2024-01-01T00:{n // 60:02}:{n % 60:02}Z"} for n in range(150)]
    sandbox.change("zendesk", "skyfit", table, put=put)
    strike(sandbox, kind, table, after=1)
    assert lake.capture(table)[table].status == "ok"
    assert sandbox.faults()[0]["struck"] == 1
    lake.assert_is_source(table)


FINAL: dict[str, tuple[dict[str, Any], str, str]] = {
    "401": ({"kind": "401"}, "failed", "the login failed"),
    "403": ({"kind": "403"}, "not_permitted", "incremental exports are for admins"),
    "403 without a body": ({"kind": "403", "style": "empty"}, "not_permitted", "HTTP 403"),
    "403 of a proxy": ({"kind": "403", "style": "proxy"}, "failed", "a web page instead of the API's answer"),
    "HTML for ever": ({"kind": "html"}, "failed", "is no JSON (text/html)"),
    "429 for ever": ({"kind": "429"}, "failed", "Number of allowed incremental export API requests per minute"),
    "500 for ever": ({"kind": "500"}, "failed", "HTTP 500"),
    "a page for ever": ({"kind": "repeat", "after": 1}, "failed", "the same page again and again"),
}


@pytest.mark.parametrize(("fault", "status", "told"), FINAL.values(), ids=FINAL.keys())
def test_what_stays_fails_its_table_alone_and_the_next_sync_reads_it(
    lake: ZendeskLake,
    sandbox: Sandbox,
    fault: dict[str, Any],
    status: str,
    told: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    lake.capture("tickets", *OTHERS)
    sandbox.change("zendesk", "skyfit", "tickets", put=[{"subject": "new"}])
    later(sandbox, 61)
    before = lake.state("tickets")
    strike(sandbox, **{"times": None, **fault})
    outcomes = lake.capture("tickets", *OTHERS, full=True)
    tickets = outcomes["tickets"]
    assert (tickets.status, tickets.rows_written) == (status, 0)
    assert told in tickets.message
    assert "tenant skyfit, source zendesk, table tickets" in tickets.message
    if fault["kind"] in ("401", "403") and fault.get("style") != "proxy":
        assert "-SBX" in tickets.message
    shown = tickets.message + capfd.readouterr().err
    assert "sandbox-token" not in shown
    assert ENCODED not in shown
    assert {outcomes[table].status for table in OTHERS} == {"unchanged"}
    after = lake.state("tickets")
    assert (after.cursor, after.watermark) == (before.cursor, before.watermark)
    sandbox.clear_faults()
    assert lake.capture("tickets")["tickets"].rows_written == 1
    lake.assert_is_source("tickets")


def test_a_token_that_expires_in_the_middle_loses_nothing(lake: ZendeskLake, sandbox: Sandbox) -> None:
    for table in ("tickets", "users", "organizations"):
        strike(sandbox, "401", table, after=0 if table == "organizations" else 1, times=None)
    outcomes = lake.capture("tickets", "users", "organizations", username=None, token=None, oauth_token="admin-oauth")
    assert {outcome.status for outcome in outcomes.values()} == {"failed"}
    assert "OAuth token may have expired" in outcomes["tickets"].message
    assert "admin-oauth" not in outcomes["tickets"].message
    assert lake.bronze("tickets") == []
    assert lake.state("tickets").cursor is None
    sandbox.clear_faults()
    lake.capture("tickets", "users", "organizations")
    lake.assert_is_source("tickets", "users", "organizations")


def test_a_wrong_token_is_tried_once_for_all_tables(lake: ZendeskLake, sandbox: Sandbox) -> None:
    sandbox.reset_requests()
    outcomes = lake.capture(*TABLES, token="wr0ng-s3cret")
    assert {outcome.status for outcome in outcomes.values()} == {"failed"}
    assert all("the login failed" in outcome.message for outcome in outcomes.values())
    assert not any("wr0ng-s3cret" in outcome.message for outcome in outcomes.values())
    assert sum(entry["requests"] for entry in sandbox.requests()) == 1


def test_a_cursor_that_expired_between_two_syncs(lake: ZendeskLake, sandbox: Sandbox) -> None:
    lake.capture("tickets", "users")
    sandbox.change("zendesk", "skyfit", "tickets", put=[{"subject": "while nobody looked"}])
    later(sandbox, 61)
    strike(sandbox, "expired")
    outcome = lake.capture("tickets")["tickets"]
    assert (outcome.status, outcome.rows_written) == ("ok", 1)
    assert outcome.rows_read < 300
    lake.assert_is_source("tickets")
    assert lake.capture("tickets")["tickets"].rows_read == 0


def test_without_a_good_cursor_an_export_goes_from_second_to_second_and_fails_where_one_is_too_large(
    lake: ZendeskLake, sandbox: Sandbox
) -> None:
    strike(sandbox, "expired", times=None)
    assert lake.capture("tickets")["tickets"].status == "ok"
    lake.assert_is_source("tickets")
    stamp = int(evening(20).timestamp()) - 86400
    sandbox.change(
        "zendesk", "skyfit", "tickets", put=[{"subject": "s", "generated_timestamp": stamp} for _ in range(150)]
    )
    outcome = lake.capture("tickets", full=True)["tickets"]
    assert (outcome.status, outcome.retry) == ("failed", True)
    assert "refuses the cursors that it gives" in outcome.message


@pytest.mark.parametrize("status", [520, 524, 530])
def test_cloudflares_own_pages_pass(status: int) -> None:
    page = Answer(status, b"<html>web server is returning an unknown error</html>", {"Content-Type": "text/html"})
    with serving([page, Answer(body=b'{"user": {"id": 1}}')]) as server:
        http = HttpClient("skyfit", "zendesk", sleep=lambda _: None)
        assert Api(http, server.url, Login.with_oauth_token("x"), 10).value("users/me") == {"user": {"id": 1}}
    assert len(server.asked) == 2


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_clock_that_is_off_loses_nothing(tmp_path: Path, minutes: int) -> None:
    start = datetime.now(UTC) + timedelta(minutes=minutes)
    with running(start=start.isoformat(), seed=7, sources="zendesk", records=60) as server:
        lake = ZendeskLake(tmp_path, server, overlap_minutes=0)
        limit(server, exports=None)
        for turn in range(3):
            for table in ("tickets", "users", "organizations"):
                server.change(
                    "zendesk", "skyfit", table, put=[{"subject" if table == "tickets" else "name": f"turn {turn}"}]
                )
            server.change("zendesk", "skyfit", "ticket_metric_events", put=[{}])
            outcomes = lake.capture(*TABLES)
            assert not any(outcome.failed for outcome in outcomes.values()), [o.message for o in outcomes.values()]
            later(server, 20)
        if 5 <= start.hour < 18:  # until nobody works, so that the account holds nothing back
            server.advance(start.replace(hour=18, minute=0).isoformat())
        later(server, 61)
        lake.capture(*TABLES)
        lake.assert_is_source()
