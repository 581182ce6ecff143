"""(a) and (b): reading 50,000 leads into bronze beside a bare loop and beside dlt."""

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import orjson

from bench.harness import DATABASE, Bench, Comparison, Different, median, run_worker, seconds
from sandbox.server import Sandbox

MODEL, TABLE = "crm.lead", "crm_lead"
NUMBERS = {"integer": 0, "float": 0.0, "monetary": 0.0}
LISTS = ("one2many", "many2many", "properties")


def sync_beside_loop_and_dlt(bench: Bench, with_dlt: bool = True, warm_up: bool = True) -> list[Comparison]:
    """Every round: our sync, the requests that it made asked by a bare loop, and the same by a dlt resource."""
    with bench.sandbox() as sandbox, bench.scratch() as folder:
        asked = str(folder / "asked.json")
        truth: dict[str, str] = {}

        def ours() -> dict[str, Any]:
            with bench.scratch() as root:
                result = run_worker("bench.workers.capture", sandbox.odoo_url(DATABASE), str(root), TABLE, asked)
                truth.update(truth or stored_checksums(sandbox, str(root)))
                _compare(result["file"], truth)
                return {**result, "file_bytes": Path(result["file"]).stat().st_size}

        def loop() -> dict[str, Any]:
            result = run_worker("bench.baselines.bare_loop", asked)
            if result["rows"] != len(truth):
                raise Different(f"the bare loop read {result['rows']} of {len(truth)} records")
            return result

        def dlt(way: str) -> dict[str, Any]:
            with bench.scratch() as root:
                result = run_worker("bench.baselines.dlt_resource", asked, str(root), way)
                _compare_ids(result["files"], truth)
                return result

        works = {"ours": ours, "loop": loop}
        if with_dlt:
            works |= {"dlt rows": lambda: dlt("rows"), "dlt arrow": lambda: dlt("arrow")}
        results = bench.in_turns(works, warm_up)
    mine, bare = median(results["ours"]), median(results["loop"])
    rows = len(truth)
    runs = {name: seconds(result) for name, result in results.items()}
    notes = {
        "rows": rows,
        "rows/s": round(rows / mine),
        "rows/s loop": round(rows / bare),
        "requests": sorted({result["requests"] for result in results["ours"]}),
        "peak MB": round(median(results["ours"], "peak_bytes") / 1e6),
        "bronze MB": round(median(results["ours"], "file_bytes") / 1e6, 1),
    }
    lines = [Comparison("a", "sync to bronze / bare loop", "s", mine, bare, mine / bare, 1.25, notes, runs)]
    if with_dlt:
        best = min(("dlt rows", "dlt arrow"), key=lambda name: median(results[name]))
        added, theirs = mine - bare, median(results[best]) - bare
        notes = {f"{name} s": round(median(results[name]), 2) for name in ("dlt rows", "dlt arrow")}
        what = f"what we add to the loop / what {best} adds"
        lines.append(Comparison("b", what, "s", added, theirs, added / theirs, 0.25, notes, runs))
    return lines


def stored_checksums(sandbox: Sandbox, root: str) -> dict[str, str]:
    """Id -> checksum of every lead, worked out from what the sandbox has stored (not from what it answers).

    Parameters:
        root: a lake that captured the table; which fields there are is taken from its schema file.
    """
    schema = next(Path(root).rglob(f"entity={TABLE}.json"))
    kinds = {name: column["source_type"] for name, column in orjson.loads(schema.read_bytes())["columns"].items()}
    checksums: dict[str, str] = {}
    for stored in sandbox.truth(DATABASE, MODEL, ",".join(kinds)):
        record = {name: _answered(stored[name], kind) for name, kind in kinds.items()}
        checksums[str(stored["id"])] = _checksum(record)
    return checksums


def _answered(value: Any, kind: str) -> Any:
    """A stored value as Odoo answers it, without labels."""
    if value is None:
        return NUMBERS.get(kind, [] if kind in LISTS else False)
    return value[:19] if kind == "datetime" else value


def _checksum(record: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _compare(file: str, truth: dict[str, str]) -> None:
    """The checksums in the file are the store's, and its texts give those checksums again."""
    rows = duckdb.execute(f"SELECT source_id, checksum, raw_data FROM read_parquet('{file}')").fetchall()
    if len(rows) != len(truth) or {row[0]: row[1] for row in rows} != truth:
        raise Different(f"{file} does not hold the {len(truth)} records of the store")
    for source_id, checksum, raw in rows:
        record = {
            name: value[0] if type(value) is list and len(value) == 2 and isinstance(value[1], str) else value
            for name, value in orjson.loads(raw).items()
        }
        if _checksum(record) != checksum:
            raise Different(f"{file}: the text of record {source_id} is not what its checksum says")


def _compare_ids(files: list[str], truth: dict[str, str]) -> None:
    ids = duckdb.execute(f"SELECT CAST(id AS VARCHAR) FROM read_parquet({files})").fetchall()
    if len(ids) != len(truth) or {row[0] for row in ids} != truth.keys():
        raise Different(f"dlt wrote {len(ids)} of {len(truth)} records")
