"""The views `bronze.<type>_<entity>` (every capture) and `raw.<type>_<entity>` (the latest version of each record, typed)."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from lake_assets.bronze.state import load_schema
from lake_assets.bronze.typed import label_sql, merged_fields, parse_struct, sql_type, typed_sql
from resources import layout
from resources.connectors.base import Column
from resources.lake import Lake, sql_name, sql_text
from resources.scope import Scope, empty_relation

BRONZE_COLUMNS = {
    "tenant_id": "VARCHAR",
    "source": "VARCHAR",
    "entity": "VARCHAR",
    "id": "VARCHAR",
    "source_id": "VARCHAR",
    "raw_data": "VARCHAR",
    "checksum": "VARCHAR",
    "change_type": "VARCHAR",
    "source_modified_at": "TIMESTAMP",
    "read_at": "TIMESTAMP",
    "ingested_at": "TIMESTAMP",
    "sync_batch_id": "VARCHAR",
    "bronze_file": "VARCHAR",
    "bronze_row": "BIGINT",
}
METADATA_COLUMNS = {
    "tenant_id": "VARCHAR",
    "_source": "VARCHAR",
    "_source_id": "VARCHAR",
    "_ingested_at": "TIMESTAMP",
    "_source_system": "VARCHAR",
    "_sync_batch_id": "VARCHAR",
}


@dataclass(frozen=True)
class BronzeTable:
    """One table of one source type over the tenants and instances in scope."""

    source_type: str
    entity: str

    @property
    def view(self) -> str:
        return f"{self.source_type}_{self.entity}"


def bronze_sources(lake: Lake, tenant: str) -> dict[str, str]:
    """Source instance -> type, of everything ever captured for the tenant."""
    names = [name.removeprefix("source=") for name in lake.storage.folders(f"_schema/tenant_id={tenant}")]
    types = {name: lake.storage.read_json(layout.source_file(tenant, name)) for name in names}
    return {name: stored["type"] for name, stored in types.items() if stored}


def captured_tables(lake: Lake, tenants: tuple[str, ...]) -> set[BronzeTable]:
    """Every table that has a captured schema."""
    tables: set[BronzeTable] = set()
    for tenant in tenants:
        for source, source_type in bronze_sources(lake, tenant).items():
            for path in lake.storage.files(f"_schema/tenant_id={tenant}/source={source}", ".json"):
                name = path.rsplit("/", 1)[1]
                if name.startswith("entity="):
                    tables.add(BronzeTable(source_type, name.removeprefix("entity=").removesuffix(".json")))
    return tables


def bronze_view(scope: Scope, table: BronzeTable) -> str:
    """SELECT for `bronze.<type>_<entity>`; columns: `BRONZE_COLUMNS`."""
    scan = scope.scan(_folders(scope, table), "file_row_number = true")
    if scan is None:
        return empty_relation(BRONZE_COLUMNS)
    names = ", ".join(name for name in BRONZE_COLUMNS if not name.startswith("bronze_"))
    start = len(scope.lake.storage.root) + 2
    return f"SELECT {names}, substr(filename, {start}) AS bronze_file, file_row_number AS bronze_row FROM {scan}"


def raw_view(scope: Scope, table: BronzeTable, only: Collection[str] | None = None) -> str:
    """SELECT for `raw.<type>_<entity>`: one row a record that is not deleted; each captured field as a typed column (see
    `_shown`), a reference as its id with its label beside it in `<field>__label`; and `METADATA_COLUMNS`. Before a schema
    was captured only those.

    Parameters:
        only: of the captured fields, just these.
    """
    captured = _fields(scope, table)
    shown, alike = _shown(captured), _alike(captured)
    fields = {name: columns for name, columns in captured.items() if only is None or name in only}
    references = {name: columns for name, columns in fields.items() if columns[0].type == "reference"}
    if scope.scan(_folders(scope, table)) is None:
        typed = {shown[name]: sql_type(columns[0]) for name, columns in fields.items()}
        labels = {f"{shown[name]}__label": "VARCHAR" for name in references}
        return empty_relation({"tenant_id": "VARCHAR", **typed, **labels, **METADATA_COLUMNS})
    values = [
        f"{_first(map(_alone_sql if name in alike else typed_sql, columns))} AS {sql_name(shown[name])}"
        for name, columns in fields.items()
    ]
    values += [
        f"{_first(map(label_sql, columns))} AS {sql_name(shown[name] + '__label')}"
        for name, columns in references.items()
        if name not in alike
    ]
    columns = [column for name, some in fields.items() if name not in alike for column in some]
    return f"""
    WITH captures AS ({bronze_view(scope, table)}),
    latest AS (
      SELECT tenant_id, source, source_id, max((read_at, bronze_file, bronze_row)) AS anchor,
             arg_max(change_type, (read_at, bronze_file, bronze_row)) AS change_type
      FROM captures GROUP BY ALL HAVING change_type <> 'delete'
    )
    SELECT tenant_id, {", ".join([*values, ""])} source AS _source, source_id AS _source_id, ingested_at AS _ingested_at,
           '{table.source_type}' AS _source_system, sync_batch_id AS _sync_batch_id
    FROM (
      SELECT captures.*, {parse_struct(columns) if columns else "NULL"} AS r
      FROM captures JOIN latest USING (tenant_id, source, source_id)
      WHERE (captures.read_at, captures.bronze_file, captures.bronze_row) = latest.anchor
    )"""


def _shown(fields: Iterable[str]) -> dict[str, str]:
    """Field -> its column in `raw.*`: of the same name, with `_` behind it where one of the lake's own columns or a field before
    it has that name, in capitals or not: DuckDB tells no such names apart."""
    taken = {name.lower() for name in METADATA_COLUMNS}
    shown: dict[str, str] = {}
    for field in fields:
        name = field
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        shown[field] = name
    return shown


def _alike(fields: dict[str, list[Column]]) -> set[str]:
    """The fields whose key in the record is another's but for capitals: one struct cannot hold both."""
    keys: dict[str, str] = {}
    return {
        name
        for name, columns in fields.items()
        for column in columns
        if keys.setdefault(_key(column).lower(), _key(column)) != _key(column)
    }


def _key(column: Column) -> str:
    return (column.path or (column.name,))[0]


def _alone_sql(column: Column) -> str:
    """The value in its type, taken from the record's text by itself."""
    arrow = "->" if sql_type(column).endswith("[]") or column.type == "json" else "->>"
    return f"TRY_CAST(raw_data {arrow} {sql_text('$.' + json.dumps(_key(column), ensure_ascii=False))} AS {sql_type(column)})"


def _first(values: Iterable[str]) -> str:
    values = list(values)
    return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"


def _fields(scope: Scope, table: BronzeTable) -> dict[str, list[Column]]:
    schemas: list[dict[str, Any]] = []
    for tenant in scope.tenants:
        for source, source_type in _sources(scope, tenant).items():
            stored = load_schema(scope.lake, tenant, source, table.entity) if source_type == table.source_type else None
            if stored:
                schemas.append(stored)
    return merged_fields(schemas)


def _folders(scope: Scope, table: BronzeTable) -> list[str]:
    return [
        layout.bronze_table(tenant, source, table.entity)
        for tenant in scope.tenants
        for source, source_type in _sources(scope, tenant).items()
        if source_type == table.source_type
    ]


def _sources(scope: Scope, tenant: str) -> dict[str, str]:
    return scope.remembered(("sources", tenant), lambda: bronze_sources(scope.lake, tenant))
