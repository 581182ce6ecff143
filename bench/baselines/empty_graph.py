"""The same assets, checks, partitions and job as the lake's, with bodies that do nothing: what a run costs in Dagster alone.

No check blocks here: Dagster warns of each blocking check without a result, which would make this slower, and ours look better.
"""

from collections.abc import Iterator
from datetime import date

from dagster import (
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    DagsterInstance,
    Definitions,
    MaterializeResult,
    in_process_executor,
    multi_asset,
)

from lake_assets.automation.runs import SYNC_JOB, TENANT_TAG
from lake_assets.definitions import build_defs
from lake_cli.sync import QUIET
from lake_config import Settings
from partitions import partition_key


def run_empty(settings: Settings, instance: DagsterInstance, tenant: str, day: date) -> bool:
    """One run of the job over the empty assets; whether it worked."""
    lake = build_defs(settings)
    assets = [_emptied(asset) for asset in lake.assets or () if isinstance(asset, AssetsDefinition)]
    definitions = Definitions(assets=assets, jobs=lake.jobs, executor=in_process_executor)
    result = definitions.resolve_job_def(SYNC_JOB).execute_in_process(
        instance=instance,
        partition_key=partition_key(day, tenant),
        run_config=QUIET,
        tags={TENANT_TAG: tenant},
        raise_on_error=False,
    )
    return result.success


def _emptied(asset: AssetsDefinition) -> AssetsDefinition:
    @multi_asset(
        name=asset.node_def.name,
        specs=list(asset.specs),
        check_specs=[AssetCheckSpec(check.name, asset=check.asset_key) for check in asset.check_specs],
        partitions_def=asset.partitions_def,
        backfill_policy=asset.backfill_policy,
        can_subset=True,
    )
    def empty(context: AssetExecutionContext) -> Iterator[MaterializeResult]:
        yield from (MaterializeResult(asset_key=key) for key in context.selected_asset_keys)

    return empty
