"""A day's bronze files -> the day's silver file and quarantine files.

What was made from what is kept beside the lake (`_state/silver/...`): for each day the bronze files that its silver
file holds. So a silver day is behind exactly if bronze has files that are not in that list, whatever crashed when;
losing the list makes days again.

    bronze files of the day  ->  compiled spec  ->  quarantine files  ->  silver file  ->  the list
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from lake_assets.bronze.state import load_schema
from lake_assets.bronze.typed import merged_fields
from lake_assets.bronze.views import bronze_sources
from lake_assets.silver.compile import compile_entity, silver_columns
from lake_assets.silver.formats import register_formats
from lake_assets.silver.spec import EntitySpec, load_specs
from resources import layout
from resources.lake import PARQUET, Lake, sql_name, sql_text
from resources.storage import ParquetUnit

log = logging.getLogger(__name__)

QUARANTINE_SCHEMA = pa.schema(
    [
        ("source_id", pa.string()),
        ("silver_entity", pa.string()),
        ("raw_data", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("status", pa.string()),
        ("change_type", pa.string()),
        ("source_modified_at", pa.timestamp("us")),
        ("read_at", pa.timestamp("us")),
        ("bronze_file", pa.string()),
        ("bronze_row", pa.int64()),
        ("sync_batch_id", pa.string()),
    ]
)
"""Columns of a quarantine file; tenant_id, source and entity come from its path."""


@dataclass
class SilverOutcome:
    """What making one entity did. Counts are rows of the days made; `days` are the days whose file is new."""

    entity: str
    days: list[date] = field(default_factory=list)
    rows: int = 0
    new_rows: int = 0
    rejected: int = 0
    flagged: int = 0
    bytes_written: int = 0
    missing_fields: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        return "ok" if self.days else "unchanged"

    def plus(self, other: "SilverOutcome") -> "SilverOutcome":
        """Both together, for runs over several tenants."""
        return SilverOutcome(
            self.entity,
            self.days + other.days,
            self.rows + other.rows,
            self.new_rows + other.new_rows,
            self.rejected + other.rejected,
            self.flagged + other.flagged,
            self.bytes_written + other.bytes_written,
            sorted({*self.missing_fields, *other.missing_fields}),
        )


@dataclass(frozen=True)
class _BronzeFile:
    path: str
    source: str
    source_name: str
    """`<type>.<table>` as in the spec."""


def entity_files(lake: Lake, tenant: str, spec: EntitySpec) -> dict[date, list[_BronzeFile]]:
    """The bronze files that feed the entity, by day."""
    files: dict[date, list[_BronzeFile]] = {}
    for source, source_type in bronze_sources(lake, tenant).items():
        for wanted_type, table in spec.tables:
            if wanted_type == source_type:
                for path in lake.bronze_files(tenant, source, table):
                    files.setdefault(layout.day_of(path), []).append(
                        _BronzeFile(path, source, f"{source_type}.{table}")
                    )
    return files


def make_entity(lake: Lake, tenant: str, spec: EntitySpec, force: Iterable[date] = ()) -> SilverOutcome:
    """Bring the entity's silver files up to date with bronze.

    Parameters:
        force: days to make again from bronze even if nothing is new (a changed spec takes effect that way).
    """
    outcome = SilverOutcome(spec.entity)
    with lake.lock(f"silver-{tenant}-{spec.entity}", f"making silver {spec.entity} of {tenant}"):
        state_path = layout.asset_state("silver", tenant, spec.entity)
        state: dict[str, Any] = lake.storage.read_json(state_path) or {}
        forced = set(force)
        for day, files in sorted(entity_files(lake, tenant, spec).items()):
            known = state.get(day.isoformat(), {"files": [], "spec": spec.fingerprint})
            paths = [file.path for file in files]
            if set(paths) == set(known["files"]) and day not in forced:
                continue
            appends = known["spec"] == spec.fingerprint and set(known["files"]) < set(paths) and day not in forced
            old = known["files"] if appends else []
            rows, rejected = _make_day(
                lake, tenant, spec, day, [file for file in files if file.path not in old], bool(old), outcome
            )
            rejected += known.get("rejected", 0) if old else 0
            state[day.isoformat()] = {"files": paths, "spec": spec.fingerprint, "rows": rows, "rejected": rejected}
            lake.storage.write_json(state_path, state)
            outcome.days.append(day)
    return outcome


def _make_day(
    lake: Lake, tenant: str, spec: EntitySpec, day: date, files: list[_BronzeFile], append: bool, outcome: SilverOutcome
) -> tuple[int, int]:
    """Write the day's file: the old one's rows (if `append`) and those made from `files`.

    Returns:
        Rows in the file, and rows rejected from `files`.
    """
    path = layout.silver_day(tenant, spec.entity, day)
    with lake.connection() as connection:
        register_formats(connection)
        selects = [_select(lake, connection, tenant, spec, group, outcome) for group in _groups(files)]
        made = "\nUNION ALL BY NAME\n".join(f"({select})" for select in selects)
        if append and lake.storage.exists(path):
            names = ", ".join(sql_text(file.path) for file in files)
            made += (
                f"\nUNION ALL BY NAME (SELECT * FROM read_parquet({sql_text(lake.storage.url(path))}, hive_partitioning = false)"
                f" WHERE bronze_file NOT IN ({names}))"
            )
        columns = ", ".join(
            f"CAST({sql_name(name)} AS {kind}) AS {sql_name(name)}" for name, kind in silver_columns(spec).items()
        )
        with lake.storage.publishing(path) as aside:
            _copy(connection, f"SELECT {columns} FROM ({made})", str(aside), spec)
            new = ", ".join(sql_text(file.path) for file in files)
            counts = connection.execute(
                f"""SELECT count(*), count(*) FILTER (bronze_file IN ({new})),
                           count(*) FILTER (validation_status = 'rejected'), count(*) FILTER (validation_status = 'flagged')
                    FROM read_parquet({sql_text(str(aside))})"""
            ).fetchall()[0]
            _quarantine(lake, connection, spec, files, str(aside), has_rejects=counts[2] > 0)
            if counts[2]:
                accepted = aside.with_name(aside.name + "-accepted")
                try:
                    _copy(
                        connection,
                        f"SELECT * FROM read_parquet({sql_text(str(aside))}) WHERE validation_status <> 'rejected'",
                        str(accepted),
                        spec,
                    )
                    accepted.replace(aside)
                finally:
                    accepted.unlink(missing_ok=True)
        outcome.rows += counts[0] - counts[2]
        outcome.new_rows += counts[1]
        outcome.rejected += counts[2]
        outcome.flagged += counts[3]
        outcome.bytes_written += lake.storage.size(path)
    return counts[0] - counts[2], counts[2]


def made_from(lake: Lake, tenant: str, entity: str) -> dict[str, dict[str, Any]]:
    """Day -> what its silver file was made from: `files` (bronze paths), `spec` (fingerprint), and how many `rows` came of it."""
    return lake.storage.read_json(layout.asset_state("silver", tenant, entity)) or {}


def rejected_share(lake: Lake, tenant: str, spec: EntitySpec, days: Iterable[date]) -> tuple[int, int]:
    """Rows in silver and rows rejected in these days, as counted when they were made."""
    state = made_from(lake, tenant, spec.entity)
    made = [state[day.isoformat()] for day in days if day.isoformat() in state]
    return sum(day.get("rows", 0) for day in made), sum(day.get("rejected", 0) for day in made)


def _copy(connection: duckdb.DuckDBPyConnection, select: str, path: str, spec: EntitySpec) -> None:
    metadata = f"KV_METADATA {{revlake_spec: {sql_text(spec.fingerprint)}}}"
    connection.execute(f"COPY ({select}) TO {sql_text(path)} ({PARQUET}, {metadata})")


def _groups(files: list[_BronzeFile]) -> list[list[_BronzeFile]]:
    """The files by source instance and table: one captured schema each."""
    groups: dict[tuple[str, str], list[_BronzeFile]] = {}
    for file in files:
        groups.setdefault((file.source, file.source_name), []).append(file)
    return list(groups.values())


def _select(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    tenant: str,
    spec: EntitySpec,
    files: list[_BronzeFile],
    outcome: SilverOutcome,
) -> str:
    source, source_name = files[0].source, files[0].source_name
    stored = load_schema(lake, tenant, source, source_name.split(".")[1])
    columns = {name: columns[0] for name, columns in merged_fields([stored] if stored else []).items()}
    compiled = compile_entity(spec, spec.sources[source_name], columns, tenant)
    outcome.missing_fields = sorted(
        {*outcome.missing_fields, *(f"{source_name}.{name}" for name in compiled.missing_fields)}
    )
    return f"WITH bronze AS ({bronze_rows_sql(lake, [file.path for file in files])}) SELECT * FROM ({compiled.sql})"


def bronze_rows_sql(lake: Lake, paths: list[str]) -> str:
    """SQL that reads bronze files with their lineage anchor: `bronze_file` (path below the root) and `bronze_row`."""
    return f"""
      SELECT regexp_extract(filename, '/source=([^/]+)/', 1) AS source, source_id, raw_data, change_type, source_modified_at,
             read_at, sync_batch_id, substr(filename, {len(lake.storage.root) + 2}) AS bronze_file, file_row_number AS bronze_row
      FROM read_parquet({lake.sql_list(paths)}, filename = true, file_row_number = true, hive_partitioning = false)"""


def _quarantine(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    spec: EntitySpec,
    files: list[_BronzeFile],
    made: str,
    has_rejects: bool,
) -> None:
    """Write one quarantine file for each bronze file that has rejected rows; empty those of files that no longer have
    any (removing them would break readers who just found them)."""
    for file in files:
        path = layout.quarantine_of(file.path, quarantine_part(spec, file.source_name))
        rows = _rejected_rows(lake, connection, spec, file, made) if has_rejects else QUARANTINE_SCHEMA.empty_table()
        if rows.num_rows == 0 and not lake.storage.exists(path):
            continue
        with ParquetUnit(lake.storage, path, QUARANTINE_SCHEMA) as unit:
            unit.write(rows)
            unit.commit()


def _rejected_rows(
    lake: Lake, connection: duckdb.DuckDBPyConnection, spec: EntitySpec, file: _BronzeFile, made: str
) -> pa.Table:
    return (
        connection.sql(
            f"""
        SELECT made.source_id, {sql_text(spec.entity)} AS silver_entity, bronze.raw_data, made.validation_errors AS reasons,
               'open' AS status, made.change_type, made.source_modified_at, made.read_at, made.bronze_file, made.bronze_row,
               made.sync_batch_id
        FROM read_parquet({sql_text(made)}) AS made
        JOIN ({bronze_rows_sql(lake, [file.path])}) AS bronze USING (bronze_file, bronze_row)
        WHERE made.validation_status = 'rejected'
        """
        )
        .to_arrow_table()
        .cast(QUARANTINE_SCHEMA)
    )


def quarantine_part(spec: EntitySpec, source_name: str) -> int:
    """Which of the entities that read this bronze table `spec` is: each has its own part file."""
    return sorted(other.entity for other in load_specs().values() if source_name in other.sources).index(spec.entity)
