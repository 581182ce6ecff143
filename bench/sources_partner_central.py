"""Partner Central: 2,000 opportunities, two requests each, beside what the latency alone costs and beside a bare reader.

There is no peer to be measured: neither dlt nor Airbyte nor the Singer taps read Partner Central.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import orjson
import requests

from bench.harness import STORY_ENDS, Bench, Comparison, Different, median, run_worker, seconds
from bench.memory import LIMIT_MB
from sandbox.aws.wire import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from sandbox.server import Sandbox, running

OPPORTUNITIES = 2_000
TIMES = 10
LATENCY_MS = 150
AT_ONCE = 16
"""More than AWS's quota of 10 reads a second has use for; what is measured here is the reader, not the quota."""

WORKER = "bench.workers.partner_central"


def partner_central_beside_latency(bench: Bench) -> list[Comparison]:
    """(gets x latency / pool size) at 150 ms, a bare reader at 0 ms, and the memory of ten times the records."""
    with _sandbox(bench, OPPORTUNITIES, LATENCY_MS) as sandbox:
        slow = bench.in_turns({"ours": lambda: _sync(bench, sandbox)}, warm_up=False)["ours"]
    gets = 2 * OPPORTUNITIES
    ideal, mine = gets * LATENCY_MS / 1000 / AT_ONCE, median(slow)
    notes = {"rows": OPPORTUNITIES, "requests": sorted({one["requests"] for one in slow}), "pool": AT_ONCE,
             "CPU s": round(median(slow, "cpu_seconds"), 1)}  # fmt: skip
    what = f"Partner Central, {LATENCY_MS} ms: sync / gets x latency / pool"
    lines = [Comparison("pc", what, "s", mine, ideal, mine / ideal, 1.3, notes, {"ours": seconds(slow)})]
    with _sandbox(bench, OPPORTUNITIES, 0) as sandbox:
        block = _block(sandbox)
        works = {"ours": lambda: _sync(bench, sandbox), "bare": lambda: run_worker(WORKER, "bare", block, "")}
        fast = bench.in_turns(works)
    mine, bare = median(fast["ours"]), median(fast["bare"])
    notes = {"rows/s": round(OPPORTUNITIES / mine), "rows/s bare": round(OPPORTUNITIES / bare)}
    notes |= {f"CPU s {name}": round(median(results, "cpu_seconds"), 1) for name, results in fast.items()}
    runs = {name: seconds(results) for name, results in fast.items()}
    what = "Partner Central, 0 ms: sync / bare boto3 threads"
    lines.append(Comparison("pc", what, "s", mine, bare, mine / bare, None, notes, runs))
    with _sandbox(bench, TIMES * OPPORTUNITIES, 0) as sandbox:
        large = _sync(bench, sandbox)
    megabytes = large["peak_bytes"] / 1e6
    notes = {"rows": large["rows"], "s": round(large["seconds"], 1), "requests": large["requests"]}
    what = "Partner Central, ten times the records: peak memory / limit"
    lines.append(Comparison("pc", what, "MB", megabytes, LIMIT_MB, megabytes / LIMIT_MB, 1.0, notes))
    return lines


@contextmanager
def _sandbox(bench: Bench, records: int, latency_ms: int) -> Iterator[Sandbox]:
    bench.say(f"starting the stand-in for AWS with {records:,} opportunities, {latency_ms} ms an answer")
    with running(sources="aws", records=records, latency_ms=latency_ms, start=str(STORY_ENDS)) as sandbox:
        requests.post(f"{sandbox.url}/_sandbox/aws/podium/limits", json={}, timeout=10).raise_for_status()
        yield sandbox


def _block(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "endpoint_url": sandbox.source_url("aws", "podium"), "access_key_id": ACCESS_KEY_ID,
        "secret_access_key": SECRET_ACCESS_KEY, "max_in_flight": AT_ONCE, "max_per_second": None,
    }  # fmt: skip


def _sync(bench: Bench, sandbox: Sandbox) -> dict[str, Any]:
    with bench.scratch() as root:
        result = run_worker(WORKER, "sync", _block(sandbox), str(root))
        _compare(Path(result["file"]), sandbox)
        return result


def _compare(file: Path, sandbox: Sandbox) -> None:
    """Every record of the store is in the file as it is stored, once."""
    summaries = {
        row["RelatedOpportunityId"]: row for row in sandbox.records("aws", "podium", "aws_opportunity_summaries")
    }
    truth = {row["Id"]: {**row, "AwsOpportunitySummary": summaries[row["Id"]]}
             for row in sandbox.records("aws", "podium", "opportunities")}  # fmt: skip
    rows = duckdb.execute(f"SELECT source_id, raw_data FROM read_parquet('{file}')").fetchall()
    if len(rows) != len(truth):
        raise Different(f"{file} holds {len(rows)} rows of {len(truth)} records")
    for key, text in rows:
        if orjson.loads(text) != truth.pop(key, None):
            raise Different(f"{file}: record {key} is not the store's")
