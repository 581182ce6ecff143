"""(p) Pipedrive's deals into bronze, beside dlt's `rest_api` source and beside a reader that drops what it reads."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import orjson
import requests

from bench.harness import STORY_ENDS, Bench, Comparison, Different, median, run_worker, seconds
from sandbox.server import Sandbox, running

PAGE = 500
LATENCIES_MS = (0, 150)
SPEED_OVER_DLT = {0: 5.0, 150: 8.0}
SHARE_OF_READER = 0.7
EXTRA_REQUESTS = 0.1
MEMORY_MB, MEMORY_FACTOR = 800, 10


class _Account:
    """The sandbox's Pipedrive, within its vendor's limits."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self.url = sandbox, sandbox.source_url("pipedrive", "skyfit")
        self._http = requests.Session()
        self._http.trust_env = False
        self.token = self._control("GET", "login")["api_token"]
        self.deals = {str(row["id"]): row for row in sandbox.records("pipedrive", "skyfit", "deals")}

    def _control(self, method: str, name: str, body: Any = None) -> Any:
        return self._http.request(method, f"{self._sandbox.url}/_sandbox/pipedrive/skyfit/{name}", json=body).json()

    def new_window(self) -> None:
        """The runs of a round stand for runs at different times: the burst window of one is not the next one's."""
        self._control("POST", "limits", {"plan": "ultimate", "used": 0})

    def limits(self) -> dict[str, Any]:
        """How much was asked at once, and what was refused."""
        return self._control("GET", "limits")

    def full_pages(self) -> int:
        """The fewest pages that hold every deal of each of the four lists; that one is empty is also learned from a page."""
        lists = Counter((row["is_archived"], row["is_deleted"]) for row in self.deals.values())
        return sum(max(1, -(-lists[archived, gone] // PAGE)) for archived in (False, True) for gone in (False, True))

    def compare(self, file: str) -> None:
        """The file holds the store's records, each once, with what the store has in them."""
        rows = duckdb.execute(
            f"SELECT source_id, raw_data, checksum, change_type FROM read_parquet('{file}')"
        ).fetchall()
        if len(rows) != len(self.deals):
            raise Different(f"{file} holds {len(rows)} rows of {len(self.deals)} deals")
        for source_id, raw, checksum, change in rows:
            stored, record = self.deals[source_id], orjson.loads(raw)
            sorted_text = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
            if record != stored or hashlib.sha256(sorted_text).hexdigest() != checksum:
                raise Different(f"{file}: deal {source_id} is not as the store has it")
            if (change == "delete") != stored["is_deleted"]:
                raise Different(f"{file}: deal {source_id} is a {change}")

    def compare_ids(self, files: list[str]) -> None:
        """dlt wrote every deal once."""
        ids = [row[0] for row in duckdb.execute(f"SELECT CAST(id AS VARCHAR) FROM read_parquet({files})").fetchall()]
        if len(ids) != len(self.deals) or set(ids) != set(self.deals):
            raise Different(f"dlt wrote {len(ids)} of {len(self.deals)} deals")


def pipedrive_beside_dlt_and_reader(bench: Bench, with_dlt: bool = True, warm_up: bool = True) -> list[Comparison]:
    """Every round, without and with latency: our sync, the reader, dlt."""
    return [line for latency in LATENCIES_MS for line in _at(bench, latency, with_dlt, warm_up)]


def _at(bench: Bench, latency_ms: int, with_dlt: bool, warm_up: bool) -> list[Comparison]:
    bench.say(f"starting a Pipedrive with {bench.leads:,} deals, {latency_ms} ms an answer")
    with (
        running(sources="pipedrive", records=bench.leads, start=str(STORY_ENDS), latency_ms=latency_ms) as sandbox,
        bench.scratch() as folder,
    ):
        account, asked = _Account(sandbox), str(folder / "asked.json")

        def ours() -> dict[str, Any]:
            account.new_window()
            with bench.scratch() as root:
                result = run_worker("bench.workers.pipedrive", account.url, account.token, str(root), asked)
                account.compare(result["file"])
                return {**result, "file_bytes": Path(result["file"]).stat().st_size}

        def reader() -> dict[str, Any]:
            account.new_window()
            result = run_worker("bench.baselines.pipedrive_reader", asked, account.token)
            if result["rows"] < len(account.deals):
                raise Different(f"the reader read {result['rows']} of {len(account.deals)} deals")
            return result

        def dlt() -> dict[str, Any]:
            account.new_window()
            with bench.scratch() as root:
                result = run_worker("bench.baselines.pipedrive_dlt", account.url, account.token, str(root))
                account.compare_ids(result["files"])
                return result

        works = {"ours": ours, "reader": reader, **({"dlt": dlt} if with_dlt else {})}
        results = bench.in_turns(works, warm_up)
        limits, full = account.limits(), account.full_pages()
    mine, bare = median(results["ours"]), median(results["reader"])
    rows, requested = len(account.deals), median(results["ours"], "requests")
    runs = {name: seconds(result) for name, result in results.items()}
    notes = {
        "rows": rows, "rows/s": round(rows / mine), "rows/s reader": round(rows / bare), "requests": requested,
        "full pages": full, "most in 2 s": limits["most_in_window"], "refused": limits["rejected"],
        "CPU s": round(median(results["ours"], "cpu_seconds"), 2),
        "CPU s reader": round(median(results["reader"], "cpu_seconds"), 2),
        "peak MB": round(median(results["ours"], "peak_bytes") / 1e6),
        "bronze MB": round(median(results["ours"], "file_bytes") / 1e6, 1),
    }  # fmt: skip
    at = f"Pipedrive deals at {latency_ms} ms"
    case = f"p{latency_ms}"
    lines = [
        Comparison(case, f"{at}: sync / bare concurrent reader", "s", mine, bare, mine / bare, 1 / SHARE_OF_READER, notes, runs),
        Comparison(case, f"{at}: requests / full pages", "", requested, full, requested / full, 1 + EXTRA_REQUESTS),
    ]  # fmt: skip
    if with_dlt:
        theirs = median(results["dlt"])
        notes = {"CPU s dlt": round(median(results["dlt"], "cpu_seconds"), 2), "times as fast": round(theirs / mine, 1)}
        what = f"{at}: sync / dlt rest_api"
        lines.append(Comparison(case, what, "s", mine, theirs, mine / theirs, 1 / SPEED_OVER_DLT[latency_ms], notes))
    return lines


def memory_of_many_deals(bench: Bench) -> list[Comparison]:
    """Ten times the deals: the peak of memory of a first sync."""
    records = MEMORY_FACTOR * bench.leads
    bench.say(f"starting a Pipedrive with {records:,} deals")
    with running(sources="pipedrive", records=records, start=str(STORY_ENDS)) as sandbox, bench.scratch() as root:
        http = requests.Session()
        http.trust_env = False
        control = f"{sandbox.url}/_sandbox/pipedrive/skyfit"
        token = http.get(f"{control}/login").json()["api_token"]
        http.post(f"{control}/limits", json={"plan": "ultimate"})
        url = sandbox.source_url("pipedrive", "skyfit")
        result = run_worker("bench.workers.pipedrive", url, token, str(root), str(root / "asked.json"))
        refused = http.get(f"{control}/limits").json()["rejected"]
        asked = len(json.loads((root / "asked.json").read_text())["asked"])
    if result["rows"] != records:
        raise Different(f"{result['rows']} of {records} deals were written")
    peak = result["peak_bytes"] / 1e6
    notes = {"rows": records, "seconds": round(result["seconds"], 1), "requests": asked, "refused": refused}
    what = "Pipedrive: peak of a sync of ten times the deals"
    return [Comparison("pm", what, "MB", peak, MEMORY_MB, peak / MEMORY_MB, 1.0, notes)]
