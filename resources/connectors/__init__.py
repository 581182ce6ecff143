"""One module per source type, all with the protocol of `base.Connector`.

What belongs here: how a source is asked and what its answers mean. What does not: the lake's files, days, Dagster.
To add a source type, write its module and add a line to `CONNECTORS`.
"""

from collections.abc import Callable
from typing import Any

from lake_config import SourceSettings
from resources.connectors.base import Connector


def _odoo(tenant: str, name: str, settings: Any) -> Connector:
    from resources.connectors.odoo import OdooConnector

    return OdooConnector(name, settings, tenant)


CONNECTORS: dict[str, Callable[[str, str, Any], Connector]] = {"odoo": _odoo}
"""Source type -> (tenant, source instance, its settings) -> connector. A client library is imported when first
needed."""


def connect(tenant: str, name: str, settings: SourceSettings) -> Connector:
    """The connector of one source instance. Touches no network.

    Parameters:
        tenant: the tenant's slug.
        name: the source instance's name in `lake.yaml`.
    """
    return CONNECTORS[settings.type](tenant, name, settings)
