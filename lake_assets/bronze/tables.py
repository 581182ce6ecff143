"""Which bronze tables there are, by the configuration."""

from lake_config import Settings, source_types
from resources.connecting import connect


def is_configured(settings: Settings, tenant: str, source: str, table: str) -> bool:
    """Whether the tenant's source instance reads the table; what was read under an earlier configuration stays in the lake."""
    block = settings.tenants[tenant].sources.get(source)
    return block is not None and table in connect(tenant, source, block).tables()


def tables_of(settings: Settings, source_type: str) -> list[str]:
    """The tables of a source type: the built-in ones and those that any tenant adds."""
    builtin = source_types()[source_type].settings.model_construct(type=source_type, tables=None, only_listed=False)
    tables = dict.fromkeys(connect("", source_type, builtin).tables())
    for slug, tenant in settings.tenants.items():
        for name, source in tenant.sources.items():
            if source.type == source_type:
                tables.update(dict.fromkeys(connect(slug, name, source).tables()))
    return list(tables)
