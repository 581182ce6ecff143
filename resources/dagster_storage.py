"""Where Dagster keeps runs, events and ticks: the `storage` of `dagster_home/dagster.yaml`.

A YAML file cannot choose, so this class does: Postgres if the environment names one, the embedded Postgres if this
DAGSTER_HOME has one, SQLite otherwise. Secrets stay in the environment: `dagster instance info` and the instance reference
that Dagster hands to its subprocesses hold the variable's name only.
"""

import atexit
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dagster import StringSource
from dagster._config.config_schema import UserConfigSchema
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from resources.embedded_postgres import EmbeddedPostgres
from resources.postgres import URL_VARIABLE

STATEMENT_TIMEOUT_MS = 120_000

_joined: dict[Path, str] = {}
_leave_at_exit = ExitStack()
atexit.register(_leave_at_exit.close)


class LakeStorage(DagsterStorage, ConfigurableClass):
    """Makes one of Dagster's own storages; is never instantiated itself."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """One key: the name of the variable that holds the URL."""
        return {"postgres_url_variable": StringSource}

    @classmethod
    def from_config_value(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]
    ) -> DagsterStorage[Any]:
        """The storage for this process.

        Raises:
            PostgresError: this DAGSTER_HOME has an embedded server, which cannot be started.
        """
        url = os.environ.get(config_value.get("postgres_url_variable", URL_VARIABLE))
        home = Path(os.environ["DAGSTER_HOME"]).resolve()
        if not url:
            url = _embedded(home)
        if url:
            return _with_open_connections(DagsterPostgresStorage(postgres_url=url, inst_data=inst_data))
        return DagsterSqliteStorage.from_local(str(home), inst_data=inst_data)


def _with_open_connections(storage: DagsterPostgresStorage) -> DagsterPostgresStorage:
    """Dagster opens a connection for each statement, except in its webserver: in a run of a hundred events that is most of the
    time that a run costs. So each process keeps its connections, as the webserver does."""
    for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
        part.optimize_for_webserver(statement_timeout=STATEMENT_TIMEOUT_MS, pool_recycle=3600, max_overflow=20)
    return storage


def _embedded(home: Path) -> str | None:
    """The embedded server's URL, started or joined until this process ends; None if this home never had one.

    So that a bare `dagster` command sees the runs that `lake` launched.
    """
    if home not in _joined:
        server = EmbeddedPostgres(home / "postgres")
        if not server.is_set_up():
            return None
        _joined[home] = _leave_at_exit.enter_context(server.running())
    return _joined[home]
