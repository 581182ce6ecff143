"""What goes wrong at the source becomes a typed error that names the place, or passes unnoticed."""

import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from resources.connectors.base import (
    MissingAtSource,
    NotPermitted,
    PermanentError,
    SourceError,
    TransientError,
    Window,
)
from resources.http import RetryPolicy
from sandbox.server import Sandbox
from tests.connectors.conftest import DATABASE, Connect, ids, read
from tests.connectors.scripted_server import Answer, serving

PROTOCOLS = ("jsonrpc", "json2")
LEADS = {"model": "crm.lead", "method": "search_read"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_wrong_password(connect: Connect, protocol: str) -> None:
    with pytest.raises(PermanentError, match=r"tenants\.northwind\.sources\.odoo") as caught:
        connect(protocol, password="s3cret-guess").check()
    assert "s3cret-guess" not in str(caught.value)
    assert re.search("wrong user or password|refused the API key", str(caught.value))


def test_a_wrong_password_is_tried_once_for_all_tables(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(password="s3cret-guess")

    def schema(table: str) -> Exception | None:
        try:
            connector.schema(table)
        except SourceError as error:
            return error
        return None

    with ThreadPoolExecutor(8) as pool:
        errors = list(pool.map(schema, connector.tables()))
    assert all(type(error) is PermanentError for error in errors)
    assert [entry["requests"] for entry in sandbox.requests() if entry["method"] == "login"] == [1]


def test_an_unknown_database(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(url=sandbox.odoo_url(DATABASE), database="nosuchdb")
    with pytest.raises(PermanentError, match=r"no database 'nosuchdb'.*sources\.odoo\.database"):
        connector.schema("crm_lead")


def test_a_missing_variable(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    for key in ("password", "url", "username"):
        with pytest.raises(PermanentError, match=rf"sources\.odoo\.{key}.*NO_SUCH_VARIABLE"):
            connect(**{key: "${NO_SUCH_VARIABLE}"}).schema("crm_lead")


def test_variables_are_expanded(connect: Connect, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    monkeypatch.setenv("ODOO_HOST", sandbox.url)
    monkeypatch.setenv("ODOO_KEY", "admin-api-key")
    connector = connect(url="${ODOO_HOST}/odoo/northwind/", password="${ODOO_KEY}")
    assert "user 2" in connector.check()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_rights_to_a_table(connect: Connect, protocol: str) -> None:
    connector = connect(protocol, user="lowpriv")
    schema = connector.schema("crm_lead")
    for pages in (connector.changes(schema, Window()), connector.inventory(schema), connector.undated(schema)):
        with pytest.raises(NotPermitted, match=r"table crm_lead.*not allowed to access.*sources\.odoo\.tables"):
            next(pages)
    assert read(connector, "res_country")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_model_that_is_not_installed(connect: Connect, protocol: str) -> None:
    with pytest.raises(MissingAtSource, match=r"table c_billing_bill: the server has no model c\.billing\.bill\."):
        connect(protocol, database="nkretail").schema("c_billing_bill")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_field_removed_between_schema_and_read(
    connect: Connect, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    sandbox.field(DATABASE, "crm.stage", "x_short_lived", "add", type="char")
    connector = connect(protocol)
    schema = connector.schema("crm_stage")
    assert "x_short_lived" in {column.name for column in schema.columns}
    before = read(connector, schema)
    sandbox.field(DATABASE, "crm.stage", "x_short_lived", "remove")
    after = read(connector, schema)
    assert after == [{name: value for name, value in row.items() if name != "x_short_lived"} for row in before]
    assert "lost x_short_lived" in caplog.text


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["500", "429", "cut", "reset", "html", "timeout"])
def test_a_passing_fault_goes_unnoticed(connect: Connect, sandbox: Sandbox, kind: str, protocol: str) -> None:
    connector = connect(protocol, page_size=40, timeout_seconds=2 if kind == "timeout" else 30)
    schema = connector.schema("crm_lead")
    sandbox.fault(kind, times=1, after=1, seconds=3, retry_after=0.1, **LEADS)
    assert ids(read(connector, schema)) == sandbox.ids(DATABASE, "crm.lead")
    assert connector.usage("crm_lead").retries == 1


@pytest.mark.parametrize("kind", ["500", "429", "cut", "reset", "html"])
def test_a_fault_that_stays_is_transient_and_names_the_place(connect: Connect, sandbox: Sandbox, kind: str) -> None:
    connector = connect(retry=RetryPolicy(tries=3))
    schema = connector.schema("crm_lead")
    sandbox.fault(kind, times=None, **LEADS)
    with pytest.raises(TransientError, match=r"tenant northwind, source odoo, table crm_lead: no answer after 3 tries"):
        read(connector, schema)
    assert connector.usage("crm_lead").requests == 1 + 3
    sandbox.clear_faults()
    assert read(connector, schema)


@pytest.mark.parametrize("kind", ["500", "reset", "html"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_faults_at_login_pass_too(connect: Connect, sandbox: Sandbox, kind: str, protocol: str) -> None:
    sandbox.fault(kind, times=2, model="common" if protocol == "jsonrpc" else "res.users")
    assert "user 2" in connect(protocol).check()


def test_retry_after_is_waited_for(connect: Connect, sandbox: Sandbox) -> None:
    slept: list[float] = []
    connector = connect(sleep=slept.append)
    schema = connector.schema("crm_lead")
    sandbox.fault("429", times=1, retry_after=3, **LEADS)
    read(connector, schema)
    assert max(slept) >= 2.9


def test_a_server_that_is_too_slow_for_a_page_gets_smaller_ones(
    connect: Connect, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    connector = connect(page_size=1000, timeout_seconds=1.5)
    schema = connector.schema("crm_lead")
    sandbox.fault("timeout", times=2, seconds=3, **LEADS)
    assert ids(read(connector, schema)) == sandbox.ids(DATABASE, "crm.lead")
    assert "Trying pages of 250" in caplog.text


def test_requests_of_all_tables_share_one_bound(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(max_in_flight=2, page_size=20)
    tables = ["crm_lead", "res_partner", "res_country", "res_country_state", "sale_order_line"]
    with ThreadPoolExecutor(len(tables)) as pool:
        counts = list(pool.map(lambda table: len(read(connector, table)), tables))
    assert counts == [len(sandbox.ids(DATABASE, table.replace("_", "."))) for table in tables[:4]] + [
        len(sandbox.ids(DATABASE, "sale.order.line"))
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_credential_shows_in_errors_or_logs(
    connect: Connect, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("odoorpc").setLevel(logging.DEBUG)
    secret = "admin-api-key"
    said: list[str] = []
    connector = connect(protocol, retry=RetryPolicy(tries=2))
    schema = connector.schema("crm_lead")
    read(connector, schema)
    for kind in ("500", "429", "cut", "reset", "html"):
        sandbox.clear_faults()
        sandbox.fault(kind, times=None, **LEADS)
        with pytest.raises(TransientError) as caught:
            read(connector, schema)
        said.append(repr(caught.value))
        assert caught.value.__cause__ is None
    for failing in (connect(protocol, password=secret + "x"), connect(protocol, database="nosuchdb")):
        with pytest.raises(PermanentError) as refused:
            failing.check()
        said.append(repr(refused.value))
    said += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    said += [repr(connector), repr(connector._settings), repr(connector._rpc()), repr(connector._endpoint())]
    assert secret not in " ".join(said)


def test_a_server_that_repeats_the_password_is_not_quoted(connect: Connect) -> None:
    secret = "s3cret-pass"
    error = {
        "code": 200,
        "message": "Odoo Server Error",
        "data": {"name": "builtins.TypeError", "message": f"bad {secret}"},
    }

    def script(asked: Any) -> Answer:
        if "version_info" in asked.path:
            return Answer(body=b'{"result": {"server_version": "17.0"}}')
        return Answer(body=json.dumps({"error": error}).encode())

    with serving(script) as server, pytest.raises(PermanentError) as caught:
        connect(url=server.url, password=secret).check()
    assert secret not in str(caught.value)
    assert "bad ***" in str(caught.value)


def test_what_is_not_odoo(connect: Connect) -> None:
    for answer in (Answer(404), Answer(body=b"{}"), Answer(body=b'{"result": {"other": 1}}'), Answer(301)):
        with serving([answer]) as server, pytest.raises(PermanentError, match=r"sources\.odoo\.url|redirects"):
            connect(url=server.url).check()


def test_the_protocol_follows_the_servers_version_or_the_settings(connect: Connect, sandbox: Sandbox) -> None:
    assert "Odoo 17.0 over JSON-RPC" in connect("jsonrpc").check()
    assert "Odoo 19.0 over JSON-2" in connect("json2").check()
    assert "Odoo 19.0 over JSON-RPC" in connect("json2", speak="jsonrpc").check()
    assert "Odoo 19 or later over JSON-2" in connect("json2", speak="json2").check()
    with pytest.raises(PermanentError, match="nothing at /odoo/northwind/json/2/"):
        connect("jsonrpc", speak="json2").check()
    with pytest.raises(PermanentError, match="nothing at"):
        connect("jsonrpc", url=sandbox.odoo_url(DATABASE, 17) + "/wrong").check()


@pytest.mark.parametrize("secret", ["s3cret\n", "s3cret\u20ac", "s3cret\u00e4"])
def test_a_key_that_no_header_carries(connect: Connect, secret: str) -> None:
    with pytest.raises(PermanentError, match=r"sources\.odoo\.password holds characters") as caught:
        connect("json2", password=secret).check()
    assert "s3cret" not in str(caught.value)
    with pytest.raises(PermanentError, match="wrong user or password"):
        connect("jsonrpc", password=secret).check()


def test_a_reply_without_result_is_none(connect: Connect, sandbox: Sandbox) -> None:
    rpc = connect()._rpc()
    stage = sandbox.ids(DATABASE, "crm.team")[:1]
    assert rpc.call("crm.team", "action_unarchive", ids=stage).value is None


WEIRD = {
    "NUL": "a\x00b",
    "emoji": "\U0001f469‍\U0001f680",
    "a megabyte": "ä" * 1_000_000,
    "empty": "",
    "right to left": "\u202eabc",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", WEIRD)
def test_weird_texts_arrive_unchanged(connect: Connect, sandbox: Sandbox, protocol: str, kind: str) -> None:
    (stage,) = sandbox.create(DATABASE, "crm.stage", [{"name": "weird"}])
    sandbox.write(DATABASE, "crm.stage", [stage], {"requirements": WEIRD[kind]}, sql=True)
    row = next(row for row in read(connect(protocol), "crm_stage") if row["id"] == stage)
    sandbox.unlink(DATABASE, "crm.stage", [stage])
    assert row["requirements"] == WEIRD[kind]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("field", "stored", "read_as"),
    [
        ("requirements", "half \ud800 pair", "half \\ud800 pair"),
        ("sequence", 2**70 + 1, 2**70 + 1),
        ("sequence", -(2**63) - 1, -(2**63) - 1),
    ],
)
def test_values_that_strict_parsers_refuse(
    connect: Connect, sandbox: Sandbox, protocol: str, field: str, stored: Any, read_as: Any
) -> None:
    (stage,) = sandbox.create(DATABASE, "crm.stage", [{"name": "weird"}])
    try:
        sandbox.write(DATABASE, "crm.stage", [stage], {field: stored}, sql=True)
        rows = read(connect(protocol, page_size=3), "crm_stage")
        assert next(row for row in rows if row["id"] == stage)[field] == read_as
        assert ids(rows) == sandbox.ids(DATABASE, "crm.stage")
    finally:
        sandbox.unlink(DATABASE, "crm.stage", [stage])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nan_is_kept_visibly(connect: Connect, sandbox: Sandbox, protocol: str) -> None:
    lead = sandbox.ids(DATABASE, "crm.lead")[0]
    update = {"model": "crm.lead", "ids": [lead], "values": {"probability": float("nan")}, "sql": True}
    requests.post(f"{sandbox.url}/_sandbox/odoo/{DATABASE}/write", data=json.dumps(update)).raise_for_status()
    try:
        assert read(connect(protocol), "crm_lead")[0]["probability"] == "NaN"
    finally:
        sandbox.write(DATABASE, "crm.lead", [lead], {"probability": 10.0}, sql=True)


def test_both_protocols_give_the_same_records(connect: Connect) -> None:
    for table in ("crm_lead", "res_partner", "res_users", "sale_order", "product_product"):
        first, second = connect("jsonrpc", page_size=30), connect("json2", page_size=30)
        assert first.schema(table) == second.schema(table)
        assert read(first, table) == read(second, table)
