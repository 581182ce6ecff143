"""All tables of one source instance, from its connector into bronze: one login, tables in parallel, one sync at a time."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, ClassVar, Self

from lake_assets.bronze.capture import SyncRequest, TableOutcome, capture_table
from lake_assets.bronze.interpreter import streaming
from lake_assets.bronze.state import register_source
from resources import progress
from resources.connectors.base import Connector
from resources.lake import Lake

log = logging.getLogger(__name__)

TABLES_AT_ONCE = 4
"""Tables read side by side; the client bounds the requests below that."""


class _Abandoned(BaseException):
    """Nobody waits for this table any more. No `Exception`, because it is not the table's failure."""


class _UnderWay(ThreadPoolExecutor):
    """Where the tables of one sync are captured."""

    syncs: ClassVar[set["_UnderWay"]] = set()
    """Of this process."""

    def __init__(self, name: str) -> None:
        super().__init__(TABLES_AT_ONCE, thread_name_prefix=name)
        self.abandoned = threading.Event()

    def __enter__(self) -> Self:
        self.syncs.add(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)
        self.syncs.discard(self)

    def abandon(self) -> None:
        """End once each table under way is through the page that it is at."""
        self.abandoned.set()
        self.shutdown(wait=False, cancel_futures=True)


def abandon_syncs() -> None:
    """End the syncs in this process, and wait for it: after Ctrl-C Dagster may leave them where they are, and what threads still
    do while the interpreter ends looks like failures of their tables."""
    for sync in list(_UnderWay.syncs):
        sync.abandon()
        sync.shutdown(wait=True)


def sync_source(
    lake: Lake, connect: Callable[[], Connector], tables: list[str], request: SyncRequest, wait_seconds: float = 600
) -> Iterator[TableOutcome]:
    """Capture these tables, each as soon as it is done; tables that the instance does not have come as `not_configured`.

    Parameters:
        connect: makes the connector; called when this sync's turn has come.
        wait_seconds: how long to wait for another sync of the same instance.

    Raises:
        LockHeld: another sync holds the instance for longer; the message says which.
    """
    name = f"sync-{request.tenant}-{request.source}"
    purpose = f"sync of {request.tenant}/{request.source} in run {request.run_id}"
    with lake.lock(name, purpose, wait_seconds), streaming():
        lake.storage.sweep_litter()
        connector = connect()
        try:
            register_source(lake, request.tenant, request.source, connector.type)
            offered = set(connector.tables())
            yield from (TableOutcome(table, "not_configured") for table in tables if table not in offered)

            def capture(table: str) -> TableOutcome:
                which = f"{request.source}.{table}"

                def on_rows(rows: int) -> None:
                    if pool.abandoned.is_set():
                        raise _Abandoned
                    progress.report("rows", which, rows)

                outcome = capture_table(lake, connector, table, request, on_rows)
                progress.report("tables", which)
                return outcome

            with _UnderWay(name) as pool:
                try:
                    for future in as_completed([pool.submit(capture, table) for table in tables if table in offered]):
                        yield future.result()
                except BaseException:
                    pool.abandon()
                    raise
        finally:
            connector.close()
