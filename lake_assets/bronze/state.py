"""Where the reading of each source table stands, and the schemas captured from it.

Both lie beside the lake's data and can be worked out again: a lost watermark is rebuilt from bronze, a lost schema is captured by
the next sync.
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb

from lake_assets.bronze.versions import LATEST_SQL
from lake_assets.bronze.window import day_bounds
from resources import layout
from resources.connectors.base import TableSchema
from resources.lake import Lake

REBUILT_MARGIN = timedelta(days=1)
"""A rebuilt watermark comes from this machine's clock, a stored one from the server's; this much they may differ."""


PARTIAL = "revlake.partial"
"""In a bronze file's metadata: its table was not read to the end of the window."""

_MOMENTS = ("watermark", "last_read_at", "last_sync_at", "last_sweep_at", "resumes_at")


@dataclass(frozen=True)
class TableState:
    """Where the reading of one source table stands.

    `watermark`: up to when (server's time) everything was read, but for what `rest` says. `cursor`: the source's own token, where
    it has one. `rest`: what was left unread when the day's budget ended, in the connector's words; `resumes_at`: when to go on.
    `last_read_at`: the latest `read_at` given to a row, which the next one must exceed even if this machine's clock
    jumps back. `rows`: records in the lake, not deleted. `status`, `message`, `failures`: of the last sync and how
    many failed in a row; `retry`: the failure is of a kind that may pass by itself. `last_sync_at`, `last_sweep_at`:
    when they ended well. `files`: the bronze files that `rows` and `last_read_at` know of; a crash between a file and
    this state leaves one more. `run_id`: of the last sync.
    """

    watermark: datetime | None = None
    cursor: str | None = None
    rest: str | None = None
    resumes_at: datetime | None = None
    last_read_at: datetime | None = None
    rows: int = 0
    status: str = "never"
    message: str = ""
    failures: int = 0
    retry: bool = False
    last_sync_at: datetime | None = None
    last_sweep_at: datetime | None = None
    files: int = 0
    run_id: str = ""

    def with_failure(self, status: str, message: str, retry: bool, run_id: str) -> "TableState":
        return replace(
            self,
            status=status,
            message=message,
            failures=self.failures + 1,
            retry=retry,
            run_id=run_id,
            resumes_at=None,
        )


def load_state(lake: Lake, tenant: str, source: str, entity: str) -> TableState:
    """The stored state; rebuilt from bronze if it is lost; the initial one if there is no bronze either."""
    stored = lake.storage.read_json(layout.table_state(tenant, source, entity))
    if isinstance(stored, dict):
        moments = {key: _moment(stored.get(key)) for key in _MOMENTS}
        known = {name: value for name, value in stored.items() if name in TableState.__dataclass_fields__}
        return TableState(**{**known, **moments})
    files = lake.bronze_files(tenant, source, entity)
    return rebuild_state(lake, files) if files else TableState()


def save_state(lake: Lake, tenant: str, source: str, entity: str, state: TableState) -> None:
    values = asdict(state)
    for key in _MOMENTS:
        values[key] = values[key].isoformat() if values[key] else None
    lake.storage.write_json(layout.table_state(tenant, source, entity), values)


def rebuild_state(lake: Lake, files: list[str]) -> TableState:
    """The state that bronze proves: a file without the mark `PARTIAL` exists only after its table was read up to the end of its
    day or the start of the read, whichever was earlier."""
    by_day: dict[date, list[str]] = {}
    for path in files:
        by_day.setdefault(layout.day_of(path), []).append(path)
    reached: list[datetime] = []
    last_read: list[datetime] = []
    with lake.connection() as connection:
        partial = _partial(lake, connection, files)
        for day, paths in by_day.items():
            first, last = connection.execute(
                f"SELECT min(read_at) FILTER (NOT list_contains(?, filename)), max(read_at)"
                f" FROM read_parquet({lake.sql_list(paths)}, filename = true, hive_partitioning = false)",
                [partial],
            ).fetchall()[0]
            if first is not None:
                reached.append(min(first.replace(tzinfo=UTC), day_bounds(day)[1]))
            last_read.append(last.replace(tzinfo=UTC))
        latest = LATEST_SQL.format(files=lake.sql_list(files), where="")
        rows = connection.execute(f"SELECT count(*) FROM ({latest}) WHERE change_type <> 'delete'").fetchall()[0][0]
    watermark = max(reached) - REBUILT_MARGIN if reached else None
    return TableState(watermark, last_read_at=max(last_read), rows=rows, status="ok", files=len(files))


def _partial(lake: Lake, connection: duckdb.DuckDBPyConnection, files: list[str]) -> list[str]:
    rows = connection.execute(
        f"SELECT DISTINCT file_name FROM parquet_kv_metadata({lake.sql_list(files)}) WHERE decode(key) = ?", [PARTIAL]
    )
    return [row[0] for row in rows.fetchall()]


def counted(lake: Lake, state: TableState, files: list[str]) -> TableState:
    """`state` with what it says of the bronze files brought up to date, if there are others than it knows of."""
    if state.files == len(files):
        return state
    proven = rebuild_state(lake, files) if files else TableState()
    last_read = [moment for moment in (state.last_read_at, proven.last_read_at) if moment]
    return replace(state, rows=proven.rows, last_read_at=max(last_read, default=None), files=len(files))


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True)
class SchemaChange:
    """A field that appeared, vanished or changed its type since the last capture."""

    column: str
    kind: str
    """`added`, `removed`, `renamed` or `retyped`."""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.column} {self.kind}{f' ({self.detail})' if self.detail else ''}"


def load_schema(lake: Lake, tenant: str, source: str, entity: str) -> dict[str, Any] | None:
    """The captured schema: `source_name`, `id_column`, `modified_column`, `columns` (of the last sync) and `past_columns` (seen
    earlier, no longer there: old rows still have them)."""
    stored = lake.storage.read_json(layout.schema_file(tenant, source, entity))
    return stored if isinstance(stored, dict) else None


def register_source(lake: Lake, tenant: str, source: str, source_type: str) -> None:
    """Remember what type of system the instance is, so that its data can be read after it left `lake.yaml`."""
    path = layout.source_file(tenant, source)
    if lake.storage.read_json(path) != {"type": source_type}:
        lake.storage.write_json(path, {"type": source_type})


def schema_changes(lake: Lake, tenant: str, source: str, schema: TableSchema) -> list[SchemaChange]:
    """How `schema` differs from the captured one; not at all if there is none."""
    before = load_schema(lake, tenant, source, schema.table)
    return compare_columns(before["columns"], _columns(schema)) if before else []


def capture_schema(lake: Lake, tenant: str, source: str, schema: TableSchema) -> None:
    """Store `schema` if it differs from the captured one."""
    before = load_schema(lake, tenant, source, schema.table)
    columns = _columns(schema)
    past = dict(before["past_columns"]) if before else {}
    for change in compare_columns(before["columns"], columns) if before else []:
        if before and change.kind != "added":
            past[change.column] = before["columns"][change.column]
    after = {
        "source_name": schema.source_name,
        "id_column": schema.id_column,
        "modified_column": schema.modified_column,
        "columns": columns,
        "past_columns": {
            name: column
            for name, column in past.items()
            if name not in columns or column["type"] != columns[name]["type"]
        },
    }
    if after != before:
        lake.storage.write_json(layout.schema_file(tenant, source, schema.table), after)


def _columns(schema: TableSchema) -> dict[str, dict[str, Any]]:
    # As JSON gives it back: a tuple would make every stored schema differ from the one it was stored from.
    return {column.name: {**asdict(column), "path": list(column.path)} for column in schema.columns}


def compare_columns(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[SchemaChange]:
    """What a table's columns gained, lost or changed in name or type, by name. Only a value deep in a record has a place by which
    it is known under another name."""
    new, old = after.keys() - before.keys(), before.keys() - after.keys()
    places = {tuple(before[name].get("path") or ()): name for name in old}
    renamed = {name: places[path] for name in new if (path := tuple(after[name].get("path") or ())) and path in places}
    changes = [SchemaChange(was, "renamed", f"now {name}") for name, was in renamed.items()]
    changes += [SchemaChange(name, "added", after[name]["source_type"]) for name in new - renamed.keys()]
    changes += [SchemaChange(name, "removed", before[name]["source_type"]) for name in old - set(renamed.values())]
    changes += [
        SchemaChange(name, "retyped", f"{before[name]['source_type']} -> {after[name]['source_type']}")
        for name in before.keys() & after.keys()
        if before[name]["source_type"] != after[name]["source_type"]
    ]
    return sorted(changes, key=lambda change: change.column)
