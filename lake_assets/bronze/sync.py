"""All tables of one source instance, from its connector into bronze: one login, tables in parallel, one sync at a time."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from lake_assets.bronze.capture import SyncRequest, TableOutcome, capture_table
from lake_assets.bronze.collector import rare_collections
from lake_assets.bronze.state import register_source
from resources import progress
from resources.connectors.base import Connector
from resources.lake import Lake

log = logging.getLogger(__name__)

TABLES_AT_ONCE = 4
"""Tables read side by side; the client bounds the requests below that."""


class _Abandoned(BaseException):
    """Nobody waits for this table any more. No `Exception`, because it is not the table's failure."""


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
    with lake.lock(name, purpose, wait_seconds), rare_collections():
        lake.storage.sweep_litter()
        connector = connect()
        try:
            register_source(lake, request.tenant, request.source, connector.type)
            offered = set(connector.tables())
            yield from (TableOutcome(table, "not_configured") for table in tables if table not in offered)

            abandoned = threading.Event()

            def capture(table: str) -> TableOutcome:
                which = f"{request.source}.{table}"

                def on_rows(rows: int) -> None:
                    if abandoned.is_set():
                        raise _Abandoned
                    progress.report("rows", which, rows)

                outcome = capture_table(lake, connector, table, request, on_rows)
                progress.report("tables", which)
                return outcome

            with ThreadPoolExecutor(TABLES_AT_ONCE, thread_name_prefix=name) as pool:
                try:
                    for future in as_completed([pool.submit(capture, table) for table in tables if table in offered]):
                        yield future.result()
                except BaseException:
                    # Ctrl-C: leaving the pool waits for the tables under way, which end with the page they are at.
                    abandoned.set()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        finally:
            connector.close()
