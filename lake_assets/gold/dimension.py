"""Dimensions: one file with the current rows and, where the spec asks for it, one with every version that a row ever had."""

from datetime import date
from typing import Any

import duckdb
import polars as pl

from lake_assets.gold.inputs import Versions
from lake_assets.gold.work import MartWork
from resources import layout
from resources.lake import sql_name

HISTORY_COLUMNS = {"valid_from": "DATE", "valid_to": "DATE", "is_current": "BOOLEAN"}
"""A version holds from the day `valid_from` until the day before `valid_to`, which is NULL while it is current."""


def make_dimension(work: MartWork) -> None:
    """Make both files again if an input moved."""
    spec, tenant = work.spec, work.request.tenant
    versions = work.versions()
    if not versions:
        return
    made_from = {
        "spec": spec.fingerprint,
        "days": {day.isoformat(): version for day, version in sorted(versions.items())},
    }
    if work.state == made_from and not work.request.force:
        return
    with work.connection() as connection:
        rows = connection.sql(work.select(spec.sql)).pl()
        if spec.history:
            _write_history(work, connection, versions, rows)
        connection.register("rows", rows)
        work.write(connection, "FROM rows", layout.gold_dimension(tenant, spec.mart))
    work.state = made_from
    work.save_state()


def _write_history(
    work: MartWork, connection: duckdb.DuckDBPyConnection, versions: Versions, rows: pl.DataFrame
) -> None:
    """Keep the history as it stood before the first day that moved, and go on from there day by day.

    Parameters:
        rows: the dimension now, which is also how it was on the last of the days.
    """
    path = layout.gold_dimension(work.request.tenant, f"{work.spec.mart}_history")
    first = _first_moved_day(work, versions) if work.lake.storage.exists(path) else min(versions)
    history = rows.clear().with_columns(valid_from=pl.lit(None, pl.Date), valid_to=pl.lit(None, pl.Date))
    if first > min(versions):
        columns = ", ".join(sql_name(name) for name in history.columns)
        history = history_before(connection.sql(f"SELECT {columns} FROM {work.read([path])}").pl(), first)
    for day in sorted(versions):
        if day == max(versions):
            history = history_after(history, rows, day)
        elif day >= first:
            with work.connection(day) as as_of:
                history = history_after(history, as_of.sql(work.select(work.spec.sql)).pl(), day)
    connection.register("history", history)
    work.write(connection, "SELECT *, valid_to IS NULL AS is_current FROM history", path, HISTORY_COLUMNS)


def _first_moved_day(work: MartWork, versions: Versions) -> date:
    """The first day whose inputs are not those that the history was made from; of a lost or changed one the first day at all."""
    known: dict[str, Any] = work.state.get("days", {}) if work.state.get("spec") == work.spec.fingerprint else {}
    days = {*versions, *map(date.fromisoformat, known)}
    moved = [day for day in days if known.get(day.isoformat()) != versions.get(day)]
    return min(moved) if known and moved and not work.request.force else min(versions)


def history_before(history: pl.DataFrame, day: date) -> pl.DataFrame:
    """The history as it was before `day`: versions that began later are gone, those that ended later are open."""
    return history.filter(pl.col("valid_from") < day).with_columns(
        valid_to=pl.when(pl.col("valid_to") < day).then(pl.col("valid_to"))
    )


def history_after(history: pl.DataFrame, state: pl.DataFrame, day: date) -> pl.DataFrame:
    """The history after `day`, on which the dimension's rows were `state`."""
    opened = {"valid_from": pl.lit(day), "valid_to": pl.lit(None, pl.Date)}
    ended, current = history.filter(pl.col("valid_to").is_not_null()), history.filter(pl.col("valid_to").is_null())
    columns = state.columns
    return pl.concat(
        [
            ended,
            current.join(state, on=columns, how="semi", nulls_equal=True),
            current.join(state, on=columns, how="anti", nulls_equal=True).with_columns(valid_to=pl.lit(day)),
            state.join(current, on=columns, how="anti", nulls_equal=True).with_columns(**opened),
        ]
    )
