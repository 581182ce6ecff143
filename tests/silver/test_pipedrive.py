"""Pipedrive's deals, organizations, persons and users in silver, against the stand-in's own store."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from lake_assets.silver.make import make_entity
from lake_assets.silver.spec import load_specs
from sandbox.pipedrive.login import secret
from sandbox.server import Sandbox, running
from tests.lakes import SyncedLake

TABLES = ("deals", "persons", "organizations", "users", "stages", "deal_fields")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running(sources="pipedrive", records=120) as server:
        yield server


@pytest.fixture
def lake(sandbox: Sandbox, new_lake: Callable[..., SyncedLake]) -> SyncedLake:
    block = {"url": sandbox.source_url("pipedrive", "skyfit"), "api_token": secret("skyfit", "api token")}
    made = new_lake({"skyfit": {"pipedrive": block}})
    made.capture(*TABLES, source="pipedrive")
    for entity in ("opportunity", "account", "contact", "user"):
        make_entity(made.lake, "skyfit", load_specs()[entity])
    return made


def test_silver_and_quarantine_are_the_source(lake: SyncedLake, sandbox: Sandbox) -> None:
    for table, entity in {
        "deals": "opportunity",
        "persons": "contact",
        "organizations": "account",
        "users": "user",
    }.items():
        living = {
            str(record["id"]) for record in sandbox.records("pipedrive", "skyfit", table) if not record["is_deleted"]
        }
        rejected = lake.query(f"SELECT source_id FROM quarantine.records WHERE entity = '{table}' AND status = 'open'")
        assert lake.ids(f"silver.{entity}") | {row[0] for row in rejected} == living


def test_a_deal_has_its_values_names_and_custom_fields(lake: SyncedLake, sandbox: Sandbox) -> None:
    store = {str(deal["id"]): deal for deal in sandbox.records("pipedrive", "skyfit", "deals")}
    stages = {stage["id"]: stage["name"] for stage in sandbox.records("pipedrive", "skyfit", "stages")}
    users = {user["id"]: user["name"] for user in sandbox.records("pipedrive", "skyfit", "users")}
    rows = lake.query(
        "SELECT source_id, name, value, currency, stage, owner_name, is_won_stage, custom_fields FROM silver.opportunity"
    )
    assert rows
    with_own_fields = 0
    for source_id, name, value, currency, stage, owner, won, custom in rows:
        deal = store[source_id]
        money = (
            None if deal["value"] is None else Decimal(repr(deal["value"])).quantize(Decimal("0.01"), "ROUND_HALF_UP")
        )
        assert (name, value, currency) == (deal["title"], money, deal["currency"])
        assert (stage, owner) == (stages[deal["stage_id"]], users.get(deal["owner_id"]))
        assert won == (deal["status"] == "won")
        own = json.loads(custom) if custom else {}
        assert all(len(key) < 40 for key in own)
        with_own_fields += bool(own)
    assert with_own_fields > len(rows) / 4


def test_gold_tells_won_lost_and_open_deals_apart(lake: SyncedLake, sandbox: Sandbox) -> None:
    assert lake.sync("deals", "stages")
    status = {str(deal["id"]): deal["status"] for deal in sandbox.records("pipedrive", "skyfit", "deals")}
    rows = lake.query("SELECT source_id, status FROM gold.opportunity")
    assert {row[1] for row in rows} >= {"won", "lost", "open"}
    for source_id, found in rows:
        if status[source_id] in ("won", "lost", "open"):
            assert found == status[source_id]


def test_a_deal_whose_organization_is_not_in_the_lake_shows_no_persons_name(
    sandbox: Sandbox, new_lake: Callable[..., SyncedLake]
) -> None:
    block = {"url": sandbox.source_url("pipedrive", "skyfit"), "api_token": secret("skyfit", "api token")}
    lake = new_lake({"skyfit": {"pipedrive": block}})
    lake.capture("deals", "persons", source="pipedrive")
    for entity in ("opportunity", "contact"):
        make_entity(lake.lake, "skyfit", load_specs()[entity])
    assert lake.query("SELECT count(account_name), count(contact_name) > 10 FROM silver.opportunity") == [(0, True)]
