"""Faults, rights, odd values, schema drift, version 19, traffic counters: what tests of the lake steer the sandbox with."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.server import Sandbox, running


def ask(rpc: Any, **options: Any) -> requests.Response:
    call = [rpc.database, 2, "admin", "crm.lead", "search_read", [[]], {"fields": ["name"], "limit": 50}]
    return rpc.http.post(
        rpc.url + "/jsonrpc", json={"params": {"service": "object", "method": "execute_kw", "args": call}}, **options
    )


# -- faults --------------------------------------------------------------------------------------------------------------


def test_a_fault_strikes_the_requests_it_is_about_and_then_passes(rpc: Any, sandbox: Sandbox) -> None:
    sandbox.fault("500", database="northwind", model="crm.lead", method="search_read", after=1, times=2)
    statuses = [ask(rpc).status_code for _ in range(4)]
    assert statuses == [200, 500, 500, 200]
    assert rpc.call("crm.lead", "search_count", []) > 0
    sandbox.fault("429", model="crm.lead", retry_after=3)
    limited = ask(rpc)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "3")
    sandbox.fault("html", model="crm.lead")
    page = ask(rpc)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    sandbox.clear_faults()
    assert sandbox.faults() == []


def test_faults_of_the_connection(rpc: Any, sandbox: Sandbox) -> None:
    sandbox.fault("cut", model="crm.lead")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        ask(rpc).json()
    sandbox.fault("reset", model="crm.lead")
    with pytest.raises(requests.exceptions.ConnectionError):
        ask(rpc)
    sandbox.fault("slow", model="crm.lead", seconds=0.4)
    begin = time.monotonic()
    assert ask(rpc).status_code == 200
    assert time.monotonic() - begin >= 0.4
    sandbox.fault("timeout", model="crm.lead", seconds=5)
    with pytest.raises(requests.exceptions.ReadTimeout):
        ask(rpc, timeout=0.3)
    sandbox.clear_faults()
    with pytest.raises(RuntimeError, match="kind must be one of"):
        sandbox.fault("earthquake")


# -- rights --------------------------------------------------------------------------------------------------------------


def test_rights_can_be_taken_and_given_back(rpc: Any, sandbox: Sandbox) -> None:
    total = rpc.call("crm.lead", "search_count", [])
    sandbox.rights("northwind", "admin", "crm.lead", allow=False)
    assert rpc.error("crm.lead", "search", [])["name"] == "odoo.exceptions.AccessError"
    assert rpc.call("crm.lead", "check_access_rights", "read", False) is False
    sandbox.rights("northwind", "admin", "crm.lead", allow=True)
    assert rpc.call("crm.lead", "search_count", []) == total
    sandbox.rights("northwind", "lowpriv", "crm.lead", allow=True)
    assert rpc.call("crm.lead", "search_count", [], login="lowpriv") == total
    sandbox.rights("northwind", "lowpriv", "crm.lead", allow=False)


def test_a_record_rule_shrinks_results_silently(rpc: Any, sandbox: Sandbox) -> None:
    everything, own = (rpc.call("crm.lead", "search_count", [], login=login) for login in ("admin", "salesown"))
    assert 0 < own < everything
    sandbox.rights("northwind", "admin", "crm.lead", domain=[["stage_id", "=", 4]])
    won = rpc.call("crm.lead", "search_read", [], ["stage_id"], load=None)
    assert {lead["stage_id"] for lead in won} == {4}
    sandbox.rights("northwind", "admin", "crm.lead", domain=[])
    assert rpc.call("crm.lead", "search_count", []) == everything


def test_fields_kept_for_a_group_vanish_from_fields_get(rpc: Any) -> None:
    assert "credit" in rpc.call("res.partner", "fields_get", attributes=["type"])
    assert "credit" not in rpc.call("res.partner", "fields_get", attributes=["type"], login="lowpriv")
    assert rpc.call("res.partner", "search_read", [], ["name"], limit=1, login="lowpriv")


# -- odd values and schema drift -------------------------------------------------------------------------------------------


def test_odd_values_travel_as_pythons_json_writes_them(rpc: Any, sandbox: Sandbox) -> None:
    leads = rpc.call("crm.lead", "create", [{"name": f"odd {n}"} for n in range(6)])
    odd = {"name": "a\0b", "city": "😀 ünï", "street": "x" * 1_000_000}, {"name": "lone \ud800"}, {"color": 2**70}
    numbers = {"expected_revenue": float("nan")}, {"expected_revenue": float("inf")}
    for lead, values in zip(leads, (*odd, *numbers), strict=False):
        body = json.dumps({"model": "crm.lead", "ids": [lead], "values": values, "sql": True})
        headers = {"Content-Type": "application/json"}
        rpc.http.post(f"{sandbox.url}/_sandbox/odoo/northwind/write", data=body, headers=headers).raise_for_status()
    call = [
        rpc.database,
        2,
        "admin",
        "crm.lead",
        "read",
        [leads, ["name", "city", "street", "color", "expected_revenue"]],
        {},
    ]
    text = rpc.post({"service": "object", "method": "execute_kw", "args": call}).text
    assert "NaN" in text
    assert "Infinity" in text
    assert "\\ud800" in text
    assert "\\u0000" in text
    assert str(2**70) in text
    rows = json.loads(text)["result"]
    assert rows[0]["city"] == "😀 ünï"
    assert len(rows[0]["street"]) == 1_000_000
    assert rows[5]["name"] == "odd 5"
    assert [row["id"] for row in sandbox.truth("northwind", "crm.lead", "name")][-6:] == leads


def test_fields_come_go_and_change_their_type(rpc: Any, sandbox: Sandbox) -> None:
    sandbox.field("northwind", "crm.lead", "x_budget", "add", type="integer", string="Budget", value=7)
    assert rpc.call("crm.lead", "fields_get", ["x_budget"])["x_budget"]["type"] == "integer"
    assert rpc.call("crm.lead", "search_read", [["x_budget", "=", 7]], ["x_budget"], limit=1)[0]["x_budget"] == 7
    lead = rpc.call("crm.lead", "create", {"name": "with budget", "x_budget": 9})
    sandbox.field("northwind", "crm.lead", "x_budget", "retype", type="char")
    assert rpc.call("crm.lead", "read", [lead], ["x_budget"])[0]["x_budget"] == "9"
    sandbox.field("northwind", "crm.lead", "x_budget", "remove")
    assert rpc.error("crm.lead", "read", [lead], ["x_budget"])["name"] == "builtins.ValueError"


# -- version 19 ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bearer() -> dict[str, str]:
    return {"Authorization": "bearer admin-api-key"}


def test_19_says_so_and_serves_both_protocols(connect: Any, rpc: Any, bearer: dict[str, str]) -> None:
    new = connect(version=19)
    assert new.http.get(new.url + "/web/version").json() == {
        "version_info": [19, 0, 0, "final", 0, ""],
        "version": "19.0",
    }
    assert rpc.http.get(rpc.url + "/web/version").status_code == 404
    assert new.post({}, "/web/webclient/version_info").json()["result"]["server_version"] == "19.0"
    question = {"domain": [["is_company", "=", True]], "fields": ["name", "country_id"], "limit": 3, "order": "id"}
    answer = new.http.post(new.url + "/json/2/res.partner/search_read", json=question, headers=bearer)
    old = rpc.call("res.partner", "search_read", question["domain"], question["fields"], limit=3, order="id")
    assert (
        answer.json()
        == old
        == new.call("res.partner", "search_read", *list(question.values())[:2], limit=3, order="id")
    )
    bare = new.http.post(
        new.url + "/json/2/res.partner/read",
        json={"ids": [101], "fields": ["country_id"], "load": None},
        headers=bearer,
    )
    assert isinstance(bare.json()[0]["country_id"], int)


@pytest.mark.parametrize(
    ("path", "body", "status", "name"),
    [
        ("res.partner/search", {"domain": []}, 401, "werkzeug.exceptions.Unauthorized"),
        ("no.such/search", {}, 404, "werkzeug.exceptions.NotFound"),
        ("res.partner/no_such", {}, 404, "werkzeug.exceptions.NotFound"),
        ("res.partner/search", {"page": 2}, 422, "werkzeug.exceptions.UnprocessableEntity"),
        ("res.partner/search", {"ids": [1]}, 422, "werkzeug.exceptions.UnprocessableEntity"),
        ("res.partner/read", {"fields": ["name"]}, 422, "werkzeug.exceptions.UnprocessableEntity"),
        ("res.partner/search_read", {"fields": ["zz"]}, 500, "builtins.ValueError"),
        ("crm.stage/create", {"vals_list": {}}, 422, "odoo.exceptions.ValidationError"),
    ],
)
def test_json_2_answers_errors_with_http_codes(
    path: str, body: dict[str, Any], status: int, name: str, connect: Any, bearer: dict[str, str]
) -> None:
    new = connect(version=19)
    headers = {} if status == 401 else bearer
    answer = new.http.post(f"{new.url}/json/2/{path}", json=body, headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (status, name)
    assert sorted(answer.json()) == ["arguments", "context", "debug", "message", "name"]


def test_json_2_refuses_who_has_no_right(connect: Any) -> None:
    new = connect(version=19)
    answer = new.http.post(
        new.url + "/json/2/crm.lead/search", json={}, headers={"Authorization": "bearer lowpriv-api-key"}
    )
    assert (answer.status_code, answer.json()["name"]) == (403, "odoo.exceptions.AccessError")


# -- the rest --------------------------------------------------------------------------------------------------------------


def test_traffic_is_counted_per_database_model_and_method(rpc: Any, sandbox: Sandbox) -> None:
    sandbox.reset_requests()
    rpc.call("crm.lead", "search_read", [], ["name"], limit=10)
    rpc.call("crm.lead", "search_read", [], ["name"], limit=5)
    rpc.error("crm.lead", "search_read", [], ["zz"])
    (tally,) = sandbox.requests()
    assert (tally["database"], tally["model"], tally["method"]) == ("northwind", "crm.lead", "search_read")
    assert (tally["requests"], tally["errors"], tally["rows"]) == (3, 1, 15)
    assert tally["bytes"] > 300


def test_a_database_does_not_answer_at_the_address_of_another(connect: Any) -> None:
    other = connect("northwind")
    other.database = "nkretail"
    assert other.error("res.partner", "search", [])["name"] == "psycopg2.OperationalError"


def test_it_starts_days_ago_closes_connections_and_answers_late_if_told_to() -> None:
    with running(databases="podium", sources="odoo", start="-7d", connection_close=True, latency_ms=30) as own:
        begin = datetime.fromisoformat(own.health()["now"])
        assert 6.9 < (datetime.now(UTC) - begin).total_seconds() / 86400 < 7.1
        for days in range(1, 8):
            own.advance((begin + timedelta(days=days)).isoformat())
        own.advance("now")
        assert abs((datetime.now(UTC) - datetime.fromisoformat(own.health()["now"])).total_seconds()) < 5
        started = time.monotonic()
        answer = requests.post(f"{own.odoo_url('podium')}/jsonrpc", json={"params": {}}, timeout=5)
        assert answer.headers["Connection"] == "close"
        assert time.monotonic() - started >= 0.03


def test_the_server_goes_when_its_parent_is_killed() -> None:
    script = (
        "import sys, time\nfrom sandbox.server import running\n"
        "with running(databases='podium', sources='odoo') as s:\n    print(s.url, flush=True)\n    time.sleep(60)\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root}
    )
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    assert requests.get(f"{url}/_sandbox/health", timeout=30).ok
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            requests.get(f"{url}/_sandbox/health", timeout=10)
            time.sleep(0.1)
        except requests.exceptions.ConnectionError:
            return
    pytest.fail("the server outlived its parent")
