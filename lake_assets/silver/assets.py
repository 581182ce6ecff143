"""Silver in Dagster: one asset per entity, declared from its spec."""

from collections.abc import Iterator
from datetime import date
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
    multi_asset,
)
from pydantic import Field

from lake_assets.bronze.assets import bronze_key
from lake_assets.bronze.tables import tables_of
from lake_assets.describe import FRESHNESS, OWNERS, column_lineage, column_schema, report_checks, sample_table
from lake_assets.silver.checks import SilverFindings, inspect_days
from lake_assets.silver.compile import fields_read, silver_columns
from lake_assets.silver.make import SilverOutcome, make_entity, rejected_share
from lake_assets.silver.spec import EntitySpec, load_specs
from lake_config import Settings, source_types
from partitions import day_tenant_partitions, days_by_tenant, partition_key
from resources import progress
from resources.dagster_lake import LakeResource

SYNC_TAG = "revlake/sync"
"""Runs with this tag make only what is behind; any other run was asked by a person to make its partitions again."""

CHECKS = {
    "required_rules": "Unusable records are in quarantine. Fails, and keeps gold from being made, if over 5 % of a day.",
    "format_rules": "Addresses, numbers, ranges and selections are well formed.",
    "business_rules": "The entity's business rules hold.",
    "complete": "Silver and quarantine together hold every captured record of the source tables.",
    "unique": "No version of a record stands twice.",
}
BLOCKING_CHECK = "required_rules"
"""The one check that stops what comes after, so it speaks in every run."""
REJECTED_SHARE, REJECTED_ROWS = 0.05, 10
"""More rejected rows than both of these, in the days that a run makes, keep gold from being made of what is left."""


class MakeConfig(Config):
    """How a layer is made from the one below."""

    again: bool | None = Field(
        None, description="make the partitions again even if nothing is new; default: yes, unless the run is a sync"
    )


def is_forced(context: AssetExecutionContext, config: MakeConfig) -> bool:
    """Whether the run's partitions are to be made again even if nothing is new."""
    return config.again if config.again is not None else SYNC_TAG not in context.run.tags


def silver_key(entity: str) -> AssetKey:
    return AssetKey(["silver", entity])


def silver_assets(settings: Settings) -> list[AssetsDefinition]:
    """One asset per spec."""
    available = {bronze_key(kind, table) for kind in source_types() for table in tables_of(settings, kind)}
    return [_silver_asset(settings, spec, available) for spec in load_specs().values()]


def _silver_asset(settings: Settings, spec: EntitySpec, available: set[AssetKey]) -> AssetsDefinition:
    key = silver_key(spec.entity)
    tables = {*spec.tables, *_reference_tables(spec)}
    partitions = day_tenant_partitions(settings)
    deps = sorted({bronze_key(*table) for table in tables} & available)

    spec_of_asset = AssetSpec(
        key,
        deps=deps,
        description=spec.description,
        group_name="silver",
        owners=OWNERS,
        kinds={"duckdb", "parquet"},
        tags={"layer": "silver", "source": "-".join(sorted({source_type for source_type, _ in spec.tables}))},
        metadata={
            "dagster/column_schema": column_schema(
                silver_columns(spec), {name: column.description for name, column in spec.columns.items()}
            ),
            "dagster/column_lineage": column_lineage(_lineage(spec)),
        },
        freshness_policy=FRESHNESS,
    )

    # A multi-asset of one, because only those may leave out a check (see `report_checks`).
    @multi_asset(
        name=f"silver__{spec.entity}",
        specs=[spec_of_asset],
        check_specs=[
            AssetCheckSpec(
                name, asset=key, description=text, blocking=name == BLOCKING_CHECK, partitions_def=partitions
            )
            for name, text in CHECKS.items()
        ],
        partitions_def=partitions,
        can_subset=True,
        backfill_policy=BackfillPolicy.single_run(),
    )
    def silver(context: AssetExecutionContext, config: MakeConfig, lake: LakeResource) -> Iterator[Any]:
        forced = is_forced(context, config)
        made: dict[tuple[str, date], SilverFindings] = {}
        rows = rejected = 0
        totals = SilverOutcome(spec.entity)
        for tenant, days in days_by_tenant(context).items():
            outcome = make_entity(lake.lake, tenant, spec, days if forced else ())
            for field in outcome.missing_fields:
                context.log.warning("silver/%s: %s has no field %s; it is NULL", spec.entity, tenant, field)
            made |= {(tenant, day): inspect_days(lake.lake, tenant, spec, [day]) for day in outcome.days}
            totals = totals.plus(outcome)
            share = rejected_share(lake.lake, tenant, spec, {*days, *outcome.days})
            rows, rejected = rows + share[0], rejected + share[1]
        progress.report("steps", f"silver.{spec.entity}")
        findings = SilverFindings.merged(list(made.values()))
        yield MaterializeResult(asset_key=key, metadata=_metadata(totals, findings))
        yield _required_rules_result(key, rows, rejected, findings)
        # In a run of one partition that verdict is the partition's; in one of several, each of them gets its own besides.
        several = len(context.partition_keys) > 1
        names = [name for name in CHECKS if several or name != BLOCKING_CHECK]
        for tenant, days in days_by_tenant(context).items():
            for day in sorted({*days, *(day for whose, day in made if whose == tenant)}):
                results = None
                if found := made.get((tenant, day)):
                    results = list(_check_results(key, found))
                    if several:
                        results.append(_required_rules_result(key, found.rows, found.rejected, found))
                report_checks(context, key, names, partition_key(day, tenant), results)

    return silver


def _metadata(outcome: SilverOutcome, findings: SilverFindings) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "status": outcome.status,
        "dagster/partition_row_count": outcome.rows,
        "rejected": outcome.rejected,
        "flagged": outcome.flagged,
        "bytes": outcome.bytes_written,
    }
    if outcome.days:
        metadata["days"] = ", ".join(map(str, outcome.days))
        metadata["missing_fields"] = outcome.missing_fields
    if findings.rows:
        metadata["quality_score"] = findings.quality_score
    return metadata


def _reference_tables(spec: EntitySpec) -> set[tuple[str, str]]:
    references = [column.reference for column in spec.columns.values() if column.reference]
    return {table for reference in references for table in reference.bronze_tables}


def _lineage(spec: EntitySpec) -> dict[str, list[tuple[list[str], str]]]:
    lineage: dict[str, list[tuple[list[str], str]]] = {}
    for (source_type, table), mapping in zip(spec.tables, spec.sources.values(), strict=True):
        for column, expression in mapping.columns.items():
            single = mapping.model_copy(update={"columns": {column: expression}, "where": None})
            path = list(bronze_key(source_type, table).path)
            lineage.setdefault(column, []).extend((path, f"raw_data.{field}") for field in sorted(fields_read(single)))
    return lineage


def _required_rules_result(key: AssetKey, rows: int, rejected: int, findings: SilverFindings) -> AssetCheckResult:
    sample = findings.samples.get("required_rules")
    return AssetCheckResult(
        asset_key=key,
        check_name="required_rules",
        passed=rejected <= REJECTED_ROWS or rejected <= REJECTED_SHARE * (rows + rejected),
        severity=AssetCheckSeverity.ERROR,
        metadata={
            "rows": rows,
            "rejected": rejected,
            **({"sample": sample_table(sample)} if sample is not None else {}),
        },
    )


def _check_results(key: AssetKey, findings: SilverFindings) -> Iterator[AssetCheckResult]:
    passed = {
        "format_rules": not findings.broken_formats,
        "business_rules": not findings.broken_business_rules,
        "complete": findings.missing == 0,
        "unique": findings.duplicates == 0,
    }
    details = {
        "format_rules": dict(findings.broken_formats),
        "business_rules": dict(findings.broken_business_rules),
        "complete": {"missing": findings.missing},
        "unique": {"duplicates": findings.duplicates},
    }
    for name, verdict in passed.items():
        sample = findings.samples.get(name)
        yield AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=verdict,
            severity=AssetCheckSeverity.WARN
            if name in ("format_rules", "business_rules")
            else AssetCheckSeverity.ERROR,
            metadata={
                **details[name],
                **({"sample": sample_table(sample)} if sample is not None and sample.num_rows else {}),
            },
        )
