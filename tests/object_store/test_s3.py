"""The same lake in an object store: the same paths, layers and answers; one object is one unit; locks are Postgres's."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from resources.dagster_lake import open_lake
from resources.locks import LockHeld
from resources.postgres import URL_VARIABLE
from sandbox.server import Sandbox
from tests.cli.command import CommandLake
from tests.contract.test_layers import PATHS
from tests.lakes import SyncedLake
from tests.object_store.conftest import TABLES, Bucket

LEAD = 21


@pytest.fixture
def here(lake: CommandLake) -> SyncedLake:
    """The lake as this process sees it."""
    synced = SyncedLake(lake.folder / "lake.yaml")
    synced.lake = open_lake(synced.settings)
    return synced


def test_the_layers_lie_where_they_lie_on_a_disk(lake: CommandLake, bucket: Bucket) -> None:
    objects = bucket.objects()
    assert {path.split("/")[0] for path in objects} >= {"bronze", "silver", "gold"}
    assert [path for path in objects if not re.fullmatch(PATHS[path.split("/")[0]], path)] == []
    assert not lake.root.exists()


def test_sql_reads_from_there_and_sees_the_source(lake: CommandLake, sandbox: Sandbox) -> None:
    query = (
        "SELECT raw.id, raw.name, silver.name AS silver, served.name AS served FROM raw.odoo_crm_lead AS raw "
        "LEFT JOIN silver.opportunity AS silver ON silver.source_id = raw._source_id "
        "LEFT JOIN gold.opportunity AS served USING (canonical_id)"
    )
    rows = {row["id"]: row for row in lake.json("sql", query, "--tenant", "northwind", "--format", "json")}
    truth = {row["id"]: row["name"] for row in sandbox.truth("northwind", "crm.lead", "name")}
    assert {identity: row["name"] for identity, row in rows.items()} == truth
    known = [row for row in rows.values() if row["silver"] is not None]
    assert len(known) > 50
    assert all(row["name"] == row["silver"] == row["served"] for row in known)


def test_the_catalog_file_names_the_objects(lake: CommandLake) -> None:
    """Whoever opens it needs DuckDB's extension for S3, so only what it says can be looked at here."""
    ((view,),) = lake.query(
        "SELECT sql FROM duckdb_views() WHERE schema_name = 'bronze' AND view_name = 'odoo_crm_lead'"
    )
    assert "s3://revlake-test/some/prefix/bronze/tenant_id=northwind/source=odoo/entity=crm_lead/**/*.parquet" in view


def test_nothing_new_puts_no_object_and_one_change_puts_one_row(
    here: SyncedLake, bucket: Bucket, sandbox: Sandbox
) -> None:
    before = bucket.objects()
    assert {outcome.status for outcome in here.capture(*TABLES).values()} == {"unchanged"}
    assert bucket.objects() == before
    known = {row["id"] for row in here.bronze("crm_lead")}
    sandbox.write("northwind", "crm.lead", [LEAD], {"name": "Renamed deal"})
    assert here.sync("crm_lead")
    new = [row for row in here.bronze("crm_lead") if row["id"] not in known]
    assert [(row["source_id"], row["change_type"]) for row in new] == [(str(LEAD), "upsert")]
    assert here.query(f"SELECT name FROM gold.opportunity WHERE source_id = '{LEAD}'") == [("Renamed deal",)]


def test_what_is_being_done_elsewhere_is_not_done_twice(here: SyncedLake) -> None:
    with (
        open_lake(here.settings).lock("sync-northwind-odoo", "another sync"),
        pytest.raises(LockHeld, match=r"sync of northwind/odoo: already being done by revlake .* process \d+ since 20"),
        here.lake.lock("sync-northwind-odoo", "sync of northwind/odoo", wait_seconds=0.2),
    ):
        pass
    with here.lake.lock("sync-northwind-odoo", "sync of northwind/odoo", wait_seconds=0):
        pass


def test_a_lock_ends_with_the_connection_of_who_held_it(here: SyncedLake) -> None:
    """A killed process: the server drops its locks, and the next one need not wait."""
    holder = psycopg.connect(os.environ[URL_VARIABLE], autocommit=True)
    name = f"{here.settings.root}/sync-northwind-odoo"
    holder.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
    with pytest.raises(LockHeld), here.lake.lock("sync-northwind-odoo", "sync", wait_seconds=0):
        pass
    holder.close()
    with here.lake.lock("sync-northwind-odoo", "sync", wait_seconds=5):
        pass


def test_without_a_server_to_lock_in_it_says_what_to_configure(
    here: SyncedLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(URL_VARIABLE)
    with pytest.raises(RuntimeError, match=r"set lake\.postgres"):
        here.lake.lock("x", "work")


KILLED_IN_UPLOAD = """
import os, signal
from pathlib import Path
from resources.dagster_lake import open_lake
from tests.lakes import SyncedLake

synced = SyncedLake(Path({config!r}))
synced.lake = open_lake(synced.settings)
put = synced.lake.storage.fs.put_file

def die(aside, path, **more):
    if path.endswith(".parquet"):
        os.kill(os.getpid(), signal.SIGKILL)
    put(aside, path, **more)

synced.lake.storage.fs.put_file = die
synced.capture("crm_lead")
"""


def test_a_crash_before_the_upload_leaves_nothing_and_the_next_sync_completes_it(
    here: SyncedLake, lake: CommandLake, bucket: Bucket, sandbox: Sandbox
) -> None:
    sandbox.write("northwind", "crm.lead", [LEAD + 1], {"name": "Changed before the crash"})
    before, known = bucket.objects(), here.bronze("crm_lead")
    script = KILLED_IN_UPLOAD.format(config=str(lake.folder / "lake.yaml"))
    killed = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert bucket.objects() == before
    assert bucket.unfinished_uploads() == 0
    outcome = here.capture("crm_lead")["crm_lead"]
    assert (outcome.status, outcome.rows_written) == ("ok", 1)
    assert len(here.bronze("crm_lead")) == len(known) + 1


def test_an_upload_that_fails_is_the_tables_failure(
    here: SyncedLake, bucket: Bucket, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.write("northwind", "crm.lead", [LEAD + 2], {"name": "Changed before the failure"})
    before = bucket.objects()

    def refuse(aside: str, path: str) -> None:
        if path.endswith(".parquet"):
            raise PermissionError("AccessDenied")
        put(aside, path)

    put = here.lake.storage.fs.put_file
    with monkeypatch.context() as patch:
        patch.setattr(here.lake.storage.fs, "put_file", refuse)
        outcome = here.capture("crm_lead", "crm_stage")
    assert outcome["crm_lead"].status == "failed"
    assert "the lake could not be written: AccessDenied" in outcome["crm_lead"].message
    assert outcome["crm_stage"].status == "unchanged"
    assert bucket.objects() == before
    assert here.capture("crm_lead")["crm_lead"].rows_written == 1
