"""The SQL views of the lake, all layers together: what `lake sql` and the file for BI tools offer.

What belongs here: which views there are and putting them into a connection or a file. What each view says is in its
layer's `views.py`.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

import duckdb

from lake_assets.bronze.tables import tables_of
from lake_assets.bronze.views import BronzeTable, bronze_view, captured_tables, raw_view
from lake_assets.gold.spec import load_marts
from lake_assets.gold.views import define_gold
from lake_assets.silver.spec import load_specs
from lake_assets.silver.views import define_silver, quarantine_view
from lake_config import Settings, source_types
from resources.lake import Lake
from resources.scope import Scope

log = logging.getLogger(__name__)

SCHEMAS = ("bronze", "raw", "silver", "gold", "quarantine")
_REFERENCE = re.compile(r"\b(bronze|raw|silver|gold|quarantine)\"?\s*\.\s*\"?(\w+)", re.IGNORECASE)


def known_tables(settings: Settings, scope: Scope) -> list[BronzeTable]:
    """The tables that the configuration names and those that were ever captured."""
    configured = {BronzeTable(kind, table) for kind in source_types() for table in tables_of(settings, kind)}
    return sorted(configured | captured_tables(scope.lake, scope.tenants), key=lambda table: table.view)


def define_views(
    connection: duckdb.DuckDBPyConnection, settings: Settings, scope: Scope, query: str | None = None
) -> None:
    """Define the lake's views on `connection`.

    Parameters:
        query: define only what this SQL mentions (and what that needs); all if it mentions no view by name.
    """
    mentioned = {(schema.lower(), name.lower()) for schema, name in _REFERENCE.findall(query or "")}
    everything = not mentioned
    for schema in SCHEMAS:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    tables = (
        known_tables(settings, scope)
        if everything or any(schema in ("bronze", "raw") for schema, _ in mentioned)
        else []
    )
    for table in tables:
        if everything or ("bronze", table.view) in mentioned:
            connection.execute(f"CREATE OR REPLACE VIEW bronze.{table.view} AS {bronze_view(scope, table)}")
    wants_quarantine = everything or any(schema == "quarantine" for schema, _ in mentioned)
    entities = [
        entity
        for entity in load_specs()
        if everything
        or wants_quarantine
        or ("silver", entity) in mentioned
        or ("silver", f"{entity}_changes") in mentioned
    ]
    if entities:
        define_silver(connection, scope, entities)
    for table in tables:
        if everything or ("raw", table.view) in mentioned:
            try:
                connection.execute(f"CREATE OR REPLACE VIEW raw.{table.view} AS {raw_view(scope, table)}")
            except (duckdb.Error, ValueError) as error:
                if not everything:
                    raise
                # Made from what a source says of its fields: one that nobody foresaw must not take all views away.
                log.error("raw.%s cannot be shown, all other views can: %s", table.view, error)
    if wants_quarantine:
        connection.execute(f"CREATE OR REPLACE VIEW quarantine.records AS {quarantine_view(scope)}")
    names = {name for schema, name in mentioned if schema == "gold"}
    marts = [mart for mart in load_marts() if everything or names & {mart, f"{mart}_snapshots", f"{mart}_history"}]
    if marts:
        define_gold(connection, scope, marts)


def write_catalog_file(settings: Settings, lake: Lake, tenants: Iterable[str] | None = None) -> bool:
    """Bring the DuckDB file for BI tools up to date: views only, built aside and swapped in.

    Returns:
        Whether it changed; a lake with the same tables and files keeps its file.
    """
    scope = Scope(lake, tuple(settings.tenants if tenants is None else tenants), by_pattern=True)
    file = settings.catalog_file
    with lake.lock("catalog", f"writing {file.name}"):
        aside = file.with_name(f".{file.name}.{os.getpid()}")
        aside.unlink(missing_ok=True)
        try:
            with duckdb.connect(str(aside)) as connection:
                if not lake.storage.is_local:
                    connection.register_filesystem(
                        lake.storage.fs
                    )  # BI tools bring httpfs; here it may not be installable
                define_views(connection, settings, scope)
                views = connection.execute("SELECT sql FROM duckdb_views() WHERE NOT internal ORDER BY 1").fetchall()
                print_ = hashlib.sha256("\n".join(row[0] for row in views).encode()).hexdigest()
                connection.execute(f"CREATE OR REPLACE MACRO main.catalog_fingerprint() AS '{print_}'")
            if file.exists() and _fingerprint(file) == print_:
                return False
            file.parent.mkdir(parents=True, exist_ok=True)
            os.replace(aside, file)
            return True
        finally:
            aside.unlink(missing_ok=True)
            Path(f"{aside}.wal").unlink(missing_ok=True)


def _fingerprint(file: Path) -> str | None:
    try:
        with duckdb.connect(str(file), read_only=True) as connection:
            return str(connection.execute("SELECT catalog_fingerprint()").fetchall()[0][0])
    except duckdb.Error:
        return None
