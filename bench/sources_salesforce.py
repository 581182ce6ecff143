"""Salesforce: windows read side by side, beside one cursor and beside dlt; and the memory of a large first sync."""

import hashlib
from typing import Any

import duckdb
import orjson

from bench.harness import STORY_ENDS, Bench, Comparison, Different, median, run_worker, seconds
from sandbox.server import Sandbox, running

LOGIN = {"client_id": "3MVG9northwind", "client_secret": "northwind-secret"}
LATENCIES_MS = (0, 150)
TIMES = 3.0
"""So much faster than one cursor at 150 ms."""

LIMIT_MB = 800


def salesforce_windows(bench: Bench) -> list[Comparison]:
    """Every round, at each latency: a first sync, the same with one cursor, one cursor read and dropped, and dlt."""
    return [line for latency in LATENCIES_MS for line in _at(bench, latency)]


def _at(bench: Bench, latency_ms: int) -> list[Comparison]:
    bench.say(f"starting the sandbox with {bench.leads:,} opportunities, {latency_ms} ms")
    with running(sources="salesforce", records=bench.leads, start=str(STORY_ENDS), latency_ms=latency_ms) as sandbox:
        url = sandbox.source_url("salesforce", "northwind")
        truth = stored_checksums(sandbox)

        def ours(way: str, **more: Any) -> dict[str, Any]:
            with bench.scratch() as root:
                block = {"url": url, **LOGIN, **more}
                result = run_worker("bench.workers.salesforce", way, block, str(root))
                if result["rows"] != len(truth):
                    raise Different(f"read {result['rows']} of {len(truth)} records")
                if result["file"]:
                    _compare(result["file"], truth)
                return result

        def cursor(way: str) -> dict[str, Any]:
            with bench.scratch() as root:
                result = run_worker("bench.baselines.salesforce_cursor", way, url, *LOGIN.values(), str(root))
                if way == "dlt":
                    found = duckdb.execute(f"SELECT Id FROM read_parquet({result['files']})").fetchall()
                    if len(found) != len(truth) or {row[0] for row in found} != truth.keys():
                        raise Different(f"dlt wrote {len(found)} of {len(truth)} records")
                elif result["rows"] != len(truth):
                    raise Different(f"the cursor read {result['rows']} of {len(truth)} records")
                return result

        results = bench.in_turns(
            {
                "ours": lambda: ours("sync"),
                "ours, read only": lambda: ours("read"),
                "one cursor": lambda: ours("sync", max_in_flight=1),
                "one cursor, bare": lambda: cursor("drop"),
                "dlt": lambda: cursor("dlt"),
            }
        )
    runs = {name: seconds(result) for name, result in results.items()}
    mine, single, peer = (median(results[name]) for name in ("ours", "one cursor", "dlt"))
    notes = {
        "rows": len(truth),
        "requests": sorted({result["requests"] for result in results["ours"]}),
        "requests of one cursor": results["one cursor"][0]["requests"],
        "rows/s": round(len(truth) / mine),
        "read only s": round(median(results["ours, read only"]), 2),
        "bare cursor s": round(median(results["one cursor, bare"]), 2),
        "CPU s ours / dlt": f"{median(results['ours'], 'cpu_seconds'):.1f} / {median(results['dlt'], 'cpu_seconds'):.1f}",
        "peak MB": round(median(results["ours"], "peak_bytes") / 1e6),
    }
    target = 1 / TIMES if latency_ms else None
    case = f"salesforce {latency_ms} ms"
    return [
        Comparison(case, "windows / one cursor", "s", mine, single, mine / single, target, notes, runs),
        Comparison(case, "windows / dlt", "s", mine, peer, mine / peer, None, {}, {}),
    ]


def salesforce_memory(bench: Bench, records: int = 500_000) -> list[Comparison]:
    """The process of a first sync of ten times the records."""
    with running(sources="salesforce", records=records, start=str(STORY_ENDS)) as sandbox, bench.scratch() as root:
        block = {"url": sandbox.source_url("salesforce", "northwind"), **LOGIN}
        result = run_worker("bench.workers.salesforce", "sync", block, str(root), watch_memory=True)
        if result["rows"] != records:
            raise Different(f"read {result['rows']} of {records} records")
    megabytes = result["peak_bytes"] / 1e6
    notes = {"rows": records, "s": round(result["seconds"], 1), "requests": result["requests"]}
    what = "peak memory of a first sync / limit"
    return [Comparison("salesforce", what, "MB", megabytes, LIMIT_MB, megabytes / LIMIT_MB, 1.0, notes)]


def stored_checksums(sandbox: Sandbox) -> dict[str, str]:
    """Id -> checksum of every opportunity that the sandbox has stored, with the attributes that Salesforce adds."""
    checksums = {}
    for row in sandbox.records("salesforce", "northwind", "opportunity"):
        address = f"/services/data/v62.0/sobjects/Opportunity/{row['Id']}"
        checksums[row["Id"]] = _checksum({**row, "attributes": {"type": "Opportunity", "url": address}})
    return checksums


def _checksum(record: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _compare(file: str, truth: dict[str, str]) -> None:
    """The texts in the file, and the checksums beside them, are those of the store."""
    rows = duckdb.execute(f"SELECT source_id, checksum, raw_data FROM read_parquet('{file}')").fetchall()
    if len(rows) != len(truth):
        raise Different(f"{file} holds {len(rows)} of {len(truth)} records")
    for source_id, checksum, raw in rows:
        if not _checksum(orjson.loads(raw)) == checksum == truth[source_id]:
            raise Different(f"{file}: record {source_id} is not the store's")
