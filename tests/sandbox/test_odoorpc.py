"""Unmodified odoorpc works against the sandbox, over host and port as it knows no path."""

from typing import Any

import odoorpc
import pytest

from sandbox.server import Sandbox


@pytest.fixture(scope="module")
def odoo(sandbox: Sandbox) -> Any:
    client = odoorpc.ODOO("127.0.0.1", port=sandbox.port)
    client.login("northwind", "admin", "admin")
    return client


def test_it_logs_in_with_password_or_api_key_and_not_otherwise(sandbox: Sandbox) -> None:
    client: Any = odoorpc.ODOO("127.0.0.1", port=sandbox.port)
    assert client.version == "17.0"
    client.login("nkretail", "admin", "admin-api-key")
    assert client.env.uid == 2
    with pytest.raises(odoorpc.error.RPCError, match="Wrong login ID or password"):
        client.login("northwind", "admin", "wrong")
    with pytest.raises(odoorpc.error.RPCError, match="does not exist"):
        client.login("nosuch", "admin", "admin")


def test_it_browses_searches_and_reads(odoo: Any) -> None:
    leads = odoo.env["crm.lead"]
    found = leads.search([("type", "=", "opportunity")], limit=3, order="id")
    assert len(found) == 3
    lead = leads.browse(found[0])
    assert lead.name
    assert lead.stage_id.name in ("New", "Qualified", "Proposition", "Negotiation", "Won")
    assert odoo.env.user.name == "Mitchell Admin"
    rows = odoo.execute_kw("crm.lead", "search_read", [[("id", "in", found)]], {"fields": ["stage_id"], "load": ""})
    assert all(isinstance(row["stage_id"], int) for row in rows)
    assert odoo.execute("crm.lead", "read", found, ["name"])[0]["name"]


def test_it_writes_creates_and_deletes(odoo: Any) -> None:
    leads = odoo.env["crm.lead"]
    lead = leads.create({"name": "from odoorpc", "expected_revenue": 500, "stage_id": 4})
    assert leads.read(lead, ["probability", "prorated_revenue"])[0]["prorated_revenue"] == 500.0
    leads.write([lead], {"name": "renamed"})
    assert leads.browse(lead).name == "renamed"
    assert odoo.execute_kw("crm.lead", "action_archive", [[lead]]) is None
    assert leads.search([("id", "=", lead)]) == []
    assert leads.search([("id", "=", lead), ("active", "=", False)]) == [lead]
    leads.unlink([lead])
    assert leads.read([lead], ["name"]) == []


def test_an_error_of_the_server_arrives_as_rpc_error(odoo: Any) -> None:
    caught: Any
    with pytest.raises(odoorpc.error.RPCError) as caught:
        odoo.execute_kw("no.such.model", "search_read", [[]])
    assert caught.value.info["data"]["name"] == "odoo.exceptions.UserError"
