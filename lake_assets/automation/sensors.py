"""Runs by what happens: changes at a source, and sources that were down."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from lake_assets.automation.outcome import failed_tables, table_states
from lake_assets.automation.polling import POLL_SECONDS, Polls, ask_all
from lake_assets.automation.runs import SYNC_JOB, busy_tenants, sync_request
from lake_assets.automation.webhooks import webhook_sensor
from lake_config import Settings, source_types
from resources.connecting import connect
from resources.connectors.base import SourceError
from resources.dagster_lake import LakeResource

RETRY_SECONDS = 30 * 60


@dataclass
class Attempts:
    """What was asked for last per tenant, kept in the sensor's cursor. Dagster never repeats a run key, whether its
    run failed or not, so the key holds the watermarks and the number of the attempt."""

    by_tenant: dict[str, list[str | int]]
    asked: dict[str, float] = field(default_factory=dict)
    """When each instance was asked, see `Polls`."""

    @staticmethod
    def load(cursor: str | None) -> "Attempts":
        stored = json.loads(cursor) if cursor else {}
        return Attempts(stored.get("attempts", {}), stored.get("asked", {}))

    def next_key(self, tenant: str, mark: str) -> str:
        last = self.by_tenant.get(tenant, ["", 0])
        attempt = int(last[1]) + 1 if last[0] == mark else 1
        self.by_tenant[tenant] = [mark, attempt]
        return f"{tenant}-{mark}-{attempt}"

    def dump(self) -> str:
        return json.dumps({"attempts": self.by_tenant, "asked": self.asked}, sort_keys=True)


def sensors(settings: Settings) -> list[SensorDefinition]:
    """One change sensor per source type, the one for webhooks, and the one that tries failed sources again."""
    changes = [_change_sensor(settings, source_type) for source_type in source_types()]
    return [*changes, webhook_sensor(settings), _retry_sensor(settings)]


def has_news(settings: Settings, lake: LakeResource, tenant: str, source_type: str, polls: Polls) -> str | None:
    """Ask each of the tenant's instances of this type that may be asked whether anything is newer than what was read.

    Returns:
        A text that identifies the watermarks asked about if one says yes; None otherwise. An instance that does not answer counts
        as no news: the sync that fails on it is the place to say so. A table whose last sync failed is left to the retry
        sensor: its watermark stands still, so there would be news of it every time.
    """
    states = table_states(lake.lake, tenant)
    now = datetime.now(UTC)
    for name, source in settings.tenants[tenant].sources.items():
        if source.type != source_type:
            continue
        connector = connect(tenant, name, source, lake.lake)
        try:
            offered = set(connector.tables())
            known = {table: state for (at, table), state in states.items() if at == name and table in offered}
            pauses = [state.resumes_at for state in known.values() if state.resumes_at]
            if pauses and min(pauses) <= now:
                return f"resume-{min(pauses):%Y%m%dT%H%M%S}"
            if pauses or not polls.due(tenant, name, source):
                continue
            if not any(state.watermark or state.failures for state in known.values()):
                return "first"
            since = {
                table: state.watermark for table, state in known.items() if state.watermark and state.status != "failed"
            }
            if since and connector.has_changes(since):
                marks = json.dumps({table: str(mark) for table, mark in sorted(since.items())})
                return hashlib.sha256(marks.encode()).hexdigest()[:16]
        except SourceError:
            continue
        finally:
            connector.close()
    return None


def _change_sensor(settings: Settings, source_type: str) -> SensorDefinition:
    @sensor(
        name=f"{source_type}_changes",
        job_name=SYNC_JOB,
        minimum_interval_seconds=POLL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Asks every tenant's {source_type} whether anything changed, and syncs today where it did.",
    )
    def changes(context: SensorEvaluationContext, lake: LakeResource) -> Iterator[RunRequest | SkipReason]:
        busy = busy_tenants(context.instance)
        tenants = [
            slug
            for slug, tenant in settings.active_tenants.items()
            if slug not in busy and any(source.type == source_type for source in tenant.sources.values())
        ]
        attempts = Attempts.load(context.cursor)
        polls = Polls(attempts.asked)
        marks = ask_all(source_type, tenants, lambda tenant: has_news(settings, lake, tenant, source_type, polls))
        today = datetime.now(UTC).date()
        news = {tenant: mark for tenant, mark in marks.items() if mark is not None}
        for tenant, mark in news.items():
            yield sync_request(settings, tenant, today, run_key=attempts.next_key(tenant, mark), only=source_type)
        context.update_cursor(attempts.dump())
        if not news:
            yield SkipReason(f"nothing new at {len(tenants)} tenant(s); {len(busy)} syncing")

    return changes


def _retry_sensor(settings: Settings) -> SensorDefinition:
    @sensor(
        name="retry_failed_sources",
        job_name=SYNC_JOB,
        minimum_interval_seconds=RETRY_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Every 30 minutes: syncs tenants again that have a table whose last sync failed and may work now.",
    )
    def retry(context: SensorEvaluationContext, lake: LakeResource) -> Iterator[RunRequest | SkipReason]:
        busy = busy_tenants(context.instance)
        attempts = Attempts.load(context.cursor)
        today = datetime.now(UTC).date()
        pending = {
            tenant: sorted(failed_tables(lake.lake, settings, tenant, to_retry=True))
            for tenant in settings.active_tenants
            if tenant not in busy
        }
        pending = {tenant: tables for tenant, tables in pending.items() if tables}
        for tenant, tables in pending.items():
            mark = hashlib.sha256(f"{today} {tables}".encode()).hexdigest()[:16]
            yield sync_request(settings, tenant, today, run_key=f"retry-{attempts.next_key(tenant, mark)}")
        context.update_cursor(attempts.dump())
        if not pending:
            yield SkipReason("no table is waiting for another try")

    return retry
