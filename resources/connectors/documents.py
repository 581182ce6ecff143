"""Documents in a folder or bucket as a source: one record a file, with the text that is in it.

The folder is listed in every sync; files that are new or have another modification time, size or ETag than before are read, those
that are missing are gone. Whether anything changed is decided by the content: a file that was only touched is read once and found
the same; the cursor notes that, because the lake keeps the version with the earlier time.
How text is taken out of a file is in `document_text`.
"""

import hashlib
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import Field

from lake_config import Place, SourceSettings, SourceType
from resources.budget import Budget
from resources.connectors.base import (
    BudgetSpent,
    Column,
    MissingAtSource,
    NotPermitted,
    Page,
    PermanentError,
    SourceError,
    TableSchema,
    TransientError,
    Window,
    configured,
)
from resources.connectors.document_text import format_of, text_of
from resources.pacing import Pace

log = logging.getLogger(__name__)

TABLE = "documents"
FILES_A_PAGE = 32
BYTES_A_PAGE = 8_000_000
"""Of text; a page ends with the file that reaches it."""

SCHEMA = TableSchema(
    TABLE,
    "files",
    (
        Column("path", "text", "relative path"),
        Column("title", "text", "heading, metadata or file name"),
        Column("format", "text", "markdown, text, html or pdf"),
        Column("size", "integer", "bytes"),
        Column("sha256", "text", "of the file"),
        Column("modified", "timestamp", "modification time"),
        Column("text", "text", "what is in it"),
        Column("pages", "integer", "of a PDF"),
        Column("error", "text", "why there is no text, or not all of it"),
    ),
    id_column="path",
    modified_column="modified",
    whole=True,
    listed=True,
    unchecked=("modified",),
)


class DocumentsSource(SourceSettings):
    """One folder of documents."""

    type: Literal["documents"] = "documents"
    folder: Place = Field(
        description="a folder, or an object store's URL (s3://bucket/prefix), whose credentials come from the environment"
    )
    max_megabytes: float = Field(50, gt=0, description="larger files are recorded without their text")


@dataclass(frozen=True)
class _Listed:
    """One file as the store lists it. `mark`: differs whenever the file was written."""

    path: str
    size: int
    modified: str
    mark: str


@dataclass
class _Listing:
    """What a sync's list said of the files. `known`: marks of the files as an earlier sync read them."""

    marks: dict[str, str]
    known: dict[str, str]


class DocumentsConnector:
    """One folder of documents.

    Parameters:
        name: the source instance's name in `lake.yaml`.
        tenant: the tenant's slug.
        budget: what the source may be asked; a list or a file costs one.
    """

    type = "documents"

    def __init__(
        self,
        name: str,
        settings: DocumentsSource,
        tenant: str,
        budget: Budget | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self._name, self._tenant = settings, name, tenant
        self._budget = budget or Budget(None, tenant, name, settings.max_per_day)
        self._pace = Pace(settings.max_per_second, time.monotonic, sleep)
        self._opened: tuple[Any, str] | None = None
        self._listing: _Listing | None = None
        self._names: dict[str, str] = {}
        """Names of files, by their paths, where they differ: see `_escaped`."""

    def where(self) -> str:
        """How messages name the place."""
        return f"tenant {self._tenant}, source {self._name}, table {TABLE}"

    def tables(self) -> list[str]:
        """The one there is, unless configuration lists others only."""
        return list(self._settings.tables or {}) if self._settings.only_listed else [TABLE]

    def check(self) -> str:
        files = list(self._files())
        return f"{len(files)} documents, {sum(file.size for file in files) / 1e6:.1f} MB"

    def server_time(self) -> datetime:
        return datetime.now(UTC)

    def schema(self, table: str) -> TableSchema:
        """The same columns for every folder.

        Raises:
            MissingAtSource: there is no such folder, or `table` is not `documents`.
        """
        if table != TABLE:
            raise MissingAtSource(f"{self.where()}: a folder of documents has no table {table}")
        fs, root = self._store()
        with self._told():
            there = fs.isdir(root)
        if not there:
            raise MissingAtSource(f"{self.where()}: there is no folder {self._settings.folder}")
        return SCHEMA

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        """All files: the table is listed, so that nobody asks this way."""
        yield from self.by_ids(schema, (file.path for file in self._files()))

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        """These files. Where `ids` come out of `inventory`, without those that an earlier sync has read as they are."""
        self._listing = None
        gone: set[str] = set()
        records: list[dict[str, Any]] = []
        began, size = datetime.now(UTC), 0
        with ThreadPoolExecutor(self._settings.max_in_flight, "documents") as pool:
            for asked_at, path, reading in self._read_ahead(pool, iter(ids)):
                try:
                    record = reading.result()
                except BudgetSpent:
                    if records:
                        yield Page(records, began)
                    raise
                if record is None:
                    gone.add(path)
                    continue
                began = began if records else asked_at
                records.append(record)
                size += len(record["text"] or "")
                if len(records) >= FILES_A_PAGE or size >= BYTES_A_PAGE:
                    yield Page(records, began)
                    records, size = [], 0
        cursor = self._cursor(gone)
        if records or cursor:
            yield Page(records, began, cursor=cursor)

    def _cursor(self, gone: set[str]) -> str | None:
        """The marks of all files but those `gone`; None if nothing was listed, or nothing new."""
        listing = self._listing
        if listing is None:
            return None
        marks = {path: mark for path, mark in listing.marks.items() if path not in gone}
        return json.dumps(marks) if marks != listing.known else None

    def _read_ahead(
        self, pool: ThreadPoolExecutor, paths: Iterator[str]
    ) -> Iterator[tuple[datetime, str, Future[dict[str, Any] | None]]]:
        """When each file was asked for, its path and its record, in their order; as many at once as are allowed."""
        ahead: deque[tuple[datetime, str, Future[dict[str, Any] | None]]] = deque()
        for path in paths:
            listing = self._listing
            if listing and path in listing.known and listing.known[path] == listing.marks.get(path):
                continue
            ahead.append((datetime.now(UTC), path, pool.submit(self._record, path)))
            if len(ahead) >= self._settings.max_in_flight:
                yield ahead.popleft()
        yield from ahead

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        yield from ()

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[list[tuple[str, str | None]]]:
        """A file that changed under the same time is told without one, so that it is read."""
        known: dict[str, str] = json.loads(window.cursor) if window.cursor else {}
        files = list(self._files())
        self._listing = _Listing({file.path: file.mark for file in files}, known)
        yield [(file.path, file.modified if known.get(file.path, file.mark) == file.mark else None) for file in files]

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """Lists the folder. A file that went is found by the next sync."""
        watermark = since.get(TABLE)
        return watermark is not None and any(file.modified > _stamp(watermark) for file in self._files())

    def close(self) -> None:
        self._budget.close()

    # -- files -----------------------------------------------------------------------------------------------------------

    def _store(self) -> tuple[Any, str]:
        if self._opened is None:
            folder = configured(self._settings.folder, f"tenants.{self._tenant}.sources.{self._name}.folder")
            if "://" not in folder and not os.path.isabs(folder):
                raise PermanentError(f"{self.where()}: {folder}: an absolute path or a URL is expected")
            with self._told():
                fs, root = fsspec.core.url_to_fs(folder)
            self._opened = fs, root.rstrip("/")
        return self._opened

    def _files(self) -> Iterator[_Listed]:
        """Each document, by path. Hidden files and other kinds are none."""
        fs, root = self._store()
        self._budget.spend()
        self._pace.wait()
        fs.invalidate_cache()
        with self._told():
            found = _found(fs, root)
            there = bool(found) or fs.isdir(root)
        if not there:
            raise MissingAtSource(f"{self.where()}: there is no folder {self._settings.folder}")
        others = 0
        for name in sorted(found):
            path = _escaped(name[len(root) + 1 :])
            if any(part.startswith((".", "~$")) for part in path.split("/")):
                continue
            if format_of(path) is None:
                others += 1
                continue
            if path != name[len(root) + 1 :]:
                self._names[path] = name[len(root) + 1 :]
            info = found[name]
            modified = _modified(info)
            mark = f"{modified} {info['size']} {info.get('ETag') or info.get('etag') or ''}".rstrip()
            yield _Listed(path, int(info["size"]), modified, mark)
        if others:
            log.info("%s: %d files are of other kinds than markdown, text, HTML and PDF", self.where(), others)

    def _record(self, path: str) -> dict[str, Any] | None:
        """A file as a record; None if it is gone."""
        fs, root = self._store()
        name = f"{root}/{self._names.get(path, path)}"
        self._budget.spend()
        self._pace.wait()
        content: bytes | None = None
        error = None
        with self._told():
            try:
                info = fs.info(name)
                if info["size"] > self._settings.max_megabytes * 1e6:
                    error = f"larger than max_megabytes ({self._settings.max_megabytes:g})"
                else:
                    content = fs.cat_file(name)
            except FileNotFoundError:
                return None
            except PermissionError:
                info = {"size": None, **fs.info(name)}
                error = "may not be read"
        found = text_of(path, content) if content is not None else None
        if found is not None:
            error = found.error
        if error is not None:
            log.warning("%s: %s: %s", self.where(), path, error)
        return {
            "path": path,
            "title": found.title if found else path.rpartition("/")[2],
            "format": format_of(path),
            "size": info["size"],
            "sha256": hashlib.sha256(content).hexdigest() if content is not None else None,
            "modified": _modified(info),
            "text": found.text if found else None,
            "pages": found.pages if found else None,
            "error": error,
        }

    def _told(self) -> "_Told":
        return _Told(self.where())


class _Told:
    """Tells what goes wrong at the store in the lake's words."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, PermissionError):
            raise NotPermitted(f"{self._where}: the folder may not be read: {error.strerror or error}") from None
        if isinstance(error, FileNotFoundError):
            raise MissingAtSource(f"{self._where}: there is no such folder") from None
        if isinstance(error, OSError | TimeoutError):
            raise TransientError(f"{self._where}: the store does not answer: {error.strerror or error}") from None
        if isinstance(error, ImportError | ValueError):
            raise PermanentError(f"{self._where}: {error}") from None
        if isinstance(error, Exception) and type(error).__module__.partition(".")[0] in (
            "botocore",
            "aiobotocore",
            "aiohttp",
        ):
            raise self._of_a_bucket(error) from None

    def _of_a_bucket(self, error: Exception) -> SourceError:
        """What s3fs passes on as it comes: errors before there is an answer."""
        from botocore import exceptions as boto  # only now: it takes long to load, and most folders need none of it

        if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
            return PermanentError(
                f"{self._where}: {error}: the credentials of an object store come from the environment, such as"
                " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            )
        passing = isinstance(error, boto.HTTPClientError | boto.ConnectionError | boto.CredentialRetrievalError)
        if passing or not isinstance(error, boto.BotoCoreError | boto.ClientError):
            return TransientError(f"{self._where}: the store does not answer: {error}")
        return PermanentError(f"{self._where}: {error}")


def _found(fs: Any, root: str) -> dict[str, Any]:
    """Name -> what the store says of it, of all files below `root`. Of a folder on a disk only regular files, and of links only
    those that lead to one inside.

    Raises:
        OSError: a folder cannot be listed; its files must not look as if they were gone.
    """
    if not isinstance(fs, LocalFileSystem):
        return fs.find(root, detail=True)

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    # Not `find`, which leaves out what it cannot list.
    names = (os.path.join(folder, file) for folder, _, files in os.walk(root, onerror=failed) for file in files)
    inside = os.path.realpath(root) + os.sep
    found: dict[str, Any] = {}
    for name in names:
        if os.path.isfile(name) and (not os.path.islink(name) or os.path.realpath(name).startswith(inside)):
            with suppress(FileNotFoundError):
                found[name] = fs.info(name)
    return found


def _escaped(name: str) -> str:
    """A file's name as text: bytes of it that are no UTF-8, which a file system allows, as `\\xff`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _modified(info: dict[str, Any]) -> str:
    moment = info.get("mtime") or info.get("LastModified") or info.get("last_modified") or info.get("updated")
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return _stamp(moment if isinstance(moment, datetime) else datetime.fromtimestamp(float(moment or 0), UTC))


def _stamp(moment: datetime) -> str:
    """UTC, microseconds; text order is time order."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


SOURCE = SourceType("documents", DocumentsSource, DocumentsConnector)
