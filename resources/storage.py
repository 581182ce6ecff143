"""Files of the lake, on a disk or in an object store, with all-or-nothing writes.

What belongs here: list, read, publish and remove files below the lake's root. What does not: which files there are
(`resources/layout.py`) and what is in them.

A file becomes visible only when it is complete: written aside, flushed to the disk, renamed into place (or uploaded as one
object). A crash at any line leaves the old file or the new one, and at most litter under `_tmp/`, which `sweep_litter` removes.
"""

import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

LITTER_AGE_SECONDS = 24 * 3600


class Storage:
    """The lake's root folder. Paths are relative to it, with `/` between their parts.

    Parameters:
        root: an absolute folder or an object-store URL that fsspec knows (`s3://bucket/prefix`); credentials come from the
            environment, as that store's own tools expect them.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self.is_local = "://" not in root
        self.fs: Any = None
        if self.is_local:
            self._aside = Path(self.root) / "_tmp"
        else:
            self.fs, self._prefix = fsspec.core.url_to_fs(self.root)
            self._aside = Path(tempfile.gettempdir()) / f"revlake-{os.getuid()}"

    def url(self, path: str) -> str:
        """`path` as DuckDB and other readers take it."""
        return f"{self.root}/{path}"

    def relative(self, url: str) -> str:
        """The inverse of `url`."""
        return url.removeprefix(self.root + "/")

    def files(self, prefix: str, suffix: str = "") -> list[str]:
        """Every file below the folder `prefix` whose name ends with `suffix`, sorted."""
        if self.is_local:
            base = len(self.root) + 1
            return sorted(entry[base:].replace(os.sep, "/") for entry in _walk(f"{self.root}/{prefix}", suffix))
        self.fs.invalidate_cache()
        base = len(self._prefix) + 1
        return sorted(entry[base:] for entry in self.fs.find(f"{self._prefix}/{prefix}") if entry.endswith(suffix))

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders directly below `prefix`, sorted."""
        if self.is_local:
            try:
                with os.scandir(f"{self.root}/{prefix}") as entries:
                    return sorted(entry.name for entry in entries if entry.is_dir())
            except FileNotFoundError:
                return []
        self.fs.invalidate_cache()
        try:
            entries = self.fs.ls(f"{self._prefix}/{prefix}", detail=True)
        except FileNotFoundError:
            return []
        return sorted(entry["name"].rsplit("/", 1)[-1] for entry in entries if entry["type"] == "directory")

    def exists(self, path: str) -> bool:
        return os.path.exists(self.url(path)) if self.is_local else bool(self.fs.exists(f"{self._prefix}/{path}"))

    def size(self, path: str) -> int:
        """Bytes."""
        return os.path.getsize(self.url(path)) if self.is_local else int(self.fs.size(f"{self._prefix}/{path}"))

    def read_bytes(self, path: str) -> bytes | None:
        """The file's content, None if there is no such file."""
        try:
            if self.is_local:
                return Path(self.url(path)).read_bytes()
            return bytes(self.fs.cat_file(f"{self._prefix}/{path}"))
        except FileNotFoundError:
            return None

    def read_json(self, path: str) -> Any:
        """The file's content as JSON, None if there is no such file or a power cut left it torn."""
        content = self.read_bytes(path)
        try:
            return None if content is None else json.loads(content)
        except ValueError:
            return None

    def write_json(self, path: str, value: Any) -> None:
        """Replace the file by `value`. Not flushed to the disk: what is written this way can be worked out again."""
        with self.publishing(path, flush=False) as aside:
            aside.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False), encoding="utf-8")

    def remove(self, path: str) -> None:
        """Remove the file if it is there."""
        try:
            if self.is_local:
                os.unlink(self.url(path))
            else:
                self.fs.rm_file(f"{self._prefix}/{path}")
        except FileNotFoundError:
            return

    @contextmanager
    def publishing(self, path: str, flush: bool = True) -> Iterator[Path]:
        """A local path to write to; when the block ends without an error its content becomes `path`, at once and whole."""
        self._aside.mkdir(parents=True, exist_ok=True)
        aside = self._aside / f"{uuid.uuid4().hex}-{os.getpid()}"
        try:
            yield aside
            if self.is_local:
                target = Path(self.url(path))
                target.parent.mkdir(parents=True, exist_ok=True)
                if flush:
                    _flush(aside)
                os.replace(aside, target)
                if flush:
                    _flush(target.parent)
            else:
                self.fs.put_file(str(aside), f"{self._prefix}/{path}")
        finally:
            aside.unlink(missing_ok=True)

    def sweep_litter(self) -> None:
        """Remove what crashed writers left aside more than a day ago."""
        if not self._aside.is_dir():
            return
        horizon = time.time() - LITTER_AGE_SECONDS
        for entry in self._aside.iterdir():
            try:
                if entry.stat().st_mtime < horizon:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            except FileNotFoundError:
                continue


class ParquetUnit:
    """One Parquet file in the making; nothing exists until `write` was called, nothing is visible until `commit`.

    Used as a context manager: leaving it without `commit` discards what was written.

    Parameters:
        metadata: file-level key/value metadata.
        distinct: columns whose values hardly ever repeat; no dictionary is tried on them.
    """

    def __init__(
        self,
        storage: Storage,
        path: str,
        schema: pa.Schema,
        metadata: dict[str, str] | None = None,
        distinct: Collection[str] = (),
    ) -> None:
        self.path = path
        self.rows = 0
        self._schema = schema.with_metadata(metadata or {})
        self._dictionaries = [name for name in schema.names if name not in distinct]
        self._publishing = storage.publishing(path)
        self._writer: pq.ParquetWriter | None = None
        self._committed = False

    def write(self, table: pa.Table) -> None:
        """Append `table` as one row group."""
        if self._writer is None:
            aside = self._publishing.__enter__()
            dictionaries: Any = self._dictionaries  # names are welcome too, whatever the declared type says
            self._writer = pq.ParquetWriter(
                str(aside), self._schema, compression="zstd", compression_level=1, use_dictionary=dictionaries
            )
        self._writer.write_table(table.cast(self._schema), row_group_size=max(1, table.num_rows))
        self.rows += table.num_rows

    def commit(self, metadata: dict[str, str] | None = None) -> bool:
        """Publish the file; False if nothing was ever written.

        Parameters:
            metadata: further file-level key/value metadata.
        """
        if self._writer is None:
            return False
        if metadata:
            self._writer.add_key_value_metadata(metadata)
        self._writer.close()
        self._committed = True
        self._publishing.__exit__(None, None, None)
        return True

    def __enter__(self) -> "ParquetUnit":
        return self

    def __exit__(self, *exc: object) -> None:
        if self._writer is None or self._committed:
            return
        with suppress(OSError):  # a full disk: the footer cannot be written, and is not wanted
            self._writer.close()
        self._publishing.__exit__(_Discarded, _Discarded(), None)


class _Discarded(Exception):
    """Thrown into `Storage.publishing` to give up what was written aside."""


def _walk(folder: str, suffix: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(entry.path, suffix)
                elif entry.name.endswith(suffix):
                    yield entry.path
    except FileNotFoundError:
        return


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
