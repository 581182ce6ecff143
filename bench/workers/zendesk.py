"""Tickets of the sandbox's Zendesk into bronze, by the connector and the capture that every sync uses."""

import time
from datetime import UTC, datetime
from typing import Any

from bench.harness import worker
from lake_assets.bronze.capture import SyncRequest
from lake_assets.bronze.sync import sync_source
from resources.connectors.zendesk import ZendeskConnector, ZendeskSource
from resources.dagster_lake import memory_resource
from resources.http import HttpClient
from resources.lake import Lake
from resources.pacing import RateLimit

TABLES = ["tickets"]


class ShortMinutes(HttpClient):
    """Bounds requests by minutes that last `minute_seconds`; 0: not at all."""

    minute_seconds = 0.0

    def rate_limit(self, name: str, count: int, seconds: float) -> RateLimit:
        if not self.minute_seconds:
            return RateLimit(1_000_000, 0.001, time.monotonic, time.sleep)
        return RateLimit(count, seconds / 60 * self.minute_seconds, time.monotonic, time.sleep)


def capture(url: str, root: str, minute_seconds: float) -> dict[str, Any]:
    """Seconds, CPU seconds of the whole process, its start included, rows, requests."""
    settings = ZendeskSource.model_validate({"url": url, "username": "admin@skyfit.example", "token": "sandbox-token"})
    http = ShortMinutes("skyfit", "zendesk", max_in_flight=settings.max_in_flight)
    http.minute_seconds = minute_seconds
    connector = ZendeskConnector("zendesk", settings, "skyfit", http)
    lake = Lake(root, memory_resource().get_connection)
    request = SyncRequest("skyfit", "zendesk", datetime.now(UTC).date(), "run")
    started, began = time.perf_counter(), time.process_time()
    [outcome] = sync_source(lake, lambda: connector, TABLES, request)
    seconds, cpu = time.perf_counter() - started, time.process_time() - began
    if outcome.status != "ok":
        raise RuntimeError(outcome.message or outcome.status)
    return {
        "seconds": seconds, "sync_cpu_seconds": cpu, "process_cpu_seconds": time.process_time(), "rows": outcome.rows_written,
        "requests": connector.usage().requests, "file": lake.storage.url(outcome.file or ""),
    }  # fmt: skip


if __name__ == "__main__":
    worker(capture)
