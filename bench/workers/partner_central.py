"""Partner Central's opportunities into bronze, by the connector and the capture that every sync uses.

And the least that a client can do: the same requests by as many threads, whose answers are dropped.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from bench.harness import worker
from lake_assets.bronze.capture import SyncRequest
from lake_assets.bronze.sync import sync_source
from resources.connectors.partner_central import PartnerCentralConnector, PartnerCentralSource
from resources.dagster_lake import memory_resource
from resources.lake import Lake


def capture(way: str, block: dict[str, Any], root: str) -> dict[str, Any]:
    """Seconds, rows, requests.

    Parameters:
        way: `sync`, or `bare` for the answers dropped.
        block: of `lake.yaml`.
    """
    return _bare(block) if way == "bare" else _sync(block, root)


def _sync(block: dict[str, Any], root: str) -> dict[str, Any]:
    settings = PartnerCentralSource.model_validate(block)
    connector = PartnerCentralConnector("partner_central", settings, "bench")
    lake = Lake(root, memory_resource().get_connection)
    request = SyncRequest("bench", "partner_central", datetime.now(UTC).date(), "run")
    started = time.perf_counter()
    [outcome] = sync_source(lake, lambda: connector, ["opportunities"], request)
    seconds = time.perf_counter() - started
    if outcome.status != "ok":
        raise RuntimeError(outcome.message or outcome.status)
    return {
        "seconds": seconds,
        "rows": outcome.rows_written,
        "requests": connector.usage().requests,
        "file": lake.storage.url(outcome.file or ""),
    }


def _bare(block: dict[str, Any]) -> dict[str, Any]:
    import boto3
    from botocore.config import Config

    at_once, started = block["max_in_flight"], time.perf_counter()
    client: Any = boto3.client(
        "partnercentral-selling", region_name="us-east-1", endpoint_url=block["endpoint_url"],
        aws_access_key_id=block["access_key_id"], aws_secret_access_key=block["secret_access_key"],
        config=Config(max_pool_connections=at_once, retries={"mode": "adaptive"}),
    )  # fmt: skip
    pages = client.get_paginator("list_opportunities").paginate(Catalog="AWS", PaginationConfig={"PageSize": 100})

    def get(key: str) -> int:
        client.get_opportunity(Catalog="AWS", Identifier=key)
        client.get_aws_opportunity_summary(Catalog="AWS", RelatedOpportunityIdentifier=key)
        return 1

    with ThreadPoolExecutor(at_once) as pool:
        rows = sum(pool.map(get, [row["Id"] for page in pages for row in page["OpportunitySummaries"]]))
    return {"seconds": time.perf_counter() - started, "rows": rows, "requests": 2 * rows + (rows + 99) // 100}


if __name__ == "__main__":
    worker(capture)
