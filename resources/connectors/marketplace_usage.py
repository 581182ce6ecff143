"""A seller's metering feed: CSV files in a folder or bucket, in which each line is one metering record.

AWS has no way to read what was metered; sellers get it back as files, or keep a ledger. What belongs here: which files are to be
read, and in which order. What does not: AWS's services. A line in a later file replaces one with the same id in an earlier file.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lake_config import TableOptions
from resources.connectors.base import (
    Column,
    ColumnType,
    MissingAtSource,
    Page,
    PermanentError,
    TableSchema,
    TransientError,
    Window,
)
from resources.connectors.chosen_fields import ChosenFields

LINES_A_PAGE = 5_000
SUFFIXES = (".csv", ".csv.gz")
TYPES: dict[str, ColumnType] = {
    "timestamp": "timestamp",
    "sent_at": "timestamp",
    "quantity": "decimal",
}
"""Of columns whose names are known; all others are text."""

QUANTITY = "DECIMAL(38,6)"


@dataclass(frozen=True, order=True)
class FeedFile:
    """One file; `changed`: when it was last written, UTC; `mark`: differs whenever it is another content."""

    changed: datetime
    path: str
    mark: str


class UsageFeed:
    """The files of one feed.

    Parameters:
        folder: a path or an object-store URL.
        id_column: which column names a metering record.
        where: how messages name the table.
        modified: which column tells when a record was sent.
        options: for the file system (credentials of a bucket).
        fields: which columns are kept.
    """

    def __init__(
        self,
        folder: str,
        id_column: str,
        where: str,
        modified: str | None = None,
        options: dict[str, Any] | None = None,
        fields: TableOptions | None = None,
    ) -> None:
        self._folder, self.id_column, self._where = folder, id_column, where
        self._modified, self._options, self._fields = modified, options or {}, fields

    def files(self) -> list[FeedFile]:
        """All there are, in the order in which they were written.

        Raises:
            MissingAtSource: there is no such folder.
        """
        system, root = self._open()
        try:
            if not system.exists(root):
                raise MissingAtSource(f"{self._where}: there is no folder {self._folder}.")
            found = (
                system.find(root, detail=True, refresh=True)
                if "://" in self._folder
                else system.find(root, detail=True)
            )
        except (OSError, ValueError) as error:
            raise TransientError(f"{self._where}: {self._folder} cannot be listed: {type(error).__name__}") from None
        files = [_file(path, info) for path, info in found.items()]
        return sorted(
            one for one in files if one.path.endswith(SUFFIXES) and not one.path.rpartition("/")[2].startswith(".")
        )

    def schema(self, table: str) -> TableSchema:
        """What the files' headers name, as far as it is kept."""
        columns = self._chosen().kept(self._where, f"tables.{table}")
        return TableSchema(table, "metering feed", columns, self.id_column, self._modified, filled_silently=False)

    def _chosen(self) -> ChosenFields:
        return ChosenFields(self.columns(), self._fields, (self.id_column, self._modified or self.id_column))

    def columns(self) -> tuple[Column, ...]:
        """The columns of all files' headers; the newest file's come first.

        Raises:
            PermanentError: a file lacks the id column.
        """
        names: dict[str, None] = {}
        for file in reversed(self.files()):
            names |= dict.fromkeys(next(self._lines(file), []))
        return tuple(_column(name) for name in names or [self.id_column])

    def pages(self, window: Window) -> Iterator[Page]:
        """The lines in `window`, see `_changed`, without what is not kept."""
        return self._chosen().cut(self._changed(window))

    def of_ids(self, ids: Iterable[str]) -> Iterator[Page]:
        """These records, as their newest files have them."""
        return self._chosen().cut(self._named(ids))

    def _changed(self, window: Window) -> Iterator[Page]:
        """The lines of the files in `window`: those that `window.cursor` does not know as they are now or, without a cursor, that
        were written in it. Each id once, as its newest file has it.

        A file that comes late with an older date is not allowed to undo a correction: what is newer is read again with it.
        """
        files = self.files()
        known = json.loads(window.cursor) if window.cursor else None
        if known is None:
            fresh = [file for file in files if window.lo is None or file.changed >= window.lo]
        else:
            fresh = [file for file in files if known.get(file.path) != file.mark]
        if window.hi is not None:
            fresh = [file for file in fresh if file.changed < window.hi]
        if not fresh:
            return
        oldest = min(fresh)
        to_read = [file for file in files if file >= oldest and (window.hi is None or file.changed < window.hi)]
        seen: set[str] = set()
        for file in reversed(to_read):
            yield from self._pages_of(file, seen, track=len(to_read) > 1)
        cursor = json.dumps({file.path: file.mark for file in files}) if window.hi is None else None
        if cursor is not None:
            yield Page([], datetime.now(UTC), cursor=cursor)

    def _named(self, ids: Iterable[str]) -> Iterator[Page]:
        wanted, seen = set(ids), set[str]()
        for file in reversed(self.files()):
            for page in self._pages_of(file, seen, track=True):
                records = [record for record in page.records if record[self.id_column] in wanted]
                if records:
                    yield Page(records, page.read_at)

    def undated(self) -> Iterator[Page]:
        """None: every file has a time."""
        return iter(())

    def newer_than(self, since: datetime) -> bool:
        """Whether a file was written since."""
        files = self.files()
        return bool(files) and files[-1].changed >= since

    def check(self) -> str:
        """What is there, in a few words."""
        return f"{len(self.files())} usage files"

    def close(self) -> None:
        """Nothing is open."""

    def inventory(self) -> Iterator[list[tuple[str, str | None]]]:
        """Each record's id and what its newest file has in the column `modified`."""
        modified = self._modified
        seen: set[str] = set()
        for file in reversed(self.files()):
            for page in self._pages_of(file, seen, track=True):
                yield [(record[self.id_column], record.get(modified) if modified else None) for record in page.records]

    def _pages_of(self, file: FeedFile, seen: set[str], track: bool) -> Iterator[Page]:
        read_at = datetime.now(UTC)
        lines = self._lines(file)
        header = next(lines, None)
        if header is None:
            return
        if self.id_column not in header:
            raise PermanentError(
                f"{self._where}: {file.path} has no column {self.id_column}; it has {', '.join(header)}. Set usage_id."
            )
        place = header.index(self.id_column)
        records: list[Any] = []
        mine: set[str] = set()
        for number, line in enumerate(lines, 2):
            if not line:
                continue
            if len(line) != len(header):
                raise PermanentError(
                    f"{self._where}: {file.path}, line {number}: {len(line)} values for {len(header)} columns"
                )
            if not line[place].strip():
                raise PermanentError(
                    f"{self._where}: {file.path}, line {number}: {self.id_column} is empty, which tells no record from another."
                    " Correct the file, or set usage_id to a column that every line has."
                )
            if track:
                if line[place] in seen:
                    continue
                mine.add(line[place])
            records.append(dict(zip(header, line, strict=True)))
            if len(records) >= LINES_A_PAGE:
                yield Page(records, read_at)
                records = []
        seen |= mine
        if records:
            yield Page(records, read_at)

    def _lines(self, file: FeedFile) -> Iterator[list[str]]:
        system, _ = self._open()
        try:
            with system.open(file.path, "rb") as raw:
                opened: Any = gzip.GzipFile(fileobj=raw) if file.path.endswith(".gz") else raw
                yield from csv.reader(io.TextIOWrapper(opened, "utf-8-sig", newline=""), strict=True)
        except (csv.Error, UnicodeDecodeError) as error:
            raise PermanentError(f"{self._where}: {file.path} is no CSV in UTF-8: {error}") from None
        except FileNotFoundError:
            raise TransientError(f"{self._where}: {file.path} went away while it was read.") from None
        except (OSError, EOFError) as error:
            raise TransientError(f"{self._where}: {file.path} cannot be read: {type(error).__name__}") from None

    def _open(self) -> tuple[Any, str]:
        import fsspec

        return fsspec.core.url_to_fs(self._folder, **self._options)


def _column(name: str) -> Column:
    kind = TYPES.get(name, "text")
    return Column(name, kind, "csv", sql_type=QUANTITY if kind == "decimal" else "")


def _file(path: str, info: dict[str, Any]) -> FeedFile:
    changed = info.get("mtime") or info.get("LastModified") or info.get("created") or 0
    moment = changed if isinstance(changed, datetime) else datetime.fromtimestamp(float(changed), UTC)
    mark = f"{info.get('size')} {info.get('ETag') or moment.isoformat()}"
    return FeedFile(moment.astimezone(UTC), path, mark)
