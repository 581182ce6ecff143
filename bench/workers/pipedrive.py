"""The deals of a sandbox's Pipedrive into bronze, by the connector and the capture that every sync uses.

Notes what it asked, so that a bare reader can ask the same.
"""

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.harness import worker
from lake_assets.bronze.capture import SyncRequest
from lake_assets.bronze.sync import sync_source
from resources.connectors.pipedrive import PipedriveConnector, PipedriveSource
from resources.dagster_lake import memory_resource
from resources.http import HttpClient
from resources.lake import Lake


class NotingHttpClient(HttpClient):
    """Keeps address and parameters of every request, in the order in which they began."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._noting = threading.Lock()

    def fetch(self, method: str, url: str, *, params: Any = None, **options: Any) -> Any:
        with self._noting:
            self.asked.append((url, dict(params or {})))
        return super().fetch(method, url, params=params, **options)


def capture(url: str, token: str, root: str, asked_file: str) -> dict[str, Any]:
    """Seconds, rows, and how many requests; `asked_file` gets what was asked."""
    settings = PipedriveSource.model_validate({"url": url, "api_token": token, "plan": "ultimate"})
    http = NotingHttpClient("bench", "pipedrive", max_in_flight=settings.max_in_flight)
    connector = PipedriveConnector("pipedrive", settings, "bench", http)
    lake = Lake(root, memory_resource().get_connection)
    request = SyncRequest("bench", "pipedrive", datetime.now(UTC).date(), "run")
    started = time.perf_counter()
    [outcome] = sync_source(lake, lambda: connector, ["deals"], request)
    seconds = time.perf_counter() - started
    if outcome.status != "ok":
        raise RuntimeError(outcome.message or outcome.status)
    Path(asked_file).write_text(json.dumps({"at_once": settings.max_in_flight, "asked": http.asked}))
    return {
        "seconds": seconds,
        "rows": outcome.rows_written,
        "requests": sum("/deals" in asked for asked, _ in http.asked),
        "file": lake.storage.url(outcome.file or ""),
    }


if __name__ == "__main__":
    worker(capture)
