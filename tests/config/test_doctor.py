"""`lake doctor` tells a missing variable and what to do, while everything else goes on."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from lake_cli.main import app
from sandbox.server import Sandbox
from tests.lakes import SyncedLake, odoo_source

NO_POSTGRES = {"postgres": "postgresql://127.0.0.1/x?no_such_option=1"}


def _examine() -> tuple[int, dict[str, dict[str, object]]]:
    answer = CliRunner().invoke(app, ["doctor", "--json"])
    return answer.exit_code, {finding["what"]: finding for finding in json.loads(answer.stdout)}


@pytest.mark.usefixtures("impatient")
def test_each_source_is_judged_by_itself(odoo: Sandbox, new_lake: Callable[..., SyncedLake]) -> None:
    sources = {
        "good": odoo_source(odoo),
        "no-variable": odoo_source(odoo, password="${NOT_SET_ANYWHERE}"),
        "wrong-password": odoo_source(odoo, password="s3cret"),
        "unknown-database": odoo_source(odoo, database="nowhere"),
        "nobody-there": odoo_source(odoo, url="http://127.0.0.1:1"),
    }
    new_lake({slug: {"odoo": source} for slug, source in sources.items()}, lake=NO_POSTGRES)
    status, findings = _examine()
    assert status == 1
    assert findings["configuration"]["ok"]
    assert findings["lake"]["ok"]
    assert findings["good/odoo"]["ok"]
    assert "logged in" in str(findings["good/odoo"]["detail"])
    assert not findings["postgres"]["ok"]
    missing = findings["no-variable/odoo"]
    assert not missing["ok"]
    assert "tenants.no-variable.sources.odoo.password: environment variable NOT_SET_ANYWHERE is not set" in str(
        missing["detail"]
    )
    for slug in ("wrong-password", "unknown-database", "nobody-there"):
        finding = findings[f"{slug}/odoo"]
        assert not finding["ok"]
        assert finding["detail"]
        assert f"tenants.{slug}.sources.odoo" in str(finding["advice"])
    assert "s3cret" not in json.dumps(findings)


def test_a_webhooks_secret_that_is_missing_or_empty_is_told(
    odoo: Sandbox, new_lake: Callable[..., SyncedLake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY_HOOK", "")
    secrets = {"good": "abc", "unset": "${NOT_SET_ANYWHERE}", "empty": "${EMPTY_HOOK}"}
    new_lake(
        {slug: {"odoo": odoo_source(odoo, webhook_secret=secret)} for slug, secret in secrets.items()}, NO_POSTGRES
    )
    _, findings = _examine()
    assert {slug: findings[f"{slug}/odoo webhooks"]["ok"] for slug in secrets} == {
        "good": True,
        "unset": False,
        "empty": False,
    }


def test_a_wrong_file_is_the_only_finding(new_lake: Callable[..., SyncedLake]) -> None:
    lake = new_lake({"anna": {}})
    lake.config.write_text("lake: {start_date: soon}\ntenants: {}\n")
    status, findings = _examine()
    assert status == 1
    assert list(findings) == ["configuration"]
    assert "lake.start_date" in str(findings["configuration"]["detail"])


def test_definitions_load_although_a_variable_is_missing(odoo: Sandbox, new_lake: Callable[..., SyncedLake]) -> None:
    from lake_assets.definitions import build_defs

    lake = new_lake({"anna": {"odoo": odoo_source(odoo, password="${NOT_SET_ANYWHERE}")}})
    assert build_defs(lake.settings).resolve_all_asset_specs()
