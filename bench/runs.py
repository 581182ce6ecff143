"""(d), (e) and (g): runs of the whole graph, when nothing changed and when little did."""

from datetime import timedelta
from typing import Any

from bench.harness import DATABASE, TODAY, YESTERDAY, Bench, Comparison, Different, median, seconds
from bench.lakes import bench_lake
from sandbox.server import Sandbox

CHANGED_SHARE = 0.01
WEEK_TENANTS, WEEK_DAYS, WEEK_LEADS = 30, 7, 1_000


def unchanged_and_little_changed(bench: Bench) -> list[Comparison]:
    """Every round: a sync that finds nothing, the same graph with nothing in it, 1 % of the leads changed and synced, and a first
    sync into a new lake."""
    with bench.sandbox() as sandbox, bench.scratch() as folder:
        # Without the overlap: the rounds follow each other faster than transactions commit late.
        lake = bench_lake(folder / "lake", sandbox, overlap_minutes=0)
        lake.sync(YESTERDAY)
        lake.sync(TODAY)
        ids = sandbox.ids(DATABASE, "crm.lead")
        share = max(1, int(len(ids) * CHANGED_SHARE))
        rounds = iter(range(len(ids) // share))

        def nothing() -> dict[str, Any]:
            before = lake.files()
            result = _counted(sandbox, lambda: lake.sync(TODAY))
            if lake.files() != before:
                raise Different("a sync that found nothing wrote files")
            tables = result["answered_tables"]
            if result["page_requests"] > tables:
                raise Different(f"a sync that found nothing asked {result['page_requests']} times for {tables} tables")
            return result

        def little() -> dict[str, Any]:
            start = next(rounds) * share
            sandbox.write(
                DATABASE, "crm.lead", ids[start : start + share], {"description": f"changed in round {start}"}
            )
            result = _counted(sandbox, lambda: lake.sync(TODAY))
            if not share <= result["lead_rows"] <= 2 * share:
                raise Different(f"{share} leads changed and {result['lead_rows']} were read")
            return result

        def everything() -> dict[str, Any]:
            with bench.scratch() as other:
                return _counted(sandbox, lambda: bench_lake(other / "lake", sandbox).sync(TODAY))

        results = bench.in_turns(
            {
                "nothing": nothing,
                "empty graph": lambda: lake.sync(TODAY, empty=True),
                "1 %": little,
                "everything": everything,
            }
        )
    runs = {name: seconds(result) for name, result in results.items()}
    idle, empty, some, full = (median(results[name]) for name in ("nothing", "empty graph", "1 %", "everything"))
    last_idle, last_some, last_full = (results[name][-1] for name in ("nothing", "1 %", "everything"))
    idle_notes = {
        "requests": last_idle["requests"],
        "of them for records": last_idle["page_requests"],
        "tables that answer": last_idle["answered_tables"],
        "files written": 0,
        "events": last_idle["events"],
        "events empty": results["empty graph"][-1]["events"],
    }
    some_notes = {
        "leads read": last_some["lead_rows"],
        "requests more than idle": last_some["requests"] - last_idle["requests"],
        "bytes of a full sync": f"{(last_some['bytes'] - last_idle['bytes']) / (last_full['bytes'] - last_idle['bytes']):.2%}",
        "full sync s": round(full, 2),
    }
    allowed = idle + 0.05 * full
    return [
        Comparison("d", "sync that finds nothing / empty graph", "s", idle, empty, idle / empty, 1.5, idle_notes, runs),
        Comparison(
            "e", "1 % changed / (d) + 5 % of a full sync", "s", some, allowed, some / allowed, 1.0, some_notes, runs
        ),
    ]


def _counted(sandbox: Sandbox, work: Any) -> dict[str, Any]:
    """The result of `work` with what the sandbox was asked meanwhile."""
    sandbox.reset_requests()
    result = work()
    asked = sandbox.requests()
    pages = [entry for entry in asked if entry["method"] == "search_read"]
    return {
        **result,
        "requests": sum(entry["requests"] for entry in asked),
        "page_requests": sum(entry["requests"] for entry in pages),
        "answered_tables": len([entry for entry in asked if entry["method"] == "fields_get" and not entry["errors"]]),
        "lead_rows": sum(entry["rows"] for entry in pages if entry["model"] == "crm.lead"),
        "bytes": sum(entry["bytes"] for entry in asked),
    }


def idle_week(bench: Bench) -> list[Comparison]:
    """A week in which nothing changes, for many tenants, one run a tenant and day: reported, not held against anything."""
    tenants = [f"tenant-{number:02}" for number in range(1, WEEK_TENANTS + 1)]
    with bench.sandbox(leads=min(bench.leads, WEEK_LEADS)) as sandbox, bench.scratch() as folder:
        lake = bench_lake(folder / "lake", sandbox, tenants)
        bench.say(f"first syncs of {len(tenants)} tenants")
        lake.sync(TODAY - timedelta(days=WEEK_DAYS))
        week: list[dict[str, Any]] = []
        for ago in reversed(range(WEEK_DAYS)):
            week.append(lake.sync(TODAY - timedelta(days=ago)))
            bench.say(f"day {len(week)} of {WEEK_DAYS}: {week[-1]['seconds']:.1f} s")
    total = sum(seconds(week))
    runs, events = (sum(day[key] for day in week) for key in ("runs", "events"))
    notes = {
        "runs": runs,
        "s/run": round(total / runs, 2),
        "events": events,
        "events/run": round(events / runs),
        "peak MB": round(max(day["peak_bytes"] for day in week) / 1e6),
    }
    each = {"a day": seconds(week)}
    return [Comparison("g", f"{WEEK_DAYS} idle days of {len(tenants)} tenants", "s", total, notes=notes, runs=each)]
