"""The stand-in of Pipedrive answers in the recorded shapes and keeps to the recorded protocol."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.server import Sandbox, running

DATA = Path(__file__).parent / "data" / "pipedrive"
START = "2026-11-14"
TENANT = "skyfit"
CONTACT_SYNC = {"notes", "im", "birthday", "job_title", "postal_address"}
"""Fields of persons that are there with contact sync only."""


class Api:
    """A bare client of the stand-in."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.url = sandbox, sandbox.source_url("pipedrive", TENANT)
        self.http = requests.Session()
        self.http.trust_env = False
        self.login = self.http.get(self.control("login")).json()
        self.http.headers["x-api-token"] = self.login["api_token"]
        self.limit(burst=0, daily_tokens=0)

    def control(self, name: str) -> str:
        return f"{self.sandbox.url}/_sandbox/pipedrive/{TENANT}/{name}"

    def limit(self, **options: Any) -> dict[str, Any]:
        return self.http.post(self.control("limits"), json=options).json()

    def get(self, path: str, **params: Any) -> requests.Response:
        prefix = "" if path.startswith(("v1/", "api/")) else "api/v2/"
        return self.http.get(f"{self.url}/{prefix}{path}", params=params)

    def pages(self, path: str, **params: Any) -> Iterator[list[dict[str, Any]]]:
        cursor: str | None = None
        while True:
            body = self.get(path, **params, **({"cursor": cursor} if cursor else {})).json()
            yield body["data"]
            cursor = (body["additional_data"] or {}).get("next_cursor")
            if not cursor:
                return

    def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        return [row for page in self.pages(path, **params) for row in page]


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with running(start=START, seed=7, sources="pipedrive", records=1200) as sandbox:
        yield Api(sandbox)


@pytest.fixture
def fresh() -> Iterator[Api]:
    with running(start=START, seed=7, sources="pipedrive", records=300) as sandbox:
        yield Api(sandbox)


def fixture(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())


# -- shapes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("deals", "v2_deals"), ("deals/archived", "v2_deals_archived"), ("persons", "v2_persons"),
        ("organizations", "v2_organizations"), ("activities", "v2_activities"), ("pipelines", "v2_pipelines"),
        ("stages", "v2_stages"), ("products", "v2_products"), ("v1/users", "v1_users"), ("api/v1/users", "v1_users"),
    ],
)  # fmt: skip
def test_records_have_the_fields_and_types_of_the_vendors_example(api: Api, path: str, name: str) -> None:
    recorded, body = fixture(name)["body"], api.get(path).json()
    assert set(body) == set(recorded)
    example = recorded["data"][0]
    assert set(example) - CONTACT_SYNC - ({"org_id"} if path == "organizations" else set()) <= set(body["data"][0])
    for field, value in example.items():
        seen = {type(row.get(field)) for row in body["data"]} - {type(None)}
        allowed = {int, float} if type(value) in (int, float) else {type(value)}
        assert value is None or seen <= allowed | ({str} if field == "category" else set()), field


@pytest.mark.parametrize("name", ["v2_dealFields", "v2_activityFields"])
def test_a_field_is_described_as_recorded(api: Api, name: str) -> None:
    example = fixture(name)["body"]["data"][0]
    fields = {row["field_code"]: row for row in api.all(name.removeprefix("v2_"), limit=7)}
    mine = fields[example["field_code"]]
    assert set(mine) == set(example)
    assert mine["field_type"] == example["field_type"]
    codes = [part["field_code"] for part in mine["subfields"]]
    assert [part["field_code"] for part in example["subfields"]] == [code for code in codes if code != "sublocality"]


def test_custom_fields_of_every_type_are_written_as_v2_does(api: Api) -> None:
    shapes = {
        "varchar": str, "varchar_auto": str, "text": str, "phone": str, "double": float, "int": int, "monetary": dict,
        "date": str, "daterange": dict, "time": dict, "timerange": dict, "enum": int, "set": list, "user": int, "org": int,
        "people": int, "address": dict,
    }  # fmt: skip
    for path in ("deals", "persons", "organizations", "products"):
        fields = [row for row in api.all(f"{path.removesuffix('s')}Fields") if row["is_custom_field"]]
        assert {row["field_type"] for row in fields} == set(shapes)
        rows = api.all(path, limit=500)
        for field in fields:
            seen = {type(row["custom_fields"][field["field_code"]]) for row in rows}
            assert seen <= {type(None), shapes[field["field_type"]]}, field


@pytest.mark.parametrize("name", ["real_webhook_deal_create", "real_webhook_person_update"])
def test_a_webhook_of_v1_has_the_recorded_shape(api: Api, name: str) -> None:
    recorded = fixture(name)
    entity = f"{recorded['meta']['object']}s"
    action = {"added": "create", "updated": "change"}[recorded["meta"]["action"]]
    asked = {"entity": entity, "id": 4, "action": action, "version": 1}
    body = api.http.post(api.control("webhook"), json=asked).json()
    assert set(recorded) == set(body)
    assert set(recorded["meta"]) == set(body["meta"])
    assert body["event"] == recorded["event"]
    assert (body["previous"] is None) == (recorded["previous"] is None)
    same = {"add_time", "update_time", "visible_to", "person_id", "org_id", "label"} & set(recorded["current"])
    for field in same & set(body["current"]):
        assert type(body["current"][field]) in (type(recorded["current"][field]), type(None)), field
    assert len(body["current"]["add_time"]) == len("2018-07-10 15:04:54")


def test_a_webhook_of_v2_carries_what_changed(fresh: Api) -> None:
    before = fresh.get("deals/3").json()["data"]
    fresh.sandbox.change("pipedrive", TENANT, "deals", [{"id": 3, "title": "Another"}])
    asked = {"entity": "deals", "id": 3, "action": "change"}
    body = fresh.http.post(fresh.control("webhook"), json=asked).json()
    assert set(body) == {"meta", "data", "previous"}
    assert body["data"]["title"] == "Another"
    assert body["previous"]["title"] == before["title"]
    assert set(body["previous"]) == {"title", "update_time"}
    assert body["meta"]["entity_id"] == "3"
    assert body["meta"]["entity"] == "deal"


# -- who may ask -------------------------------------------------------------------------------------------------------


def test_without_a_token_the_answer_is_the_recorded_401(api: Api) -> None:
    for path in ("/api/v2/deals", "/v1/users/me"):
        answer = requests.get(api.url + path, headers={"x-api-token": "0" * 40})
        assert (answer.status_code, answer.json()) == (401, fixture("v1_users_me_401")["body"])
    assert requests.get(f"{api.url}/api/v2/stages", params={"api_token": api.login["api_token"]}).status_code == 200
    assert requests.get(f"{api.url}/v2/stages", headers=dict(api.http.headers)).status_code == 404  # type: ignore[arg-type]


def test_an_access_token_lasts_an_hour_and_can_be_renewed(fresh: Api) -> None:
    def refresh(**changes: str) -> requests.Response:
        form = {"grant_type": "refresh_token", "refresh_token": fresh.login["refresh_token"]} | changes
        client = (fresh.login["client_id"], fresh.login["client_secret"])
        return requests.post(f"{fresh.url}/oauth/token", data=form, auth=client)

    granted = refresh().json()
    assert granted["token_type"] == "Bearer"
    assert granted["expires_in"] == 3599
    bearer = {"Authorization": f"Bearer {granted['access_token']}"}
    assert requests.get(f"{granted['api_domain']}/api/v2/deals", headers=bearer).status_code == 200
    fresh.sandbox.advance("2026-11-14T01:05:00Z")
    late = requests.get(f"{fresh.url}/api/v2/deals", headers=bearer)
    assert (late.status_code, late.json()["error"]) == (401, "Invalid token: access_token is invalid")
    again = {"Authorization": f"Bearer {refresh().json()['access_token']}"}
    assert requests.get(f"{fresh.url}/api/v2/deals", headers=again).status_code == 200
    assert "refresh_token is invalid" in refresh(refresh_token="x").json()["message"]
    assert requests.post(f"{fresh.url}/oauth/token", data={"grant_type": "refresh_token"}).status_code == 400


# -- lists -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort_by", ["id", "update_time", "add_time"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_hold_every_record_once_in_order(api: Api, sort_by: str, direction: str) -> None:
    live = [
        row for row in api.sandbox.records("pipedrive", TENANT, "deals") if not row["is_archived"] | row["is_deleted"]
    ]
    rows = api.all("deals", limit=130, sort_by=sort_by, sort_direction=direction)
    assert [row["id"] for row in rows] == [
        row["id"] for row in sorted(live, key=lambda row: (row[sort_by], row["id"]), reverse=direction == "desc")
    ]
    assert max(row["id"] for row in rows) > 2**53
    assert any(2**31 < row["id"] < 2**53 for row in rows)


def test_a_cursor_is_the_vendors_own_and_stands_for_the_first_record_of_the_next_page(api: Api) -> None:
    body = api.get("deals", limit=3).json()
    cursor = body["additional_data"]["next_cursor"]
    place = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4)))
    following = api.get("deals", limit=1, cursor=cursor).json()["data"][0]
    assert place == {"field": "id", "fieldValue": following["id"], "sortDirection": "asc", "id": following["id"]}


def test_windows_include_their_beginning_and_exclude_their_end(api: Api) -> None:
    rows = sorted(api.all("deals", limit=500), key=lambda row: row["update_time"])
    since, until = rows[300]["update_time"], rows[700]["update_time"]
    wanted = {row["id"] for row in rows if since <= row["update_time"] < until}
    for sort_by in ("id", "update_time"):
        got = api.all("deals", limit=90, updated_since=since, updated_until=until, sort_by=sort_by)
        assert {row["id"] for row in got} == wanted
        assert len(got) == len(wanted)
    narrow = api.all("deals", updated_since=since, updated_until=rows[302]["update_time"])
    assert all(row["update_time"] < rows[302]["update_time"] for row in narrow)


def test_hundreds_of_deals_share_one_second(api: Api) -> None:
    seconds = [row["update_time"] for row in api.all("deals", limit=500)]
    assert max(map(seconds.count, set(seconds))) >= 250


def test_archived_and_deleted_deals_are_apart(fresh: Api) -> None:
    live, archived = fresh.all("deals", limit=500), fresh.all("deals/archived", limit=500)
    assert not {row["id"] for row in live} & {row["id"] for row in archived}
    assert all(row["is_archived"] and row["archive_time"] for row in archived)
    fresh.sandbox.change("pipedrive", TENANT, "deals", delete=[live[0]["id"], archived[0]["id"]])
    gone = {row["id"]: row for row in fresh.all("deals", status="deleted")}
    assert gone[live[0]["id"]]["is_deleted"]
    assert gone[live[0]["id"]]["status"] == "deleted"
    assert archived[0]["id"] in {row["id"] for row in fresh.all("deals/archived", status="deleted")}
    both = fresh.all("deals", status="open,won,lost,deleted", limit=40)
    assert [row["id"] for row in both] == sorted(row["id"] for row in both)
    assert set(gone) <= {row["id"] for row in both}
    assert fresh.get(f"deals/{live[0]['id']}").json()["data"]["is_deleted"]
    fresh.sandbox.advance("2026-12-20")
    assert live[0]["id"] not in {row["id"] for row in fresh.all("deals", status="deleted")}
    assert fresh.get(f"deals/{live[0]['id']}").status_code == 404


def test_deleted_persons_are_gone(fresh: Api) -> None:
    fresh.sandbox.change("pipedrive", TENANT, "persons", delete=[1])
    assert 1 not in {row["id"] for row in fresh.all("persons", limit=500)}
    assert fresh.get("persons/1").json()["error"] == "Entity was not found"


def test_filters_ids_and_fields_on_demand(api: Api) -> None:
    rows = api.all("deals", limit=500)
    assert [row["id"] for row in api.all("deals", ids="5,2,999999,3")] == [2, 3, 5]
    owner = rows[0]["owner_id"]
    assert {row["id"] for row in api.all("deals", owner_id=owner, limit=50)} == {
        row["id"] for row in rows if row["owner_id"] == owner
    }
    enum = next(row for row in api.all("dealFields") if row["field_type"] == "enum" and row["is_custom_field"])
    code = enum["field_code"]
    few = api.get("deals", custom_fields=code, include_option_labels="true", limit=100).json()["data"]
    assert all(set(row["custom_fields"]) == {code} for row in few)
    value = next(row["custom_fields"][code] for row in few if row["custom_fields"][code])
    assert value["label"] in {option["label"] for option in enum["options"]}
    counted = api.get("deals", include_fields="activities_count", limit=50).json()["data"]
    activities = api.sandbox.records("pipedrive", TENANT, "activities")
    for row in counted:
        assert row["activities_count"] == sum(activity["deal_id"] == row["id"] for activity in activities)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("deals", {"updated_since": "2026-01-01T00:00:00.000Z"}), ("deals", {"updated_until": "2026-01-01 00:00:00"}),
        ("pipelines", {"updated_since": "2026-01-01T00:00:00Z"}), ("stages", {"updated_until": "2026-01-01T00:00:00Z"}),
        ("products", {"updated_since": "2026-01-01T00:00:00Z"}), ("deals", {"limit": "501"}), ("deals", {"sort_by": "title"}),
        ("deals", {"status": "open,abandoned"}), ("deals", {"cursor": "nonsense!"}), ("persons", {"status": "deleted"}),
        ("deals", {"ids": ",".join(map(str, range(101)))}), ("activities", {"custom_fields": "a"}),
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused_by_name(api: Api, path: str, params: dict[str, str]) -> None:
    answer = api.get(path, **params)
    assert answer.status_code == 400
    assert answer.json()["code"] == "ERR_SCHEMA_VALIDATION_FAILED"
    assert answer.json()["error"].startswith(f"Validation failed: {next(iter(params))}: ")


def test_a_deal_that_moves_while_pages_are_read_comes_again_and_none_is_lost(fresh: Api) -> None:
    ids = {row["id"] for row in fresh.all("deals", limit=500)}
    seen: list[int] = []
    moved = 0
    for number, page in enumerate(fresh.pages("deals", limit=50, sort_by="update_time")):
        seen += [row["id"] for row in page]
        if number == 1:
            fresh.sandbox.change("pipedrive", TENANT, "deals", [{"id": page[0]["id"], "title": "moved"}])
            moved = page[0]["id"]
    assert set(seen) == ids
    assert seen.count(moved) == 2
    assert seen[-1] == moved


# -- limits ------------------------------------------------------------------------------------------------------------


def test_too_many_requests_in_two_seconds_are_refused_until_the_window_moves_on(fresh: Api) -> None:
    fresh.limit(plan="lite", burst=None)
    assert fresh.get("stages").headers["x-ratelimit-limit"] == "20"
    fresh.limit(burst=4)
    fresh.sandbox.advance("2026-11-14T00:00:30Z")
    answers = [fresh.get("stages") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert answers[0].headers["x-ratelimit-limit"] == "4"
    assert answers[0].headers["x-ratelimit-remaining"] == "3"
    refused = answers[-1]
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.headers["x-ratelimit-reset"] in ("1", "2")
    assert "retry-after" not in refused.headers
    assert refused.json()["errorCode"] == 429
    fresh.sandbox.advance("2026-11-14T00:01:00Z")
    assert fresh.get("stages").status_code == 200


def test_the_days_tokens_are_counted_by_endpoint_and_come_back_at_midnight(fresh: Api) -> None:
    fresh.limit(daily_tokens=46, used=0, burst=None)
    for path, used in (("deals", 10), ("deals/archived", 30), ("stages", 35), ("deals/1", 36), ("v1/users/me", 38)):
        fresh.get(path)
        assert fresh.limit()["used"] == used
    refused = fresh.get("persons")
    assert refused.status_code == 429
    assert refused.headers.get("x-ratelimit-remaining") != "0"
    assert fresh.get("stages").status_code == 200  # cheap enough
    fresh.sandbox.advance("2026-11-15")
    assert fresh.get("persons").status_code == 200


def test_who_hammers_on_through_429_meets_a_page_of_html(fresh: Api) -> None:
    fresh.limit(daily_tokens=1, patience=5)
    statuses = [fresh.get("stages").status_code for _ in range(7)]
    assert statuses == [429] * 5 + [403] * 2
    assert fresh.get("stages").text.startswith("<!DOCTYPE html>")


# -- time and faults ---------------------------------------------------------------------------------------------------


def everything(sandbox: Sandbox) -> dict[str, Any]:
    names = sandbox.health()["sources"]["pipedrive"][TENANT]
    return {name: sandbox.records("pipedrive", TENANT, name) for name in names}


def test_the_same_seed_lives_the_same_days_in_one_step_or_many() -> None:
    contents = []
    for steps in (["2026-11-19"], ["2026-11-15T10:00:00Z", "2026-11-16", "2026-11-19"]):
        with running(start=START, seed=3, sources="pipedrive", records=200) as sandbox:
            for step in steps:
                sandbox.advance(step)
            contents.append(everything(sandbox))
            identities = sandbox.identities(TENANT)
    assert contents[0] == contents[1]
    assert {row["kind"] for row in identities} == {"company", "person", "deal"}
    known = {str(row["id"]) for row in contents[0]["organizations"]}
    assert known <= {row["id"] for row in identities if row["entity"] == "organizations"}


def test_advance_tells_exactly_what_changed(fresh: Api) -> None:
    before = everything(fresh.sandbox)
    told = fresh.sandbox.advance("2026-11-21")["pipedrive"][TENANT]
    after = everything(fresh.sandbox)
    for entity in ("deals", "persons", "organizations", "activities", "products", "stages", "users"):
        old, new = ({row["id"]: row for row in rows[entity]} for rows in (before, after))
        said = told.get(entity, {"created": [], "updated": [], "deleted": []})
        gone = {i for i in old if i not in new or (new[i].get("is_deleted") and not old[i].get("is_deleted"))}
        if entity == "deals":  # purged ones were deleted before
            gone -= {i for i in old if old[i]["is_deleted"]}
        assert set(said["deleted"]) == gone, entity
        created = {i for i in set(new) - set(old) if not new[i].get("is_deleted")}
        assert set(said["created"]) == created, entity
        assert set(said["updated"]) == {i for i in set(old) & set(new) - gone if old[i] != new[i]}, entity
    fields = {row["field_code"]: row for row in after["deal_fields"]}
    assert len(told["deal_fields"]["created"]) == 1
    assert len(told["deal_fields"]["updated"]) == 2
    assert "Memberships" in {row["field_name"] for row in fields.values()}
    assert "Inbound (Website)" in {option["label"] for row in fields.values() for option in row["options"] or ()}
    assert "Renewal risk" in {row["field_name"] for row in fields.values()}


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ({"kind": "429"}, 429, "Request over limit"), ({"kind": "429", "style": "budget"}, 429, "budget"),
        ({"kind": "401"}, 401, "unauthorized access"), ({"kind": "403"}, 403, "Cloudflare"),
        ({"kind": "403", "style": "scope"}, 403, "Scope and URL mismatch"), ({"kind": "500"}, 500, "<h1>"),
        ({"kind": "503"}, 503, "<h1>"), ({"kind": "html"}, 200, "Maintenance"), ({"kind": "expired"}, 400, "cursor"),
        ({"kind": "expired", "style": "token"}, 401, "access_token is invalid"),
    ],
)  # fmt: skip
def test_faults_are_worded_as_pipedrive_words_them(api: Api, fault: dict[str, str], status: int, text: str) -> None:
    api.sandbox.fault(**fault, database=TENANT, model="deals", method="list")
    assert api.get("persons", limit=1).status_code == 200
    answer = api.get("deals", limit=1)
    assert (answer.status_code, text in answer.text) == (status, True)
    assert api.get("deals", limit=1).status_code == 200
    api.sandbox.clear_faults()


def test_a_page_can_be_repeated_by_the_server(api: Api) -> None:
    api.sandbox.fault("repeat", database=TENANT, model="deals", after=2)
    pages = list(api.pages("deals", limit=300))
    assert pages[2] == pages[1]
    assert len({row["id"] for page in pages for row in page}) + len(pages[1]) == sum(map(len, pages))
    api.sandbox.clear_faults()
