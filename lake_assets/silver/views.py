"""The views of silver: `silver.<entity>_changes` (every version), `silver.<entity>` (the current state, with current names) and
`quarantine.records`.

A record's current state is its latest version, unless a later version was rejected, became another entity's (a person that
turns out to be a company) or is a deletion. Names of related records come from their own current state; the label that was read
with the record is only the fallback.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

import duckdb

from lake_assets.bronze.views import BronzeTable, raw_view
from lake_assets.silver.compile import LINEAGE_COLUMNS, silver_columns
from lake_assets.silver.make import made_from
from lake_assets.silver.spec import SQL_TYPES, ColumnSpec, EntitySpec, NameReference, load_specs
from resources import layout
from resources.lake import sql_name
from resources.scope import Scope, empty_relation

QUARANTINE_COLUMNS = {
    "tenant_id": "VARCHAR",
    "source": "VARCHAR",
    "entity": "VARCHAR",
    "silver_entity": "VARCHAR",
    "source_id": "VARCHAR",
    "raw_data": "VARCHAR",
    "reasons": "VARCHAR[]",
    "status": "VARCHAR",
    "change_type": "VARCHAR",
    "source_modified_at": "TIMESTAMP",
    "read_at": "TIMESTAMP",
    "bronze_file": "VARCHAR",
    "bronze_row": "BIGINT",
    "sync_batch_id": "VARCHAR",
}
_RECORD = "tenant_id, source, source_id"


def quarantine_view(scope: Scope) -> str:
    """SELECT for `quarantine.records`; `status` is open while the rejected version is the record's latest, else superseded."""
    folders = [f"quarantine/tenant_id={tenant}" for tenant in scope.tenants]
    scan = scope.scan(folders)
    if scan is None:
        return empty_relation(QUARANTINE_COLUMNS)
    names = ", ".join(sql_name(name) for name in QUARANTINE_COLUMNS if name != "status")
    later = " UNION ALL ".join(
        f"SELECT tenant_id, source, source_id, read_at, '{entity}' AS silver_entity FROM silver.{entity}_changes"
        for entity in load_specs()
    )
    return f"""
    WITH rejected AS (SELECT {names} FROM {scan}),
    versions AS ({later} UNION ALL SELECT {_RECORD}, read_at, silver_entity FROM rejected),
    latest AS (SELECT {_RECORD}, silver_entity, max(read_at) AS last_read_at FROM versions
               SEMI JOIN rejected USING (tenant_id, source, source_id, silver_entity) GROUP BY ALL)
    SELECT rejected.*, CASE WHEN read_at < last_read_at THEN 'superseded' ELSE 'open' END AS status
    FROM rejected JOIN latest USING (tenant_id, source, source_id, silver_entity)"""


def siblings(spec: EntitySpec) -> list[EntitySpec]:
    """The entities that are made from the same source tables: a record may move between them."""
    return [
        other
        for other in load_specs().values()
        if other.entity != spec.entity and set(other.sources) & set(spec.sources)
    ]


def _made_from_both(spec: EntitySpec, sibling: EntitySpec) -> str:
    """SQL: the version comes from a table that both are made from; other tables of a source have ids of their own."""
    shared = sorted({table for name, table in spec.tables if (name, table) in sibling.tables})
    return " OR ".join(f"contains(bronze_file, '/entity={table}/')" for table in shared) or "false"


@dataclass(frozen=True)
class Lookup:
    """Columns of related records. `table` as in `NameReference`; `level` is 0 if the columns are stored there, and one more than
    that of what they are looked up from in turn (a salesperson's name is the user's, and the user's name is the contact's)."""

    level: int
    table: str

    @property
    def relation(self) -> str:
        return f"{re.sub(r'[^a-z0-9_]+', '_', self.table)}_{self.level}"

    @property
    def entities(self) -> list[EntitySpec]:
        """The silver entities that hold the records; none if they are looked up in bronze tables."""
        return _entities_in(self.table)

    @property
    def bronze_tables(self) -> list[BronzeTable]:
        """The bronze tables that hold the records; none if they are looked up in silver."""
        return [] if self.entities else [BronzeTable(*name.split(".")) for name in self.table.split("|")]


def _entities_in(table: str) -> list[EntitySpec]:
    return (
        [load_specs()[part.removeprefix("silver.")] for part in table.split("|")] if table.startswith("silver.") else []
    )


def lookup_of(reference: NameReference) -> Lookup:
    """Where the reference's column is looked up."""
    columns = [spec.columns.get(reference.name) for spec in _entities_in(reference.table)]
    levels = [1 + lookup_of(column.reference).level for column in columns if column and column.reference]
    return Lookup(max(levels, default=0), reference.table)


def lookups_of(entities: Iterable[str], only: Collection[str] | None = None) -> dict[Lookup, set[str]]:
    """Every related column that the named views of `entities` need, what those need in turn first.

    Parameters:
        only: just these columns of the entities.
    """
    found: dict[Lookup, set[str]] = {}

    def add(column: ColumnSpec) -> None:
        if column.reference:
            for spec in _entities_in(column.reference.table):
                if column.reference.name in spec.columns:
                    add(spec.columns[column.reference.name])
            found.setdefault(lookup_of(column.reference), set()).add(column.reference.name)

    for entity in entities:
        for name, column in load_specs()[entity].columns.items():
            if only is None or name in only:
                add(column)
    return dict(sorted(found.items(), key=lambda item: (item[0].level, item[0].table)))


def needed_entities(entities: Iterable[str], only: Collection[str] | None = None) -> list[str]:
    """`entities`, those that their views look names up in, and those that records of theirs may move to."""
    needed = {*entities, *(spec.entity for lookup in lookups_of(entities, only) for spec in lookup.entities)}
    return sorted({*needed, *(sibling.entity for entity in needed for sibling in siblings(load_specs()[entity]))})


def needed_tables(entities: Iterable[str], only: Collection[str] | None = None) -> list[BronzeTable]:
    """The bronze tables whose current rows the views of `entities` look names up in."""
    return [table for lookup in lookups_of(entities, only) for table in lookup.bronze_tables]


class SilverViews:
    """The SELECTs behind the views of one schema, which refer to each other by name.

    Parameters:
        schema: where `<entity>_changes` and `<entity>` are; the current state with the names as they were read is in
            `<schema>_current`.
        only: leave out columns with other names, for a statement that can only use these; what relates records to each other
            stays.
    """

    def __init__(self, scope: Scope, schema: str = "silver", only: Collection[str] | None = None) -> None:
        self.scope = scope
        self.schema = schema
        self.only = only

    def changes(self, spec: EntitySpec) -> str:
        """Every version; adds `capture_date`, the day partition, to the columns of the files. Files that an earlier spec made are
        read with the columns and types of today's."""
        columns = {name: kind for name, kind in silver_columns(spec).items() if self._keeps(spec, name)}
        scan = self.scope.scan([layout.silver_table(tenant, spec.entity) for tenant in self.scope.tenants])
        if scan is None:
            return empty_relation({**columns, "capture_date": "DATE"})
        day = r"CAST(regexp_extract(filename, '(\d{4}-\d{2}-\d{2})\.parquet$', 1) AS DATE) AS capture_date"
        if self._made_by_this_spec(spec):
            return f"SELECT {', '.join(map(sql_name, columns))}, {day} FROM {scan}"
        listed = ", ".join(
            f"TRY_CAST({sql_name(name)} AS {kind}) AS {sql_name(name)}" for name, kind in columns.items()
        )
        return f"SELECT {listed}, {day} FROM (FROM {scan} UNION ALL BY NAME {empty_relation(columns)})"

    def _made_by_this_spec(self, spec: EntitySpec) -> bool:
        """Whether every file has the columns of today's spec. Views that outlive this moment may not rely on it."""
        if self.scope.by_pattern:
            return False
        for tenant in self.scope.tenants:
            days = made_from(self.scope.lake, tenant, spec.entity)
            for path in self.scope.lake.storage.files(layout.silver_table(tenant, spec.entity), ".parquet"):
                day = layout.day_of(path).isoformat()
                if day not in days or days[day]["spec"] != spec.fingerprint:
                    return False
        return True

    def current(self, spec: EntitySpec) -> str:
        """The current state with the labels that were read with each record. Adds `first_seen` and `last_updated`.

        A version is told from a record's others by when it was read, and among rows read in one request by its row.
        """
        version = "(CAST(epoch_us(read_at) AS HUGEINT) << 32) + bronze_row"
        seen = [f"SELECT {_RECORD}, {version} AS version, read_at FROM {self.schema}.{spec.entity}_changes"]
        seen += [
            f"SELECT {_RECORD}, {version}, NULL FROM {self.schema}.{sibling.entity}_changes AS current"
            f" WHERE change_type = 'upsert' AND ({_made_from_both(spec, sibling)})"
            for sibling in siblings(spec)
        ]
        rejected = self.scope.scan(self._quarantine_folders(spec))
        if rejected:
            seen.append(f"SELECT {_RECORD}, {version}, NULL FROM {rejected}")
        return f"""
        SELECT versions.* EXCLUDE (_version), first_seen, last_updated
        FROM (SELECT *, {version} AS _version FROM {self.schema}.{spec.entity}_changes) AS versions
        JOIN (SELECT {_RECORD}, max(version) AS _version, min(read_at) AS first_seen, max(read_at) AS last_updated
              FROM ({" UNION ALL ".join(seen)}) GROUP BY ALL) AS latest USING ({_RECORD}, _version)
        WHERE change_type = 'upsert'"""

    def _quarantine_folders(self, spec: EntitySpec) -> list[str]:
        return [
            f"quarantine/tenant_id={tenant}/{source}/entity={table}"
            for tenant in self.scope.tenants
            for source in self.scope.lake.storage.folders(f"quarantine/tenant_id={tenant}")
            for table in sorted({table for _, table in spec.tables})
        ]

    def named(self, spec: EntitySpec, columns: Collection[str] | None = None, names: str = "") -> str:
        """The current state with every reference taken from its lookup.

        Parameters:
            columns: just the key and these (NULL where the entity has no such column).
            names: goes before the names of the relations that lookups are in.
        """
        joins: dict[tuple[str, str], str] = {}
        values: dict[str, str] = {}
        for name, column in spec.columns.items():
            if column.reference and (name in columns if columns is not None else self._wants(name)):
                found_in = (lookup_of(column.reference).relation, column.reference.key)
                relation = joins.setdefault(found_in, f"related{len(joins)}")
                value = f"TRY_CAST({relation}.{sql_name(column.reference.name)} AS {SQL_TYPES[column.type]})"
                values[name] = f"coalesce({value}, current.{sql_name(name)})"
        joined = " ".join(
            f"LEFT JOIN {names}{lookup} AS {relation} ON {relation}.tenant_id = current.tenant_id"
            f" AND {relation}.source = current.source AND {relation}.source_id = current.{sql_name(key)}"
            for (lookup, key), relation in joins.items()
        )
        if columns is None:
            replaced = ", ".join(f"{value} AS {sql_name(name)}" for name, value in values.items())
            select = f"current.* REPLACE ({replaced})" if values else "current.*"
        else:
            stored = {name: f"current.{sql_name(name)}" if name in spec.columns else "NULL" for name in sorted(columns)}
            listed = ", ".join(f"{value} AS {sql_name(name)}" for name, value in {**stored, **values}.items())
            select = f"current.tenant_id, current.source, current.source_id, {listed}"
        return f"SELECT {select} FROM {self.schema}_current.{spec.entity} AS current {joined}"

    def lookup(self, lookup: Lookup, columns: Collection[str], names: str = "") -> str:
        """The key and these columns of the related records; `names` as for `named`. Of the entities but the first only records of
        tables that it is made from too: a source that keeps companies and persons apart counts them apart as well."""
        if lookup.entities:
            first, *others = lookup.entities
            parts = [self.named(first, columns, names)]
            parts += [f"{self.named(other, columns, names)} WHERE {_made_from_both(other, first)}" for other in others]
            return " UNION ALL ".join(parts)
        padding = dict.fromkeys(["tenant_id", "_source", "_source_id", *sorted(columns)], "VARCHAR")
        listed = ", ".join(map(sql_name, sorted(columns)))
        return " UNION ALL ".join(
            f"""
        SELECT tenant_id, _source AS source, _source_id AS source_id, {listed}
        FROM (({raw_view(self.scope, table, columns)}) UNION ALL BY NAME ({empty_relation(padding)}))"""
            for table in lookup.bronze_tables
        )

    def with_lookups(self, spec: EntitySpec) -> str:
        """`named` in one statement with the lookups it needs."""
        lookups = lookups_of([spec.entity]).items()
        parts = ", ".join(f"{lookup.relation} AS ({self.lookup(lookup, columns)})" for lookup, columns in lookups)
        return f"{f'WITH {parts}' if parts else ''} {self.named(spec)}"

    def _wants(self, name: str) -> bool:
        return self.only is None or name in self.only

    def _keeps(self, spec: EntitySpec, name: str) -> bool:
        return (
            self._wants(name)
            or name in LINEAGE_COLUMNS
            or name in _relating_columns()
            or name in ("tenant_id", "canonical_id")
        )


@lru_cache
def _relating_columns() -> frozenset[str]:
    """The names of columns that some lookup joins on or takes."""
    references = [
        column.reference for spec in load_specs().values() for column in spec.columns.values() if column.reference
    ]
    return frozenset(name for reference in references for name in (reference.key, reference.name))


def define_silver(connection: duckdb.DuckDBPyConnection, scope: Scope, entities: Iterable[str] | None = None) -> None:
    """Define the views of silver (of some entities and what they need) on `connection`."""
    specs = load_specs()
    wanted = list(specs) if entities is None else list(entities)
    views = SilverViews(scope)
    _define_states(connection, views, needed_entities(wanted))
    for entity in wanted:
        connection.execute(f"CREATE OR REPLACE VIEW silver.{entity} AS {views.with_lookups(specs[entity])}")


def load_silver(
    connection: duckdb.DuckDBPyConnection,
    scope: Scope,
    entities: Iterable[str],
    words: Collection[str],
    schema: str = "silver",
) -> None:
    """Define just those views of silver that one statement needs, and look up all names now, for a connection that runs that one
    statement: planning the views of `define_silver` would take longer than running it.

    Parameters:
        words: the names of columns that the statement may use.
    """
    specs = load_specs()
    wanted = list(entities)
    views = SilverViews(scope, schema, words)
    _define_states(connection, views, needed_entities(wanted, words))
    names = f"{schema}_names."
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}_names")
    for lookup, columns in lookups_of(wanted, words).items():
        connection.execute(f"CREATE TABLE {names}{lookup.relation} AS {views.lookup(lookup, columns, names)}")
    for entity in wanted:
        connection.execute(f"CREATE VIEW {schema}.{entity} AS {views.named(specs[entity], names=names)}")


def _define_states(connection: duckdb.DuckDBPyConnection, views: SilverViews, entities: list[str]) -> None:
    specs = load_specs()
    for schema in (views.schema, f"{views.schema}_current"):
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    for entity in entities:
        connection.execute(f"CREATE OR REPLACE VIEW {views.schema}.{entity}_changes AS {views.changes(specs[entity])}")
    for entity in entities:
        connection.execute(f"CREATE OR REPLACE VIEW {views.schema}_current.{entity} AS {views.current(specs[entity])}")
