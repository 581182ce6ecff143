"""Bronze in Dagster: one multi-asset per source type, one asset per table."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    Config,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableSchema,
    multi_asset,
)
from pydantic import Field

from lake_assets.bronze.capture import SyncRequest, TableOutcome
from lake_assets.bronze.sync import sync_source
from lake_assets.bronze.tables import tables_of
from lake_assets.bronze.views import BRONZE_COLUMNS
from lake_assets.describe import FRESHNESS, OWNERS, column_schema, report_checks
from lake_config import Settings, source_types
from partitions import day_tenant_partitions, days_by_tenant, partition_key
from resources import ingest_queue
from resources.connecting import connect
from resources.dagster_lake import LakeResource
from resources.postgres import connect as connect_postgres
from resources.postgres import running_url

ROW_COUNT_VARIANCE = 0.10
"""A table whose row count moved by more than this share since the previous sync is warned about."""

CHECKS = {
    "captured": "The table was read whole. Fails with the source's reason otherwise.",
    "schema_unchanged": "No field appeared, vanished or changed its type since the previous sync.",
    "row_count_steady": "The number of records moved by at most 10 % since the previous sync; no sweep waits for a confirmation.",
}


class SyncConfig(Config):
    """How bronze is read."""

    source: str | None = Field(None, description="only this source instance")
    full: bool = Field(False, description="read everything again, not only what changed")
    sweep: bool = Field(False, description="compare id lists: find deleted records and strays")
    confirm_deletes: bool = Field(False, description="let the sweep delete more than 5 % of a table")
    ids: dict[str, list[str]] | None = Field(None, description="table -> read just these records of it")
    queue_upto: int | None = Field(None, description="`ids` are what webhooks told, up to this row of the queue")


def bronze_key(source_type: str, table: str) -> AssetKey:
    return AssetKey(["bronze", source_type, table])


def bronze_assets(settings: Settings, source_type: str) -> AssetsDefinition:
    """The multi-asset that captures every table of one source type."""
    tables = tables_of(settings, source_type)
    partitions = day_tenant_partitions(settings)
    specs = [
        AssetSpec(
            bronze_key(source_type, table),
            description=f"Every captured version of every `{table}` record, exactly as {source_type} gave it.",
            group_name=f"bronze_{source_type}",
            owners=OWNERS,
            kinds={source_type, "parquet"},
            tags={"layer": "bronze", "source": source_type},
            metadata={"dagster/column_schema": column_schema(BRONZE_COLUMNS)},
            freshness_policy=FRESHNESS,
            skippable=True,
        )
        for table in tables
    ]
    checks = [
        AssetCheckSpec(name, asset=spec.key, description=text, partitions_def=partitions)
        for spec in specs
        for name, text in CHECKS.items()
    ]

    @multi_asset(
        name=f"bronze_{source_type}",
        specs=specs,
        check_specs=checks,
        partitions_def=partitions,
        can_subset=True,
        backfill_policy=BackfillPolicy.single_run(),
        pool=f"source_{source_type}",
    )
    def bronze(context: AssetExecutionContext, config: SyncConfig, lake: LakeResource) -> Iterator[Any]:
        wanted = [key.path[-1] for key in context.selected_asset_keys]
        for tenant, days in days_by_tenant(context).items():
            for table, outcome in _sync_tenant(context, config, lake, source_type, tenant, days, wanted):
                key = bronze_key(source_type, table)
                if outcome.failed:
                    context.log.error("%s: %s", "/".join(key.path), outcome.message)
                yield MaterializeResult(asset_key=key, metadata=_metadata(outcome))
                if config.queue_upto is not None and outcome.complete:
                    _take_off_queue(lake.settings, tenant, config, table, context.run.run_id)
                news = (
                    outcome.status != "unchanged" or outcome.schema_changes or outcome.held_deletes or outcome.recovered
                )
                for day in days:
                    results = _check_results(key, outcome) if news or context.selected_asset_check_keys else None
                    report_checks(context, key, CHECKS, partition_key(day, tenant), results)

    return bronze


def _take_off_queue(settings: Settings, tenant: str, config: SyncConfig, table: str, run_id: str) -> None:
    url = running_url(settings)
    if url is not None and config.source is not None and config.queue_upto is not None:
        ids = (config.ids or {}).get(table, [])
        with connect_postgres(url) as connection:
            ingest_queue.done(connection, tenant, config.source, table, ids, config.queue_upto, run_id)


def _sync_tenant(
    context: AssetExecutionContext,
    config: SyncConfig,
    lake: LakeResource,
    source_type: str,
    tenant: str,
    days: list[date],
    tables: list[str],
) -> Iterator[tuple[str, TableOutcome]]:
    """One outcome a table: of the tenant's only instance of this type, or the worst of several."""
    instances = {
        name: source
        for name, source in lake.settings.tenants[tenant].sources.items()
        if source.type == source_type and config.source in (None, name)
    }
    if not instances:
        yield from ((table, TableOutcome(table, "not_configured")) for table in tables)
        return
    gathered: dict[str, list[TableOutcome]] = {}
    for name, source in instances.items():
        for day in days:
            request = SyncRequest(
                tenant,
                name,
                day,
                context.run.run_id,
                timedelta(minutes=source.overlap_minutes),
                config.full,
                config.sweep,
                config.confirm_deletes,
                {table: tuple(ids) for table, ids in config.ids.items()} if config.ids is not None else None,
                thrifty=source_types()[source_type].daily_budget(source) is not None or source.max_per_day is not None,
            )
            for outcome in sync_source(
                lake.lake, lambda name=name, source=source: connect(tenant, name, source, lake.lake), tables, request
            ):
                gathered.setdefault(outcome.table, []).append(outcome)
                if len(gathered[outcome.table]) == len(instances) * len(days):
                    yield outcome.table, merged(gathered[outcome.table])


_SEVERITY = ["not_configured", "unchanged", "ok", "missing_at_source", "not_permitted", "failed"]


def merged(outcomes: list[TableOutcome]) -> TableOutcome:
    """Several instances' (or days') outcomes of one table as one: the worst status, the sums, every message."""
    if len(outcomes) == 1:
        return outcomes[0]
    worst = max(outcomes, key=lambda outcome: _SEVERITY.index(outcome.status))
    total = TableOutcome(
        worst.table, worst.status, "; ".join(outcome.message for outcome in outcomes if outcome.message)
    )
    for outcome in outcomes:
        for name in (
            "rows_read",
            "rows_written",
            "rows_deleted",
            "held_deletes",
            "previous_rows",
            "rows",
            "bytes_written",
            "seconds",
        ):
            setattr(total, name, getattr(total, name) + getattr(outcome, name))
        total.schema_changes += outcome.schema_changes
        total.read_in_full = total.read_in_full or outcome.read_in_full
        total.file = outcome.file or total.file
        total.resumes_at = min(filter(None, (total.resumes_at, outcome.resumes_at)), default=None)
    return total


def _metadata(outcome: TableOutcome) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "status": outcome.status,
        "dagster/partition_row_count": outcome.rows_written,
        "dagster/row_count": outcome.rows,
        "rows_read": outcome.rows_read,
        "rows_deleted": outcome.rows_deleted,
        "bytes": outcome.bytes_written,
        "seconds": round(outcome.seconds, 3),
    }
    if outcome.message:
        metadata["message"] = outcome.message
    if outcome.resumes_at:
        metadata["resumes_at"] = outcome.resumes_at.isoformat()
    if outcome.file:
        metadata["file"] = MetadataValue.path(outcome.file)
    if outcome.schema is not None:
        columns = [TableColumn(column.name, column.type, column.label or None) for column in outcome.schema.columns]
        metadata["source_schema"] = MetadataValue.table_schema(TableSchema(columns=columns))
    return metadata


def _schema_news(outcome: TableOutcome) -> str | None:
    news = "; ".join(map(str, outcome.schema_changes))
    if outcome.read_in_full:
        return f"{news}. The table was read in full, for the new fields' values."
    return news or None


def _check_results(key: AssetKey, outcome: TableOutcome) -> Iterator[AssetCheckResult]:
    yield AssetCheckResult(
        asset_key=key,
        check_name="captured",
        passed=not outcome.failed,
        severity=AssetCheckSeverity.ERROR,
        description=outcome.message or None,
        metadata={"status": outcome.status},
    )
    yield AssetCheckResult(
        asset_key=key,
        check_name="schema_unchanged",
        passed=not outcome.schema_changes,
        severity=AssetCheckSeverity.WARN,
        description=_schema_news(outcome),
    )
    moved = abs(outcome.rows - outcome.previous_rows) / outcome.previous_rows if outcome.previous_rows else 0.0
    yield AssetCheckResult(
        asset_key=key,
        check_name="row_count_steady",
        passed=moved <= ROW_COUNT_VARIANCE and not outcome.held_deletes,
        severity=AssetCheckSeverity.WARN,
        description=outcome.message if outcome.held_deletes else None,
        metadata={"rows": outcome.rows, "previous_rows": outcome.previous_rows, "moved_share": round(moved, 4)},
    )
