"""Documents in a folder or bucket as a source: one record a file, with the text that is in it.

The folder is listed in every sync; files that are new or have another modification time than the lake knows are read, those that
are missing are gone. Whether anything changed is decided by the content: a file that was only touched is read and found the same.
How text is taken out of a file is in `document_text`.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

import fsspec
from pydantic import Field

from lake_config import Place, SourceSettings, SourceType
from resources.budget import Budget
from resources.connectors.base import (
    Column,
    MissingAtSource,
    NotPermitted,
    Page,
    PermanentError,
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

    def where(self) -> str:
        """How messages name the place."""
        return f"tenant {self._tenant}, source {self._name}, table {TABLE}"

    def tables(self) -> list[str]:
        """The one there is, unless configuration lists others only."""
        return list(self._settings.tables or {}) if self._settings.only_listed else [TABLE]

    def check(self) -> str:
        files = list(self._files())
        return f"{len(files)} documents, {sum(size for _, size, _ in files) / 1e6:.1f} MB"

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
        yield from self.by_ids(schema, (path for path, _, _ in self._files()))

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        rest = iter(ids)
        with ThreadPoolExecutor(self._settings.max_in_flight, "documents") as pool:
            while some := list(islice(rest, FILES_A_PAGE)):
                read_at = datetime.now(UTC)
                records = [record for record in pool.map(self._record, some) if record is not None]
                if records:
                    yield Page(records, read_at)

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        yield from ()

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[list[tuple[str, str | None]]]:
        yield [(path, modified) for path, _, modified in self._files()]

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """Lists the folder. A file that went is found by the next sync."""
        watermark = since.get(TABLE)
        return watermark is not None and any(modified > _stamp(watermark) for _, _, modified in self._files())

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

    def _files(self) -> Iterator[tuple[str, int, str]]:
        """(relative path, bytes, modification time) of each document, by path. Hidden files and other kinds are none."""
        fs, root = self._store()
        self._budget.spend()
        self._pace.wait()
        fs.invalidate_cache()
        with self._told():
            found: dict[str, Any] = fs.find(root, detail=True)
        if not found and not fs.isdir(root):
            raise MissingAtSource(f"{self.where()}: there is no folder {self._settings.folder}")
        others = 0
        for name in sorted(found):
            path = name[len(root) + 1 :]
            if any(part.startswith((".", "~$")) for part in path.split("/")):
                continue
            if format_of(path) is None:
                others += 1
                continue
            yield path, int(found[name]["size"]), _modified(found[name])
        if others:
            log.info("%s: %d files are of other kinds than markdown, text, HTML and PDF", self.where(), others)

    def _record(self, path: str) -> dict[str, Any] | None:
        """A file as a record; None if it is gone."""
        fs, root = self._store()
        self._budget.spend()
        self._pace.wait()
        content: bytes | None = None
        error = None
        with self._told():
            try:
                info = fs.info(f"{root}/{path}")
                if info["size"] > self._settings.max_megabytes * 1e6:
                    error = f"larger than max_megabytes ({self._settings.max_megabytes:g})"
                else:
                    content = fs.cat_file(f"{root}/{path}")
            except FileNotFoundError:
                return None
            except PermissionError:
                info = {"size": None, **fs.info(f"{root}/{path}")}
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


def _modified(info: dict[str, Any]) -> str:
    moment = info.get("mtime") or info.get("LastModified") or info.get("last_modified") or info.get("updated")
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return _stamp(moment if isinstance(moment, datetime) else datetime.fromtimestamp(float(moment or 0), UTC))


def _stamp(moment: datetime) -> str:
    """UTC, microseconds; text order is time order."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


SOURCE = SourceType("documents", DocumentsSource, DocumentsConnector)
