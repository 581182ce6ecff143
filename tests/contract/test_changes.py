"""What later syncs do: nothing where nothing changed, and exactly what changed where something did.

The runs are those of `lake sync`, in this process: ten of its own would take most of a minute to start.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest

from lake_assets.catalog import write_catalog_file
from sandbox.server import Sandbox, running
from tests.cli.command import CommandLake, command_lake
from tests.lakes import SyncedLake, odoo_source, today

LEAD, DELETED = 21, 22
TABLES = ["crm_lead", "crm_stage", "crm_team", "res_partner", "res_users", "res_country_state"]
NAMES = "canonical_id, name, stage, account_name, owner_name"


@dataclass
class Moment:
    """The lake after one more call of the command."""

    files: dict[str, str]
    catalog: float
    opportunities: dict[str, dict[str, Any]]
    served: dict[str, dict[str, Any]]
    pipeline: set[tuple[str, str]]
    bronze: list[dict[str, Any]]
    states: int
    worked: bool

    def new_files(self, before: "Moment", layer: str = "") -> set[str]:
        """Those that came or were replaced."""
        return {
            path for path, content in self.files.items() if path.startswith(layer) and before.files.get(path) != content
        }

    def new_rows(self, before: "Moment") -> list[tuple[str, str, str]]:
        known = {row["id"] for row in before.bronze}
        return sorted(
            (row["entity"], row["source_id"], row["change_type"]) for row in self.bronze if row["id"] not in known
        )


@dataclass
class Story:
    """Moments by name, in the order in which they came."""

    lead: dict[str, Any]
    moments: dict[str, Moment] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Moment:
        return self.moments[name]


def look(lake: CommandLake, worked: bool) -> Moment:
    named = {row["canonical_id"]: row for row in lake.records(f"SELECT {NAMES} FROM silver.opportunity")}
    served = {row["canonical_id"]: row for row in lake.records(f"SELECT {NAMES} FROM gold.opportunity")}
    pipeline = lake.query("SELECT DISTINCT stage, owner_name FROM gold.pipeline_mart WHERE open_count > 0")
    bronze = " UNION ALL ".join(
        f"SELECT id, entity, source_id, change_type, raw_data FROM bronze.odoo_{table}" for table in TABLES
    )
    ((states,),) = lake.query("SELECT count(*) FROM raw.odoo_res_country_state")
    return Moment(
        lake.files(),
        lake.catalog.stat().st_mtime_ns,
        named,
        served,
        set(pipeline),
        lake.records(bronze),
        states,
        worked,
    )


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """One lake through what happens to a source."""
    with (
        running(scale=0.05, leads=120, seed=7, databases="northwind", sources="odoo") as sandbox,
        command_lake({"acme": {"odoo": odoo_source(sandbox, tables=TABLES)}}) as lake,
    ):
        (lead,) = [row for row in sandbox.truth("northwind", "crm.lead") if row["id"] == LEAD]
        story = Story(lead)
        runs = SyncedLake(lake.folder / "lake.yaml")

        def sync(name: str, *tables: str, day: date | None = None, **options: Any) -> None:
            lake.close()
            worked = runs.sync(*tables, day=day, **options)
            write_catalog_file(runs.settings, runs.lake)
            story.moments[name] = look(lake, worked)

        sync("first")
        # Somebody looks at the lake all the while.
        with duckdb.connect(str(lake.catalog), read_only=True) as reader:
            sync("unchanged")
            sync("read again", day=today() - timedelta(days=1), full=True)
            assert reader.execute("SELECT count(*) FROM silver.opportunity").fetchall()[0][0] > 100
        sandbox.write("northwind", "crm.lead", [LEAD], {"name": "Renamed deal"})
        sync("changed", "crm_lead")
        rename(sandbox, lead)
        sandbox.unlink("northwind", "crm.lead", [DELETED])
        sync("renamed")
        sandbox.unlink("northwind", "res.country.state", sandbox.ids("northwind", "res.country.state")[:60])
        sync("swept", sweep=True)
        sync("confirmed", "res_country_state", sweep=True, confirm_deletes=True)
        yield story


def rename(sandbox: Sandbox, lead: dict[str, Any]) -> None:
    """Give the lead's stage, customer and salesperson other names; the lead itself stays as it is."""
    sandbox.write("northwind", "crm.stage", [lead["stage_id"]], {"name": "Nearly there"})
    sandbox.write("northwind", "res.partner", [lead["partner_id"]], {"name": "Other Co", "complete_name": "Other Co"})
    (user,) = [row for row in sandbox.truth("northwind", "res.users") if row["id"] == lead["user_id"]]
    sandbox.write("northwind", "res.partner", [user["partner_id"]], {"name": "Ms New", "complete_name": "Ms New"})


def test_the_first_sync_works(story: Story) -> None:
    first = story["first"]
    assert first.worked
    assert len(first.opportunities) > 100
    assert first.opportunities == first.served


@pytest.mark.parametrize("name", ["unchanged", "read again"])
def test_a_sync_that_finds_nothing_writes_nothing(story: Story, name: str) -> None:
    assert story[name].worked
    assert story[name].files == story["first"].files
    assert story[name].catalog == story["first"].catalog


def test_a_changed_record_is_the_only_new_row(story: Story) -> None:
    before, after = story["read again"], story["changed"]
    assert after.new_rows(before) == [("crm_lead", str(LEAD), "upsert")]
    (made,) = after.new_files(before, "bronze")
    assert "/entity=crm_lead/" in made
    assert {path.split("entity=")[1].split("/")[0] for path in after.new_files(before, "silver")} == {"opportunity"}
    changed = f"opp-{LEAD}-odoo"
    assert after.opportunities == {
        **before.opportunities,
        changed: {**before.opportunities[changed], "name": "Renamed deal"},
    }
    assert after.served == after.opportunities


def test_new_names_of_stage_customer_and_salesperson_show_everywhere(story: Story) -> None:
    before, after = story["changed"], story["renamed"]
    assert {entity for entity, _, _ in after.new_rows(before)} == {"crm_stage", "res_partner"}
    mine = f"opp-{LEAD}-odoo"
    named = {"stage": "Nearly there", "account_name": "Other Co", "owner_name": "Ms New"}
    assert after.opportunities[mine] == {**before.opportunities[mine], **named}
    assert after.served == after.opportunities
    old = before.opportunities[mine]
    assert old["stage"] not in {row["stage"] for row in after.opportunities.values()}
    for place, name in enumerate(("stage", "owner_name")):
        assert named[name] in {row[place] for row in after.pipeline}
        assert old[name] not in {row[place] for row in after.pipeline}


def test_a_delete_shows_after_a_sweep_and_leaves_a_tombstone(story: Story) -> None:
    gone = f"opp-{DELETED}-odoo"
    assert gone in story["renamed"].opportunities
    after = story["swept"]
    assert gone not in after.opportunities
    assert gone not in after.served
    new = after.new_rows(story["renamed"])
    assert ("crm_lead", str(DELETED), "delete") in new
    assert [row for row in new if row[0] == "crm_lead"] == [("crm_lead", str(DELETED), "delete")]
    (tombstone,) = [row for row in after.bronze if row["change_type"] == "delete" and row["entity"] == "crm_lead"]
    assert json.loads(tombstone["raw_data"]) == {"id": str(DELETED)}


def test_a_mass_deletion_waits_to_be_confirmed(story: Story) -> None:
    held, confirmed = story["swept"], story["confirmed"]
    assert held.states == story["first"].states
    assert held.worked
    assert confirmed.states == held.states - 60
    assert {(entity, change) for entity, _, change in confirmed.new_rows(held)} == {("res_country_state", "delete")}
    assert confirmed.worked
