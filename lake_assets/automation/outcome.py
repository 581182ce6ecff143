"""The last step of every sync: say whether all of it worked.

A table that fails must not stop what does not need it, so extraction never raises. This asset, downstream of
everything, raises in the end, so that the run as a whole is red and its error lists each failed table with its
reason.
"""

from datetime import UTC, datetime

from dagster import AssetExecutionContext, AssetKey, AssetsDefinition, BackfillPolicy, Failure, MaterializeResult, asset

from lake_assets.automation.notices import send_notice
from lake_assets.bronze.state import TableState, load_state
from lake_assets.bronze.tables import is_configured
from lake_assets.describe import OWNERS
from lake_config import Settings
from partitions import day_tenant_partitions, days_by_tenant
from resources import layout
from resources.dagster_lake import LakeResource
from resources.lake import Lake

OUTCOME_KEY = AssetKey(["operations", "sync_outcome"])
NOTICE_AFTER = 3
"""Failures in a row after which a notice goes out."""


def table_states(lake: Lake, tenant: str) -> dict[tuple[str, str], TableState]:
    """(source, table) -> state, of every table that a sync ever tried."""
    states: dict[tuple[str, str], TableState] = {}
    folder = layout.states_folder(tenant)
    for source in lake.storage.folders(folder):
        for path in lake.storage.files(f"{folder}/{source}", ".json"):
            table = path.rsplit("/", 1)[1].removeprefix("entity=").removesuffix(".json")
            name = source.removeprefix("source=")
            states[name, table] = load_state(lake, tenant, name, table)
    return states


def failed_tables(lake: Lake, settings: Settings, tenant: str, to_retry: bool = False) -> dict[str, TableState]:
    """`source/table` -> state, of the configured sources' tables whose last sync failed.

    Parameters:
        to_retry: only failures that may pass by themselves; a wrong password is for a person to put right.
    """
    return {
        f"{source}/{table}": state
        for (source, table), state in table_states(lake, tenant).items()
        if state.status == "failed" and (state.retry or not to_retry) and is_configured(settings, tenant, source, table)
    }


def outcome_asset(settings: Settings, deps: list[AssetKey]) -> AssetsDefinition:
    """The asset that ends every sync."""

    @asset(
        key=OUTCOME_KEY,
        deps=deps,
        partitions_def=day_tenant_partitions(settings),
        description="Whether every table of the tenant was synced. Fails with each failed table's reason.",
        group_name="operations",
        owners=OWNERS,
        tags={"layer": "operations"},
        backfill_policy=BackfillPolicy.single_run(),
    )
    def sync_outcome(context: AssetExecutionContext, lake: LakeResource) -> MaterializeResult:
        reasons: list[str] = []
        tables = 0
        for tenant in days_by_tenant(context):
            tables += len(table_states(lake.lake, tenant))
            for name, state in failed_tables(lake.lake, lake.settings, tenant).items():
                if state.run_id != context.run.run_id:
                    continue  # not this run's doing: it did not try that table
                reasons.append(f"{tenant}/{name}: {state.message}")
                if state.failures == NOTICE_AFTER:
                    send_notice(
                        lake.settings,
                        f"{tenant}/{name} failed {state.failures} times in a row: {state.message}",
                        tenant=tenant,
                        table=name,
                    )
        if reasons:
            raise Failure(
                description=f"{len(reasons)} table(s) failed; everything else is done.\n" + "\n".join(reasons),
                allow_retries=False,
            )
        return MaterializeResult(
            metadata={"tables": tables, "checked_at": datetime.now(UTC).isoformat(timespec="seconds")}
        )

    return sync_outcome
