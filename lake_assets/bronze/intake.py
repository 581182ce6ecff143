"""What lets a sync compare and write while it reads: rows put away by a thread."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from lake_assets.bronze.rows import last_of_each
from lake_assets.bronze.versions import KnownVersions
from resources.storage import ParquetUnit

BATCH_ROWS = 5_000
"""Compared and written at once; also a row group's size."""

BATCHES_WAITING = 2


class Intake:
    """Takes captured rows and puts what is new of them into the file, batch by batch in a thread, while the next
    pages are read. At most `BATCHES_WAITING` wait in memory.

    `added`: records that the lake did not hold, `deleted`: tombstones; both count once the batch is through.
    """

    def __init__(self, known: KnownVersions, unit: ParquetUnit, run_id: str) -> None:
        self._known, self._unit, self._run_id = known, unit, run_id
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._all_new = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bronze-intake")
        self._under_way: deque[Future[None]] = deque()
        self.added = self.deleted = 0

    def __enter__(self) -> "Intake":
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(wait=True)

    def add(self, captured: pa.Table, all_new: bool = False) -> None:
        """Take a table of `rows.CAPTURED`.

        Parameters:
            all_new: the lake holds none of these records, none comes twice, and nobody will ask what is known of them: they are
                neither compared nor remembered, so that a first sync of many millions takes no more time a row, and no more
                memory.

        Raises:
            OSError: an earlier batch could not be written.
        """
        if captured.num_rows:
            if all_new != self._all_new and self._pending:
                self._start()
            self._all_new = all_new
            self._pending.append(captured)
            self._pending_rows += captured.num_rows
            if self._pending_rows >= BATCH_ROWS:
                self._start()

    def settle(self) -> KnownVersions:
        """Wait until everything taken is through; what the lake knows then.

        Raises:
            OSError: writing failed, now or earlier.
        """
        if self._pending:
            self._start()
        self._wait(batches=0)
        return self._known

    def _start(self) -> None:
        self._wait(BATCHES_WAITING)
        batch, self._pending, self._pending_rows = pa.concat_tables(self._pending), [], 0
        self._under_way.append(self._pool.submit(self._put, batch, self._all_new))

    def _wait(self, batches: int) -> None:
        """Until no more than so many batches are left."""
        while len(self._under_way) > batches:
            self._under_way.popleft().result()

    def _put(self, batch: pa.Table, all_new: bool) -> None:
        if all_new:
            fresh = self._known.first_rows(batch, self._run_id)
            unheld = fresh.num_rows
        else:
            fresh, unheld = self._known.new_rows(last_of_each(batch), self._run_id)
        self.added += unheld
        self.deleted += fresh["change_type"].to_pylist().count("delete")
        if fresh.num_rows:
            self._unit.write(fresh)
