"""The stand-in Zendesk against what was recorded of the real one, and its protocol: paging, limits, deletes, days, faults."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from sandbox.server import Sandbox, running
from sandbox.zendesk.cursors import BadCursor, export_cursor, list_cursor, read_export_cursor, read_list_cursor

RECORDED = json.loads((Path(__file__).parent / "data" / "zendesk.json").read_text())
START = "2026-11-14T12:00:00Z"
ARCHIVED = "2026-07-17T11:55:00Z"
"""Closed tickets from before are archived: exports have them, lists do not."""
ADMIN = ("admin@skyfit.example/token", "sandbox-token")

Get = Callable[..., requests.Response]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running(start=START, seed=7, sources="zendesk", records=400) as server:
        yield server


@pytest.fixture
def get(sandbox: Sandbox) -> Iterator[Get]:
    """`get(path, **query)`: as an admin, with no limits unless the test sets some."""
    http = requests.Session()
    http.trust_env = False
    limit(sandbox, exports=None, account=700, plan="enterprise", style="json", headers="2024", seconds=60, reset=True)

    def call(path: str, auth: Any = ADMIN, headers: dict[str, str] | None = None, **query: Any) -> requests.Response:
        root = "" if path.startswith("http") else f"{sandbox.source_url('zendesk', 'skyfit')}/api/v2"
        query = {name.replace("__", "["): value for name, value in query.items()}
        query = {f"{name}]" if "[" in name else name: value for name, value in query.items()}
        return http.get(root + path, params=query, auth=auth, headers=headers, timeout=30)

    yield call
    sandbox.clear_faults()


def limit(sandbox: Sandbox, **options: Any) -> dict[str, Any]:
    """Set the account's limits; what they are and what they saw."""
    return requests.post(f"{sandbox.url}/_sandbox/zendesk/skyfit/limits", json=options, timeout=30).json()


def later(sandbox: Sandbox, seconds: float) -> None:
    """Let time pass."""
    now = datetime.fromisoformat(sandbox.health()["now"])
    sandbox.advance((now + timedelta(seconds=seconds)).isoformat())


def everything(get: Get, path: str, entity: str, **query: Any) -> list[dict[str, Any]]:
    """All pages of a cursor export, as rows."""
    rows, answer = [], get(path, **query).json()
    while True:
        rows += answer[entity]
        if answer["end_of_stream"]:
            return rows
        answer = get(answer["after_url"]).json()


# -- against the recordings ----------------------------------------------------------------------------------------------

SHAPES = {
    "incremental_tickets_cursor_page": ("/incremental/tickets/cursor.json", {"start_time": 0, "per_page": 50}),
    "incremental_tickets_cursor_last": ("/incremental/tickets/cursor.json", {"start_time": 0}),
    "incremental_tickets_page": ("/incremental/tickets.json", {"start_time": 0, "per_page": 50}),
    "incremental_tickets_last": ("/incremental/tickets.json", {"start_time": 0}),
    "incremental_users_cursor_page": ("/incremental/users/cursor.json", {"start_time": 0, "per_page": 50}),
    "incremental_users_page": ("/incremental/users.json", {"start_time": 0, "per_page": 50}),
    "organizations_cbp": ("/organizations.json", {"page__size": 20}),
    "users_cbp": ("/users.json", {"page__size": 100}),
    "groups_cbp": ("/groups.json", {"page__size": 100}),
    "tickets_cbp": ("/tickets.json", {"page__size": 100}),
    "tickets_obp": ("/tickets.json", {}),
    "groups_obp": ("/groups.json", {}),
    "users_me_obp": ("/users/me.json", {}),
    "error_404_PUT_deleted_tickets": ("/nonsense.json", {}),
    "gozendesk_ticket_forms": ("/ticket_forms.json", {}),
}
NEWER = {"ticket_forms": {"agent_conditions", "end_user_conditions"}, "user": {"authenticity_token"}}
"""Members that the facts name but that one recording lacks, or the other way round."""


@pytest.mark.parametrize("name", SHAPES)
def test_an_answer_has_the_members_of_the_recorded_one(get: Get, name: str) -> None:
    recorded, (path, query) = RECORDED[name], SHAPES[name]
    answer = get(path, **query)
    assert answer.status_code == recorded.get("status", 200)
    body, known = answer.json(), recorded["body"]
    assert set(body) == set(known)
    for member, value in known.items():
        shown = body[member]
        if isinstance(value, list):
            shown, value = shown[0], value[0]
        if isinstance(value, dict):
            extra = NEWER.get(member, set())
            if path == "/tickets.json" and "page__size" not in query:
                extra = {"fields"}  # page by page the recorded list has them, by cursor it does not
            assert set(shown) ^ set(value) <= extra
        elif not isinstance(value, str | None):
            assert type(shown) is type(value), member
    if "content-type" in recorded.get("headers", {}):
        assert answer.headers["Content-Type"].split(";")[0] == recorded["headers"]["content-type"].split(";")[0]


def test_cursors_are_the_recorded_ones() -> None:
    known = RECORDED["incremental_tickets_cursor_page"]["body"]["after_cursor"]
    assert read_export_cursor(known) == (1695062724, 1571)
    assert export_cursor(1695062724, 1571) == known
    for name in ("users_cbp", "organizations_cbp", "groups_cbp", "tickets_cbp"):
        for cursor in (RECORDED[name]["body"]["meta"][side] for side in ("after_cursor", "before_cursor")):
            order = json.loads(base64.b64decode(cursor))["o"]
            assert list_cursor(order, *read_list_cursor(order, cursor)) == cursor
    assert read_list_cursor("name,id", RECORDED["groups_cbp"]["body"]["meta"]["after_cursor"])[0] == "🎯Support"
    for wrong in ("", "xyz", "MTI=", "!!!"):
        with pytest.raises(BadCursor):
            read_export_cursor(wrong)
        with pytest.raises(BadCursor):
            read_list_cursor("id", wrong)


@pytest.mark.parametrize(("year", "name"), [("2023", "incremental_tickets_page"), ("2024", "incremental_users_page")])
def test_the_limits_headers_are_spelled_as_in_both_years(sandbox: Sandbox, get: Get, year: str, name: str) -> None:
    limit(sandbox, headers=year)
    answer = get("/groups.json")
    assert {key for key in map(str.lower, answer.headers) if "rate" in key} == {
        key for key in RECORDED[name]["headers"] if "rate" in key
    }
    assert answer.headers["x-rate-limit"] == "700"
    assert (
        int(get("/groups.json").headers["x-rate-limit-remaining"]) == int(answer.headers["x-rate-limit-remaining"]) - 1
    )


# -- login ---------------------------------------------------------------------------------------------------------------


def test_who_may_ask(get: Get) -> None:
    assert get("/groups.json", auth=None, headers={"Authorization": "Bearer admin-oauth"}).status_code == 200
    for auth in (None, ("admin@skyfit.example", "sandbox-token"), ("admin@skyfit.example/token", "wrong")):
        answer = get("/groups.json", auth=auth)
        assert (answer.status_code, answer.json()) == (401, {"error": "Couldn't authenticate you"})
    agent = ("agent@skyfit.example/token", "sandbox-token")
    assert get("/groups.json", auth=agent).status_code == 200
    answer = get("/incremental/tickets/cursor.json", auth=agent, start_time=0)
    assert (answer.status_code, answer.json()["error"]["title"]) == (403, "Forbidden")


# -- exports -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entity", ["tickets", "users"])
def test_a_cursor_export_gives_every_record_once_also_where_a_second_has_many(
    sandbox: Sandbox, get: Get, entity: str
) -> None:
    rows = everything(get, f"/incremental/{entity}/cursor.json", entity, start_time=0, per_page=7)
    stored = sandbox.records("zendesk", "skyfit", entity)
    assert sorted(row["id"] for row in rows) == sorted(row["id"] for row in stored)
    assert {row["id"]: row for row in rows} == {row["id"]: row for row in stored}
    if entity == "tickets":
        assert {row["status"] for row in rows} >= {"deleted", "closed", "open"}
        assert max(row["id"] for row in rows) > 2**53


def test_a_time_export_repeats_its_last_second_and_is_stuck_in_one_with_more_than_a_page(get: Get) -> None:
    rows, start, pages = {}, 0, 0
    while True:
        answer = get("/incremental/tickets.json", start_time=start, per_page=30).json()
        rows |= {row["id"]: row for row in answer["tickets"]}
        assert answer["count"] == len(answer["tickets"])
        if answer["end_of_stream"] or answer["end_time"] == start:
            break
        assert answer["next_page"].endswith(f"start_time={answer['end_time']}&per_page=30")
        again = get(answer["next_page"]).json()["tickets"]
        assert again[0]["generated_timestamp"] == answer["end_time"]
        start, pages = answer["end_time"], pages + 1
    assert answer["end_time"] == start
    assert get(answer["next_page"]).json() == answer
    assert pages > 3


def test_the_last_minute_is_held_back_and_too_recent_a_start_refused(sandbox: Sandbox, get: Get) -> None:
    last = get("/incremental/tickets/cursor.json", start_time=0, per_page=1000).json()
    assert last["end_of_stream"]
    [number] = sandbox.change("zendesk", "skyfit", "tickets", put=[{"subject": "Brand new"}])
    nothing = get("/incremental/tickets/cursor.json", cursor=last["after_cursor"]).json()
    assert (nothing["tickets"], nothing["end_of_stream"]) == ([], True)
    assert nothing["after_cursor"] == last["after_cursor"]
    now = int(datetime.fromisoformat(sandbox.health()["now"]).timestamp())
    refused = get("/incremental/tickets/cursor.json", start_time=now - 30)
    assert (refused.status_code, refused.json()["error"]) == (422, "InvalidValue")
    assert "Too recent start_time" in refused.json()["description"]
    later(sandbox, 61)
    shown = get("/incremental/tickets/cursor.json", cursor=last["after_cursor"]).json()["tickets"]
    assert number in [row["id"] for row in shown]
    assert get("/incremental/tickets.json").status_code == 400
    assert get("/incremental/tickets/cursor.json", cursor="nonsense").status_code == 400
    assert get("/incremental/groups/cursor.json", start_time=0).status_code == 404
    assert len(get("/incremental/tickets/sample.json", start_time=0).json()["tickets"]) == 50


def test_a_ticket_written_between_two_pages_comes_later_and_none_is_lost(sandbox: Sandbox, get: Get) -> None:
    stored = {row["id"] for row in sandbox.records("zendesk", "skyfit", "tickets")}
    page = get("/incremental/tickets/cursor.json", start_time=0, per_page=100).json()
    seen = [row["id"] for row in page["tickets"]]
    unread = sorted(stored - set(seen))[0]
    sandbox.change("zendesk", "skyfit", "tickets", put=[{"id": unread, "priority": "urgent"}])
    later(sandbox, 61)
    while not page["end_of_stream"]:
        page = get(page["after_url"]).json()
        seen += [row["id"] for row in page["tickets"]]
    assert stored <= set(seen)
    assert unread in seen[-40:]


def test_events_come_by_time_and_by_cursor(sandbox: Sandbox, get: Get) -> None:
    stored = {row["id"] for row in sandbox.records("zendesk", "skyfit", "ticket_metric_events")}
    path, seen = "/incremental/ticket_metric_events.json", []
    page = get(path, start_time=0, page__size=500).json()
    assert len(page["ticket_metric_events"]) == 100
    while True:
        seen += [row["id"] for row in page["ticket_metric_events"]]
        if not page["meta"]["has_more"]:
            break
        page = get(page["links"]["next"]).json()
    assert sorted(seen) == sorted(stored)
    answer = get(path, start_time=0).json()
    assert (answer["count"], answer["end_of_stream"]) == (len(stored), True)


# -- lists ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entity", ["tickets", "users", "organizations", "groups", "ticket_fields"])
def test_a_list_has_each_living_record_once_and_a_next_link_even_at_its_end(
    sandbox: Sandbox, get: Get, entity: str
) -> None:
    seen, page = [], get(f"/{entity}.json", page__size=3 if entity == "groups" else 33).json()
    while page["meta"]["has_more"]:
        seen += [row["id"] for row in page[entity]]
        page = get(page["links"]["next"]).json()
    seen += [row["id"] for row in page[entity]]
    assert page["links"]["next"] is not None
    assert get(page["links"]["next"]).json()[entity] == []
    stored = sandbox.records("zendesk", "skyfit", entity)
    gone = [
        row["id"] for row in stored
        if row.get("status") == "deleted" or (row.get("active") is False and entity == "users") or row.get("deleted_at")
        or row.get("deleted") or (row.get("status") == "closed" and row["updated_at"] < ARCHIVED)
    ]  # fmt: skip
    assert len(seen) == len(set(seen))
    assert set(seen) == {row["id"] for row in stored} - set(gone)
    assert gone or entity in ("groups", "ticket_fields")


def test_records_by_their_ids_archived_ones_too(sandbox: Sandbox, get: Get) -> None:
    tickets = sandbox.records("zendesk", "skyfit", "tickets")
    archived = next(row["id"] for row in tickets if row["status"] == "closed" and row["updated_at"] < ARCHIVED)
    deleted = next(row["id"] for row in tickets if row["status"] == "deleted")
    answer = get("/tickets/show_many.json", ids=f"{archived},{deleted},777777777").json()
    assert [row["id"] for row in answer["tickets"]] == [archived]
    refused = get("/tickets/show_many.json", ids=",".join(map(str, range(101))))
    assert (refused.status_code, refused.json()["error"]) == (400, "TooManyValues")


def test_pages_by_number_end_at_the_hundredth(get: Get) -> None:
    first = get("/tickets.json").json()
    assert urlsplit(first["next_page"]).query == "page=2"
    assert (len(first["tickets"]), first["previous_page"]) == (100, None)
    assert get("/tickets.json", page=100, per_page=2).status_code == 200
    assert get("/tickets.json", page=101, per_page=2).status_code == 400


def test_small_plans_have_no_forms(sandbox: Sandbox, get: Get) -> None:
    assert get("/ticket_forms.json").json()["count"] == 3
    limit(sandbox, plan="team")
    answer = get("/ticket_forms.json")
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (
        403,
        b"",
        "text/html; charset=utf-8",
    )
    assert answer.headers["x-rate-limit"] == "200"


# -- limits --------------------------------------------------------------------------------------------------------------


def test_the_eleventh_export_of_a_minute_is_refused_whichever_table(sandbox: Sandbox, get: Get) -> None:
    limit(sandbox, exports=10)
    paths = ("/incremental/tickets/cursor.json", "/incremental/organizations.json", "/incremental/users.json")
    codes = [get(paths[number % 3], start_time=0, per_page=1).status_code for number in range(11)]
    assert codes == [200] * 10 + [429]
    refused = get(paths[0], start_time=0)
    assert 50 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json() == {
        "error": "APIRateLimitExceeded",
        "description": "Number of allowed incremental export API requests per minute exceeded",
    }
    assert get("/groups.json").status_code == 200
    limit(sandbox, style="text")
    plain = get(paths[0], start_time=0)
    assert (plain.status_code, plain.text) == (429, "Number of allowed API requests per minute exceeded")
    assert plain.headers["Content-Type"].startswith("text/plain")
    later(sandbox, 61)
    assert get(paths[0], start_time=0).status_code == 200
    seen = limit(sandbox)
    assert (seen["most_exports_in_a_minute"], seen["served_exports"], seen["refused"]) == (10, 11, 3)
    limit(sandbox, exports=30)
    assert {get(paths[0], start_time=0, per_page=1).status_code for _ in range(29)} == {200}
    assert get(paths[0], start_time=0).status_code == 429


def test_the_account_has_a_limit_of_its_own(sandbox: Sandbox, get: Get) -> None:
    limit(sandbox, account=3)
    codes = [get("/groups.json").status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    assert get("/groups.json").json()["description"] == "Number of allowed API requests per minute exceeded"


# -- deletes, days, faults -----------------------------------------------------------------------------------------------


def test_what_is_deleted_stays_in_exports_and_leaves_lists(sandbox: Sandbox, get: Get) -> None:
    ticket, user, organization, group = (
        next(row["id"] for row in get(f"/{entity}.json").json()[entity])
        for entity in ("tickets", "users", "organizations", "groups")
    )
    for entity, number in (("tickets", ticket), ("users", user), ("organizations", organization), ("groups", group)):
        sandbox.change("zendesk", "skyfit", entity, delete=[number])
        assert number not in [row["id"] for row in get(f"/{entity}.json").json()[entity]]
    later(sandbox, 61)
    rows = everything(get, "/incremental/tickets/cursor.json", "tickets", start_time=0)
    assert next(row for row in rows if row["id"] == ticket)["status"] == "deleted"
    kept = everything(get, "/incremental/tickets/cursor.json", "tickets", start_time=0, exclude_deleted="true")
    assert ticket not in [row["id"] for row in kept]
    assert ticket in [row["id"] for row in get("/deleted_tickets.json").json()["deleted_tickets"]]
    rows = get("/incremental/organizations.json", start_time=0).json()["organizations"]
    assert next(row for row in rows if row["id"] == organization)["deleted_at"]
    assert group in [row["id"] for row in get("/groups.json", exclude_deleted="false").json()["groups"]]


def test_days_pass_the_same_way_in_one_step_or_in_three() -> None:
    worlds = []
    for steps in (["2026-11-19"], ["2026-11-15", "2026-11-16T10:00:00Z", "2026-11-19"]):
        with running(start="2026-11-14", seed=3, sources="zendesk", records=200) as server:
            told = [server.advance(step)["zendesk"]["skyfit"] for step in steps]
            tables = {name: server.records("zendesk", "skyfit", name) for name in ("tickets", "users", "organizations")}
            identities = server.identities("skyfit")
        worlds.append((told, tables))
    assert worlds[0][1] == worlds[1][1]
    changed = {number for step in worlds[0][0] for kind in step["tickets"].values() for number in kind}
    assert changed == {number for step in worlds[1][0] for kind in step["tickets"].values() for number in kind}
    assert all(worlds[0][0][0]["tickets"][kind] for kind in ("created", "updated"))
    assert {identity["kind"] for identity in identities} == {"company", "person"}


def test_faults_speak_zendesk(sandbox: Sandbox, get: Get) -> None:
    path, entity = "/incremental/tickets/cursor.json", {"database": "skyfit", "model": "tickets", "method": "export"}

    def struck(kind: str, **options: Any) -> requests.Response:
        sandbox.fault(kind, **entity, **options)
        return get(path, start_time=0, per_page=5)

    assert struck("401").json() == {"error": "Couldn't authenticate you"}
    assert struck("403").json()["error"]["title"] == "Forbidden"
    assert (struck("403", style="empty").content, struck("429").json()["error"]) == (b"", "APIRateLimitExceeded")
    limited = struck("429", style="text", retry_after=3)
    assert (limited.headers["Retry-After"], limited.text[:9]) == ("3", "Number of")
    assert struck("503", retry_after=2).headers["Retry-After"] == "2"
    assert struck("expired").status_code == 200
    first = get(path, start_time=0, per_page=5).json()
    sandbox.fault("repeat", **entity)
    assert get(first["after_url"]).json() == first
    assert get(first["after_url"]).json() != first
    sandbox.fault("expired", **entity)
    assert get(first["after_url"]).status_code == 400
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        struck("cut").json()
