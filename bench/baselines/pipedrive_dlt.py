"""dlt's own `rest_api` source on the same lists of deals, to Parquet.

Set as dlt's guides on performance and on `rest_api` have it: the largest pages, the cursor paginator, resources in
parallel, no nesting, buffers larger than the data, no compression of its intermediate files, no ids of its own, names
taken as they are, no telemetry.
"""

import os
import time
from pathlib import Path
from typing import Any

from bench.baselines.dlt_resource import SETTINGS
from bench.harness import worker

LISTS = {
    "live": ("deals", {}),
    "archived": ("deals/archived", {}),
    "deleted": ("deals", {"status": "deleted"}),
    "deleted_archived": ("deals/archived", {"status": "deleted"}),
}


def load(url: str, token: str, folder: str) -> dict[str, Any]:
    """Seconds, and where the Parquet files are."""
    os.environ.update({**SETTINGS, "DLT_DATA_DIR": f"{folder}/dlt"})
    import dlt  # pyright: ignore[reportMissingImports]
    from dlt.destinations import filesystem  # pyright: ignore[reportMissingImports]
    from dlt.sources.helpers.rest_client.auth import APIKeyAuth  # pyright: ignore[reportMissingImports]
    from dlt.sources.rest_api import rest_api_source  # pyright: ignore[reportMissingImports]

    started = time.perf_counter()
    config: Any = {
        "client": {
            "base_url": f"{url}/api/v2/",
            "auth": APIKeyAuth(name="x-api-token", api_key=token, location="header"),  # type: ignore[arg-type]
            "paginator": {"type": "cursor", "cursor_path": "additional_data.next_cursor", "cursor_param": "cursor"},
        },
        "resource_defaults": {"parallelized": True, "write_disposition": "append", "max_table_nesting": 0},
        "resources": [
            {
                "name": name,
                "table_name": f"deals_{name}",
                "endpoint": {"path": path, "params": {"limit": 500, **params}, "data_selector": "data"},
            }
            for name, (path, params) in LISTS.items()
        ],
    }
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=f"{folder}/pipelines",
        destination=filesystem(bucket_url=f"file://{folder}/out"),
        dataset_name="pipedrive",
    )
    info = pipeline.run(rest_api_source(config, max_table_nesting=0), loader_file_format="parquet")
    info.raise_on_failed_jobs()
    files = sorted(str(path) for path in Path(folder, "out").rglob("deals_*/*.parquet"))
    return {"seconds": time.perf_counter() - started, "files": files}


if __name__ == "__main__":
    worker(load)
