"""From a source's block in `lake.yaml` to its connector."""

from lake_config import SourceSettings, source_types
from resources.budget import Budget
from resources.connectors.base import Connector
from resources.lake import Lake


def connect(tenant: str, name: str, settings: SourceSettings, lake: Lake | None = None) -> Connector:
    """The connector of one source instance. Touches no network.

    Parameters:
        tenant: the tenant's slug.
        name: the source instance's name in `lake.yaml`.
        lake: where what the source was asked today is kept account of; without one it is not.
    """
    budget = Budget(lake, tenant, name, settings.max_per_day)
    return source_types()[settings.type].connector(name, settings, tenant, budget=budget)
