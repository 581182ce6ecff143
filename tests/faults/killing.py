"""Driving `kill_runner.py`, and holding one lake against another."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa

from lake_assets.catalog import define_views
from lake_assets.gold.spec import load_marts
from lake_assets.silver.spec import load_specs
from resources.scope import Scope
from tests.faults import kill_runner
from tests.lakes import SyncedLake, today

RUN_SPECIFIC = {
    "run_id": "names the run",
    "sync_batch_id": "names the run",
    "id": "a new uuid for each captured row",
    "bronze_file": "its path holds the run",
    "bronze_row": "an address within that file",
    "read_at": "when it was read",
    "ingested_at": "when it was written",
    "first_seen": "the first read_at",
    "last_updated": "the last read_at",
    "made_at": "when gold was made",
    "last_aggregated": "when gold was made",
}
"""Columns in which two lakes of equal content differ, and why."""


class Runner:
    """Syncs in processes of their own, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self.log = log

    def start(
        self,
        lake: SyncedLake,
        tables: Sequence[str],
        day: date | None = None,
        crash_after: int = 0,
        file_limit: int | None = None,
        **options: Any,
    ) -> int:
        """Begin a sync; its process id."""
        task = {
            "config": str(lake.config),
            "tenant": lake.tenant,
            "day": str(day or today()),
            "tables": list(tables),
            "options": options,
            "crash_after": crash_after,
            "file_limit": file_limit,
            "log": str(self.log),
        }
        _pipe(self._process.stdin).write(json.dumps(task) + "\n")
        _pipe(self._process.stdin).flush()
        return int(self._answer())

    def wait(self) -> int:
        """The exit status of the sync under way."""
        return int(self._answer())

    def run(self, lake: SyncedLake, tables: Sequence[str], **more: Any) -> int:
        self.start(lake, tables, **more)
        return self.wait()

    def _answer(self) -> str:
        line = _pipe(self._process.stdout).readline()
        assert line, f"the runner died:\n{self.log.read_text()[-3000:] if self.log.exists() else ''}"
        return line


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@contextmanager
def running(log: Path) -> Iterator[Runner]:
    """A runner for as long as the block lasts."""
    root = Path(kill_runner.__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.faults.kill_runner"],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Runner(process, log)
    finally:
        _pipe(process.stdin).close()
        process.wait(60)
        _pipe(process.stdout).close()


def copied(lake: SyncedLake, folder: Path) -> SyncedLake:
    """A second lake with the content of the first; cheap, because files of a lake are replaced and never written to."""
    shutil.copytree(lake.config.parent, folder, copy_function=_link)
    return SyncedLake(folder / lake.config.name)


def _link(source: str, target: str) -> None:
    if source.endswith((".lock", ".yaml")):
        shutil.copy2(source, target)
    else:
        os.link(source, target)


@dataclass
class Difference:
    """Rows that only one of two lakes has, by relation."""

    only_first: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    only_second: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.only_first or self.only_second)


def contents(lake: SyncedLake, tables: Sequence[str]) -> dict[str, pa.Table]:
    """What a lake holds of these tables and of all that is made from them, without `RUN_SPECIFIC`: bronze as the set of
    (source_id, checksum), raw, silver, quarantine and gold row by row."""
    entities = [name for name, spec in load_specs().items() if any(table in tables for _, table in spec.tables)]
    marts = {name: mart for name, mart in load_marts().items() if set(mart.inputs) & set(entities)}
    relations = [f"raw.odoo_{table}" for table in tables] + ["quarantine.records"]
    for name in entities:
        relations += [f"silver.{name}", f"silver.{name}_changes"]
    for name, mart in marts.items():
        relations += [f"gold.{name}"]
        relations += [f"gold.{name}_snapshots"] if mart.kind == "snapshot" else []
        relations += [f"gold.{name}_history"] if mart.history else []
    statements = {relation: f"FROM {relation}" for relation in relations}
    statements |= {
        f"bronze.odoo_{table}": f"SELECT DISTINCT source_id, checksum FROM bronze.odoo_{table}" for table in tables
    }
    left_out = {*RUN_SPECIFIC, *(f"_{name}" for name in RUN_SPECIFIC)}
    found: dict[str, pa.Table] = {}
    with lake.lake.connection() as connection:
        define_views(connection, lake.settings, Scope(lake.lake, tuple(lake.settings.tenants)), " ".join(statements))
        for relation, statement in statements.items():
            rows = connection.sql(statement).to_arrow_table()
            found[relation] = rows.select([name for name in rows.column_names if name not in left_out])
    return found


def difference(first: dict[str, pa.Table], second: dict[str, pa.Table]) -> Difference:
    """What only one of two lakes' `contents` has: EXCEPT ALL, both ways."""
    found = Difference()
    with duckdb.connect() as connection:
        for relation in first:
            connection.register("a", first[relation])
            connection.register("b", second[relation])
            for side, statement in (
                (found.only_first, "FROM a EXCEPT ALL FROM b"),
                (found.only_second, "FROM b EXCEPT ALL FROM a"),
            ):
                rows = connection.sql(statement).to_arrow_table().to_pylist()
                if rows:
                    side[relation] = rows
    return found
