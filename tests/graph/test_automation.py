"""What schedules and sensors ask for, against stand-in sources; and what a notice says."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest
from dagster import (
    DagsterInstance,
    DagsterRun,
    RunRequest,
    SensorResult,
    SkipReason,
    build_schedule_context,
    build_sensor_context,
)
from dagster._core.definitions.sensor_definition import SensorDefinition
from dagster._core.storage.dagster_run import DagsterRunStatus

from lake_assets.automation.runs import SYNC_JOB, TENANT_TAG
from lake_assets.automation.sensors import sensors
from lake_assets.definitions import build_defs
from resources.dagster_lake import lake_resource
from sandbox.server import Sandbox
from tests.lakes import SyncedLake, odoo_source, today

TABLES = ["crm_lead", "crm_stage"]


@dataclass
class Sensing:
    """Ticks of one sensor, each with the cursor that the one before left, as the daemon does it."""

    lake: SyncedLake
    name: str
    instance: DagsterInstance = field(default_factory=DagsterInstance.ephemeral)
    cursor: str | None = None
    skipped: str | None = None

    def tick(self) -> list[RunRequest]:
        """What one evaluation asks for."""
        definition = next(sensor for sensor in sensors(self.lake.settings) if sensor.name == self.name)
        assert isinstance(definition, SensorDefinition)
        resources = {"lake": lake_resource(self.lake.settings)}
        with build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            answer: Any = definition(context)
            found = [answer] if isinstance(answer, RunRequest | SkipReason | SensorResult) else list(answer)
            self.cursor = context.cursor
        self.skipped = next((entry.skip_message for entry in found if isinstance(entry, SkipReason)), None)
        return [entry for entry in found if isinstance(entry, RunRequest)]


def _tenants(requests: list[RunRequest]) -> list[str]:
    return sorted(request.tags[TENANT_TAG] for request in requests)


@pytest.fixture
def lake(odoo: Sandbox, new_lake: Callable[..., SyncedLake]) -> SyncedLake:
    """Two tenants on one database, and one that left."""
    made = new_lake({slug: {"odoo": odoo_source(odoo, tables=TABLES)} for slug in ("anna", "bert", "left")})
    text = made.config.read_text().replace("  left:\n", "  left:\n    retired: true\n")
    made.config.write_text(text)
    return SyncedLake(made.config)


def test_a_tenant_that_never_synced_is_synced_first(lake: SyncedLake) -> None:
    requests = Sensing(lake, "odoo_changes").tick()
    assert _tenants(requests) == ["anna", "bert"]
    for request in requests:
        assert request.job_name == SYNC_JOB
        assert request.partition_key == f"{today()}|{request.tags[TENANT_TAG]}"


def test_a_change_at_the_source_asks_for_a_run_of_its_tenant_only(
    lake: SyncedLake, start_odoo: Callable[..., Sandbox]
) -> None:
    other = start_odoo()
    lake.reconfigure({"url": other.odoo_url("northwind")}, tenant="bert")
    time.sleep(1.1)  # Odoo tells whole seconds, so what is as old as the watermark's second counts as news
    for tenant in ("anna", "bert"):
        lake.capture(*TABLES, tenant=tenant)
    sensing = Sensing(lake, "odoo_changes")
    assert sensing.tick() == []
    assert sensing.skipped == "nothing new at 2 tenant(s); 0 syncing"
    other.create("northwind", "crm.lead", {"name": "new"})
    assert _tenants(sensing.tick()) == ["bert"]
    time.sleep(1.1)
    lake.capture(*TABLES, tenant="bert")
    assert sensing.tick() == []


def test_a_tick_that_is_evaluated_again_asks_for_the_same_run(lake: SyncedLake) -> None:
    sensing = Sensing(lake, "odoo_changes")
    first = [request.run_key for request in sensing.tick()]
    sensing.cursor = None  # the daemon died before it had saved the cursor
    assert [request.run_key for request in sensing.tick()] == first
    assert len(set(first)) == 2


def test_a_change_whose_run_failed_is_asked_for_again_under_another_key(lake: SyncedLake, odoo: Sandbox) -> None:
    for tenant in ("anna", "bert"):
        lake.capture(*TABLES, tenant=tenant)
    odoo.create("northwind", "crm.lead", {"name": "new"})
    sensing = Sensing(lake, "odoo_changes")
    first, second = sensing.tick(), sensing.tick()
    assert _tenants(first) == _tenants(second) == ["anna", "bert"]
    assert not {request.run_key for request in first} & {request.run_key for request in second}
    assert {str(request.run_key).rpartition("-")[0] for request in first} == {
        str(request.run_key).rpartition("-")[0] for request in second
    }


@pytest.mark.parametrize("status", [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
def test_a_tenant_whose_sync_is_under_way_is_left_alone(lake: SyncedLake, status: DagsterRunStatus) -> None:
    sensing = Sensing(lake, "odoo_changes")
    sensing.instance.add_run(DagsterRun(SYNC_JOB, status=status, tags={TENANT_TAG: "anna"}))
    assert _tenants(sensing.tick()) == ["bert"]


@pytest.mark.usefixtures("impatient")
def test_a_source_that_is_down_is_left_to_the_retry_sensor(lake: SyncedLake, odoo: Sandbox) -> None:
    lake.capture(*TABLES, tenant="anna")
    lake.capture(*TABLES, tenant="bert")
    odoo.create("northwind", "crm.lead", {"name": "new"})
    odoo.fault("500", model="crm.lead", method="search_read", times=None)
    lake.capture(*TABLES, tenant="anna")
    odoo.clear_faults()
    changes, retry = Sensing(lake, "odoo_changes"), Sensing(lake, "retry_failed_sources")
    assert _tenants(changes.tick()) == ["bert"]
    first, second = retry.tick(), retry.tick()
    assert _tenants(first) == _tenants(second) == ["anna"]
    assert first[0].run_key != second[0].run_key
    lake.capture(*TABLES, tenant="anna")
    assert retry.tick() == []
    assert retry.skipped == "no table is waiting for another try"


@pytest.mark.usefixtures("impatient")
def test_a_source_that_does_not_answer_keeps_no_other_tenant_waiting(lake: SyncedLake, odoo: Sandbox) -> None:
    for tenant in ("anna", "bert"):
        lake.capture(*TABLES, tenant=tenant)
    lake.reconfigure({"url": "http://127.0.0.1:1/odoo"}, tenant="anna")
    odoo.create("northwind", "crm.lead", {"name": "new"})
    assert _tenants(Sensing(lake, "odoo_changes").tick()) == ["bert"]


def test_a_missing_password_keeps_no_other_tenant_waiting(lake: SyncedLake, odoo: Sandbox) -> None:
    for tenant in ("anna", "bert"):
        lake.capture(*TABLES, tenant=tenant)
    lake.reconfigure({"password": "${NOT_SET_ANYWHERE}"}, tenant="anna")
    odoo.create("northwind", "crm.lead", {"name": "new"})
    assert _tenants(Sensing(lake, "odoo_changes").tick()) == ["bert"]


def _scheduled(lake: SyncedLake, name: str, at: datetime) -> list[RunRequest]:
    repository = build_defs(lake.settings).get_repository_def()
    definition = repository.get_schedule_def(name)
    with build_schedule_context(
        instance=DagsterInstance.ephemeral(), scheduled_execution_time=at, repository_def=repository
    ) as context:
        return list(definition.evaluate_tick(context).run_requests or [])


def test_daily_sync_closes_yesterday_for_every_active_tenant(lake: SyncedLake) -> None:
    definition = build_defs(lake.settings).get_repository_def().get_schedule_def("daily_sync")
    assert (definition.cron_schedule, definition.execution_timezone) == ("0 2 * * *", "UTC")
    requests = _scheduled(lake, "daily_sync", datetime(2026, 3, 1, 2, tzinfo=UTC))
    assert [request.partition_key for request in requests] == ["2026-02-28|anna", "2026-02-28|bert"]
    assert len({request.run_key for request in requests}) == 2
    assert all(request.run_config == {} for request in requests)


def test_weekly_sweep_compares_id_lists(lake: SyncedLake) -> None:
    requests = _scheduled(lake, "weekly_sweep", datetime(2026, 3, 1, 4, tzinfo=UTC))
    assert _tenants(requests) == ["anna", "bert"]
    assert all(request.run_config["ops"]["bronze_odoo"]["config"] == {"sweep": True} for request in requests)


def test_a_requested_run_can_be_run(lake: SyncedLake) -> None:
    """The partition and the configuration that a schedule asks for are ones that the job takes."""
    request = _scheduled(lake, "weekly_sweep", datetime.combine(today(), datetime.min.time(), UTC))[0]
    job = build_defs(lake.settings).resolve_job_def(SYNC_JOB)
    result = job.execute_in_process(
        instance=lake.instance,
        partition_key=request.partition_key,
        run_config=request.run_config,
        tags=dict(request.tags),
    )
    assert result.success
    assert lake.state("crm_lead", "anna").last_sweep_at is not None


@dataclass
class Webhook:
    """A server that remembers what is posted to it."""

    url: str
    received: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    status: int = 200


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            hook.paths.append(self.path)
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        hook.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/t0ken-s3cret"
        yield hook
        server.shutdown()


def _failing(odoo: Sandbox, new_lake: Callable[..., SyncedLake], webhook: Webhook) -> SyncedLake:
    source = odoo_source(odoo, tables=["crm_stage"], password="pass-s3cret")
    return new_lake({"anna": {"odoo": source}}, lake={"webhook_url": webhook.url})


def test_the_third_failure_in_a_row_sends_one_notice_without_secrets(
    odoo: Sandbox,
    new_lake: Callable[..., SyncedLake],
    webhook: Webhook,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    lake = _failing(odoo, new_lake, webhook)
    for failures in range(1, 5):
        assert not lake.sync("crm_stage")
        assert len(webhook.received) == (failures >= 3)
    notice = webhook.received[0]
    assert notice["text"].startswith("anna/odoo/crm_stage failed 3 times in a row: ")
    assert (notice["tenant"], notice["table"]) == ("anna", "odoo/crm_stage")
    assert webhook.paths == ["/hooks/t0ken-s3cret"]
    out, err = capfd.readouterr()
    for text in (json.dumps(webhook.received), caplog.text, out, err):
        assert "s3cret" not in text
    assert "notice: anna/odoo/crm_stage failed 3 times" in caplog.text


def test_success_begins_the_count_anew(odoo: Sandbox, new_lake: Callable[..., SyncedLake], webhook: Webhook) -> None:
    lake = _failing(odoo, new_lake, webhook)
    for password in ("wrong", "wrong", "admin", "wrong", "wrong"):
        lake.reconfigure({"password": password})
        lake.sync("crm_stage")
    assert webhook.received == []
    assert not lake.sync("crm_stage")
    assert len(webhook.received) == 1


def test_a_webhook_that_fails_breaks_nothing_and_is_not_shown(
    odoo: Sandbox, new_lake: Callable[..., SyncedLake], webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.status = 500
    lake = _failing(odoo, new_lake, webhook)
    for _ in range(3):
        assert not lake.sync("crm_stage")
    assert "could not be delivered to lake.webhook_url" in caplog.text
    assert "t0ken" not in caplog.text


def test_days_are_utc_days_from_the_start_date_to_today(lake: SyncedLake) -> None:
    from partitions import day_tenant_partitions, partition_key

    partitions = day_tenant_partitions(lake.settings)
    keys = partitions.get_partition_keys()
    assert partition_key(today(), "anna") in keys
    assert partition_key(date(2026, 1, 1), "left") in keys
    assert partition_key(date(2025, 12, 31), "anna") not in keys
    assert partition_key(date.fromordinal(today().toordinal() + 1), "anna") not in keys
