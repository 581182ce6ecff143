"""`lake.yaml` -> validated settings.

What belongs here: the shape of the configuration file, its defaults and its error messages. What does not: anything that
opens a file of the lake, a network connection or a database. Nothing in this package imports the rest of revlake.
"""

from lake_config.loading import ConfigError, load_settings, settings_from_mapping
from lake_config.secret import MissingVariableError, Secret, expand
from lake_config.settings import (
    HttpUrl,
    LakeSettings,
    Place,
    Settings,
    SourceSettings,
    TableOptions,
    TenantSettings,
)
from lake_config.source_types import SourceType, source_types

__all__ = [
    "ConfigError",
    "HttpUrl",
    "LakeSettings",
    "MissingVariableError",
    "Place",
    "Secret",
    "Settings",
    "SourceSettings",
    "SourceType",
    "TableOptions",
    "TenantSettings",
    "expand",
    "load_settings",
    "settings_from_mapping",
    "source_types",
]
