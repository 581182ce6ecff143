"""One lake for the tests that only look: three tenants, four Odoo databases, synced once by the command."""

from collections.abc import Iterator

import pytest

from sandbox.server import Sandbox, running
from tests.cli.command import CommandLake, command_lake
from tests.contract.server import Server
from tests.lakes import odoo_source

ODD_NAMES = {
    3: 'He said "no", \\n and {"a": [1]}',
    4: "false",
    5: "null",
    6: "Zoë — 株式会社 🚀\r\n\tnext line",
    7: " ",
    8: "<p>5 &lt; 6 &amp; 'quoted'</p>",
    9: "2026-01-01",
    10: "x" * 100_000,
}
ODD_LEADS = {
    11: {"expected_revenue": -1234.565},
    12: {"expected_revenue": 0.1 + 0.2, "probability": 0.0},
    13: {"expected_revenue": 9_999_999_999_999.99, "phone": "", "email_from": "not an address"},
    14: {"description": "<div data-x='1'>ä</div>", "date_deadline": "1999-12-31", "partner_id": None, "user_id": None},
    15: {"lead_properties": [{"name": "a1", "type": "char", "string": "Size", "value": None}]},
    16: {"write_date": None},
}


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """All three databases, small, with odd values in some leads."""
    with running(scale=0.05, leads=300, seed=7, sources="odoo") as sandbox:
        for identity, name in ODD_NAMES.items():
            sandbox.write("northwind", "crm.lead", [identity], {"name": name}, sql=True)
        for identity, values in ODD_LEADS.items():
            sandbox.write("northwind", "crm.lead", [identity], values, sql=True)
        yield sandbox


@pytest.fixture(scope="session")
def lake(sandbox: Sandbox) -> Iterator[CommandLake]:
    """`acme` reads three instances, one of them through JSON-2; `podium` lists its tables; `idle` was never synced."""
    custom = [
        "aws.accounts",
        "aws.funding.request",
        "billing.spp.bill",
        "billing.internal.cur",
        "billing.bill",
        "billing.bill.line",
    ]
    by_json2 = odoo_source(
        sandbox,
        url=sandbox.odoo_url("northwind", version=19),
        protocol="json2",
        password="admin-api-key",
        tables=["crm_lead", "crm_stage", "res_partner", "res_users"],
    )
    tenants = {
        "acme": {"odoo": odoo_source(sandbox), "odoo_eu": odoo_source(sandbox, "nkretail"), "odoo_19": by_json2},
        "podium": {"odoo": odoo_source(sandbox, "podium", tables=["crm_lead", *(f"c.{name}" for name in custom)])},
        "idle": {"odoo": odoo_source(sandbox)},
    }
    with command_lake(tenants, timezone="Europe/Berlin") as lake:
        for tenant in ("acme", "podium"):
            lake.sync(tenant)
        yield lake


@pytest.fixture(scope="session")
def servers(sandbox: Sandbox) -> dict[tuple[str, str], Server]:
    """(tenant, source instance) -> the server behind it."""
    databases = {
        ("acme", "odoo"): "northwind",
        ("acme", "odoo_eu"): "nkretail",
        ("acme", "odoo_19"): "northwind",
        ("podium", "odoo"): "podium",
    }
    return {instance: Server(sandbox, database) for instance, database in databases.items()}
