"""One silver entity or one mart made again from what is below it, as a run does it."""

import time
from datetime import date
from typing import Any

from bench.harness import worker
from lake_assets.gold.make import MartRequest, make_mart
from lake_assets.gold.spec import load_marts
from lake_assets.silver.make import make_entity
from lake_assets.silver.spec import load_specs
from resources.dagster_lake import memory_resource
from resources.lake import Lake


def make(layer: str, name: str, root: str, tenant: str, day: str) -> dict[str, Any]:
    """`layer`: silver or gold."""
    lake = Lake(root, memory_resource().get_connection)
    when = date.fromisoformat(day)
    specs, marts = load_specs(), load_marts()
    started = time.perf_counter()
    if layer == "silver":
        rows = make_entity(lake, tenant, specs[name], [when]).rows
    else:
        rows = make_mart(lake, marts[name], MartRequest(tenant, when, "bench", force=(when,))).rows
    return {"seconds": time.perf_counter() - started, "rows": rows}


if __name__ == "__main__":
    worker(make)
