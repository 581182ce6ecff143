"""The lake as the layers use it: storage, DuckDB connections over it, and locks.

What belongs here: how to reach the files. What does not: what a layer does with them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from resources import layout
from resources.locks import Locker, file_lock
from resources.storage import Storage

BRONZE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source_id", pa.string()),
        ("raw_data", pa.string()),
        ("checksum", pa.string()),
        ("change_type", pa.string()),
        ("source_modified_at", pa.timestamp("us")),
        ("read_at", pa.timestamp("us")),
        ("ingested_at", pa.timestamp("us")),
        ("sync_batch_id", pa.string()),
    ]
)
"""Columns of a bronze file; tenant_id, source and entity come from its path. Times are UTC without a zone."""

LOCK_WAIT_SECONDS = 600.0

READ_TRIES = 5
_MOVED_UNDERNEATH = (duckdb.IOException, duckdb.InvalidInputException)

T = TypeVar("T")

Connect = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]


@contextmanager
def in_memory() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own, in memory."""
    with duckdb.connect(":memory:", config={"memory_limit": "1GB", "threads": 2}) as connection:
        yield connection


PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 20480"
"""Options of a `COPY` into the lake. Row groups this small let two threads read a table of 50,000 rows, and bound the memory of
writing wide ones."""


class Lake:
    """One lake.

    Parameters:
        root: an absolute folder or an object-store URL.
        connect: gives in-memory DuckDB connections, as a context manager that closes them.
        remote_locker: how to lock where the lake has no file locks (an object store); see `resources/locks.py`.
    """

    def __init__(self, root: str, connect: Connect = in_memory, remote_locker: Locker | None = None) -> None:
        self.storage = Storage(root)
        self._connect = connect
        self._remote_locker = remote_locker

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB connection that reads the lake's files; nothing is shared between two of them."""
        with self._connect() as connection:
            if self.storage.is_local:
                connection.execute(f"SET temp_directory = {sql_text(self.storage.url('_tmp/duckdb'))}")
            else:
                connection.register_filesystem(self.storage.fs)
            connection.execute(
                "SET TimeZone = 'UTC'; SET preserve_insertion_order = false; SET enable_progress_bar = false"
            )
            yield connection

    def read(self, look: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """What `look` finds on a connection, for readers that do not hold the writers' locks.

        DuckDB opens a file by its name more than once a query. If a writer replaces the file in between, the query breaks
        (seen: a footer that does not fit; never wrong rows), so it is asked again, from the definition of its views on.
        """
        for left in reversed(range(READ_TRIES)):
            try:
                with self.connection() as connection:
                    return look(connection)
            except duckdb.Error as error:
                # What Parquet's footer parser says has no class of its own.
                if left == 0 or not (isinstance(error, _MOVED_UNDERNEATH) or type(error) is duckdb.Error):
                    raise
        raise AssertionError("unreachable")

    def lock(self, name: str, purpose: str, wait_seconds: float = LOCK_WAIT_SECONDS) -> AbstractContextManager[None]:
        """Hold the lock `name` among all processes that share this lake; see `resources.locks`."""
        if self.storage.is_local:
            return file_lock(Path(self.storage.root) / "_locks" / f"{name}.lock", purpose, wait_seconds)
        if self._remote_locker is None:
            raise RuntimeError("a lake in an object store needs lake.postgres for its locks")
        return self._remote_locker(name, purpose, wait_seconds)

    def bronze_files(self, tenant: str, source: str, entity: str, day: date | None = None) -> list[str]:
        """The bronze files of one table (of one day), oldest path first."""
        folder = layout.bronze_day(tenant, source, entity, day) if day else layout.bronze_table(tenant, source, entity)
        return self.storage.files(folder, ".parquet")

    def scan(self, paths: Sequence[str], columns: str = "*") -> str:
        """SQL that reads these files (at least one) as one table, whichever columns each of them has."""
        return f"SELECT {columns} FROM read_parquet({self.sql_list(paths)}, union_by_name = true)"

    def sql_list(self, paths: Sequence[str]) -> str:
        """`paths` as a SQL list of URLs."""
        return "[" + ", ".join(sql_text(self.storage.url(path)) for path in paths) + "]"


def sql_text(value: str) -> str:
    """`value` as a SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def sql_name(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
