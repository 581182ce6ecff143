"""Runs of the whole graph for one tenant, as `lake sync` makes them, or of the same graph with nothing in its assets."""

import os
import time
from datetime import date
from typing import Any

from dagster import DagsterInstance

from bench.baselines.empty_graph import run_empty
from bench.harness import worker
from lake_cli.sync import run_day
from lake_config import load_settings
from resources.dagster_home import InstanceEnvironment, instance_environment
from resources.postgres import connect


def sync(config: str, tenants: list[str], day: str, empty: bool = False) -> dict[str, Any]:
    """One run per tenant; seconds of the runs alone, Dagster's and Postgres' start left out."""
    os.environ["DAGSTER_HOME"] = f"{os.path.dirname(config)}/dagster_home"
    settings = load_settings(config)
    with instance_environment(settings) as environment, DagsterInstance.get() as instance:
        before = _events(environment)
        started = time.perf_counter()
        for tenant in tenants:
            if not (run_empty if empty else run_day)(settings, instance, tenant, date.fromisoformat(day)):
                raise RuntimeError(f"the run for {tenant} on {day} failed")
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "runs": len(tenants), "events": _events(environment) - before}


def _events(environment: InstanceEnvironment) -> int:
    with connect(environment.postgres_url) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM event_logs").fetchall()
        return count


if __name__ == "__main__":
    worker(sync)
