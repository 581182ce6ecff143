"""Salesforce opportunities by our connector: into bronze as a sync does it, or read and dropped."""

import time
from datetime import UTC, datetime
from typing import Any

from bench.harness import worker
from lake_assets.bronze.capture import SyncRequest
from lake_assets.bronze.sync import sync_source
from resources.connecting import connect
from resources.connectors.base import Window
from resources.connectors.salesforce import SalesforceSource
from resources.dagster_lake import memory_resource
from resources.lake import Lake

TABLE = "opportunity"


def run(way: str, block: dict[str, Any], root: str) -> dict[str, Any]:
    """`way`: sync or read; `block`: the source in `lake.yaml`. Seconds, rows, and how many requests."""
    settings = SalesforceSource.model_validate(block)
    connector = connect("bench", "salesforce", settings)
    started = time.perf_counter()
    if way == "read":
        pages = connector.changes(connector.schema(TABLE), Window())
        rows, file = sum(len(page.records) for page in pages), ""
    else:
        lake = Lake(root, memory_resource().get_connection)
        request = SyncRequest("bench", "salesforce", datetime.now(UTC).date(), "run")
        [outcome] = sync_source(lake, lambda: connector, [TABLE], request)
        if outcome.status != "ok":
            raise RuntimeError(outcome.message or outcome.status)
        rows, file = outcome.rows_written, lake.storage.url(outcome.file or "")
    seconds = time.perf_counter() - started
    requests = connector.usage().requests  # type: ignore[attr-defined]
    connector.close()
    return {"seconds": seconds, "rows": rows, "requests": requests, "file": file}


if __name__ == "__main__":
    worker(run)
