"""The shape of `lake.yaml`: one model per block, every key with its meaning and default."""

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from lake_config.secret import Secret, expand
from lake_config.source_types import source_types

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
TABLE_NAME = re.compile(r"[a-z][a-z0-9_.]{0,62}")


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class TableOptions(_Block):
    """Which fields of one table are read."""

    include: list[str] | None = Field(
        None, description="read only these fields (the id and the modification time always are)"
    )
    exclude: list[str] = Field(default_factory=list, description="do not read these fields")


class SourceSettings(_Block):
    """What every source instance has."""

    type: str
    tables: dict[str, TableOptions] | None = Field(
        None, description="a list of tables reads only those; a mapping sets options for (or adds) single tables"
    )
    only_listed: bool = Field(False, exclude=True, description="set when `tables` was given as a list")
    written: dict[str, str] = Field(
        default_factory=dict, exclude=True, description="set with `tables`: each one's name as it stands there"
    )
    max_in_flight: int = Field(4, ge=1, le=64, description="requests under way at once, over all tables")
    max_per_second: float | None = Field(None, gt=0, description="requests started per second, over all tables")
    max_per_day: int | None = Field(
        None, gt=0, description="what a UTC day may cost, in the unit in which the source counts (requests, tokens)"
    )
    timeout_seconds: float = Field(120, gt=0, description="how long one request may take")
    overlap_minutes: float = Field(
        10, ge=0, description="how far behind the watermark a sync reads again, for transactions that commit late"
    )
    webhook_secret: Secret | None = Field(
        None, description="what the source's webhooks carry or are signed with; without one they are refused"
    )

    @model_validator(mode="before")
    @classmethod
    def _tables_as_list_or_mapping(cls, data: Any) -> Any:
        tables = data.get("tables") if isinstance(data, dict) else None
        if isinstance(tables, list):
            if not all(isinstance(name, str) for name in tables):
                raise ValueError("tables: a list of table names is expected")
            return {**data, "tables": {name: {} for name in tables}, "written": _written(tables), "only_listed": True}
        if isinstance(tables, dict):
            options = {name: ({} if given is None else given) for name, given in tables.items()}
            return {**data, "tables": options, "written": _written(tables)}
        return data

    @field_validator("tables")
    @classmethod
    def _table_names(cls, tables: dict[str, TableOptions] | None) -> dict[str, TableOptions] | None:
        for name in tables or {}:
            if not TABLE_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a table name (letters a-z, digits, _ and . only)")
        if not tables:
            return tables
        return {_entity(name): options for name, options in tables.items()}


def _entity(name: str) -> str:
    """The name in paths and views of the table that is written `name`."""
    return name.replace(".", "_")


def _written(names: Iterable[Any]) -> dict[str, str]:
    """Entity -> name as written, of those that are names.

    Raises:
        ValueError: two names give one entity.
    """
    written: dict[str, str] = {}
    for name in filter(lambda name: isinstance(name, str), names):
        other = written.setdefault(_entity(name), name)
        if other != name:
            raise ValueError(
                f"tables: {other} and {name} would both be {_entity(name)} in the lake: leave one out, or read it by a"
                " source of its own"
            )
    return written


def _http_url(url: str) -> str:
    if "${" not in url and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", url):
        raise ValueError("an http:// or https:// address without user name or password is expected")
    return url.rstrip("/")


def resolved(path: str, folder: Path) -> str:
    """`path` as seen from `folder`; URLs and what waits for a variable stay as they are."""
    if "://" in path or "${" in path:
        return path
    return str((folder / Path(path).expanduser()).resolve())


def _place(path: str, info: ValidationInfo) -> str:
    return resolved(path, (info.context or {}).get("folder", Path()))


Place = Annotated[str, AfterValidator(_place)]
"""A folder or an object-store URL; a relative path is relative to the configuration file."""

HttpUrl = Annotated[str, AfterValidator(_http_url)]
"""Where a server answers; a path prefix is kept, a slash at the end is not."""


class TenantSettings(_Block):
    """One tenant: a company whose data is kept apart from everybody else's."""

    name: str = ""
    plan: str = "standard"
    timezone: str = Field("UTC", description="IANA name; business dates are days in this zone")
    retired: bool = Field(False, description="a tenant that left: its data stays, it is no longer synced")
    sources: dict[str, SerializeAsAny[SourceSettings]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _type_defaults_to_name(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("sources"), dict):
            return data
        sources = {
            name: {"type": name, **source} if isinstance(source, dict) else source
            for name, source in data["sources"].items()
        }
        return {**data, "sources": sources}

    @field_validator("sources", mode="wrap")
    @classmethod
    def _each_by_its_type(
        cls, sources: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> dict[str, SourceSettings]:
        """Each block by the settings class of its type; errors name the key below it."""
        if not isinstance(sources, dict):
            return validate(sources)
        validated: dict[str, SourceSettings] = {}
        problems: list[InitErrorDetails] = []
        for name, block in sources.items():
            if isinstance(block, SourceSettings):
                validated[name] = block
                continue
            kind = block.get("type") if isinstance(block, dict) else None
            if not isinstance(kind, str) or kind not in source_types():
                known = ", ".join(sorted(source_types()))
                raise ValueError(
                    f"{name}: type {kind!r} is not known (known: {known}); set `type:` to one of them"
                    if kind
                    else f"{name}: a mapping with the source's keys is expected"
                )
            try:
                validated[name] = source_types()[kind].settings.model_validate(block, context=info.context)
            except ValidationError as error:
                problems += [
                    {
                        "type": PydanticCustomError(item["type"], "{message}", {"message": item["msg"]}),  # type: ignore[arg-type]
                        "loc": (name, *item["loc"]),
                        "input": None,
                    }
                    for item in error.errors(include_input=False, include_url=False)
                ]
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return validated

    @field_validator("sources")
    @classmethod
    def _source_names(cls, sources: dict[str, SourceSettings]) -> dict[str, SourceSettings]:
        for name in sources:
            if not SOURCE_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a source name (a-z first, then a-z, 0-9 and _)")
        return sources

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError(f"{zone!r} is not an IANA time zone such as Europe/Berlin")
        return zone

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class LakeSettings(_Block):
    """Where the lake is and what serves it."""

    root: str = Field("./data-lake", description="a folder or an object-store URL (s3://bucket/prefix)")
    start_date: date = Field(description="the first day partition; a constant")
    postgres: str = Field("embedded", description="`embedded`, or a postgresql:// URL, usually ${LAKE_POSTGRES_URL}")
    catalog_file: str = Field("./lake.duckdb", description="the DuckDB file with views for BI tools")
    webhook_url: Secret | None = Field(None, description="where notices go (a JSON POST) besides the log")


class Settings(_Block):
    """The whole file."""

    lake: LakeSettings
    tenants: dict[str, TenantSettings]
    path: Path = Field(Path("lake.yaml"), exclude=True, description="the file it was read from")

    @field_validator("tenants")
    @classmethod
    def _slugs(cls, tenants: dict[str, TenantSettings]) -> dict[str, TenantSettings]:
        for slug in tenants:
            if not SLUG.fullmatch(slug):
                raise ValueError(
                    f"{slug!r} is not a tenant slug (a-z, 0-9 and - only, at most 63, starting with a letter or digit)"
                )
        return tenants

    @property
    def root(self) -> str:
        """The lake's root: an absolute folder or the object-store URL."""
        return self.resolve(expand(self.lake.root, where="lake.root"))

    @property
    def catalog_file(self) -> Path:
        return Path(self.resolve(expand(self.lake.catalog_file, where="lake.catalog_file")))

    @property
    def active_tenants(self) -> dict[str, TenantSettings]:
        return {slug: tenant for slug, tenant in self.tenants.items() if not tenant.retired}

    def resolve(self, path: str) -> str:
        """`path` as seen from the folder of the configuration file; URLs stay as they are."""
        return resolved(path, self.path.parent)
