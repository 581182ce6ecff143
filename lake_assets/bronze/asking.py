"""What one table's sync asks its connector for, and which records are gone.

What belongs here: the ways to read a table that `resources/connectors/base.py` names, sweeps, and pages fetched ahead of their
use. What does not: rows, files and state (`capture.py`).
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa

from lake_assets.bronze.versions import KnownMoments, KnownVersions
from resources.connectors.base import Connector, Page, TableSchema, Window

HELD_SHARE, HELD_ROWS = 0.05, 10
"""If more than this share of a table, and more than this many rows, are found gone, they wait for a confirmation: lost access
rights look just like deletions."""

T = TypeVar("T")


@dataclass
class Gone:
    """Records that the lake holds and the source no longer has; `of`: how many the lake holds."""

    ids: list[str] = field(default_factory=list)
    of: int = 0
    certain: bool = False
    """The source was asked for just these."""


def held(gone: Gone, confirmed: bool) -> int:
    """How many of `gone` wait for a confirmation."""
    many = len(gone.ids) > HELD_ROWS and len(gone.ids) > HELD_SHARE * gone.of
    return len(gone.ids) if many and not gone.certain and not confirmed else 0


class Asking:
    """One table's sync as seen by its connector.

    Parameters:
        only: read just these records.
    """

    def __init__(
        self, connector: Connector, schema: TableSchema, moments: KnownMoments, only: tuple[str, ...] | None
    ) -> None:
        self._connector, self._schema, self._moments, self._only = connector, schema, moments, only
        self._complete = schema.whole and only is None
        self._there: list[pa.Array] = []
        """Ids that the source has, where all of them are needed in the end."""

    def pages(self, window: Window) -> Iterator[Page]:
        """The records to capture. Of a listed table those on the list that the lake does not hold like that."""
        if self._only is not None:
            return self._connector.by_ids(self._schema, self._only)
        if self._schema.listed:
            return self._connector.by_ids(self._schema, self._moved(window))
        return self._connector.changes(self._schema, window)

    def _moved(self, window: Window) -> Iterator[str]:
        for batch in self._connector.inventory(self._schema, window):
            if self._complete:
                self._there.append(pa.array([source_id for source_id, _ in batch], pa.string()))
            yield from self._moments.moved(batch)

    def note(self, captured: pa.Table, refused: Iterable[str] = ()) -> None:
        """Records that came in, and those that are there but may not be read."""
        if self._only is not None or (self._complete and not self._schema.listed):
            self._there += [*captured["source_id"].chunks, pa.array(refused, pa.string())]

    def gone(self, settle: Callable[[], KnownVersions], sweep: bool, take: Callable[[Page], None]) -> Gone:
        """After all pages: what is no longer there, as far as this sync can tell.

        Parameters:
            settle: waits until what was taken is put away, and gives what the lake knows then.
            sweep: ask for the full list of ids; records without a modification time, and those that the lake lacks, are read
                and handed to `take`.
        """
        if self._only is not None:
            there = set(self._ids()["source_id"].to_pylist())
            missing, of = settle().gone(self._ids())
            return Gone(sorted((set(self._only) - there) & set(missing)), of, certain=True)
        if self._complete:
            return Gone(*settle().gone(self._ids()))
        return self._sweep(settle, take) if sweep else Gone()

    def _ids(self) -> pa.Table:
        return pa.table({"source_id": pa.chunked_array(self._there, pa.string())})

    def _sweep(self, settle: Callable[[], KnownVersions], take: Callable[[Page], None]) -> Gone:
        for page in self._connector.undated(self._schema):
            take(page)
        listed = [entry for batch in self._connector.inventory(self._schema) for entry in batch]
        ids, modified = ([entry[part] for entry in listed] for part in (0, 1))
        at_source = pa.table({"source_id": pa.array(ids, pa.string()), "modified": pa.array(modified, pa.string())})
        gone, strays, of = settle().compare_ids(at_source)
        if strays:
            for page in prefetched(self._connector.by_ids(self._schema, strays), 2):
                take(page)
        return Gone(gone, of)


def prefetched(items: Iterable[T], depth: int) -> Iterator[T]:
    """`items`, produced in a thread up to `depth` ahead of their use; its errors are raised here.

    If the consumer stops early the thread ends at its next item.
    """
    ahead: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(entry: tuple[T | None, BaseException | None, bool]) -> bool:
        while not stopped.is_set():
            try:
                ahead.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put((item, None, False)):
                    return
            put((None, None, True))
        except BaseException as error:
            put((None, error, True))

    thread = threading.Thread(target=produce, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error, done = ahead.get()
            if error is not None:
                raise error
            if done:
                return
            yield item  # pyright: ignore[reportReturnType]
    finally:
        stopped.set()
        thread.join(timeout=5)
