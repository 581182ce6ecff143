"""What goes wrong at Pipedrive: nothing is lost, nothing comes twice into the lake, and the message says where and what to do."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from resources.connectors.base import (
    BudgetSpent,
    MissingAtSource,
    NotPermitted,
    PermanentError,
    SourceError,
    TransientError,
    Window,
)
from resources.connectors.pipedrive import PipedriveConnector, PipedriveSource
from resources.connectors.pipedrive_api import Api, Credentials
from resources.connectors.remembered import REMEMBERED_SECONDS
from resources.http import HttpClient, RetryPolicy
from tests.connectors.pipedrive_account import NAME, TENANT, Account, Captured, account, read, records
from tests.connectors.scripted_server import Answer, ScriptedServer, serving

PLACE = "tenant skyfit, source pipedrive, table deals"
LIST = {"database": TENANT, "model": "deals", "method": "list"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Account]:
    with account(600) as made:
        yield made


@pytest.fixture
def still(shared: Account) -> Iterator[Account]:
    """An account in which nothing moves, without faults of earlier tests."""
    shared.sandbox.clear_faults()
    shared.limit(burst=1000, daily_tokens=0)
    yield shared
    shared.sandbox.clear_faults()


def complete(source: Account, **settings: Any) -> PipedriveConnector:
    """Read all deals and see that they are all there; the connector that did."""
    connector = source.connect(**settings)
    rows = read(connector, "deals")
    assert {row["id"]: row for row in rows} == source.truth("deals", deleted=True)
    return connector


# -- what passes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "429"}, {"kind": "429", "style": "html"}, {"kind": "429", "style": "html", "retry_after": 3},
        {"kind": "500"}, {"kind": "500", "style": "json"}, {"kind": "503"}, {"kind": "cut"}, {"kind": "reset"},
        {"kind": "html"}, {"kind": "timeout", "seconds": 0.2},
    ],
    ids=str,
)  # fmt: skip
def test_what_passes_by_itself_is_tried_again(still: Account, fault: dict[str, Any]) -> None:
    still.sandbox.fault(**fault, **LIST, after=2, times=2)
    connector = complete(still, max_in_flight=3)
    assert sum(rule["struck"] for rule in still.sandbox.faults()) == 2
    assert connector.usage("deals").retries == 2


def test_a_burst_refusal_waits_for_as_long_as_its_header_says(still: Account) -> None:
    waited: list[float] = []
    still.sandbox.fault("429", **LIST, after=1)
    read(still.connect(max_in_flight=1, sleep=waited.append), "deals")
    assert max(waited) >= 1.0  # x-ratelimit-reset


def test_the_burst_limit_that_the_server_names_is_kept() -> None:
    with account(300) as source:
        source.limit(plan="lite", burst=30)
        connector = source.connect(plan="lite", page_size=10, max_in_flight=16)
        deals = {row["id"] for row in read(connector, "deals")}
        assert deals == set(source.truth("deals", deleted=True))
        limits = source.limit()
        assert limits["rejected"] == 0
        assert limits["most_in_window"] <= 30


def test_a_cursor_that_expired_costs_no_record(still: Account) -> None:
    for at_once in (1, 4):
        still.sandbox.fault("expired", **LIST, after=3, times=2)
        complete(still, max_in_flight=at_once)
        still.sandbox.clear_faults()


def test_a_cursor_that_expires_within_an_import_of_one_second_goes_on(still: Account) -> None:
    seconds = [row["update_time"] for row in still.truth("deals").values()]
    assert max(map(seconds.count, set(seconds))) > 100
    still.sandbox.fault("expired", **LIST, after=2, times=1)
    complete(still, max_in_flight=1, page_size=20)


@pytest.mark.parametrize("table", ["products", "deal_fields"])
def test_a_list_without_times_is_begun_anew_where_its_cursor_is_refused(still: Account, table: str) -> None:
    still.sandbox.fault("expired", database=TENANT, model=table, method="list", after=1, times=1)
    connector = still.connect(page_size=10)
    key = "field_code" if table == "deal_fields" else "id"
    rows = read(connector, table)
    assert {row[key] for row in rows} == set(still.truth(table))
    assert sum(rule["struck"] for rule in still.sandbox.faults()) == 1
    assert len(rows) == len(still.truth(table)) + (10 if table == "products" else 0)


def test_an_inventory_goes_on_where_a_cursor_is_refused(still: Account) -> None:
    still.sandbox.fault("expired", **LIST, after=2, times=1)
    connector = still.connect(max_in_flight=1)
    ids = {record_id for page in connector.inventory(connector.schema("deals")) for record_id, _ in page}
    assert ids == {str(number) for number in still.truth("deals")}


def test_a_source_that_refuses_every_cursor_fails_instead_of_asking_for_ever(still: Account) -> None:
    still.sandbox.fault("expired", **LIST, after=1, times=None)
    with pytest.raises(PermanentError, match="cursor"):
        read(still.connect(max_in_flight=1, page_size=20), "deals")
    still.sandbox.fault("expired", database=TENANT, model="deal_fields", after=1, times=None)
    with pytest.raises(PermanentError, match="cursor"):
        read(still.connect(page_size=10), "deal_fields")


def test_a_page_that_the_server_repeats_is_passed_over(still: Account) -> None:
    still.sandbox.fault("repeat", **LIST, after=2)
    complete(still, max_in_flight=1)
    still.sandbox.fault("repeat", **LIST, after=2, times=None)
    with pytest.raises(PermanentError, match="same page again"):
        read(still.connect(max_in_flight=1), "deals")


@pytest.mark.parametrize("oauth", [False, True])
def test_an_access_token_that_ends_in_the_middle_is_renewed(still: Account, oauth: bool) -> None:
    still.sandbox.fault("expired", style="token", **LIST, after=2)
    if oauth:
        complete(still, oauth=True, max_in_flight=2)
    else:
        with pytest.raises(PermanentError, match=r"Check tenants\.skyfit\.sources\.pipedrive\.api_token"):
            read(still.connect(max_in_flight=2), "deals")


def test_a_fresh_access_token_that_is_refused_is_no_reason_to_go_on(still: Account) -> None:
    still.sandbox.fault("401", **LIST, times=None)
    with pytest.raises(PermanentError, match="fresh access token was refused too"):
        read(still.connect(oauth=True, max_in_flight=1), "deals")


# -- what stays --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        ({"kind": "401"}, PermanentError, "unauthorized access"), ({"kind": "403"}, TransientError, "front proxy bans"),
        ({"kind": "403", "style": "scope"}, NotPermitted, "Scope and URL mismatch"),
        ({"kind": "html"}, TransientError, "no JSON of its kind"), ({"kind": "503"}, TransientError, "503"),
        ({"kind": "429"}, BudgetSpent, "Request over limit"),
        ({"kind": "429", "style": "budget"}, BudgetSpent, "daily token budget at Pipedrive is spent"),
    ],
    ids=str,
)  # fmt: skip
def test_what_stays_is_named_with_its_place_and_without_the_credentials(
    still: Account, fault: dict[str, Any], error: type[SourceError], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    still.sandbox.fault(**fault, **LIST, times=None)
    caplog.set_level("DEBUG")
    with pytest.raises(error) as raised:
        read(still.connect(), "deals")
    assert PLACE in str(raised.value)
    assert text in str(raised.value)
    assert still.login["api_token"] not in str(raised.value) + caplog.text


def test_a_ban_is_not_answered_with_more_requests(still: Account) -> None:
    still.sandbox.fault("403", **LIST, times=None)
    connector = still.connect(max_in_flight=1)
    with pytest.raises(TransientError):
        read(connector, "deals")
    assert connector.usage("deals").retries == 0


def test_a_wrong_token_and_a_wrong_app_are_named(still: Account) -> None:
    with pytest.raises(PermanentError, match="unauthorized access") as raised:
        still.connect(api_token="f" * 40).check()
    assert "f" * 40 not in str(raised.value)
    with pytest.raises(PermanentError, match="refresh_token is invalid") as raised:
        still.connect(oauth=True, refresh_token="wrong-token").check()
    assert "wrong-token" not in str(raised.value)
    with pytest.raises(MissingAtSource, match="url"):
        still.connect(url=f"{still.sandbox.url}/pipedrive/nobody").check()


def test_a_table_that_may_not_be_read_keeps_none_of_the_others_back(still: Account, tmp_path: Path) -> None:
    still.sandbox.fault("403", style="scope", database=TENANT, model="persons", times=None)
    outcomes = Captured(tmp_path, still).sync("persons", "stages", "users")
    assert [outcomes[table].status for table in ("persons", "stages", "users")] == ["not_permitted", "ok", "ok"]


def test_a_missing_variable_is_named(still: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    with pytest.raises(PermanentError, match="NO_SUCH_TOKEN"):
        still.connect(api_token="${NO_SUCH_TOKEN}").check()
    monkeypatch.setenv("NO_SUCH_TOKEN", "")
    with pytest.raises(PermanentError, match="api_token is empty"):
        still.connect(api_token="${NO_SUCH_TOKEN}").check()


def test_the_request_id_is_in_the_message_where_there_is_one() -> None:
    body = b'{"success":false,"error":"forbidden","error_info":"","data":null}'
    with serving([Answer(403, body, {"cf-ray": "8f00-FRA"})]) as server:
        options = PipedriveSource.model_validate({"url": server.url, "api_token": "x"})
        http = HttpClient(TENANT, NAME, retry=RetryPolicy(tries=1))
        with pytest.raises(NotPermitted, match="request 8f00-FRA"):
            PipedriveConnector(NAME, options, TENANT, http).check()


@pytest.mark.parametrize("body", [b'{"success":true,"data":[{"id":1,"x":NaN}]}', b'\xef\xbb\xbf{"data":[{"id":1}]}'])
def test_json_that_is_not_quite_json_is_read(body: bytes) -> None:
    with serving([Answer(200, body)]) as server:
        options = PipedriveSource.model_validate({"url": server.url, "api_token": "x"})
        connector = PipedriveConnector(NAME, options, TENANT)
        assert [row["id"] for row in read(connector, "stages")] == [1]


# -- budgets -----------------------------------------------------------------------------------------------------------


def test_a_sync_that_would_cross_the_days_cap_keeps_what_it_has_and_goes_on_later(
    still: Account, tmp_path: Path
) -> None:
    captured = Captured(tmp_path, still, max_per_day=120, max_in_flight=1)
    outcome = captured.sync("deals")["deals"]
    assert outcome.resumes_at is not None
    assert "goes on at" in outcome.message
    kept = captured.raw("deals")
    assert 0 < len(kept) < len(still.truth("deals"))
    assert still.limit()["rejected"] == 0
    captured.settings["max_per_day"] = 10_000
    still.sandbox.reset_requests()
    after = captured.sync("deals")["deals"]
    assert (after.status, after.resumes_at) == ("ok", None)
    assert len(captured.raw("deals")) == len(still.truth("deals"))
    assert after.rows_written == after.rows - len(kept) + after.rows_deleted
    assert captured.sync("deals")["deals"].status == "unchanged"


def test_the_vendors_spent_budget_stops_the_sync_at_once_and_the_rest_follows(still: Account, tmp_path: Path) -> None:
    used = still.limit()["used"]
    still.limit(daily_tokens=used + 90, burst=None)
    captured = Captured(tmp_path, still, max_in_flight=2)
    outcome = captured.sync("deals")["deals"]
    midnight = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
    assert outcome.resumes_at == midnight
    assert not outcome.failed
    assert still.limit()["rejected"] <= 2 + 1  # one a chain under way
    assert captured.raw("deals")
    still.limit(daily_tokens=0, burst=1000)
    captured.sync("deals")
    assert len(captured.raw("deals")) == len(still.truth("deals"))


STAGES = b'{"success":true,"data":[{"id":1}]}'


@contextmanager
def scripted(*answers: Answer) -> Iterator[tuple[PipedriveConnector, ScriptedServer, list[float]]]:
    """A connector with four tries, the server that answers it so, and the connector's waits."""
    waited: list[float] = []
    with serving(list(answers)) as server:
        http = HttpClient(TENANT, NAME, retry=RetryPolicy(tries=4), sleep=waited.append, jitter=lambda: 0.0)
        options = PipedriveSource.model_validate({"url": server.url, "api_token": "x", "max_in_flight": 1})
        yield PipedriveConnector(NAME, options, TENANT, http), server, waited


def too_many(**headers: str) -> Answer:
    return Answer(429, b'{"error":"too many"}', {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("name", ["x-daily-ratelimit-token-remaining", "X-Daily-Requests-Left"])
def test_a_header_that_counts_the_day_decides_what_a_429_is(name: str) -> None:
    spent = too_many(x_ratelimit_remaining="0", **{name: "0"})
    with scripted(spent) as (connector, server, _), pytest.raises(BudgetSpent, match="daily token budget"):
        read(connector, "stages")
    assert len(server.asked) == 1
    burst = too_many(x_ratelimit_remaining="7", x_ratelimit_reset="2", **{name: "900"})
    with scripted(burst, Answer(body=STAGES)) as (connector, server, waited):
        assert [row["id"] for row in read(connector, "stages")] == [1]
    assert (len(server.asked), max(waited)) == (2, 2.0)
    with scripted(burst) as (connector, _, _), pytest.raises(TransientError):
        read(connector, "stages")


@pytest.mark.parametrize("headers", [{}, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "2"}])
def test_a_429_that_no_wait_ends_is_a_spent_budget(headers: dict[str, str]) -> None:
    with scripted(too_many(**headers)) as (connector, server, waited), pytest.raises(BudgetSpent) as spent:
        read(connector, "stages")
    assert (len(server.asked), max(waited)) == (4, 2.0)
    assert datetime.now(UTC) < spent.value.resumes_at <= datetime.now(UTC) + timedelta(hours=1)
    broken = [Answer(503), *[too_many(**headers)] * 3]
    with scripted(*broken) as (connector, _, _), pytest.raises(TransientError):
        read(connector, "stages")


def test_a_429_that_stays_in_the_middle_keeps_what_was_read_and_the_rest_follows(
    still: Account, tmp_path: Path
) -> None:
    captured = Captured(tmp_path, still, max_in_flight=2)
    still.sandbox.fault("429", **LIST, after=4, times=None)
    outcome = captured.sync("deals")["deals"]
    assert not outcome.failed
    assert outcome.resumes_at is not None
    assert 0 < len(captured.raw("deals")) < len(still.truth("deals"))
    still.sandbox.clear_faults()
    captured.sync("deals")
    assert len(captured.raw("deals")) == len(still.truth("deals"))


@pytest.mark.parametrize("words", ["Bad request", "pagination token has expired"])
def test_a_400_to_a_cursor_is_about_the_cursor_whatever_it_says(words: str) -> None:
    page = Answer(
        body=b'{"data":[{"id":1,"update_time":"2026-01-01T00:00:00Z"}],"additional_data":{"next_cursor":"c"}}'
    )
    last = Answer(body=b'{"data":[{"id":2,"update_time":"2026-01-02T00:00:00Z"}]}')
    bad = Answer(400, f'{{"success":false,"error":"{words}"}}'.encode())
    with scripted(Answer(body=b'{"data":[]}'), page, bad, last) as (connector, server, _):
        assert [row["id"] for row in read(connector, "persons")] == [1, 2]
    assert "2026-01-01" in server.asked[-1].path
    assert "cursor" not in server.asked[-1].path


# -- values ------------------------------------------------------------------------------------------------------------


def test_ids_beyond_every_integer_type_unknown_enums_and_nulls_come_through(still: Account, tmp_path: Path) -> None:
    captured = Captured(tmp_path, still)
    captured.sync("deals", "organizations")
    rows = captured.raw("deals")
    huge, large = str(2**53 + 1), str(2**31 + 5)
    assert (rows[huge]["id"], rows[large]["id"]) == (2**53 + 1, 2**31 + 5)
    assert captured.raw("organizations")[str(2**31 + 11)]["id"] == 2**31 + 11
    truth = still.truth("deals")
    assert {row["status"] for row in rows.values()} == {row["status"] for row in truth.values()} > {"on_hold"}
    nothing = [number for number, row in truth.items() if row["value"] is None or row["owner_id"] is None]
    assert nothing
    assert all(
        (rows[str(i)]["value"], rows[str(i)]["owner_id"]) == (truth[i]["value"], truth[i]["owner_id"]) for i in nothing
    )


def test_a_record_without_a_modification_time_is_read_and_found(tmp_path: Path) -> None:
    with account(60) as source:
        source.change("deals", {"id": 3, "update_time": None})
        captured = Captured(tmp_path, source)
        captured.sync("deals")
        assert captured.raw("deals")["3"]["update_time"] is None
        assert captured.sync("deals", sweep=True)["deals"].rows_deleted == 0


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_clock_that_is_minutes_off_loses_nothing(tmp_path: Path, minutes: int) -> None:
    start = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    with account(60) as source:
        source.sandbox.advance(start)
        captured = Captured(tmp_path, source)
        captured.sync("deals")
        source.change("deals", {"id": 3, "title": "changed"}, delete=[4])
        outcome = captured.sync("deals")["deals"]
        assert (outcome.rows_written, outcome.rows_deleted) == (2, 1)


def test_a_window_without_deals_is_no_error(still: Account) -> None:
    connector = still.connect()
    assert records(connector.changes(connector.schema("deals"), Window(datetime(2027, 1, 1, tzinfo=UTC)))) == []
    assert requests.get(still.sandbox.url + "/_sandbox/health").status_code == 200


def test_tables_that_begin_together_need_one_answer_for_the_time() -> None:
    with scripted(Answer(200, b'{"success":true,"data":{}}', hang=0.2)) as (connector, server, _):
        with ThreadPoolExecutor(4) as pool:
            assert len(list(pool.map(lambda _: connector.server_time(), range(4)))) == 4
        assert len(server.asked) == 1


def test_a_refused_token_is_not_tried_for_each_table(tmp_path: Path) -> None:
    with account(20) as source:
        refused = Captured(tmp_path, source, api_token="f" * 40).sync()
        assert {outcome.status for outcome in refused.values()} == {"failed"}
        assert all("Check tenants.skyfit.sources.pipedrive.api_token" in row.message for row in refused.values())
        assert sum(tally["requests"] for tally in source.sandbox.requests()) == 1


def test_a_refused_token_is_tried_again_after_a_minute() -> None:
    now = [0.0]
    refused = Answer(401, b'{"success":false,"error":"no"}')
    with serving([refused, Answer(200, b'{"data":{}}')]) as server:
        http = HttpClient(TENANT, NAME)
        api = Api(server.url, 10, lambda: Credentials(api_token="t0ken"), http, http, "keys", lambda: now[0])
        for table in ("deals", "persons"):
            with pytest.raises(PermanentError, match="401"):
                api.one("/v1/users/me", table, 1)
        now[0] = REMEMBERED_SECONDS
        assert api.one("/v1/users/me", "users", 1) == {}
    assert len(server.asked) == 2
