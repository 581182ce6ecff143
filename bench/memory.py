"""(f): how much memory the first sync of a large table takes, all layers included."""

from bench.harness import TENANT, TODAY, Bench, Comparison
from bench.lakes import bench_lake

TIMES_LEADS = 10
LIMIT_MB = 800


def memory_of_a_large_sync(bench: Bench) -> list[Comparison]:
    """One run over ten times the leads. The process that syncs and all its children count, the sandbox and Postgres' server do
    not."""
    leads = TIMES_LEADS * bench.leads
    with bench.sandbox(leads=leads) as sandbox, bench.scratch() as folder:
        lake = bench_lake(folder / "lake", sandbox)
        bench.say(f"syncing {leads:,} leads")
        result = lake.sync(TODAY, watch_memory=True)
        bronze = lake.file(f"bronze/tenant_id={TENANT}/source=odoo/entity=crm_lead/**/*.parquet").stat().st_size
    megabytes = result["peak_bytes"] / 1e6
    notes = {"leads": leads, "s": round(result["seconds"], 1), "bronze MB": round(bronze / 1e6)}
    return [
        Comparison(
            "f", "peak memory of a first sync / limit", "MB", megabytes, LIMIT_MB, megabytes / LIMIT_MB, 1.0, notes
        )
    ]
