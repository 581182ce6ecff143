"""`lake sql`: one read-only statement over the lake's views."""

from typing import Any

import duckdb

from lake_assets.catalog import define_views
from lake_cli.console import fail, print_csv, print_json, print_rows
from lake_config import Settings
from resources.dagster_lake import open_lake
from resources.lake import Lake
from resources.scope import Scope

READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}


def run_query(settings: Settings, query: str, tenants: list[str], output: str) -> None:
    """Run `query` and write its rows to stdout as a table, JSON (a list of objects) or CSV."""
    lake = open_lake(settings)

    def look(connection: duckdb.DuckDBPyConnection) -> tuple[list[str], list[tuple[Any, ...]]]:
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type not in READING:
            fail("lake sql reads only: one SELECT statement is expected")
        define_views(connection, settings, Scope(lake, tuple(tenants)), query)
        _confine(connection, lake, tenants)
        result = connection.execute(query)
        return [column[0] for column in result.description or []], result.fetchall()

    try:
        names, rows = lake.read(look)
    except duckdb.Error as error:
        fail(f"{error}", 1)
    if output == "json":
        print_json([dict(zip(names, row, strict=True)) for row in rows], indent=None)
    elif output == "csv":
        print_csv(names, rows)
    else:
        print_rows(names, rows)


def _confine(connection: duckdb.DuckDBPyConnection, lake: Lake, tenants: list[str]) -> None:
    """Keep the statement to these tenants' files, whatever paths it names itself. (DuckDB guards local paths only; in an object
    store the reader's credentials are the guard.)"""
    if not lake.storage.is_local:
        return
    folders = [
        f"{layer}/tenant_id={tenant}/" for layer in ("bronze", "silver", "quarantine", "gold") for tenant in tenants
    ]
    connection.execute(f"SET allowed_directories = {lake.sql_list([*folders, '_tmp/'])}")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
