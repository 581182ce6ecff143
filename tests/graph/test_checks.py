"""What Dagster shows of the checks: verdicts per day and tenant, with rows, that stand until something changes."""

from collections.abc import Callable

import pytest
from dagster import AssetCheckKey, AssetKey
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from lake_assets.definitions import build_defs
from sandbox.server import Sandbox
from tests.lakes import SyncedLake, odoo_source, today

TABLES = ("crm_lead", "crm_stage")
FORMAT_RULES = AssetCheckKey(AssetKey(["silver", "opportunity"]), "format_rules")


@pytest.fixture
def lake(odoo: Sandbox, new_lake: Callable[..., SyncedLake]) -> SyncedLake:
    """Two tenants on one database."""
    return new_lake({slug: {"odoo": odoo_source(odoo, tables=list(TABLES))} for slug in ("anna", "bert")})


def _verdict(lake: SyncedLake, check: AssetCheckKey, tenant: str) -> AssetCheckExecutionRecord:
    storage = lake.instance.event_log_storage
    return storage.get_latest_asset_check_execution_by_key([check], PartitionKeyFilter(key=f"{today()}|{tenant}"))[
        check
    ]


def test_a_verdict_is_of_one_day_and_tenant_and_shows_rows(lake: SyncedLake, odoo: Sandbox) -> None:
    odoo.write("northwind", "crm.lead", odoo.ids("northwind", "crm.lead"), {"email_from": "ok@example.com"})
    assert lake.sync(tenant="anna")
    odoo.write("northwind", "crm.lead", [3], {"email_from": "at dot com"})
    assert lake.sync(tenant="bert")
    of_anna, of_bert = (_verdict(lake, FORMAT_RULES, tenant) for tenant in ("anna", "bert"))
    assert of_anna.evaluation is not None
    assert of_bert.evaluation is not None
    assert "email_format" not in of_anna.evaluation.metadata
    assert of_bert.evaluation.metadata["email_format"].value == 1
    assert not of_bert.evaluation.passed
    assert "email: not an e-mail address" in str(of_bert.evaluation.metadata["sample"].value)


def test_a_verdict_stands_while_nothing_changes(lake: SyncedLake, odoo: Sandbox) -> None:
    odoo.write("northwind", "crm.lead", [3], {"email_from": "at dot com"})
    assert lake.sync(tenant="anna")
    before = _verdict(lake, FORMAT_RULES, "anna")
    assert lake.sync(tenant="anna")
    after = _verdict(lake, FORMAT_RULES, "anna")
    assert after.run_id != before.run_id, "it is of the latest materialization, or Dagster would not show it"
    assert after.status.value == before.status.value == "FAILED"
    assert after.evaluation is not None
    assert before.evaluation is not None
    assert after.evaluation.metadata == before.evaluation.metadata


def test_no_check_of_a_sync_shows_as_skipped(lake: SyncedLake) -> None:
    """One that a run plans and then says nothing about would."""
    assert lake.sync(tenant="anna")
    assert lake.sync(tenant="anna")
    graph = build_defs(lake.settings).resolve_asset_graph()
    known = lake.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(graph.asset_check_keys))
    assert {record.status.value for record in known.values()} <= {"SUCCEEDED", "FAILED"}
