"""`lake.yaml` -> validated settings.

What belongs here: the shape of the configuration file, its defaults and its error messages. What does not: anything that
opens a file of the lake, a network connection or a database. Nothing in this package imports the rest of revlake.
"""

from lake_config.loading import ConfigError, load_settings, settings_from_mapping
from lake_config.secret import MissingVariableError, Secret, expand
from lake_config.settings import (
    LakeSettings,
    OdooSource,
    Settings,
    SourceSettings,
    TableOptions,
    TenantSettings,
)

__all__ = [
    "ConfigError",
    "LakeSettings",
    "MissingVariableError",
    "OdooSource",
    "Secret",
    "Settings",
    "SourceSettings",
    "TableOptions",
    "TenantSettings",
    "expand",
    "load_settings",
    "settings_from_mapping",
]
