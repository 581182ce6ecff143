"""What a mart was made from, and whether that moved since.

A version is a short text that changes exactly when the rows do: for silver the bronze files and the spec that a day was made
from, for the tables that names are looked up in their bronze files. A mart that was made from other versions than today's is
behind.
"""

import hashlib
from collections.abc import Collection, Iterable
from datetime import date
from typing import Any

from lake_assets.bronze.views import bronze_sources
from lake_assets.silver.make import made_from
from lake_assets.silver.views import needed_entities, needed_tables
from resources import layout
from resources.lake import Lake

Versions = dict[date, str]
"""Day partition -> version of all inputs in that day."""

SilverDays = dict[str, dict[str, Any]]
"""Day -> what its silver file was made from: `files` (bronze paths) and `spec`."""


def silver_days(lake: Lake, tenant: str, entity: str) -> SilverDays:
    """What each day of a silver entity was made from."""
    days = made_from(lake, tenant, entity)
    return {day: {"files": sorted(made["files"]), "spec": made["spec"]} for day, made in days.items()}


def fresh_files(now: SilverDays, known: SilverDays) -> list[str]:
    """The bronze files that reached silver since `known`, or whose rows another spec made."""
    fresh: list[str] = []
    for day, made in now.items():
        before = known.get(day)
        old = set(before["files"]) if before and before["spec"] == made["spec"] else set()
        fresh += [file for file in made["files"] if file not in old]
    return fresh


def input_versions(lake: Lake, tenant: str, entities: list[str], words: Collection[str]) -> Versions:
    """The versions of everything that the views of `entities` read for their columns named in `words`, by day, from the first day
    on that the first of them has."""
    parts: dict[date, list[str]] = {}
    begins: date | None = None
    for entity in needed_entities(entities, words):
        days = silver_days(lake, tenant, entity)
        for day, made in days.items():
            parts.setdefault(date.fromisoformat(day), []).append(f"{entity}: {made['spec']} {made['files']}")
        if entity == entities[0]:
            begins = min(map(date.fromisoformat, days), default=None)
    if begins is None:
        return {}
    tables = needed_tables(entities, words)
    for source, source_type in bronze_sources(lake, tenant).items():
        for table in tables:
            if source_type == table.source_type:
                for path in lake.bronze_files(tenant, source, table.entity):
                    parts.setdefault(layout.day_of(path), []).append(path)
    versions: Versions = {}
    for day, texts in sorted(parts.items()):
        if day <= begins:  # what came before belongs to the first state
            versions[begins] = _digest([versions.get(begins, ""), *texts])
        else:
            versions[day] = _digest(texts)
    return versions


def version_as_of(versions: Versions, day: date) -> str:
    """The version of everything up to `day`."""
    return _digest(f"{when} {version}" for when, version in sorted(versions.items()) if when <= day)


def first_source(lake: Lake, tenant: str) -> str:
    """The source instance that was captured first; ids of the tenant's other instances get the instance's name behind them, so
    that no two are equal."""
    sources = sorted(bronze_sources(lake, tenant))
    if len(sources) < 2:
        return sources[0] if sources else ""
    days: dict[date, list[str]] = {}
    for path in lake.storage.files(f"bronze/tenant_id={tenant}", ".parquet"):
        days.setdefault(layout.day_of(path), []).append(path)
    if not days:
        return sources[0]
    paths = lake.sql_list(days[min(days)])
    with lake.connection() as connection:
        captured = f"read_parquet({paths}, hive_partitioning = true, hive_types_autocast = false)"
        rows = connection.execute(f"SELECT arg_min(source, (read_at, source)) FROM {captured}")
        return str(rows.fetchall()[0][0])


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:20]
