"""Salesforce as a source: which objects, which fields, which records.

Fields are those that `describe` tells. Records come in windows of SystemModstamp, which moves with whatever writes a
record, people or automation; deleted and merged ones stay visible for 15 days and come as tombstones. How it is asked is
in `salesforce_rest`, paging in `salesforce_pages`.
"""

import difflib
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lake_config import HttpUrl, Secret, SourceSettings, SourceType
from resources.budget import Budget
from resources.connectors.base import (
    Column,
    ColumnType,
    MissingAtSource,
    NotPermitted,
    Page,
    PermanentError,
    SourceError,
    TableSchema,
    Window,
    configured,
)
from resources.connectors.salesforce_pages import CURSORS, ID, PageReader
from resources.connectors.salesforce_rest import Login, Rest
from resources.connectors.windows import Span, read_side_by_side, spans_of
from resources.http import HttpClient, Usage

log = logging.getLogger(__name__)

BUILT_IN_TABLES = {
    "account": "Account",
    "contact": "Contact",
    "opportunity": "Opportunity",
    "user": "User",
    "lead": "Lead",
}

STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
"""The first of these that an object has tells what changed. An object with none of them is read whole."""

DELETED = "IsDeleted"

COLUMN_TYPES: dict[str, ColumnType] = {
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "double": "double",
    "percent": "double",
    "currency": "decimal",
    "date": "date",
    "datetime": "timestamp",
    "address": "json",
    "location": "json",
    "complexvalue": "json",
}
"""Salesforce's field types in the lake's words; all others are text: ids and references (18 characters), picklists, also
those of several values (`A;B`), and what may be of any type."""

COMPOUND = ("address", "location")
NOT_READ = ("base64",)
"""A query answers these with an address to fetch them from."""

SMALLEST_ORG_REQUESTS = 15_000
"""Calls a day of the smallest edition (Developer)."""


class SalesforceSource(SourceSettings):
    """One Salesforce org."""

    type: Literal["salesforce"] = "salesforce"
    url: HttpUrl = Field(description="the org's My Domain address, https://<name>.my.salesforce.com")
    client_id: str = Field(description="the connected app's consumer key")
    client_secret: Secret | None = Field(None, description="its consumer secret, for the client credentials flow")
    username: str | None = Field(None, description="the user to act as, for the JWT bearer flow")
    private_key: Secret | None = Field(
        None, description="the key (PEM) whose certificate the connected app holds, for the JWT bearer flow"
    )
    audience: str = Field(
        "https://login.salesforce.com", description="of the JWT; https://test.salesforce.com for a sandbox org"
    )
    api_version: str = Field("62.0", pattern=r"^\d{2,3}\.0$")
    page_size: int = Field(2000, ge=200, le=2000, description="records a page")
    max_in_flight: int = Field(10, ge=1, le=25, description="requests under way at once, over all tables")
    org_requests_per_day: int = Field(
        SMALLEST_ORG_REQUESTS,
        gt=0,
        description="what the org allows (Setup, Company Information); how often changes are asked for follows from it",
    )
    org_limit_share: float = Field(
        0.9, gt=0, le=1, description="stop when so much of the org's daily calls is used, by whomever"
    )

    @model_validator(mode="before")
    @classmethod
    def _objects_in_snake_case(cls, data: Any) -> Any:
        """`tables: [Subscription__c]` means `subscription__c`."""
        if not isinstance(data, dict) or not isinstance(tables := data.get("tables"), (list, dict)):
            return data
        names = [table_name(name) if isinstance(name, str) else name for name in tables]
        if len(set(map(str, names))) < len(names):
            raise ValueError("tables: an object is named twice")
        named = dict(zip(names, tables.values(), strict=True)) if isinstance(tables, dict) else names
        return {**data, "tables": named}

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        if self.private_key is not None and self.username is None:
            raise ValueError("private_key: the JWT bearer flow needs a username, too")
        if (self.client_secret is None) == (self.private_key is None):
            raise ValueError("set either client_secret (client credentials) or username and private_key (JWT bearer)")
        return self


class SalesforceConnector:
    """One org.

    Parameters:
        name: the source instance's name in `lake.yaml`.
        tenant: the tenant's slug.
        http: the client to use; by default one with the bounds of `settings`.
        budget: what the source may be asked.
    """

    type = "salesforce"

    def __init__(
        self,
        name: str,
        settings: SalesforceSource,
        tenant: str,
        http: HttpClient | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._settings = settings
        self._keys = f"tenants.{tenant}.sources.{name}"
        self._http = http or HttpClient.of(name, settings, tenant, budget)
        self._cursors = threading.Semaphore(CURSORS)
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._rest: Rest | None = None
        self._names: dict[str, str] = dict(BUILT_IN_TABLES)
        self._objects: list[str] = []
        # What a poll has to know of a table. The built-in ones all have the best of the stamps.
        self._bare = {table: TableSchema(table, name, (), ID, STAMPS[0]) for table, name in BUILT_IN_TABLES.items()}

    def tables(self) -> list[str]:
        """The built-in tables and those added by configuration, or only those it lists."""
        configured_tables = list(self._settings.tables or {})
        if self._settings.only_listed:
            return configured_tables
        return [*BUILT_IN_TABLES, *(table for table in configured_tables if table not in BUILT_IN_TABLES)]

    def check(self) -> str:
        rest = self._connected()
        limits = rest.limits().get("DailyApiRequests", {})
        left = f"{limits.get('Remaining', '?')} of {limits.get('Max', '?')}"
        return f"Salesforce API {self._settings.api_version} at {rest.session().instance}: logged in, {left} calls left"

    def server_time(self) -> datetime:
        self._connected().session()
        return self._http.source_time()

    def schema(self, table: str) -> TableSchema:
        """The fields of `table` that this user may read, as the org describes them now.

        Raises:
            MissingAtSource: there is no such object, or the user does not see it.
            PermanentError: configuration asks for fields that are not there.
        """
        name = self._object(table)
        described = self._connected().describe(name, table)
        fields = {field["name"]: field for field in described.get("fields", ())}
        stamp = next((candidate for candidate in STAMPS if candidate in fields), None)
        chosen = self._chosen(table, fields, stamp)
        name = str(described.get("name") or name)
        with self._lock:
            self._bare[table] = TableSchema(table, name, (), ID, stamp)
        return TableSchema(
            table,
            name,
            tuple(_column(field) for field_name, field in fields.items() if field_name in chosen),
            ID,
            stamp,
            deleted=(DELETED, True) if DELETED in fields else None,
            whole=stamp is None,
        )

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        """Records modified in `window`, those in the recycle bin included. An object without a modification time is read
        whole."""
        reader = self._reader(schema)
        if schema.modified_column is None:
            yield from reader.all()
            return
        now, at_once = self.server_time(), self._settings.max_in_flight
        asked = spans_of(window)
        spans: list[Span] = []
        if any(span.lo is None and span.hi is not None for span in asked):
            # An upper bound leaves out records without a time, which belong to the oldest.
            yield from reader.undated()
        for span in asked:
            if at_once == 1 or not reader.is_long(span, now):
                spans.append(span)
                continue
            first, pieces = reader.begin(span)
            if first is not None:
                yield first
            spans += pieces()
        if spans:
            yield from read_side_by_side(spans, reader.read, now, at_once)

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        """These records, those in the recycle bin included."""
        yield from self._reader(schema).of_ids(ids)

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        """Salesforce promises a stamp on every record; where it has none, records come here."""
        yield from self._reader(schema).undated()

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[list[tuple[str, str | None]]]:
        yield from self._reader(schema).listed()

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """Asks for one id per table, several tables at once, until one has something.

        Raises:
            SourceError: the login failed. A table that fails alone counts as unchanged and is logged.
        """
        self._connected().session()
        if not since:
            return False
        with ThreadPoolExecutor(min(len(since), self._settings.max_in_flight), "has_changes") as pool:
            asked = {pool.submit(self._has_newer, table, watermark): table for table, watermark in since.items()}
            for future in as_completed(asked):
                try:
                    newer = future.result()
                except SourceError as error:
                    # What the user may not read, or the org does not have, is no news every minute.
                    level = logging.DEBUG if isinstance(error, (MissingAtSource, NotPermitted)) else logging.WARNING
                    log.log(level, "cannot tell if there are changes: %s", error, extra=self._http.names(asked[future]))
                    continue
                if newer:
                    pool.shutdown(wait=False, cancel_futures=True)
                    return True
        return False

    def usage(self, table: str | None = None) -> Usage:
        """What the source was asked for `table` so far, or altogether."""
        return self._http.usage(table)

    def close(self) -> None:
        self._http.close()

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _reader(self, schema: TableSchema) -> PageReader:
        return PageReader(self._connected(), schema, self._settings.page_size, self._cursors)

    def _has_newer(self, table: str, watermark: datetime) -> bool:
        with self._lock:
            schema = self._bare.get(table)
        schema = schema or self.schema(table)
        return schema.modified_column is not None and self._reader(schema).has_newer(watermark)

    def _object(self, table: str) -> str:
        """Salesforce's name of the object behind `table`."""
        with self._lock:
            known = self._names.get(table)
        if known is not None:
            return known
        with self._listing:
            names = self._objects = self._objects or self._connected().objects()
        ways = ({name.lower(): name for name in names}, {table_name(name): name for name in names})
        plain = table.replace("_", "") if "__" not in table else table
        found = next((way[key] for way in reversed(ways) for key in (table, plain) if key in way), None)
        if found is None:
            close = difflib.get_close_matches(table, ways[1], n=2)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise MissingAtSource(
                f"{self._http.where(table)}: the org has no object of that name, or this user does not see it.{hint}"
                f" Give the user the right to read it, or leave it out in {self._keys}.tables."
            )
        with self._lock:
            self._names[table] = found
        return found

    def _chosen(self, table: str, fields: dict[str, dict[str, Any]], stamp: str | None) -> set[str]:
        """The names of the fields to read."""
        options = (self._settings.tables or {}).get(table)
        always = {ID} | ({stamp} if stamp else set()) | ({DELETED} & fields.keys())
        if options is None or options.include is None:
            with_parts = {field.get("compoundFieldName") for name, field in fields.items()
                          if field.get("compoundFieldName") != name}  # fmt: skip
            chosen = {
                name
                for name, field in fields.items()
                if field["type"] not in NOT_READ and not (field["type"] in COMPOUND and name in with_parts)
            }
        else:
            chosen = set(options.include)
            if unknown := sorted(chosen - fields.keys()):
                raise PermanentError(
                    f"{self._http.where(table)}: {self._keys}.tables.{table}.include names fields that are not there or"
                    f" not for this user: {', '.join(unknown)}"
                )
        return (chosen - set(options.exclude if options else ())) | always

    def _connected(self) -> Rest:
        with self._lock:
            if self._rest is None:
                settings = self._settings
                self._rest = Rest(
                    self._http, self._login(), settings.api_version, settings.org_limit_share, settings.page_size
                )
            return self._rest

    def _login(self) -> Login:
        settings, keys = self._settings, self._keys

        def value(key: str) -> str:
            given = getattr(settings, key)
            return "" if given is None else configured(given, f"{keys}.{key}")

        return Login(
            value("url").rstrip("/"),
            keys,
            value("client_id"),
            value("client_secret"),
            value("username"),
            value("private_key"),
            value("audience"),
        )


def table_name(name: str) -> str:
    """An object's name in paths and views: `OpportunityFieldHistory` -> `opportunity_field_history`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _column(field: dict[str, Any]) -> Column:
    relation = ",".join(field.get("referenceTo") or ())
    kind = COLUMN_TYPES.get(field["type"], "text")
    return Column(
        field["name"],
        kind,
        field["type"],
        field.get("label") or "",
        relation or None,
        custom=bool(field.get("custom")),
    )


def _daily_budget(settings: SalesforceSource) -> float | None:
    return settings.org_requests_per_day


SOURCE = SourceType(
    "salesforce",
    SalesforceSource,
    SalesforceConnector,
    poll_cost=3,
    daily_budget=_daily_budget,
    poll_cost_a_table=1.5,
)
