"""The views of gold: `gold.<mart>` (of snapshots each tenant's latest), `gold.<mart>_snapshots` and `gold.<mart>_history`."""

from collections.abc import Iterable

import duckdb

from lake_assets.gold.dimension import HISTORY_COLUMNS
from lake_assets.gold.spec import MartSpec, load_marts
from resources import layout
from resources.lake import sql_name, sql_text
from resources.scope import Scope, empty_relation


def gold_views(scope: Scope, spec: MartSpec) -> dict[str, str]:
    """View name -> SELECT, of one mart."""
    if spec.kind == "snapshot":
        return {
            spec.mart: _select(scope, spec.mart, _SNAPSHOT_DATE | spec.all_columns, latest=True),
            f"{spec.mart}_snapshots": _select(scope, spec.mart, _SNAPSHOT_DATE | spec.all_columns),
        }
    views = {spec.mart: _select(scope, spec.mart, spec.all_columns)}
    if spec.history:
        history = f"{spec.mart}_history"
        views[history] = _select(scope, history, spec.all_columns | HISTORY_COLUMNS)
    return views


_SNAPSHOT_DATE = {"date": "DATE"}


def _select(scope: Scope, mart: str, columns: dict[str, str], latest: bool = False) -> str:
    """SELECT of a mart's files in these columns, whichever spec made them.

    Parameters:
        latest: of each tenant only the files of its latest date.
    """
    folders = {tenant: layout.gold_mart(tenant, mart) for tenant in scope.tenants}
    newest = (
        {tenant: max(scope.lake.storage.folders(folder), default="") for tenant, folder in folders.items()}
        if latest
        else {}
    )
    if latest and not scope.by_pattern:
        folders = {tenant: f"{folders[tenant]}/{folder}" for tenant, folder in newest.items() if folder}
    scan = scope.scan(list(folders.values()))
    if scan is None:
        return empty_relation(columns)
    if latest and scope.by_pattern:
        # Which date is the latest is found out when the view is read; files older than the latest of now need no opening.
        recent = " OR ".join(
            f"(tenant_id = {sql_text(tenant)} AND date >= {sql_text(folder.removeprefix('date='))})"
            for tenant, folder in newest.items()
        )
        scan = f"(FROM {scan} WHERE {recent})"
    listed = ", ".join(f"TRY_CAST({sql_name(name)} AS {kind}) AS {sql_name(name)}" for name, kind in columns.items())
    select = f"SELECT {listed} FROM (FROM {scan} UNION ALL BY NAME {empty_relation(columns)})"
    if latest and scope.by_pattern:
        dates = f"SELECT tenant_id, max(CAST(date AS DATE)) AS date FROM {scan} GROUP BY tenant_id"
        return f"SELECT * FROM ({select}) SEMI JOIN ({dates}) USING (tenant_id, date)"
    return select


def define_gold(connection: duckdb.DuckDBPyConnection, scope: Scope, marts: Iterable[str] | None = None) -> None:
    """Define the views of these marts (of all if None) on `connection`."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS gold")
    specs = load_marts()
    for mart in specs if marts is None else marts:
        for name, select in gold_views(scope, specs[mart]).items():
            connection.execute(f"CREATE OR REPLACE VIEW gold.{name} AS {select}")
