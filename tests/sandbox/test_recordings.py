"""The stand-in answers what a real Odoo 17 was recorded answering: errors, field lists, types of values, envelopes."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.server import Sandbox

RECORDINGS = json.loads(gzip.decompress((Path(__file__).parent / "data" / "recordings.json.gz").read_bytes()))
CASES = {case["case"]: case for case in RECORDINGS["errors"]}
PLAIN = sorted(
    name
    for name, case in CASES.items()
    if isinstance(case.get("request"), dict) and "after_delete" not in name and "deleted" not in name
)
"""Requests that can be repeated word for word (with this sandbox's database and ids)."""


def replay(rpc: Any, request: dict[str, Any], swap: dict[int, int] | None = None) -> requests.Response:
    """Send a recorded request with the database renamed and record ids swapped."""

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(item) for item in value]
        if isinstance(value, dict):
            return {key: renamed(item) for key, item in value.items()}
        if value == "demo17":
            return rpc.database
        return (swap or {}).get(value, value) if isinstance(value, int) and not isinstance(value, bool) else value

    url = rpc.url.partition("/odoo/")[0] + "/jsonrpc"  # the root knows every database, and says which it does not
    return rpc.http.post(url, json=renamed({**request, "id": 7}), timeout=30)


def assert_same(answer: requests.Response, case: dict[str, Any], lines: int | None = None) -> None:
    """Same HTTP status, same shape; errors with same code, name and message (its first `lines` lines)."""
    assert answer.status_code == case["http_status"]
    assert answer.headers["Content-Type"] == case["headers"]["Content-Type"]
    body, recorded = answer.json(), case["body"]
    assert sorted(body) == sorted(recorded)
    assert list(body)[:2] == ["jsonrpc", "id"]
    if "error" in recorded:
        given, wanted = body["error"], recorded["error"]
        assert (given["code"], given["message"], sorted(given["data"])) == (
            wanted["code"],
            wanted["message"],
            sorted(wanted["data"]),
        )
        assert given["data"]["name"] == wanted["data"]["name"]
        assert given["data"]["message"].splitlines()[:lines] == wanted["data"]["message"].splitlines()[:lines]
        assert len(given["data"]["arguments"]) == len(wanted["data"]["arguments"])
        assert given["data"]["debug"].startswith("Traceback (most recent call last):")
    elif "result" in recorded:
        assert type(body["result"]) is type(recorded["result"])
        if isinstance(recorded["result"], list) and recorded["result"]:
            assert set(body["result"][0]) == set(recorded["result"][0])


@pytest.mark.parametrize("name", PLAIN)
def test_a_recorded_request_gets_the_recorded_answer(name: str, rpc: Any, sandbox: Sandbox) -> None:
    case, swap = CASES[name], {}
    if name == "record_rule_read_other_owner":
        others = [lead["id"] for lead in sandbox.truth("northwind", "crm.lead", "user_id") if lead["user_id"] == 2]
        swap = {5040: others[0], 5025: others[1]}
    elif name == "user_error":
        moves = sandbox.truth("northwind", "account.move", "state")
        swap = {10: next(move["id"] for move in moves if move["state"] == "posted")}
    # where Postgres quotes the statement it failed in, only the first line can be the same
    assert_same(replay(rpc, case["request"], swap), case, lines=1 if name == "domain_bad_date" else None)


DELETED = sorted(
    name for name, case in CASES.items() if "request" in case and ("after_delete" in name or "deleted" in name)
)


@pytest.mark.parametrize("name", DELETED)
def test_deleted_records_answer_as_recorded(name: str, rpc: Any) -> None:
    gone, there = rpc.call("crm.lead", "create", [{"name": "to be deleted 0"}, {"name": "to be deleted 1"}])
    rpc.call("crm.lead", "unlink", [gone])
    case = CASES[name]
    answer = replay(rpc, case["request"], {5078: gone, 5079: there})
    recorded = json.loads(json.dumps(case["body"]).replace("5078", str(gone)).replace("5079", str(there)))
    assert_same(answer, {**case, "body": recorded})
    if "result" in recorded:
        assert answer.json()["result"] == recorded["result"]


def test_what_is_no_json_rpc_is_refused_with_http_400(rpc: Any) -> None:
    url = rpc.url + "/jsonrpc"
    as_json = {"Content-Type": "application/json"}
    broken = rpc.http.post(url, data="{not json", headers=as_json)
    plain = rpc.http.post(url, data="{}", headers={"Content-Type": "text/plain"})
    for answer, name in (
        (broken, "malformed_json"),
        (rpc.http.get(url), "get_on_jsonrpc"),
        (plain, "wrong_content_type"),
    ):
        case = CASES[name]
        assert (answer.status_code, answer.text) == (case["http_status"], case["body"])
        assert answer.headers["Content-Type"] == case["headers"]["Content-Type"]


def test_messages_the_service_layer_refuses(rpc: Any) -> None:
    nosuch = rpc.post({"service": "nosuch", "method": "x", "args": []})
    assert_same(nosuch, CASES["unknown_service"])
    assert_same(rpc.post({"service": "common", "method": "version"}), CASES["missing_args_param"])
    padded = rpc.post({"service": "common", "method": "version", "args": ["x" * 1000]})
    assert_same(padded, CASES["body_129MiB"])


def test_json_2_does_not_exist_on_17(rpc: Any) -> None:
    answer = rpc.http.post(rpc.url + "/json/2/res.partner/search_read", json={})
    assert (answer.status_code, answer.text[:15]) == (404, CASES["json2_api_on_17"]["body"][:15])


def test_web_sessions_cool_down_after_ten_failures(connect: Any) -> None:
    rpc = connect("podium")

    def login(password: str) -> requests.Response:
        return rpc.post({"db": "podium", "login": "admin", "password": password}, "/web/session/authenticate")

    rpc.http.cookies.clear()
    expired = rpc.post(
        {"model": "res.partner", "method": "search_count", "args": [[]], "kwargs": {}}, "/web/dataset/call_kw"
    )
    assert_same(expired, CASES["web_call_kw_no_session"])
    assert login("admin").json()["result"]["uid"] == 2
    count = rpc.post(
        {"model": "res.partner", "method": "search_count", "args": [[]], "kwargs": {}}, "/web/dataset/call_kw"
    )
    assert count.json()["result"] > 0
    for _ in range(10):
        assert_same(login("nope"), CASES["web_session_authenticate_wrong_password"])
    assert_same(login("nope"), CASES["web_session_authenticate_cooldown"])
    assert_same(login("admin"), CASES["web_session_authenticate_good_password_during_cooldown"])
    assert_same(
        replay(rpc, CASES["jsonrpc_login_during_web_cooldown"]["request"]), CASES["jsonrpc_login_during_web_cooldown"]
    )


def test_transport_failures_look_as_recorded(rpc: Any, sandbox: Sandbox) -> None:
    sandbox.fault("reset", model="crm.stage")
    with pytest.raises(requests.exceptions.ConnectionError):
        rpc.call("crm.stage", "search", [])
    sandbox.fault("timeout", model="crm.stage", seconds=0.6)
    with pytest.raises(requests.exceptions.ReadTimeout):
        rpc.http.post(rpc.url + "/jsonrpc", json=_ask(rpc), timeout=0.2)
    sandbox.fault("database_down", model="crm.stage", times=2)
    for name in ("transport_postgres_down_0", "transport_postgres_down_1"):
        recorded = CASES[name]["body"]["error"]["data"]
        error = rpc.error("crm.stage", "search", [])
        assert (error["name"], error["message"]) == (recorded["name"], recorded["message"])
    assert rpc.call("crm.stage", "search_count", []) == 5
    sandbox.clear_faults()


def _ask(rpc: Any) -> dict[str, Any]:
    call = [rpc.database, 2, "admin", "crm.stage", "search", [[]], {}]
    return {"jsonrpc": "2.0", "id": 1, "params": {"service": "object", "method": "execute_kw", "args": call}}


@pytest.mark.parametrize("model", sorted(RECORDINGS["fields"]))
def test_fields_get_answers_the_recording(model: str, rpc: Any) -> None:
    recorded = RECORDINGS["fields"][model]
    assert rpc.call(model, "fields_get") == recorded
    wanted = ["type", "store", "relation"]
    shown = rpc.call(model, "fields_get", attributes=wanted)
    assert shown == {name: {k: a[k] for k in wanted if k in a} for name, a in recorded.items()}


@pytest.mark.parametrize("model", sorted(model for model, records in RECORDINGS["records"].items() if records))
def test_values_have_the_recorded_types(model: str, connect: Any) -> None:
    rpc = connect("nkretail" if model.startswith("pos.") else "northwind")
    recorded = RECORDINGS["records"][model]
    types = {name: RECORDINGS["fields"][model][name]["type"] for name in recorded[0]}
    served = rpc.call(model, "search_read", [], list(types), limit=200, context={"active_test": False})
    assert served or model in EMPTY, "no record to compare"
    for record in [*recorded, *served]:  # the recordings, too, so that the rules are not softer than the real thing
        assert list(record) == list(types)
        for name, type_ in types.items():
            assert_fits(type_, record[name])
    bare = rpc.call(model, "search_read", [], list(types), limit=20, load=None)
    relations = [name for name, type_ in types.items() if type_ == "many2one"]
    assert all(record[name] is False or isinstance(record[name], int) for record in bare for name in relations)


EMPTY = {"sale.report", "pos.category"}
"""Recorded models of which these databases hold no rows: a report view, and a category that sells nothing."""


def assert_fits(type_: str, value: Any) -> None:
    """A value is what its type can be on the wire."""
    if type_ in ("integer",):
        assert isinstance(value, int)
        assert not isinstance(value, bool)
    elif type_ in ("float", "monetary"):
        assert isinstance(value, float)
    elif type_ == "boolean":
        assert isinstance(value, bool)
    elif type_ == "many2one":
        assert value is False or (isinstance(value[0], int) and isinstance(value[1], str))
    elif type_ in ("one2many", "many2many"):
        assert all(isinstance(item, int) for item in value)
    elif type_ == "datetime":
        assert value is False or len(value) == 19
    elif type_ in ("char", "text", "html", "selection", "date"):
        assert value is False or isinstance(value, str)


def test_the_envelope_is_the_recorded_one(rpc: Any) -> None:
    recorded = RECORDINGS["raw"]
    names = list(recorded["result"][0])
    answer = rpc.raw("crm.lead", "search_read", [], fields=names, limit=3)
    assert list(answer) == list(recorded)
    assert [list(record) for record in answer["result"]] == [list(record) for record in recorded["result"]]
    properties = rpc.call("crm.lead", "search_read", [["team_id", "=", 1]], ["lead_properties"], limit=1)
    recorded_properties = next(r["lead_properties"] for r in RECORDINGS["records"]["crm.lead"] if r["lead_properties"])
    assert [sorted(item) for item in properties[0]["lead_properties"]] == [sorted(item) for item in recorded_properties]


def test_a_read_without_fields_leaves_out_what_cannot_be_exported(rpc: Any) -> None:
    recorded = CASES["all_fields_default_account_move"]["body"]["result"][0]
    shown = rpc.call("account.move", "search_read", [], limit=1)[0]
    assert set(shown) == set(recorded)
