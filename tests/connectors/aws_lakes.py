"""What the tests of the AWS connectors share: a stand-in without limits, lakes that read it, and waits cut short."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from sandbox.aws.wire import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from sandbox.server import Sandbox, running
from tests.lakes import SyncedLake, write_config

START = "2026-11-14"
PARTNER_CENTRAL: tuple[str, ...] = (
    "opportunities", "leads", "solutions", "engagements", "benefit_applications", "benefit_allocations",
)  # fmt: skip


def control(sandbox: Sandbox, name: str, **body: Any) -> Any:
    """A control endpoint of the stand-in."""
    answer = requests.post(f"{sandbox.url}/_sandbox/aws/podium/{name}", json=body, timeout=10)
    answer.raise_for_status()
    return answer.json()


@contextmanager
def aws_sandbox(records: int = 120, **options: Any) -> Iterator[Sandbox]:
    """The stand-in, without limits."""
    with running(start=options.pop("start", START), seed=7, sources="aws", records=records, **options) as sandbox:
        control(sandbox, "limits")
        yield sandbox


def aws_source(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    """The keys of `lake.yaml` that both AWS sources have."""
    return {
        "endpoint_url": sandbox.source_url("aws", "podium"),
        "access_key_id": ACCESS_KEY_ID,
        "secret_access_key": SECRET_ACCESS_KEY,
        "max_per_second": 100_000,
        "timeout_seconds": 20,
        **more,
    }


def aws_lake(folder: Path, sandbox: Sandbox, usage: bool = True, **more: Any) -> SyncedLake:
    """A lake that reads podium's Partner Central and Marketplace; `more`: further keys of both."""
    feed = {"usage": sandbox.health()["sources"]["aws"]["podium"]["meter_usage_folder"]} if usage else {}
    sources = {
        "partner_central": aws_source(sandbox, **more),
        "marketplace": {**aws_source(sandbox, **more), **feed},
    }
    return SyncedLake(write_config(folder, {"podium": sources}))


def captured(lake: SyncedLake, table: str, source: str = "partner_central") -> dict[str, Any]:
    """Id -> record as the lake holds it now, without deleted ones."""
    latest: dict[str, Any] = {}
    for row in lake.bronze(table, source=source):
        latest[row["source_id"]] = json.loads(row["raw_data"]) if row["change_type"] == "upsert" else None
    return {key: record for key, record in latest.items() if record is not None}


def asked(sandbox: Sandbox) -> dict[str, int]:
    """Operation -> requests since the last reset."""
    return {entry["method"]: entry["requests"] for entry in sandbox.requests()}
