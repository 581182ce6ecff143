"""An APN database: a table of a million rows to bronze beside the same COPY thrown away, a sync without news, one of 2 %."""

import itertools
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from bench.harness import STORY_ENDS, Bench, Comparison, Different, median, run_worker, seconds
from sandbox.server import Sandbox, running

TIMES_LEADS = 20
"""50,000 is what the other cases have; this one is about a million."""
SPEED = 0.6
"""Of the COPY's that we must reach."""
CHANGED = 50
"""Every so many-th row changes before the third sync."""
TIMES_ROWS = 10
LIMIT_MB = 800


def apn_opportunities(bench: Bench, warm_up: bool = True) -> list[Comparison]:
    """Every round: the COPY, a first sync, a second one, 2 % of the rows changed, a third one."""
    rows = TIMES_LEADS * bench.leads
    bench.say(f"starting an APN database with {rows:,} opportunities")
    with running(sources="apn", records=rows, start=str(STORY_ENDS)) as sandbox:
        port = _port(sandbox)
        hours = itertools.count(1)

        def ours() -> dict[str, Any]:
            # What the last round changed must not lie in this one's overlap.
            sandbox._call("POST", "apn/podium/clock", {"ahead_seconds": 3600 * next(hours)})
            with bench.scratch() as root:
                first = run_worker("bench.workers.apn", port, str(root), "first")
                _compare(port, [first["file"]], rows)
                second = run_worker("bench.workers.apn", port, str(root), "second")
                changed = _change(sandbox)
                third = run_worker("bench.workers.apn", port, str(root), "third")
                if second["rows"] or second["file"] or third["rows"] != changed:
                    raise Different(f"second: {second}, third: {third}, changed: {changed}")
                size = Path(first["file"]).stat().st_size
                return {
                    **first,
                    "second": second["seconds"],
                    "third": third["seconds"],
                    "changed": changed,
                    "size": size,
                }

        results = bench.in_turns({"ours": ours, "copy": lambda: run_worker("bench.baselines.copy_out", port)}, warm_up)
    mine, theirs = median(results["ours"]), median(results["copy"])
    notes = {
        "rows": rows,
        "rows/s": round(rows / mine),
        "rows/s copy": round(rows / theirs),
        "share of the copy's speed": round(theirs / mine, 2),
        "CPU s": round(median(results["ours"], "sync_cpu_seconds"), 1),
        "second sync s": round(median(results["ours"], "second"), 2),
        "rows changed": results["ours"][-1]["changed"],
        "third sync s": round(median(results["ours"], "third"), 2),
        "peak MB": round(median(results["ours"], "peak_bytes") / 1e6),
        "bronze MB": round(median(results["ours"], "size") / 1e6),
    }
    runs = {name: seconds(found) for name, found in results.items()}
    what = "APN opportunities to bronze / COPY thrown away"
    return [Comparison("apn", what, "s", mine, theirs, mine / theirs, 1 / SPEED, notes, runs)]


def apn_memory(bench: Bench) -> list[Comparison]:
    """One first sync of ten times the rows; the process that syncs counts, the sandbox and its Postgres do not."""
    rows = TIMES_ROWS * TIMES_LEADS * bench.leads
    bench.say(f"starting an APN database with {rows:,} opportunities")
    with running(sources="apn", records=rows, start=str(STORY_ENDS), wait_s=3600) as sandbox, bench.scratch() as root:
        result = run_worker("bench.workers.apn", _port(sandbox), str(root), "first")
        _compare(_port(sandbox), [result["file"]], rows)
    megabytes = result["peak_bytes"] / 1e6
    notes = {"rows": rows, "s": round(result["seconds"], 1), "rows/s": round(rows / result["seconds"])}
    what = "APN, peak memory of a large first sync / limit"
    return [Comparison("apn memory", what, "MB", megabytes, LIMIT_MB, megabytes / LIMIT_MB, 1.0, notes)]


def _port(sandbox: Sandbox) -> int:
    return sandbox.health()["sources"]["apn"]["podium"]["port"]


def _change(sandbox: Sandbox) -> int:
    """Touch 2 % of the rows, as of the server's now; how many that is."""
    statement = (
        "WITH touched AS (UPDATE apn.opportunity SET next_step = coalesce(next_step, '') || '.', last_modified_date = now()"
        f" WHERE id % {CHANGED} = 7 RETURNING id) SELECT count(*) FROM touched"
    )
    [[count]] = sandbox._call("POST", "apn/podium/sql", {"statement": statement})["rows"]
    return count


def _compare(port: int, files: list[str], rows: int) -> None:
    """Every column of the bronze file has as many values, of as many characters, as the store's; each row's checksum is its
    text's."""
    with psycopg.connect(f"host=127.0.0.1 port={port} dbname=apn user=reader password=reader") as connection:
        columns = connection.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
            " WHERE attrelid = 'apn.opportunity'::regclass AND attnum > 0 ORDER BY 1"
        ).fetchall()
        texts = [f"array_to_json({name})::text" if kind == "text[]" else f"{name}::text" for name, kind in columns]
        sums: Any = ", ".join(f"count({text}), sum(length({text}))" for text in texts)
        query: Any = f"SELECT {sums} FROM apn.opportunity"
        [stored] = connection.execute(query).fetchall()
    keys = ", ".join(f'"{name}": "JSON"' if kind == "text[]" else f'"{name}": "VARCHAR"' for name, kind in columns)
    found = [
        f"nullif(CAST(r.{name} AS VARCHAR), 'null')" if kind == "text[]" else f"r.{name}" for name, kind in columns
    ]
    sums = ", ".join(f"count({value}), sum(length({value}))" for value in found)
    with duckdb.connect(config={"memory_limit": "4GB"}) as connection:
        [captured] = connection.execute(
            f"SELECT {sums} FROM (SELECT json_transform(raw_data, '{{{keys}}}') AS r FROM read_parquet({files}))"
        ).fetchall()
        [(ids, wrong)] = connection.execute(
            f"SELECT count(DISTINCT source_id), count(*) FILTER (sha256(raw_data) <> checksum) FROM read_parquet({files})"
        ).fetchall()
    if ids != rows or wrong or list(captured) != [int(value) if value is not None else None for value in stored]:
        raise Different(f"{files}: {ids} of {rows} records, {wrong} wrong checksums, or a column that differs")
