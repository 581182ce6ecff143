"""A lake of a test's own: real files in a temporary folder, real runs of the graph, the sandbox as its sources.

Runs go through Dagster in this process, with an instance in memory. What a test asks about the lake goes through the views that
`lake sql` offers; what it compares them with comes from the sandbox's own store.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import yaml
from dagster import DagsterInstance

from lake_assets.bronze.capture import SyncRequest, TableOutcome
from lake_assets.bronze.state import TableState, load_state
from lake_assets.bronze.sync import sync_source
from lake_assets.catalog import define_views
from lake_assets.silver.make import make_entity
from lake_assets.silver.spec import load_specs
from lake_cli.sync import run_day
from lake_config import Settings, load_settings
from resources.connecting import connect
from resources.lake import BRONZE_SCHEMA, Lake
from resources.scope import Scope
from sandbox.server import Sandbox

START_DATE = date(2026, 1, 1)


def odoo_source(sandbox: Sandbox, database: str = "northwind", login: str = "admin", **more: Any) -> dict[str, Any]:
    """The block of `lake.yaml` for one database of the sandbox; `more` overrides and adds keys."""
    return {
        "type": "odoo",
        "url": sandbox.odoo_url(database),
        "database": database,
        "username": login,
        "password": login,
        "timeout_seconds": 20,
        **more,
    }


def write_config(
    folder: Path,
    tenants: Mapping[str, Mapping[str, dict[str, Any]]],
    lake: Mapping[str, Any] | None = None,
    **tenant_keys: Any,
) -> Path:
    """Write `folder/lake.yaml`. `tenants`: slug -> source instance -> its block; `lake`: further keys of that block."""
    config = {
        "lake": {"root": "./data-lake", "start_date": START_DATE.isoformat(), **(lake or {})},
        "tenants": {slug: {"sources": dict(sources), **tenant_keys} for slug, sources in tenants.items()},
    }
    file = folder / "lake.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return file


def today() -> date:
    return datetime.now(UTC).date()


def evening(days_ago: int) -> datetime:
    """A time at which nothing happens by itself in the stories, and nothing has for long enough to be held back."""
    return (datetime.now(UTC) - timedelta(days=days_ago)).replace(hour=19, minute=0, second=0, microsecond=0)


class SyncedLake:
    """One `lake.yaml` and the lake beside it."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.settings: Settings = load_settings(config)
        self.lake = Lake(self.settings.root)
        self._runs = 0

    @cached_property
    def instance(self) -> DagsterInstance:
        return DagsterInstance.ephemeral()

    def close(self) -> None:
        """Give up Dagster's connections and temporary folders."""
        if "instance" in self.__dict__:
            self.instance.dispose()

    @property
    def tenant(self) -> str:
        """The first tenant; most tests have only one."""
        return next(iter(self.settings.tenants))

    def reconfigure(self, change: Mapping[str, Any], tenant: str | None = None, source: str = "odoo") -> None:
        """Change keys of a source in `lake.yaml` and read it again."""
        data = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        data["tenants"][tenant or self.tenant]["sources"][source].update(change)
        self.config.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        self.settings = load_settings(self.config)

    def sync(self, *tables: str, tenant: str | None = None, day: date | None = None, **options: Any) -> bool:
        """A run of the graph as `lake sync` does it: these tables (all if none) and what is made from them.

        Returns:
            Whether all of it worked.
        """
        names = list(tables) or None
        return run_day(self.settings, self.instance, tenant or self.tenant, day or today(), names, options)

    def capture(
        self, *tables: str, tenant: str | None = None, source: str = "odoo", day: date | None = None, **options: Any
    ) -> dict[str, TableOutcome]:
        """Bronze alone, without Dagster."""
        tenant = tenant or self.tenant
        self._runs += 1
        settings = self.settings.tenants[tenant].sources[source]
        request = SyncRequest(tenant, source, day or today(), f"run-{self._runs:04d}", **options)
        outcomes = sync_source(self.lake, lambda: connect(tenant, source, settings), list(tables), request)
        return {outcome.table: outcome for outcome in outcomes}

    def pull(self, *tables: str, tenant: str | None = None, **options: Any) -> dict[str, TableOutcome]:
        """Bronze, and the silver made of it, without Dagster and without gold: a tenth of the time of a run."""
        outcomes = self.capture(*tables, tenant=tenant, **options)
        for spec in load_specs().values():
            if any(table in tables for _, table in spec.tables):
                make_entity(self.lake, tenant or self.tenant, spec)
        return outcomes

    def query(self, sql: str, *tenants: str) -> list[tuple[Any, ...]]:
        """Rows of a statement over the views of `lake sql`."""

        def look(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
            define_views(connection, self.settings, Scope(self.lake, tenants or tuple(self.settings.tenants)), sql)
            return connection.execute(sql).fetchall()

        return self.lake.read(look)

    def bronze(self, table: str, tenant: str | None = None, source: str = "odoo") -> list[dict[str, Any]]:
        """Every captured row of a table, in the order of reading."""
        files = self.lake.bronze_files(tenant or self.tenant, source, table)
        if not files:
            return []
        with self.lake.connection() as connection:
            return (
                connection.sql(
                    f"FROM ({self.lake.scan(files, ', '.join(BRONZE_SCHEMA.names))}) ORDER BY read_at, source_id"
                )
                .to_arrow_table()
                .to_pylist()
            )

    def state(self, table: str, tenant: str | None = None, source: str = "odoo") -> TableState:
        return load_state(self.lake, tenant or self.tenant, source, table)

    def files(self, prefix: str = "") -> list[str]:
        """Every Parquet file below a folder of the lake."""
        return self.lake.storage.files(prefix, ".parquet")

    def ids(self, relation: str, *tenants: str) -> set[str]:
        """The source ids in a silver view, or in a raw one."""
        column = "_source_id" if relation.startswith("raw.") else "source_id"
        rows = self.query(f"SELECT {column} FROM {relation}", *tenants)
        assert len(rows) == len(set(rows)), f"{relation} shows a record twice"
        return {row[0] for row in rows}


def assert_lake_is_source(
    lake: SyncedLake, sandbox: Sandbox, database: str, tables: Iterable[str], tenant: str | None = None
) -> None:
    """Hold the lake against the sandbox's own store: bronze has each record, `raw` its current values, and silver with quarantine
    each record once."""
    tenant = tenant or lake.tenant
    for table in tables:
        model = table.replace("_", ".")
        named = "name" in {column[0] for column in lake.query(f"DESCRIBE SELECT * FROM raw.odoo_{table}", tenant)}
        fields = "write_date,name" if named else "write_date"
        truth = {
            (str(row["id"]), (row["write_date"] or "")[:19], (row.get("name") or None) if named else None)
            for row in sandbox.truth(database, model, fields)
        }
        values = "nullif(name, '')" if named else "NULL"
        found = lake.query(
            f"SELECT _source_id, coalesce(strftime(write_date, '%Y-%m-%d %H:%M:%S'), ''), {values} FROM raw.odoo_{table}",
            tenant,
        )
        assert len(found) == len(set(found)), f"raw.odoo_{table} shows a record twice"
        assert set(found) == truth, f"raw.odoo_{table} differs from the source"
        entities = [entity for entity, spec in load_specs().items() if ("odoo", table) in spec.tables]
        if not entities:
            continue
        current = [identity for entity in entities for identity in lake.ids(f"silver.{entity}", tenant)]
        rejected = lake.query(
            f"SELECT source_id FROM quarantine.records WHERE entity = '{table}' AND status = 'open' AND change_type = 'upsert'",
            tenant,
        )
        known = current + [row[0] for row in rejected]
        assert len(known) == len(set(known)), f"silver and quarantine hold a record of {table} twice"
        assert set(known) == {identity for identity, _, _ in truth}, (
            f"silver and quarantine of {table} differ from the source"
        )
