"""The jobs, and the run requests that schedules, sensors and the command line all make the same way."""

from datetime import date
from typing import Any

from dagster import AssetCheckKey, AssetSelection, RunRequest, define_asset_job
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from lake_assets.silver.assets import BLOCKING_CHECK, SYNC_TAG, silver_key
from lake_assets.silver.spec import load_specs
from lake_config import Settings, source_types
from partitions import partition_key

SYNC_JOB = "sync"
TENANT_TAG = "revlake/tenant"


def sync_job() -> UnresolvedAssetJobDefinition:
    """Everything, for one tenant and day."""
    stopping = [AssetCheckKey(silver_key(entity), BLOCKING_CHECK) for entity in load_specs()]
    return define_asset_job(
        SYNC_JOB,
        # Of the checks only those that can stop it: one that is planned and then has nothing to say would show as skipped.
        selection=AssetSelection.all().without_checks() | AssetSelection.checks(*stopping),
        description="Reads what is new at a tenant's sources and brings every layer up to date with it.",
        tags={SYNC_TAG: "true"},
    )


def bronze_config(settings: Settings, **options: Any) -> dict[str, Any]:
    """Run configuration that hands `options` of `SyncConfig` to bronze."""
    return {"ops": {f"bronze_{kind}": {"config": options} for kind in source_types()}} if options else {}


def sync_request(settings: Settings, tenant: str, day: date, run_key: str | None = None, **options: Any) -> RunRequest:
    """A run of the sync job; `options` as in `SyncConfig`."""
    return RunRequest(
        run_key=run_key,
        job_name=SYNC_JOB,
        partition_key=partition_key(day, tenant),
        tags={TENANT_TAG: tenant, SYNC_TAG: "true"},
        run_config=bronze_config(settings, **options),
    )
