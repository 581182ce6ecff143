"""The day, tenant and day x tenant partitions, and how to build and read their keys.

Keys of two dimensions are made and taken apart by Dagster's own `MultiPartitionKey`; nothing cuts strings.
"""

import logging
from datetime import UTC, date, datetime

from dagster import (
    AssetExecutionContext,
    DailyPartitionsDefinition,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
)

from lake_config import Settings

log = logging.getLogger(__name__)

DAY, TENANT = "day", "tenant"
KEYS_PER_ASSET = 100_000
"""How many partition keys an asset is good for in Dagster."""


def day_partitions(settings: Settings) -> DailyPartitionsDefinition:
    """UTC days from `lake.start_date` to today included."""
    return DailyPartitionsDefinition(start_date=settings.lake.start_date.isoformat(), timezone="UTC", end_offset=1)


def tenant_partitions(settings: Settings) -> StaticPartitionsDefinition:
    """Every tenant in `lake.yaml`; one that left stays, marked `retired`."""
    return StaticPartitionsDefinition(sorted(settings.tenants))


def day_tenant_partitions(settings: Settings) -> MultiPartitionsDefinition:
    """Day x tenant. Warns a year before there are more keys than Dagster is good for."""
    in_a_year = (datetime.now(UTC).date() - settings.lake.start_date).days + 365
    if in_a_year * len(settings.tenants) > KEYS_PER_ASSET:
        log.warning(
            "%d tenants x %d days will pass %d partition keys within a year: move lake.start_date up, or split the lake",
            len(settings.tenants),
            in_a_year,
            KEYS_PER_ASSET,
        )
    return MultiPartitionsDefinition({DAY: day_partitions(settings), TENANT: tenant_partitions(settings)})


def partition_key(day: date, tenant: str) -> MultiPartitionKey:
    return MultiPartitionKey({DAY: day.isoformat(), TENANT: tenant})


def days_by_tenant(context: AssetExecutionContext) -> dict[str, list[date]]:
    """The days of each tenant that a step was asked for: one, or a range in a single-run backfill."""
    days: dict[str, list[date]] = {}
    for key in context.partition_keys:
        assert isinstance(key, MultiPartitionKey)
        dimensions = key.keys_by_dimension
        days.setdefault(dimensions[TENANT], []).append(date.fromisoformat(dimensions[DAY]))
    return {tenant: sorted(tenant_days) for tenant, tenant_days in days.items()}
