"""`lake status`: where every table of every tenant stands."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from duckdb import DuckDBPyConnection

from lake_assets.automation.outcome import NOTICE_AFTER, table_states
from lake_assets.automation.sensors import RETRY_SECONDS
from lake_assets.catalog import define_views
from lake_assets.gold.spec import load_marts
from lake_assets.silver.spec import load_specs
from lake_cli.console import out, print_json, print_table
from lake_config import Settings
from resources.budget import Account, load_account
from resources.dagster_lake import open_lake
from resources.lake import Lake
from resources.scope import Scope

COLUMNS = [
    "tenant",
    "layer",
    "source",
    "table",
    "rows",
    "status",
    "last_sync",
    "lag_minutes",
    "quality_score",
    "open_quarantine",
    "requests_today",
    "budget_used",
    "budget_per_day",
    "resumes_at",
    "message",
]
SHOWN = COLUMNS[: COLUMNS.index("requests_today")]
BUDGET_COLUMNS = ["tenant", "source", "requests_today", "budget_used", "budget_per_day", "resumes_at"]


def collect_status(settings: Settings, lake: Lake) -> list[dict[str, Any]]:
    """One entry a tenant, layer and table (in bronze: of each source instance), with the keys of `COLUMNS`; what does not apply
    is None. `lag_minutes` is how long ago the data was read up to. `requests_today`, `budget_used` and `budget_per_day` are of
    the whole source instance since midnight UTC, in the unit in which the source counts; `resumes_at` is when a table goes on
    whose sync ran out of that budget."""
    entries: list[dict[str, Any]] = []
    for tenant in settings.tenants:
        entries += _bronze(settings, lake, tenant)
        entries += lake.read(partial(_silver, settings, lake, tenant))
        entries += lake.read(partial(_gold, settings, lake, tenant))
    return entries


def show_status(settings: Settings, as_json: bool) -> None:
    entries = collect_status(settings, open_lake(settings))
    if as_json:
        print_json(entries)
        return
    print_table(str(settings.root), SHOWN, [[entry[column] for column in SHOWN] for entry in entries])
    asked = _of_each_source(entries)
    print_table("Asked today", BUDGET_COLUMNS, [[entry[column] for column in BUDGET_COLUMNS] for entry in asked])
    for entry in entries:
        if entry["message"] and entry["status"] != "missing_at_source":
            where = "/".join(entry[key] for key in ("tenant", "source", "table") if entry[key])
            out.print(f"{where}: {entry['message']}", markup=False, soft_wrap=True)


def _of_each_source(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a source instance, with the earliest `resumes_at` of its tables."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        if entry["layer"] == "bronze":
            known = found.setdefault((entry["tenant"], entry["source"]), dict(entry))
            known["resumes_at"] = min(filter(None, (known["resumes_at"], entry["resumes_at"])), default=None)
    return list(found.values())


def _entry(tenant: str, layer: str, table: str, **values: Any) -> dict[str, Any]:
    return {**dict.fromkeys(COLUMNS), "tenant": tenant, "layer": layer, "table": table, **values}


def _bronze(settings: Settings, lake: Lake, tenant: str) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    entries = []
    accounts: dict[str, Account] = {}
    for (source, table), state in sorted(table_states(lake, tenant).items()):
        account = accounts.setdefault(source, load_account(lake, tenant, source))
        configured = settings.tenants[tenant].sources.get(source)
        message = state.message
        status = state.status
        if status == "failed" and state.retry:
            status = "pending_retry"
            tries = (
                f"{state.failures} of {NOTICE_AFTER} failures before a notice"
                if state.failures < NOTICE_AFTER
                else f"{state.failures} failures"
            )
            message = f"{message} ({tries}; tried again every {RETRY_SECONDS // 60} minutes)"
        entries.append(
            _entry(
                tenant,
                "bronze",
                table,
                source=source,
                rows=state.rows,
                status=status,
                last_sync=state.last_sync_at.isoformat(timespec="seconds") if state.last_sync_at else None,
                lag_minutes=round((now - state.watermark).total_seconds() / 60, 1) if state.watermark else None,
                requests_today=account.requests,
                budget_used=account.spent,
                budget_per_day=configured.max_per_day if configured else None,
                resumes_at=state.resumes_at.isoformat(timespec="seconds") if state.resumes_at else None,
                message=message,
            )
        )
    return entries


def _silver(settings: Settings, lake: Lake, tenant: str, connection: DuckDBPyConnection) -> list[dict[str, Any]]:
    define_views(connection, settings, Scope(lake, (tenant,)), "SELECT * FROM quarantine.records")
    counts = " UNION ALL ".join(
        f"SELECT '{entity}' AS entity, count(*) AS rows, round(avg(quality_score), 4) AS score,"
        " max(last_updated) AS last_updated"
        f" FROM silver.{entity}"
        for entity in load_specs()
    )
    rows = connection.execute(f"SELECT * FROM ({counts}) ORDER BY entity").fetchall()
    quarantine = dict(
        connection.execute(
            "SELECT silver_entity, count(*) FROM quarantine.records WHERE status = 'open' GROUP BY 1"
        ).fetchall()
    )
    return [
        _entry(
            tenant,
            "silver",
            entity,
            rows=count,
            status="ok" if count or quarantine.get(entity) else "empty",
            last_sync=last_updated.isoformat(timespec="seconds") + "+00:00" if last_updated else None,
            quality_score=score,
            open_quarantine=quarantine.get(entity, 0),
        )
        for entity, count, score, last_updated in rows
    ]


def _gold(settings: Settings, lake: Lake, tenant: str, connection: DuckDBPyConnection) -> list[dict[str, Any]]:
    marts = sorted(load_marts())
    define_views(connection, settings, Scope(lake, (tenant,)), " ".join(f"gold.{mart}" for mart in marts))
    counts = " UNION ALL ".join(f"SELECT '{mart}' AS mart, count(*) AS rows FROM gold.{mart}" for mart in marts)
    rows = connection.execute(f"SELECT * FROM ({counts}) ORDER BY mart").fetchall()
    return [_entry(tenant, "gold", mart, rows=count, status="ok" if count else "empty") for mart, count in rows]
