"""The `lake` command as users run it: a process of its own, in a folder with a `lake.yaml`.

The folder is not pytest's: as root, Postgres runs as another user, to whom pytest closes its folders. While the folder is in
use its embedded Postgres runs, so that no command has to start and stop one.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from resources.embedded_postgres import EmbeddedPostgres
from tests.lakes import write_config

LAKE = Path(sys.executable).parent / "lake"
PATIENCE_SECONDS = 300


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would steer `lake`."""
    steering = ("LAKE_", "REVLAKE_", "DAGSTER_", "AWS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(steering)} | more


class CommandLake:
    """A folder with a `lake.yaml`, and `lake` run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "data-lake"
        self.catalog = folder / "lake.duckdb"
        self.environment: dict[str, str] = {}
        """Set for every call."""
        self._connection: duckdb.DuckDBPyConnection | None = None

    def run(
        self, *arguments: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`lake` with these arguments. Times are another zone's: nothing may depend on the machine's."""
        return subprocess.run(
            [LAKE, *arguments],
            cwd=cwd or self.folder,
            env=clean_environment(**{"TZ": "Pacific/Auckland", **self.environment, **(environment or {})}),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def answer(self, *arguments: str, **options: Any) -> str:
        """What `lake` wrote to stdout; it must end well."""
        result = self.run(*arguments, **options)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def sync(self, tenant: str, *options: str) -> None:
        """Sync, and see that nothing but diagnostics was said, on stderr."""
        self.close()
        assert self.answer("sync", "--tenant", tenant, *options) == ""

    def json(self, *arguments: str) -> Any:
        return json.loads(self.answer(*arguments))

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """`lake.duckdb` as a BI tool has it: opened by DuckDB alone, to read."""
        if self._connection is None:
            self._connection = duckdb.connect(str(self.catalog), read_only=True)
        return self._connection

    def close(self) -> None:
        """Let go of the catalog file as it is now."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows out of `lake.duckdb`."""
        return self.connection.execute(sql).fetchall()

    def records(self, sql: str) -> list[dict[str, Any]]:
        """`query`, each row with its columns' names."""
        result = self.connection.execute(sql)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def columns(self, relation: str) -> dict[str, str]:
        return {name: kind for name, kind, *_ in self.query(f"DESCRIBE SELECT * FROM {relation}")}

    def files(self, below: str = "") -> dict[str, str]:
        """Path below the lake's root -> what the file is, of all Parquet files."""
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            + str(path.stat().st_mtime_ns)
            for path in sorted((self.root / below).rglob("*.parquet"))
        }


@contextmanager
def command_lake(
    tenants: Mapping[str, Mapping[str, dict[str, Any]]], lake: Mapping[str, Any] | None = None, **tenant_keys: Any
) -> Iterator[CommandLake]:
    """A new folder whose `lake.yaml` has these tenants; arguments as of `tests.lakes.write_config`."""
    folder = Path(tempfile.mkdtemp(prefix="revlake-test-"))
    try:
        write_config(folder, tenants, lake, **tenant_keys)
        with EmbeddedPostgres(folder / "dagster_home" / "postgres").running():
            command = CommandLake(folder)
            yield command
            command.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
