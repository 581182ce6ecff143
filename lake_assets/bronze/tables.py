"""Which bronze tables there are, by the configuration."""

from lake_config import Settings
from lake_config.settings import SOURCE_TYPES
from resources.connectors import connect


def source_types(settings: Settings) -> list[str]:
    """The source types that revlake reads, and so those that some tenant has."""
    configured = {source.type for tenant in settings.tenants.values() for source in tenant.sources.values()}
    return sorted({*SOURCE_TYPES, *configured})


def tables_of(settings: Settings, source_type: str) -> list[str]:
    """The tables of a source type: the built-in ones and those that any tenant adds."""
    builtin = SOURCE_TYPES[source_type].model_construct(type=source_type, tables=None, only_listed=False)
    tables = dict.fromkeys(connect("", source_type, builtin).tables())
    for slug, tenant in settings.tenants.items():
        for name, source in tenant.sources.items():
            if source.type == source_type:
                tables.update(dict.fromkeys(connect(slug, name, source).tables()))
    return list(tables)
