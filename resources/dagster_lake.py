"""The Dagster resource around the lake and its configuration."""

import os
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path

from dagster import ConfigurableResource
from dagster_duckdb import DuckDBResource
from pydantic import PrivateAttr

from lake_config import Settings, load_settings
from resources.lake import Lake
from resources.postgres import advisory_lock, running_url


class LakeResource(ConfigurableResource):
    """The lake of one configuration file.

    Parameters:
        config_file: the `lake.yaml` that it is read from when first needed.
        duckdb: where connections come from; in memory, because nothing of the lake is kept in a database file.
    """

    config_file: str
    duckdb: DuckDBResource

    _lake: Lake | None = PrivateAttr(default=None)

    @cached_property
    def settings(self) -> Settings:
        return load_settings(self.config_file)

    @property
    def lake(self) -> Lake:
        if self._lake is None:
            self._lake = open_lake(self.settings, self.duckdb)
        return self._lake


def memory_resource() -> DuckDBResource:
    """DuckDB in memory; `LAKE_DUCKDB_MEMORY` and `LAKE_DUCKDB_THREADS` bound it (per connection)."""
    config = {
        "memory_limit": os.environ.get("LAKE_DUCKDB_MEMORY", "400MB"),
        "threads": int(os.environ.get("LAKE_DUCKDB_THREADS", "2")),
    }
    return DuckDBResource(database=":memory:", connection_config=config)


def open_lake(settings: Settings, duckdb: DuckDBResource | None = None) -> Lake:
    """The lake that `settings` describe."""
    resource = duckdb or memory_resource()
    if "://" in settings.root:
        return Lake(settings.root, resource.get_connection, partial(_lock_in_postgres, settings))
    Path(settings.root).mkdir(parents=True, exist_ok=True)
    return Lake(settings.root, resource.get_connection)


def _lock_in_postgres(settings: Settings, name: str, purpose: str, wait_seconds: float) -> AbstractContextManager[None]:
    url = running_url(settings)
    if url is None:
        raise RuntimeError(
            "a lake in an object store keeps its locks in Postgres: set lake.postgres to a server that all writers reach"
        )
    return advisory_lock(url, f"{settings.root}/{name}", purpose, wait_seconds)


def lake_resource(settings: Settings) -> LakeResource:
    return LakeResource(config_file=str(settings.path), duckdb=memory_resource())
