"""One table of the sandbox into bronze, by the connector and the capture that every sync uses.

Notes what it asked the source, so that a bare loop can ask the same.
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.harness import worker
from lake_assets.bronze.capture import SyncRequest
from lake_assets.bronze.sync import sync_source
from resources.connectors.odoo import OdooConnector, OdooSource
from resources.dagster_lake import memory_resource
from resources.http import HttpClient
from resources.lake import Lake


class NotingHttpClient(HttpClient):
    """Keeps the address and body of every request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked: list[tuple[str, str]] = []

    def fetch(self, method: str, url: str, *, data: bytes | None = None, json: Any = None, **options: Any) -> Any:
        self.asked.append((url, (data or msgspec.json.encode(json)).decode()))
        return super().fetch(method, url, data=data, json=json, **options)


def capture(url: str, root: str, table: str, asked_file: str) -> dict[str, Any]:
    """Seconds, rows, and how many requests; `asked_file` gets what was asked."""
    settings = OdooSource.model_validate(
        {"url": url, "database": "northwind", "username": "admin", "password": "admin"}
    )
    http = NotingHttpClient("bench", "odoo", max_in_flight=settings.max_in_flight)
    connector = OdooConnector("odoo", settings, "bench", http)
    lake = Lake(root, memory_resource().get_connection)
    request = SyncRequest("bench", "odoo", datetime.now(UTC).date(), "run")
    started = time.perf_counter()
    [outcome] = sync_source(lake, lambda: connector, [table], request)
    seconds = time.perf_counter() - started
    if outcome.status != "ok":
        raise RuntimeError(outcome.message or outcome.status)
    Path(asked_file).write_text(json.dumps(http.asked))
    return {
        "seconds": seconds,
        "rows": outcome.rows_written,
        "requests": len(http.asked),
        "file": lake.storage.url(outcome.file or ""),
    }


if __name__ == "__main__":
    worker(capture)
