"""dlt's own `rest_api` source on the cursor export of tickets, to Parquet.

Set as dlt's guide on performance has it (see `dlt_resource`): its own cursor paginator, nested values as JSON columns instead of
child tables, buffers larger than the data, no compression of intermediate files, names taken as they are. No `incremental`,
which would cost it a comparison a row.
"""

import os
import time
from pathlib import Path
from typing import Any

from bench.baselines.dlt_resource import SETTINGS
from bench.harness import worker


def load(url: str, folder: str) -> dict[str, Any]:
    """Seconds, CPU seconds of the whole process, its start included, and where the Parquet files are."""
    os.environ.update({**SETTINGS, "DLT_DATA_DIR": f"{folder}/dlt"})
    import dlt  # pyright: ignore[reportMissingImports]
    from dlt.destinations import filesystem  # pyright: ignore[reportMissingImports]
    from dlt.sources.rest_api import rest_api_source  # pyright: ignore[reportMissingImports]

    started, began = time.perf_counter(), time.process_time()
    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url}/api/v2/",
                "auth": {"type": "http_basic", "username": "admin@skyfit.example/token", "password": "sandbox-token"},
            },
            "resources": [
                {
                    "name": "tickets",
                    "endpoint": {
                        "path": "incremental/tickets/cursor.json",
                        "params": {"start_time": 0, "per_page": 1000},
                        "data_selector": "tickets",
                        "paginator": {
                            "type": "cursor",
                            "cursor_path": "after_cursor",
                            "cursor_param": "cursor",
                            # The cursor is there even at the end, and `end_of_stream` says the opposite of "has more".
                            "stop_after_empty_page": True,
                        },
                    },
                }
            ],
        },
        max_table_nesting=0,
    )
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=f"{folder}/pipelines",
        destination=filesystem(bucket_url=f"file://{folder}/out"),
        dataset_name="zendesk",
    )
    info = pipeline.run(source, loader_file_format="parquet")
    info.raise_on_failed_jobs()
    files = sorted(str(path) for path in Path(folder, "out").rglob("tickets/*.parquet"))
    return {
        "seconds": time.perf_counter() - started, "sync_cpu_seconds": time.process_time() - began,
        "process_cpu_seconds": time.process_time(), "files": files,
    }  # fmt: skip


if __name__ == "__main__":
    worker(load)
