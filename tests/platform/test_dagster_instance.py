"""The Dagster instance of a lake: its storage, its settings, what it shows, and what a crash leaves in it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import yaml
from dagster import AssetKey, DagsterInstance, DagsterRunStatus, asset, materialize
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster_postgres import PostgresEventLogStorage

from lake_config import Settings, settings_from_mapping
from resources.dagster_home import close_abandoned_runs, instance_environment

REPOSITORY = Path(__file__).resolve().parents[2]
MATERIALIZE = """
import os, sys, time
from dagster import DagsterInstance, asset, materialize

@asset(key_prefix="toy")
def grain(context) -> None:
    if "hang" in sys.argv:
        print(context.run_id, flush=True)
        time.sleep(600)

with DagsterInstance.get() as instance:
    assert materialize([grain], instance=instance, tags={"revlake/tenant": "acme"}).success
"""


@pytest.fixture
def settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("DAGSTER_HOME", "LAKE_CONFIG", "REVLAKE_DAGSTER_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)
    return settings_from_mapping({"lake": {"start_date": "2026-01-01"}, "tenants": {}}, folder / "lake.yaml")


@asset(key_prefix="toy")
def seed() -> None:
    """A thing to materialize."""


def _children(*arguments: str, count: int = 1) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-c", MATERIALIZE, *arguments]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(count)]


def _dagster(*arguments: str) -> str:
    command = [sys.executable, "-m", "dagster", *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"}
    ).stdout


def test_a_materialization_lands_in_the_embedded_postgres(settings: Settings) -> None:
    with instance_environment(settings) as environment, DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        assert materialize([seed], instance=instance).success
        with psycopg.connect(environment.postgres_url) as connection:
            kinds = "SELECT dagster_event_type FROM event_logs WHERE asset_key = %s"
            events = connection.execute(kinds, (AssetKey(["toy", "seed"]).to_string(),)).fetchall()
        assert ("ASSET_MATERIALIZATION",) in events
        assert environment.home == settings.path.parent / "dagster_home"
        assert not list(environment.home.rglob("*.db"))


def test_without_a_server_the_storage_is_sqlite_under_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REVLAKE_DAGSTER_POSTGRES_URL", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text((REPOSITORY / "dagster_home" / "dagster.yaml").read_text())
    with DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, SqliteEventLogStorage)
        assert materialize([seed], instance=instance).success
    assert list(tmp_path.rglob("runs.db"))


def test_a_bare_dagster_command_sees_what_the_lake_ran(settings: Settings) -> None:
    with instance_environment(settings) as environment, DagsterInstance.get() as instance:
        run_id = materialize([seed], instance=instance).run_id
    os.environ["DAGSTER_HOME"] = str(environment.home)
    try:
        assert run_id in _dagster("run", "list")
    finally:
        del os.environ["DAGSTER_HOME"]
    assert not (environment.home / "postgres" / "data" / "postmaster.pid").exists()


def test_runs_in_several_processes_at_once_all_succeed(settings: Settings) -> None:
    with instance_environment(settings), DagsterInstance.get() as instance:
        children = _children(count=3)
        ends = [(child.communicate(timeout=120)[1], child.returncode) for child in children]
        assert [code for _, code in ends] == [0, 0, 0], ends
        assert {run.status for run in instance.get_runs()} == {DagsterRunStatus.SUCCESS}
        assert instance.get_runs_count() == 3


def test_instance_info_shows_the_settings_and_no_password(settings: Settings) -> None:
    # Patched inside the block alone: what a fixture would put back afterwards is the block's own value.
    with instance_environment(settings) as environment, pytest.MonkeyPatch.context() as patch:
        secret = environment.postgres_url.replace("//postgres@", "//postgres:s3cret@")
        patch.setenv("REVLAKE_DAGSTER_POSTGRES_URL", secret)  # no password is asked for on the socket
        shown = _dagster("instance", "info")
        with DagsterInstance.get() as instance:
            reference = str(instance.get_ref().to_dict())
    assert "s3cret" not in shown + reference
    shown_settings = yaml.safe_load(shown.split("-----\n", 1)[1].split("\n\n\nStorage schema state")[0])
    assert shown_settings["run_storage"] == "PostgresRunStorage"
    assert shown_settings["telemetry"] == {"enabled": False}
    assert shown_settings["run_retries"] == {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False}


def test_one_run_at_a_time_for_each_tenant_and_freed_slots_are_in_force(settings: Settings) -> None:
    with instance_environment(settings), DagsterInstance.get() as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 4
        limits = [dict(limit) for limit in queue.tag_concurrency_limits or []]
        assert limits == [{"key": "revlake/tenant", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}]
        assert instance.freshness_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 60


def test_the_environment_is_as_before_afterwards(settings: Settings) -> None:
    before = dict(os.environ)
    with instance_environment(settings):
        assert os.environ["LAKE_CONFIG"] == str(settings.path)
    assert dict(os.environ) == before


def test_a_dagster_home_of_ones_own_is_used_and_its_settings_are_kept(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder / "elsewhere"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with instance_environment(settings) as environment:
        assert environment.home == home
    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


def test_an_older_copy_of_our_settings_is_renewed(settings: Settings) -> None:
    ours = (REPOSITORY / "dagster_home" / "dagster.yaml").read_text()
    home = settings.path.parent / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text(ours.split("\n")[0] + "\ntelemetry: {enabled: true}\n")
    with instance_environment(settings):
        assert (home / "dagster.yaml").read_text() == ours


def test_a_run_whose_process_was_killed_gives_its_turn_back(settings: Settings) -> None:
    with instance_environment(settings), DagsterInstance.get() as instance:
        victim, living = _children("hang", count=2)
        assert victim.stdout
        assert living.stdout
        dead_run, living_run = victim.stdout.readline().strip(), living.stdout.readline().strip()
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        assert close_abandoned_runs(instance) == [dead_run]
        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert statuses == {dead_run: DagsterRunStatus.FAILURE, living_run: DagsterRunStatus.STARTED}
        living.kill()
        living.communicate()
