"""The jobs, and the run requests that schedules, sensors and the command line all make the same way."""

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    RunRequest,
    RunsFilter,
    define_asset_job,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from lake_assets.automation.outcome import OUTCOME_KEY
from lake_assets.bronze.assets import bronze_key
from lake_assets.bronze.tables import tables_of
from lake_assets.gold.assets import gold_key
from lake_assets.gold.spec import load_marts
from lake_assets.silver.assets import BLOCKING_CHECK, SYNC_TAG, silver_key
from lake_assets.silver.spec import load_specs
from lake_config import Settings
from partitions import partition_key

SYNC_JOB = "sync"
TENANT_TAG = "revlake/tenant"
IN_PROGRESS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def sync_job() -> UnresolvedAssetJobDefinition:
    """Everything, for one tenant and day."""
    checks = checks_of_run(map(silver_key, load_specs()))
    return define_asset_job(
        SYNC_JOB,
        selection=AssetSelection.all().without_checks() | AssetSelection.checks(*checks),
        description="Reads what is new at a tenant's sources and brings every layer up to date with it.",
        tags={SYNC_TAG: "true"},
    )


def busy_tenants(instance: DagsterInstance) -> set[str]:
    """Tenants with a sync queued or under way."""
    runs = instance.get_runs(RunsFilter(job_name=SYNC_JOB, statuses=IN_PROGRESS))
    return {run.tags[TENANT_TAG] for run in runs if TENANT_TAG in run.tags}


def checks_of_run(assets: Iterable[AssetKey]) -> list[AssetCheckKey]:
    """Of the checks of these assets only those that can stop a run: one that is planned and then has nothing to say would show as
    skipped."""
    return [AssetCheckKey(key, BLOCKING_CHECK) for key in assets if key.path[0] == "silver"]


def bronze_selection(
    settings: Settings, tenant: str, source: str | None = None, tables: Collection[str] | None = None
) -> list[AssetKey]:
    """The bronze assets that a run of a tenant reads: those of the source types that it has. A step for each of the others would
    cost time and events only to say that it is not configured.

    Parameters:
        source: only this instance, or all instances of this type.
        tables: only these.
    """
    instances = settings.tenants[tenant].sources.items()
    kinds = {instance.type for name, instance in instances if source in (None, name, instance.type)}
    return [
        bronze_key(kind, table)
        for kind in sorted(kinds)
        for table in tables_of(settings, kind)
        if tables is None or table in tables
    ]


def run_selection(
    settings: Settings, tenant: str, source: str | None = None, tables: Collection[str] | None = None
) -> list[AssetKey]:
    """`bronze_selection`, and every layer above."""
    above = [*map(silver_key, load_specs()), *map(gold_key, load_marts()), OUTCOME_KEY]
    return [*bronze_selection(settings, tenant, source, tables), *above]


def bronze_config(bronze: Iterable[AssetKey], **options: Any) -> dict[str, Any]:
    """Run configuration that hands `options` of `SyncConfig` to the steps that make these bronze assets."""
    kinds = sorted({key.path[1] for key in bronze if key.path[0] == "bronze"})
    return {"ops": {f"bronze_{kind}": {"config": options} for kind in kinds}} if options else {}


def sync_request(
    settings: Settings,
    tenant: str,
    day: date,
    run_key: str | None = None,
    only: str | None = None,
    tables: Collection[str] | None = None,
    **options: Any,
) -> RunRequest:
    """A run of the sync job.

    Parameters:
        only: a source type, or an instance: read just the tables of that type.
        tables: and of them just these.
        options: as in `SyncConfig`.
    """
    selection = run_selection(settings, tenant, only, tables)
    return RunRequest(
        run_key=run_key,
        job_name=SYNC_JOB,
        partition_key=partition_key(day, tenant),
        tags={TENANT_TAG: tenant, SYNC_TAG: "true"},
        run_config=bronze_config(selection, **options),
        asset_selection=selection,
        asset_check_keys=checks_of_run(selection),
    )
