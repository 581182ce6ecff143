"""Runs by the clock."""

from collections.abc import Iterator
from datetime import UTC, timedelta

from dagster import DefaultScheduleStatus, RunRequest, ScheduleDefinition, ScheduleEvaluationContext, schedule

from lake_assets.automation.runs import SYNC_JOB, sync_request
from lake_config import Settings


def schedules(settings: Settings) -> list[ScheduleDefinition]:
    """`daily_sync` closes yesterday at 02:00 UTC; `weekly_sweep` looks for deletes and strays on Sundays."""

    @schedule(
        name="daily_sync",
        cron_schedule="0 2 * * *",
        execution_timezone="UTC",
        job_name=SYNC_JOB,
        default_status=DefaultScheduleStatus.RUNNING,
        description="Closes yesterday for every active tenant.",
    )
    def daily_sync(context: ScheduleEvaluationContext) -> Iterator[RunRequest]:
        yesterday = (context.scheduled_execution_time.astimezone(UTC) - timedelta(days=1)).date()
        for tenant in settings.active_tenants:
            yield sync_request(settings, tenant, yesterday, run_key=f"daily-{yesterday}-{tenant}")

    @schedule(
        name="weekly_sweep",
        cron_schedule="0 4 * * 0",
        execution_timezone="UTC",
        job_name=SYNC_JOB,
        default_status=DefaultScheduleStatus.RUNNING,
        description="Compares id lists with every source: deletes, strays and records without a modification time.",
    )
    def weekly_sweep(context: ScheduleEvaluationContext) -> Iterator[RunRequest]:
        today = context.scheduled_execution_time.astimezone(UTC).date()
        for tenant in settings.active_tenants:
            yield sync_request(settings, tenant, today, run_key=f"sweep-{today}-{tenant}", sweep=True)

    return [daily_sync, weekly_sweep]
