"""The demo's own configuration: every table of every source holds what its source holds, a second sync writes nothing, and after
time has passed exactly what changed is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake_assets.automation.polling import poll_cost
from lake_assets.bronze.tables import tables_of
from lake_config import load_settings
from resources.budget import load_account
from resources.connecting import connect
from sandbox.credentials import CREDENTIALS
from sandbox.server import Sandbox, running
from tests.lakes import SyncedLake, evening

REPOSITORY = Path(__file__).resolve().parents[2]
SYSTEMS = {"partner_central": "aws", "marketplace": "aws"}
SOURCES = [
    (tenant, name)
    for tenant, settings in load_settings(REPOSITORY / "lake.yaml").tenants.items()
    for name in settings.sources
    if name != "odoo"
]


@dataclass
class Demo:
    """The demo's lake, read from a sandbox of its own."""

    lake: SyncedLake
    sandbox: Sandbox

    def tables(self, tenant: str, source: str) -> list[str]:
        return tables_of(self.lake.settings, self.lake.settings.tenants[tenant].sources[source].type)

    def living(self, tenant: str, source: str, table: str) -> int:
        """How many records of a table the source has, deleted ones left out."""
        if table == "leads":
            return self._aws_leads()
        records = self.sandbox.records(SYSTEMS.get(source, source), tenant, table)
        return sum(not _deleted(table, record) for record in records)

    def _aws_leads(self) -> int:
        """Invitations with a lead, and engagements about leads that none of them led to."""
        invitations = self.sandbox.records("aws", "podium", "invitations")
        engagements = self.sandbox.records("aws", "podium", "engagements")
        leads = [invitation for invitation in invitations if invitation["PayloadType"] == "LeadInvitation"]
        invited = {invitation.get("EngagementId") for invitation in leads}
        about = [
            engagement["Id"]
            for engagement in engagements
            if any(context["Type"] == "Lead" for context in engagement.get("Contexts") or ())
        ]
        return len(leads) + len(set(about) - invited)


def _deleted(table: str, record: dict[str, Any]) -> bool:
    flags = ("is_deleted", "IsDeleted", "deleted", "deleted_at")
    if any(record.get(flag) for flag in flags) or record.get("status") == "deleted":
        return True
    return table == "users" and record.get("active") is False


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    sources = "pipedrive,zendesk,salesforce,aws,apn,documents"
    with (
        running(scale=0.4, sources=sources, folder=folder / ".sandbox", start=evening(3).isoformat()) as sandbox,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        sandbox.set_limits("zendesk", "skyfit", exports=None)
        sandbox.set_limits("aws", "podium")
        text = (REPOSITORY / "lake.yaml").read_text().replace("http://127.0.0.1:8899", sandbox.url)
        config = yaml.safe_load(text)
        apn = sandbox.health()["sources"]["apn"]["podium"]["port"]
        config["tenants"]["podium"]["sources"]["apn"]["port"] = apn
        file = folder / "lake.yaml"
        file.write_text(yaml.safe_dump(config))
        yield Demo(SyncedLake(file), sandbox)


@pytest.fixture(scope="module")
def synced(demo: Demo) -> Demo:
    """Every source read once."""
    for tenant, source in SOURCES:
        outcomes = demo.lake.capture(*demo.tables(tenant, source), tenant=tenant, source=source)
        assert {outcome.status for outcome in outcomes.values()} <= {"ok", "unchanged"}, outcomes
    return demo


@pytest.mark.parametrize(("tenant", "source"), SOURCES)
def test_every_table_holds_what_its_source_holds(synced: Demo, tenant: str, source: str) -> None:
    for table in synced.tables(tenant, source):
        assert synced.lake.state(table, tenant, source).rows == synced.living(tenant, source, table), table


@pytest.mark.parametrize(("tenant", "source"), SOURCES)
def test_a_second_sync_writes_nothing(synced: Demo, tenant: str, source: str) -> None:
    outcomes = synced.lake.capture(*synced.tables(tenant, source), tenant=tenant, source=source)
    assert {table: outcome.rows_written for table, outcome in outcomes.items() if outcome.rows_written} == {}


@pytest.mark.parametrize(("tenant", "source"), SOURCES)
def test_a_poll_costs_no_more_than_it_is_said_to(synced: Demo, tenant: str, source: str) -> None:
    settings = synced.lake.settings.tenants[tenant].sources[source]
    states = {table: synced.lake.state(table, tenant, source) for table in synced.tables(tenant, source)}
    before = load_account(synced.lake.lake, tenant, source).spent
    connector = connect(tenant, source, settings, synced.lake.lake)
    connector.has_changes({table: state.watermark for table, state in states.items() if state.watermark})
    connector.close()
    assert load_account(synced.lake.lake, tenant, source).spent - before <= poll_cost(settings)


def test_after_two_days_exactly_what_changed_is_read(synced: Demo) -> None:
    before = {
        (tenant, source, table): synced.lake.state(table, tenant, source).rows
        for tenant, source in SOURCES
        for table in synced.tables(tenant, source)
    }
    synced.sandbox.advance(evening(1).isoformat())
    changed = 0
    for tenant, source in SOURCES:
        outcomes = synced.lake.capture(*synced.tables(tenant, source), tenant=tenant, source=source, sweep=True)
        for table, outcome in outcomes.items():
            assert outcome.rows == synced.living(tenant, source, table), f"{source}.{table}"
            assert outcome.rows_written >= abs(outcome.rows - before[tenant, source, table])
            changed += outcome.rows_written
    assert changed > 20
