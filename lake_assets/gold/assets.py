"""Gold in Dagster: one asset per mart, declared from its spec."""

from collections.abc import Iterator
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
    MaterializeResult,
    multi_asset,
)

from lake_assets.describe import FRESHNESS, OWNERS, column_lineage, column_schema, report_checks, sample_table
from lake_assets.gold.checks import MartFindings, inspect_mart
from lake_assets.gold.lineage import load_lineage
from lake_assets.gold.make import MartRequest, make_mart
from lake_assets.gold.spec import MartSpec, load_marts
from lake_assets.silver.assets import MakeConfig, is_forced, silver_key
from lake_config import Settings
from partitions import day_tenant_partitions, days_by_tenant, partition_key
from resources import progress
from resources.dagster_lake import LakeResource

CHECKS = {
    "key_unique": "Each key stands once in a snapshot, a business date or the dimension.",
    "key_present": "No part of a key is missing.",
}


def gold_key(mart: str) -> AssetKey:
    return AssetKey(["gold", mart])


def gold_assets(settings: Settings) -> list[AssetsDefinition]:
    """One asset per mart."""
    return [_gold_asset(settings, spec) for spec in load_marts().values()]


def _gold_asset(settings: Settings, spec: MartSpec) -> AssetsDefinition:
    key = gold_key(spec.mart)
    partitions = day_tenant_partitions(settings)

    spec_of_asset = AssetSpec(
        key,
        deps=[silver_key(entity) for entity in spec.reads],
        description=spec.description,
        group_name="gold",
        owners=OWNERS,
        kinds={"duckdb", "parquet"},
        tags={"layer": "gold", "mart_kind": spec.kind},
        metadata={
            "dagster/column_schema": column_schema(
                spec.all_columns, {name: column.description for name, column in spec.columns.items()}
            ),
            "dagster/column_lineage": column_lineage(
                {
                    column: [(list(silver_key(entity).path), name) for entity, name in sources]
                    for column, sources in load_lineage().get(spec.mart, {}).items()
                }
            ),
        },
        freshness_policy=FRESHNESS,
    )

    # A multi-asset of one, because only those may leave out a check (see `report_checks`).
    @multi_asset(
        name=f"gold__{spec.mart}",
        specs=[spec_of_asset],
        check_specs=[
            AssetCheckSpec(name, asset=key, description=text, partitions_def=partitions)
            for name, text in CHECKS.items()
        ],
        partitions_def=partitions,
        can_subset=True,
        backfill_policy=BackfillPolicy.single_run(),
    )
    def gold(context: AssetExecutionContext, config: MakeConfig, lake: LakeResource) -> Iterator[Any]:
        forced = is_forced(context, config)
        metadata = {"status": "unchanged", "dagster/partition_row_count": 0, "bytes": 0}
        findings: dict[str, MartFindings | None] = {}
        for tenant, days in days_by_tenant(context).items():
            timezone = lake.settings.tenants[tenant].timezone
            request = MartRequest(tenant, max(days), context.run.run_id, timezone, tuple(days) if forced else ())
            outcome = make_mart(lake.lake, spec, request)
            metadata["dagster/partition_row_count"] += outcome.rows
            metadata["bytes"] += outcome.bytes_written
            found = None
            if outcome.changed:
                metadata["status"] = "ok"
                metadata["dates"] = ", ".join(map(str, outcome.dates))
                found = inspect_mart(lake.lake, spec, tenant, outcome.dates)
            findings |= {partition_key(day, tenant): found for day in days}
        progress.report("steps", f"gold.{spec.mart}")
        yield MaterializeResult(asset_key=key, metadata=metadata)
        for partition, found in findings.items():
            report_checks(context, key, CHECKS, partition, _check_results(key, found) if found else None)

    return gold


def _check_results(key: AssetKey, findings: MartFindings) -> Iterator[AssetCheckResult]:
    for name, count, sample in (
        ("key_unique", findings.duplicates, findings.duplicate_rows),
        ("key_present", findings.missing_keys, findings.missing_rows),
    ):
        yield AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=count == 0,
            severity=AssetCheckSeverity.ERROR,
            metadata={
                "rows": count,
                **({"sample": sample_table(sample)} if sample is not None and sample.num_rows else {}),
            },
        )
