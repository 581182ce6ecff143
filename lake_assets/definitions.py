"""The whole graph. `build_defs` serves production and tests alike."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import Definitions, in_process_executor

from lake_assets.automation.outcome import outcome_asset
from lake_assets.automation.runs import sync_job
from lake_assets.automation.schedules import schedules
from lake_assets.automation.sensors import sensors
from lake_assets.bronze.assets import bronze_assets
from lake_assets.gold.assets import gold_assets
from lake_assets.silver.assets import silver_assets
from lake_config import Settings, load_settings, source_types
from resources.dagster_lake import lake_resource


def build_defs(
    settings: Settings | str | Path | None = None, resources: Mapping[str, Any] | None = None
) -> Definitions:
    """The definitions for one configuration.

    Parameters:
        settings: the configuration or its file; by default the file that `LAKE_CONFIG` names, or `lake.yaml`.
        resources: take these in place of the real ones.
    """
    if not isinstance(settings, Settings):
        settings = load_settings(settings)
    bronze = [bronze_assets(settings, source_type) for source_type in source_types()]
    silver = silver_assets(settings)
    gold = gold_assets(settings)
    tables = [key for asset in [*bronze, *silver, *gold] for key in asset.keys]
    return Definitions(
        assets=[*bronze, *silver, *gold, outcome_asset(settings, tables)],
        jobs=[sync_job()],
        schedules=schedules(settings),
        sensors=sensors(settings),
        resources={"lake": lake_resource(settings), **(resources or {})},
        # Steps share one process: they are short, and a process each would cost more than they do.
        executor=in_process_executor,
    )


defs = build_defs()
