"""Opportunities of the sandbox's APN database into bronze, by the connector and the capture that every sync uses."""

import time
from datetime import UTC, datetime
from typing import Any

from bench.harness import worker
from lake_assets.bronze.capture import SyncRequest
from lake_assets.bronze.sync import sync_source
from resources.connectors.apn import ApnSource
from resources.connectors.postgres import PostgresConnector
from resources.dagster_lake import memory_resource
from resources.lake import Lake


def capture(port: int, root: str, run: str) -> dict[str, Any]:
    """Seconds and CPU seconds of one sync, rows read and written; the lake may hold earlier ones."""
    settings = ApnSource.model_validate({"port": port, "username": "reader", "password": "reader"})
    lake = Lake(root, memory_resource().get_connection)
    request = SyncRequest("podium", "apn", datetime.now(UTC).date(), run)
    started, began = time.perf_counter(), time.process_time()
    [outcome] = sync_source(lake, lambda: PostgresConnector("apn", settings, "podium"), ["opportunity"], request)
    seconds, cpu = time.perf_counter() - started, time.process_time() - began
    if outcome.status not in ("ok", "unchanged"):
        raise RuntimeError(outcome.message or outcome.status)
    return {
        "seconds": seconds, "sync_cpu_seconds": cpu, "rows": outcome.rows_written, "rows_read": outcome.rows_read,
        "file": lake.storage.url(outcome.file) if outcome.file else None,
    }  # fmt: skip


if __name__ == "__main__":
    worker(capture)
