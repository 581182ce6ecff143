"""`lake sync` as a person runs it: exit status, reasons on stderr, and the run in Dagster's own storage."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from typer.testing import CliRunner, Result

from lake_cli.main import app
from resources.dagster_home import instance_environment
from sandbox.server import Sandbox
from tests.lakes import SyncedLake, assert_lake_is_source, odoo_source


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A DAGSTER_HOME with its embedded Postgres; not under tmp_path, which other users (Postgres, for root) cannot enter."""
    folder = Path(tempfile.mkdtemp(prefix="revlake-home-"))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _lake(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


@pytest.mark.usefixtures("impatient", "home")
def test_a_table_that_fails_makes_exit_status_1_and_a_reason_and_the_next_sync_0(
    odoo: Sandbox, new_lake: Callable[..., SyncedLake], capfd: pytest.CaptureFixture[str]
) -> None:
    lake = new_lake({"northwind": {"odoo": odoo_source(odoo, tables=["crm_lead", "crm_stage"])}})
    arguments = ("sync", "--tenant", "northwind", "--tables", "crm_lead,crm_stage")
    with instance_environment(lake.settings):  # keeps Postgres up between the commands
        odoo.fault("500", model="crm.lead", method="search_read", times=None)
        answer = _lake(*arguments)
        assert answer.exit_code == 1
        told = answer.stderr + capfd.readouterr().err
        assert (
            "failed  northwind/odoo/crm_lead: tenant northwind, source odoo, table crm_lead: no answer after 2 tries"
            in told
        )
        assert "Traceback" not in told
        assert answer.stdout == ""
        assert lake.state("crm_stage").status == "ok"
        assert (lake.config.parent / "lake.duckdb").exists()

        odoo.clear_faults()
        assert _lake(*arguments).exit_code == 0
        assert_lake_is_source(lake, odoo, "northwind", ["crm_lead"])
        with DagsterInstance.get() as instance:
            statuses = [run.status for run in instance.get_runs()]
        assert statuses == [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--tenant", "nobody"), "has no tenant 'nobody' (it has: northwind)"),
        (("--tenant", "../northwind"), "has no tenant '../northwind'"),
        (("--tenant", "northwind", "--tables", "no_such_table"), "no such table: no_such_table"),
        (("--tenant", "northwind", "--source", "odoo_eu"), "has no source 'odoo_eu' (it has: odoo)"),
        (("--tenant", "northwind", "--from", "2025-12-31"), "lies before lake.start_date"),
        (("--tenant", "northwind", "--to", "2999-01-01"), "lies in the future"),
        (("--tenant", "northwind", "--confirm-deletes"), "--confirm-deletes belongs to --sweep"),
    ],
)
def test_what_cannot_be_asked_is_exit_status_2_and_touches_nothing(
    new_lake: Callable[..., SyncedLake], arguments: tuple[str, ...], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    block = {"type": "odoo", "url": "http://127.0.0.1:1", "database": "x", "username": "x", "password": "x"}
    lake = new_lake({"northwind": {"odoo": block}})
    answer = _lake("sync", *arguments)
    assert answer.exit_code == 2
    assert told in " ".join((answer.stderr + capfd.readouterr().err).split())
    assert not Path(lake.settings.root).joinpath("bronze").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP VIEW silver.opportunity",
        "CREATE TABLE t (n INT)",
        "SELECT 1; SELECT 2",
        "COPY (SELECT 1) TO '/tmp/x'",
        "SET threads = 1",
        "nonsense",
    ],
)
def test_lake_sql_only_reads(new_lake: Callable[..., SyncedLake], statement: str) -> None:
    new_lake({"northwind": {}})
    assert _lake("sql", statement).exit_code in (1, 2)


def test_lake_sql_never_opens_another_tenants_files(odoo: Sandbox, new_lake: Callable[..., SyncedLake]) -> None:
    lake = new_lake({slug: {"odoo": odoo_source(odoo)} for slug in ("anna", "bert")})
    lake.pull("crm_stage", tenant="anna")
    lake.pull("crm_stage", tenant="bert")
    [path] = lake.files("bronze/tenant_id=bert")
    answer = _lake("sql", f"SELECT count(*) FROM read_parquet('{lake.lake.storage.url(path)}')", "--tenant", "anna")
    assert answer.exit_code == 1
    answer = _lake("sql", "SELECT DISTINCT tenant_id FROM bronze.odoo_crm_stage", "--tenant", "anna", "--format", "csv")
    assert answer.stdout == "tenant_id\nanna\n"


@pytest.mark.usefixtures("home")
def test_ctrl_c_ends_a_sync_without_a_trace_and_the_same_command_goes_on(
    odoo: Sandbox, new_lake: Callable[..., SyncedLake]
) -> None:
    tables = ["crm_stage", "crm_lead"]
    lake = new_lake({"northwind": {"odoo": odoo_source(odoo, tables=tables, page_size=20)}})
    command = [Path(sys.executable).with_name("lake"), "sync", "--tenant", "northwind", "--config", lake.config]
    with instance_environment(lake.settings):
        odoo.fault("slow", model="crm.lead", method="search_read", seconds=2, times=None)
        odoo.reset_requests()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while sum(entry["requests"] for entry in odoo.requests() if entry["model"] == "crm.lead") < 3:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        answer, told = process.communicate(timeout=60)
        assert (process.returncode, answer) == (130, "")
        assert "interrupted  northwind:" in told
        assert "Traceback" not in told
        assert lake.files("bronze/tenant_id=northwind/source=odoo/entity=crm_lead") == []
        assert lake.state("crm_lead").message == ""

        odoo.clear_faults()
        assert subprocess.run(command, check=False, timeout=120).returncode == 0
        assert_lake_is_source(lake, odoo, "northwind", ["crm_lead"])
        with DagsterInstance.get() as instance:
            statuses = [run.status for run in instance.get_runs()]
        assert statuses == [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
