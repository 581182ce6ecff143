"""`lake sync`: one Dagster run per day, in this process, with progress."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dagster import AssetSelection, DagsterInstance, ExecuteInProcessResult
from dagster._core.storage.tags import MAX_RETRIES_TAG
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lake_assets.automation.outcome import table_states
from lake_assets.automation.runs import (
    SYNC_JOB,
    TENANT_TAG,
    bronze_config,
    bronze_selection,
    checks_of_run,
    run_selection,
)
from lake_assets.bronze.sync import abandon_syncs
from lake_assets.bronze.tables import is_configured
from lake_assets.catalog import write_catalog_file
from lake_assets.definitions import build_defs
from lake_assets.gold.spec import load_marts
from lake_assets.silver.spec import load_specs
from lake_cli.console import err, fail
from lake_cli.interrupts import interrupts_raised
from lake_config import MissingVariableError, Settings
from partitions import partition_key
from resources import progress
from resources.dagster_home import close_abandoned_runs, instance_environment, local_instance
from resources.dagster_lake import open_lake
from resources.embedded_postgres import PostgresError
from resources.postgres import ConnectionFailed

UNUSABLE = (ConnectionFailed, PostgresError, MissingVariableError)
"""Why Dagster's storage cannot be had; the messages say what to do."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Dagster logs every event to stderr by default; here the progress bar and the errors at the end say it."""


def days_between(settings: Settings, first: date | None, last: date | None) -> list[date]:
    """The days a sync was asked for: from the first to today if only that is given; only the last, if only that; today if
    neither."""
    today = datetime.now(UTC).date()
    first, last = first or last or today, last or today
    if last < first:
        fail(f"--to {last} lies before --from {first}")
    if first < settings.lake.start_date:
        fail(f"--from {first} lies before lake.start_date {settings.lake.start_date}")
    if last > today:
        fail(f"--to {last} lies in the future (today is {today}, UTC)")
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def sync_tenant(
    settings: Settings, tenant: str, days: list[date], tables: list[str] | None, options: dict[str, Any]
) -> int:
    """Run the graph for one tenant, day by day.

    Returns:
        The exit status: 1 if anything failed.
    """
    if tables is not None:
        known = {key.path[-1] for key in bronze_selection(settings, tenant, options.get("source"))}
        unknown = [table for table in tables if table not in known]
        if unknown:
            fail(
                f"tenant {tenant} has no such table: {', '.join(unknown)}. Name further ones under `tables:` of the source in"
                f" {settings.path.name}."
            )
    try:
        with instance_environment(settings), local_instance() as instance:
            close_abandoned_runs(instance)
            # Every day runs, whatever became of the one before.
            results = [run_and_tell(settings, instance, tenant, day, tables, options) for day in days]
            write_catalog_file(settings, open_lake(settings))
    except KeyboardInterrupt:
        err.print(
            f"interrupted  {tenant}: the tables that were read to their end are in the lake, of the others nothing;"
            " the same command goes on from there",
            soft_wrap=True,
        )
        raise
    except UNUSABLE as error:
        fail(str(error), 1)
    _tell_about_tables(settings, tenant)
    return 0 if all(results) else 1


def run_and_tell(
    settings: Settings,
    instance: DagsterInstance,
    tenant: str,
    day: date,
    tables: list[str] | None = None,
    options: dict[str, Any] | None = None,
) -> bool:
    """`run_day`, and a line about it."""
    started = time.monotonic()
    rows: list[int] = []
    with progress.listening(lambda what, which, more: rows.append(more) if what == "rows" else None):
        worked = run_day(settings, instance, tenant, day, tables, options)
    seconds = time.monotonic() - started
    err.print(
        f"{'synced' if worked else 'FAILED'}  {tenant}  {day}: {sum(rows):,} rows read in {seconds:.1f} s",
        style=None if worked else "red",
        soft_wrap=True,
    )
    return worked


def _tell_about_tables(settings: Settings, tenant: str) -> None:
    """What the last sync of each table has to say. A model that the server lacks is nothing to be told about every time, unless
    the configuration names it."""
    for (source, table), state in sorted(table_states(open_lake(settings), tenant).items()):
        if not state.message or not is_configured(settings, tenant, source, table):
            continue
        if state.status != "missing_at_source" or table in (settings.tenants[tenant].sources[source].tables or {}):
            word, style = {
                "failed": ("failed", "red"),
                "not_permitted": ("not permitted", "yellow"),
            }.get(state.status, ("note", "yellow"))
            err.print(f"{word}  {tenant}/{source}/{table}: {state.message}", style=style, markup=False, soft_wrap=True)


def run_day(
    settings: Settings,
    instance: DagsterInstance,
    tenant: str,
    day: date,
    tables: list[str] | None = None,
    options: dict[str, Any] | None = None,
) -> bool:
    """One run of the sync job; whether all of it worked.

    Raises:
        KeyboardInterrupt: the run was interrupted; Dagster has it as failed.
    """
    definitions = build_defs(settings)
    job = definitions.resolve_job_def(SYNC_JOB)
    source = (options or {}).get("source")
    selection = run_selection(settings, tenant, source)
    if tables is not None:
        bronze = bronze_selection(settings, tenant, source, tables)
        selection = list(AssetSelection.assets(*bronze).downstream().resolve(job.asset_layer.asset_graph))
    try:
        with interrupts_raised(), _progress(tenant, day, len(tables) if tables is not None else None):
            subset = job.get_subset(asset_selection=set(selection), asset_check_selection=set(checks_of_run(selection)))
            result: ExecuteInProcessResult = subset.execute_in_process(
                instance=instance,
                partition_key=partition_key(day, tenant),
                run_config={**bronze_config(selection, **(options or {})), **QUIET},
                # Dagster's daemon could not repeat it: the run belongs to this process.
                tags={TENANT_TAG: tenant, MAX_RETRIES_TAG: "0"},
                raise_on_error=False,
            )
    except KeyboardInterrupt:
        abandon_syncs()
        raise
    if not result.success:
        for event in result.all_events:
            if event.is_step_failure and event.step_key is not None and event.step_key != "operations__sync_outcome":
                error = event.step_failure_data.error
                reason = (error.cause or error).message.strip() if error else "unknown reason"
                err.print(f"failed  {event.step_key}: {reason}", style="red", markup=False, soft_wrap=True)
    return result.success


@contextmanager
def _progress(tenant: str, day: date, tables: int | None) -> Iterator[None]:
    """A bar of the steps done, and how many rows were read."""
    steps = (tables or 0) + len(load_specs()) + len(load_marts())
    rows = 0
    lock = threading.Lock()
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rows]:>9,} rows  {task.fields[now]}"),
        TimeElapsedColumn(),
    ]
    with Progress(*columns, console=err, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(f"{tenant} {day}", total=steps or None, rows=0, now="")

        def listen(what: str, which: str, count: int) -> None:
            nonlocal rows
            with lock:
                if what == "rows":
                    rows += count
                    bar.update(task, rows=rows, now=which)
                else:
                    bar.update(task, advance=1 if what == "steps" or tables else 0, now=which)

        with progress.listening(listen):
            yield
        bar.update(task, completed=steps, now="")
