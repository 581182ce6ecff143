"""Zendesk: its cursor is sequential and its exports are ten a minute, so what counts is the processor's time, and never an
eleventh export in a minute.
"""

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import orjson
import requests

from bench.harness import STORY_ENDS, Bench, Comparison, Different, median, run_worker
from resources.connectors.zendesk import UNCHECKED
from sandbox.server import Sandbox, running

TENANT = "skyfit"
LATENCY_MS = 150
MINUTE_SECONDS = 1.0
"""How long a minute lasts where the limiter is on: 50 exports would take five minutes else."""
TIMES_TICKETS = 10
LIMIT_MB = 800


def zendesk_tickets(bench: Bench) -> list[Comparison]:
    """Every round: our sync and dlt's, at 0 and at 150 ms; then ours alone: limiter on, and ten times the tickets."""
    lines = _beside_dlt(bench, 0)
    lines += _beside_dlt(bench, LATENCY_MS)
    lines.append(_inside_the_limit(bench))
    lines.append(_memory(bench))
    return lines


def _beside_dlt(bench: Bench, latency_ms: int) -> list[Comparison]:
    bench.say(f"starting a Zendesk with {bench.leads:,} tickets, {latency_ms} ms an answer")
    with _sandbox(bench.leads, latency_ms) as sandbox:
        _limits(sandbox, exports=None, account=None)
        url = sandbox.source_url("zendesk", TENANT)
        truth = checksums(sandbox)

        def ours() -> dict[str, Any]:
            with bench.scratch() as root:
                result = run_worker("bench.workers.zendesk", url, str(root), 0)
                _compare(result["file"], truth)
                return {**result, "file_bytes": Path(result["file"]).stat().st_size}

        def dlt() -> dict[str, Any]:
            with bench.scratch() as root:
                result = run_worker("bench.baselines.dlt_zendesk", url, str(root))
                rows = duckdb.execute(f"SELECT CAST(id AS VARCHAR) FROM read_parquet({result['files']})").fetchall()
                if len(rows) != len(truth) or {row[0] for row in rows} != truth.keys():
                    raise Different(f"dlt wrote {len(rows)} of {len(truth)} tickets")
                return result

        results = bench.in_turns({"ours": ours, "dlt": dlt})
    mine, theirs = results["ours"], results["dlt"]
    notes = {
        "rows": len(truth),
        "requests": sorted({result["requests"] for result in mine}),
        "wall s": round(median(mine), 2),
        "dlt wall s": round(median(theirs), 2),
        "CPU s with imports": round(median(mine, "process_cpu_seconds"), 2),
        "dlt CPU s with imports": round(median(theirs, "process_cpu_seconds"), 2),
        "peak MB": round(median(mine, "peak_bytes") / 1e6),
        "dlt peak MB": round(median(theirs, "peak_bytes") / 1e6),
        "bronze MB": round(median(mine, "file_bytes") / 1e6, 1),
    }
    runs = {name: [result["sync_cpu_seconds"] for result in found] for name, found in results.items()}
    cpu, their_cpu = (median(found, "sync_cpu_seconds") for found in (mine, theirs))
    what = f"Zendesk tickets, CPU / dlt's, {latency_ms} ms"
    return [Comparison("zendesk", what, "s", cpu, their_cpu, cpu / their_cpu, 0.5, notes, runs)]


def _inside_the_limit(bench: Bench) -> Comparison:
    """The most exports that any minute saw, as the server counts them; none may be refused."""
    with _sandbox(bench.leads) as sandbox, bench.scratch() as root:
        _limits(sandbox, exports=10, account=None, seconds=MINUTE_SECONDS, reset=True)
        bench.say(f"with the limiter on, minutes of {MINUTE_SECONDS:g} s")
        result = run_worker("bench.workers.zendesk", sandbox.source_url("zendesk", TENANT), str(root), MINUTE_SECONDS)
        seen = _limits(sandbox)
        if seen["refused"]:
            raise Different(f"{seen['refused']} exports were refused")
        _compare(result["file"], checksums(sandbox))
    most = seen["most_exports_in_a_minute"]
    notes = {
        "exports": seen["served_exports"],
        "refused": seen["refused"],
        "minutes": round(result["seconds"] / MINUTE_SECONDS, 1),
    }
    return Comparison("zendesk", "exports in the fullest minute / allowed", "", most, 10, most / 10, 1.0, notes)


def _memory(bench: Bench) -> Comparison:
    tickets = TIMES_TICKETS * bench.leads
    bench.say(f"starting a Zendesk with {tickets:,} tickets")
    with _sandbox(tickets) as sandbox, bench.scratch() as root:
        _limits(sandbox, exports=None, account=None)
        result = run_worker("bench.workers.zendesk", sandbox.source_url("zendesk", TENANT), str(root), 0)
    megabytes = result["peak_bytes"] / 1e6
    notes = {"tickets": result["rows"], "s": round(result["seconds"], 1), "CPU s": round(result["sync_cpu_seconds"], 1)}
    what = "Zendesk, peak memory of a first sync / limit"
    return Comparison("zendesk", what, "MB", megabytes, LIMIT_MB, megabytes / LIMIT_MB, 1.0, notes)


def _sandbox(tickets: int, latency_ms: int = 0) -> Any:
    return running(sources="zendesk", records=tickets, start=str(STORY_ENDS), latency_ms=latency_ms)


def _limits(sandbox: Sandbox, **options: Any) -> dict[str, Any]:
    return requests.post(f"{sandbox.url}/_sandbox/zendesk/{TENANT}/limits", json=options, timeout=30).json()


def checksums(sandbox: Sandbox) -> dict[str, str]:
    """Id -> checksum of every ticket, worked out from what the sandbox has stored."""
    return {str(record["id"]): _checksum(record) for record in sandbox.records("zendesk", TENANT, "tickets")}


def _checksum(record: dict[str, Any]) -> str:
    checked = {name: value for name, value in record.items() if name not in UNCHECKED["tickets"]}
    return hashlib.sha256(orjson.dumps(checked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _compare(file: str, truth: dict[str, str]) -> None:
    """The checksums in the file are the store's, and its texts give those checksums again."""
    rows = duckdb.execute(f"SELECT source_id, checksum, raw_data FROM read_parquet('{file}')").fetchall()
    if len(rows) != len(truth) or {row[0]: row[1] for row in rows} != truth:
        raise Different(f"{file} does not hold the {len(truth)} tickets of the store")
    for source_id, checksum, raw in rows:
        if _checksum(orjson.loads(raw)) != checksum:
            raise Different(f"{file}: the text of ticket {source_id} is not what its checksum says")
