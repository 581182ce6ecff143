"""Which part of the lake a connection sees: some tenants, all of it or as it was at the end of a day.

Views are defined against a scope, so that the file for BI tools, `lake sql` and the making of gold share their definitions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

from resources import layout
from resources.lake import Lake

T = TypeVar("T")


@dataclass(frozen=True)
class Scope:
    """What the lake looks like at one moment: a folder is listed once, so all views of a scope name the same files.

    Parameters:
        tenants: whose files are seen; nobody else's are ever opened.
        as_of: only partitions up to this day; None for all.
        by_pattern: name the files by a pattern instead of one by one, for views that outlive this moment.
    """

    lake: Lake
    tenants: tuple[str, ...]
    as_of: date | None = None
    by_pattern: bool = False
    _seen: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def remembered(self, key: tuple[str, ...], look: Callable[[], T]) -> T:
        """What `look` gave when it was first asked for under this key: in an object store every look is a request."""
        if key not in self._seen:
            self._seen[key] = look()
        return self._seen[key]

    def scan(self, folders: list[str], options: str = "") -> str | None:
        """`read_parquet(...)` over the Parquet files below these folders, None if there are none."""
        if self.by_pattern:
            patterns = [f"{folder}/**/*.parquet" for folder in folders if self._files(folder)]
            return self._read(patterns, options)
        files = [path for folder in folders for path in self._files(folder)]
        if self.as_of is not None:
            files = [path for path in files if layout.day_of(path) <= self.as_of]
        return self._read(files, options)

    def _read(self, paths: list[str], options: str) -> str | None:
        if not paths:
            return None
        fixed = "union_by_name = true, hive_partitioning = true, hive_types_autocast = false, filename = true"
        return f"read_parquet({self.lake.sql_list(paths)}, {fixed}{options and ', ' + options})"

    def _files(self, folder: str) -> list[str]:
        return self.remembered(("files", folder), lambda: self.lake.storage.files(folder, ".parquet"))


def empty_relation(columns: dict[str, str]) -> str:
    """SQL for no rows with these columns (name -> DuckDB type)."""
    listed = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns.items())
    return f"SELECT {listed} WHERE false"
