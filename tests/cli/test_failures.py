"""Sources that do not work: each failed table is named with its reason, and the rest is done."""

import json
import re
from collections.abc import Callable

import pytest

from tests.cli.command import CommandLake
from tests.cli.conftest import Said

Call = Callable[..., Said]

REASONS = {
    "odoo_password": "wrong user or password. Check tenants.northwind.sources.odoo_password.username and",
    "odoo_database": "the server has no database 'nothing'. Check tenants.northwind.sources.odoo_database.database",
    "odoo_down": "the connection failed: Connection refused",
    "odoo_variable": "tenants.northwind.sources.odoo_variable.password: environment variable NO_SUCH_SECRET is not set",
}
WORKING = {"odoo", "odoo_model", "odoo_rights"}


def test_a_failed_table_is_named_with_its_reason(after: Said) -> None:
    assert (after.status, after.out) == (1, "")
    assert "Traceback" not in after.err
    failed = dict(re.findall(r"^failed  northwind/(\w+/\w+): (.*)$", after.err, re.M))
    assert failed.keys() == {
        f"{source}/{table}" for source in REASONS for table in ("crm_lead", "crm_stage", "res_partner")
    }
    for name, reason in failed.items():
        assert REASONS[name.split("/")[0]] in reason


def test_what_works_is_done(after: Said, lake: CommandLake) -> None:
    rows = dict(
        lake.query("SELECT source, count(*) FROM bronze.odoo_crm_stage WHERE tenant_id = 'northwind' GROUP BY 1")
    )
    assert rows.keys() == {"odoo", "odoo_model"}
    assert lake.query("SELECT count(*) > 50 FROM silver.opportunity WHERE tenant_id = 'northwind'") == [(True,)]
    assert lake.query("SELECT sum(open_count) > 0 FROM gold.pipeline_mart WHERE tenant_id = 'northwind'") == [(True,)]


def test_missing_models_and_rights_are_no_failures(after: Said, lake: CommandLake) -> None:
    assert "not permitted  northwind/odoo_rights/crm_lead:" in after.err
    assert "note  northwind/odoo_model/x_no_such_model: " in after.err, "lake.yaml names it"
    assert "note  northwind/odoo/" not in after.err, "built in, and not everybody's"
    entries = {
        (entry["source"], entry["table"]): entry
        for entry in lake.json("status", "--json")
        if entry["tenant"] == "northwind"
    }
    assert entries["odoo_rights", "crm_lead"]["status"] == "not_permitted"
    missing = entries["odoo_model", "x_no_such_model"]
    assert missing["status"] == "missing_at_source"
    assert "x.no.such.model" in missing["message"]


def test_a_failure_elsewhere_does_not_fail_the_tables_asked_for(after: Said, call: Call) -> None:
    result = call("sync", "--tenant", "northwind", "--source", "odoo", "--tables", "crm_stage")
    assert result.status == 0, result.err


@pytest.mark.usefixtures("impatient")
def test_doctor_says_what_to_do_about_each(after: Said, call: Call) -> None:
    result = call("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(result.out)}
    assert result.status == 1
    assert {name for name, finding in findings.items() if not finding["ok"]} == {
        f"northwind/{source}" for source in REASONS
    }
    for source, reason in REASONS.items():
        assert reason in findings[f"northwind/{source}"]["detail"]
        assert f"tenants.northwind.sources.{source}" in findings[f"northwind/{source}"]["advice"]
    assert all(findings[f"northwind/{source}"]["ok"] for source in WORKING)
    table = call("doctor")
    assert table.status == 1
    assert "FAILED" in table.out
