"""How assets are described to Dagster: what every layer's asset definitions share."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import polars as pl
import pyarrow as pa
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetRecordsFilter,
    FreshnessPolicy,
    MetadataValue,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.event_api import PartitionKeyFilter
from dagster_shared.record import copy

OWNERS = ["team:data"]
FRESHNESS = FreshnessPolicy.time_window(fail_window=timedelta(hours=24))
"""Data older than a day is an alert."""

SAMPLE_ROWS = 10

COMMON_COLUMNS = {
    "tenant_id": "Whose row it is.",
    "source": "The source instance, as `lake.yaml` names it.",
    "entity": "The source's table.",
    "id": "The captured version's own id.",
    "source_id": "The record's id in its source.",
    "raw_data": "The record as the source gave it, as JSON.",
    "checksum": "SHA-256 of the record with sorted keys, names of related records left out.",
    "change_type": "`upsert`, or `delete` where the record is gone from the source.",
    "source_modified_at": "When the source says that it was changed; UTC.",
    "read_at": "When the request that read it began; UTC. The greatest is the latest version.",
    "ingested_at": "When it was written to the lake; UTC.",
    "sync_batch_id": "The run that captured it.",
    "run_id": "The run that made the row.",
    "made_at": "When the row was made; UTC.",
    "bronze_file": "The bronze file it was made from, below the lake's root ...",
    "bronze_row": "... and the row in that file, counted from 0.",
    "canonical_id": "Which record this is in the whole lake: kind, id in the source, source instance.",
    "source_refs": "The records that this one was made of.",
    "validation_status": "`valid`, or `flagged` where a rule is broken.",
    "validation_errors": "The rules that are broken.",
    "quality_score": "Share of the scored columns that hold a value which breaks no rule; 0 to 1.",
}
"""What the columns say that many tables have; a spec's own description goes first."""


def column_schema(columns: Mapping[str, str], descriptions: Mapping[str, str] | None = None) -> TableSchema:
    """Name -> DuckDB type (and name -> description) as Dagster shows it."""
    texts = {**COMMON_COLUMNS, **{name: text for name, text in (descriptions or {}).items() if text}}
    return TableSchema(columns=[TableColumn(name, kind, texts.get(name)) for name, kind in columns.items()])


def column_lineage(deps: Mapping[str, Iterable[tuple[list[str], str]]]) -> TableColumnLineage:
    """Column -> (asset key path, column) it comes from, as Dagster shows it."""
    from dagster import AssetKey

    return TableColumnLineage(
        {column: [TableColumnDep(AssetKey(path), name) for path, name in sources] for column, sources in deps.items()}
    )


def sample_table(rows: pa.Table) -> MetadataValue:
    """The first rows as a table that a person reads in the UI."""
    frame = pl.from_arrow(rows.slice(0, SAMPLE_ROWS))
    with pl.Config(
        tbl_formatting="ASCII_MARKDOWN",
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
        tbl_cols=-1,
        tbl_rows=-1,
        fmt_str_lengths=80,
        tbl_width_chars=-1,
    ):
        return MetadataValue.md(str(frame))


def report_checks(
    context: AssetExecutionContext,
    key: AssetKey,
    names: Iterable[str],
    partition: str,
    results: Iterable[AssetCheckResult] | None,
) -> None:
    """Say what the checks of an asset found in one partition; to be called after its materialization was yielded.

    As events of the step, not as its results: a result is one for all partitions of a run, and a check that a run plans but says
    nothing about shows as "skipped" in place of its last verdict, which is why a sync plans only the checks that can stop it
    (`sync_job`). And Dagster no longer shows a verdict once its partition was materialized again, even if that changed nothing:
    so a failed one is said again.

    Parameters:
        names: the asset's checks.
        results: what they found; None if nothing was made, so that the last verdicts stand.
    """
    if results is None:
        checks = [AssetCheckKey(key, name) for name in names]
        storage = context.instance.event_log_storage
        known = storage.get_latest_asset_check_execution_by_key(checks, PartitionKeyFilter(key=partition)).values()
        # A check that was planned by a run which ended before it is "planned" and has no verdict.
        evaluations = [record.evaluation for record in known if isinstance(record.evaluation, AssetCheckEvaluation)]
        verdicts = [evaluation for evaluation in evaluations if not evaluation.passed]
    else:
        verdicts = [_evaluation(key, partition, result) for result in results]
    if not verdicts:
        return
    made = context.instance.fetch_materializations(
        AssetRecordsFilter(key, asset_partitions=[partition]), limit=1
    ).records
    target = None
    if made:
        target = AssetCheckEvaluationTargetMaterializationData(
            storage_id=made[0].storage_id, run_id=made[0].run_id, timestamp=made[0].timestamp
        )
    for verdict in verdicts:
        event: Any = copy(verdict, target_materialization_data=target)  # taken, but missing in the declared type
        context.log_event(event)


def _evaluation(key: AssetKey, partition: str, result: AssetCheckResult) -> AssetCheckEvaluation:
    assert result.check_name is not None
    return AssetCheckEvaluation(
        asset_key=key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
        partition=partition,
    )
