"""Odoo as a source: which tables, which fields, which records.

Records come in windows of the modification time and, inside a window, in pages by ascending id. Seen on a real
server, nothing else is complete: a cursor on `write_date` sticks where more records than a page share one second,
offsets lose records that move. Protocols are in `odoo_rpc`, error answers in `odoo_errors`, paging in `odoo_pages`,
labels of related records in `odoo_labels`.
"""

import difflib
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

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
from resources.connectors.odoo_labels import Labels
from resources.connectors.odoo_pages import IDS_A_LIST, Domain, PageReader
from resources.connectors.odoo_rpc import Endpoint, Rpc, log_in
from resources.http import HttpClient, Usage

log = logging.getLogger(__name__)

BUILT_IN_TABLES: tuple[str, ...] = (
    "crm_lead",
    "res_partner",
    "res_users",
    "crm_team",
    "crm_stage",
    "sale_order",
    "sale_order_line",
    "product_template",
    "product_product",
    "product_category",
    "account_move",
    "account_move_line",
    "project_project",
    "res_country",
    "res_country_state",
    "pos_order",
    "pos_order_line",
    "c_aws_accounts",
    "c_aws_funding_request",
    "c_billing_spp_bill",
    "c_billing_internal_cur",
    "c_billing_bill",
    "c_billing_bill_line",
)

MODIFIED = "write_date"
ID = "id"

COLUMN_TYPES: dict[str, ColumnType] = {
    "boolean": "boolean",
    "integer": "integer",
    "many2one_reference": "integer",
    "float": "double",
    "monetary": "decimal",
    "char": "text",
    "text": "text",
    "html": "text",
    "selection": "text",
    "reference": "text",
    "binary": "text",
    "date": "date",
    "datetime": "timestamp",
    "many2one": "reference",
    "one2many": "references",
    "many2many": "references",
}
"""Odoo's field types in the lake's words; what is not listed (json, properties, ...) is `json`."""

NEVER_EMPTY: tuple[ColumnType, ...] = ("boolean", "integer", "double", "decimal")
"""Odoo answers these with a value even where the database has NULL."""

ALSO_READ = {"pos_order": {"currency_id"}}
"""Fields that are read although the server does not store them: a till order's amounts have no currency otherwise (it is the
register's, one join away)."""

REMEMBER_FAILED_LOGIN_SECONDS = 60.0
"""So long a failed login stands for all tables, instead of each of them trying the wrong password again."""


class OdooSource(SourceSettings):
    """One Odoo database."""

    type: Literal["odoo"] = "odoo"
    url: HttpUrl = Field(description="where the server answers, without /jsonrpc; a path prefix is kept")
    database: str
    username: str
    password: Secret = Field(description="the user's password or an API key; usually ${SOME_VARIABLE}")
    protocol: Literal["auto", "jsonrpc", "json2"] = Field("auto", description="auto asks the server for its version")
    page_size: int = Field(1000, ge=1, le=10_000, description="records a page")


class OdooConnector:
    """One Odoo database.

    Parameters:
        name: the source instance's name in `lake.yaml`.
        tenant: the tenant's slug.
        http: the client to use; by default one with the bounds of `settings`.
        budget: what the source may be asked.
    """

    type = "odoo"

    def __init__(
        self,
        name: str,
        settings: OdooSource,
        tenant: str,
        http: HttpClient | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._settings = settings
        self._keys = f"tenants.{tenant}.sources.{name}"
        self._http = http or HttpClient.of(name, settings, tenant, budget)
        self._labels = Labels()
        self._models = {table: table.replace("_", ".") for table in BUILT_IN_TABLES}
        self._login_lock = threading.Lock()
        self._logged_in: Rpc | None = None
        self._login_failure: tuple[SourceError, float] | None = None

    def tables(self) -> list[str]:
        """The built-in tables and those added by configuration, or only those it lists."""
        configured = list(self._settings.tables or {})
        if self._settings.only_listed:
            return configured
        return [*BUILT_IN_TABLES, *(table for table in configured if table not in BUILT_IN_TABLES)]

    def check(self) -> str:
        began = time.monotonic()
        rpc = self._rpc()
        rpc.call("res.users", "context_get")
        seconds = time.monotonic() - began
        return (
            f"Odoo {rpc.version or '19 or later'} over {rpc.protocol}: logged in as user {rpc.uid} in {seconds:.2f} s"
        )

    def server_time(self) -> datetime:
        self._rpc()
        return self._http.source_time()

    def schema(self, table: str) -> TableSchema:
        """The stored fields of `table` that this user may read, as the server describes them now.

        Raises:
            MissingAtSource: the server has no such model.
            NotPermitted: the user may not read it.
            PermanentError: configuration asks for fields that are not there.
        """
        model, fields = self._fields(table)
        columns = tuple(_column(field, fields[field]) for field in sorted(self._chosen(table, fields)))
        modified = MODIFIED if any(column.name == MODIFIED for column in columns) else None
        return TableSchema(table, model, columns, ID, modified)

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        """Records modified in `window` by ascending id. A bound inside a second is widened to the whole second. A model
        without a modification time is read whole."""
        yield from self._reader(schema).pages(_modified_in(schema, window))

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        yield from self._reader(schema).of_ids(sorted({int(value) for value in ids}))

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        if schema.modified_column is not None:
            yield from self._reader(schema).pages([(schema.modified_column, "=", False)])

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[list[tuple[str, str | None]]]:
        rpc = self._rpc()
        modified = schema.modified_column
        last = 0
        while True:
            reply = rpc.call(
                schema.source_name,
                "search_read",
                schema.table,
                domain=[(ID, ">", last)],
                fields=[modified or ID],
                order=ID,
                limit=IDS_A_LIST,
            )
            found: list[dict[str, Any]] = reply.value
            if found:
                yield [(str(record[ID]), (record.get(modified) or None) if modified else None) for record in found]
            if len(found) < IDS_A_LIST:
                return
            last = found[-1][ID]

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """Asks for one id per table, several tables at once, until one has something.

        Raises:
            SourceError: the login failed. A table that fails alone counts as unchanged and is logged.
        """
        self._rpc()
        if not since:
            return False
        with ThreadPoolExecutor(min(len(since), self._settings.max_in_flight), "has_changes") as pool:
            asked = {pool.submit(self._has_newer, table, watermark): table for table, watermark in since.items()}
            for future in as_completed(asked):
                try:
                    newer = future.result()
                except SourceError as error:
                    # What the user may not read, or the server does not have, is no news every minute.
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

    def forget_labels(self) -> None:
        """Begin a new sync with this connector: names of related records are asked for anew."""
        self._labels.forget()

    def close(self) -> None:
        self._http.close()

    def _reader(self, schema: TableSchema) -> PageReader:
        names = self._http.names(schema.table)
        return PageReader(self._rpc(), self._labels, schema, self._settings.page_size, names)

    def _has_newer(self, table: str, watermark: datetime) -> bool:
        model = self._models.get(table) or self._fields(table)[0]
        domain = [(MODIFIED, ">=", _second(watermark))]
        return bool(self._rpc().call(model, "search", table, domain=domain, order=ID, limit=1).value)

    def _fields(self, table: str) -> tuple[str, dict[str, dict[str, Any]]]:
        """The model behind `table` and its fields."""
        rpc = self._rpc()
        candidates = [self._models[table]] if table in self._models else _possible_models(table)
        for model in candidates:
            try:
                fields = rpc.fields(model, table)
            except MissingAtSource:
                continue
            self._models[table] = model
            return model, fields
        raise MissingAtSource(
            f"{self._http.where(table)}: the server has no model {' nor '.join(candidates)}."
            f" Install the app it belongs to, or leave the table out in {self._keys}.tables."
        )

    def _chosen(self, table: str, fields: dict[str, dict[str, Any]]) -> set[str]:
        """The names of the fields to read."""
        options = (self._settings.tables or {}).get(table)
        always = {ID} | ({MODIFIED} & fields.keys())
        if options is None or options.include is None:
            chosen = {name for name, field in fields.items() if field.get("store", True) and field["type"] != "binary"}
            chosen |= ALSO_READ.get(table, set()) & fields.keys()
        else:
            chosen = set(options.include)
            if unknown := sorted(chosen - fields.keys() - {ID}):
                raise PermanentError(
                    f"{self._http.where(table)}: {self._keys}.tables.{table}.include names fields that are not there or"
                    f" not for this user: {'; '.join(_with_close_matches(name, fields) for name in unknown)}"
                )
        return (chosen - set(options.exclude if options else ())) | always

    def _rpc(self) -> Rpc:
        """The logged-in session, one for all threads."""
        with self._login_lock:
            if self._logged_in is not None:
                return self._logged_in
            if self._login_failure is not None:
                failure, at = self._login_failure
                if time.monotonic() - at < REMEMBER_FAILED_LOGIN_SECONDS:
                    raise failure.__class__(str(failure)) from None
            try:
                self._logged_in = log_in(self._http, self._endpoint(), self._settings.protocol)
            except SourceError as error:
                self._login_failure = (error, time.monotonic())
                raise
            return self._logged_in

    def _endpoint(self) -> Endpoint:
        settings = self._settings
        return Endpoint(
            url=configured(settings.url, f"{self._keys}.url").rstrip("/"),
            database=configured(settings.database, f"{self._keys}.database"),
            username=configured(settings.username, f"{self._keys}.username"),
            secret=configured(settings.password, f"{self._keys}.password"),
            keys=self._keys,
        )


def _column(name: str, field: dict[str, Any]) -> Column:
    kind: ColumnType = COLUMN_TYPES.get(field["type"], "json")
    return Column(
        name=name,
        type=kind,
        source_type=field["type"],
        label=field.get("string") or "",
        relation=field.get("relation") or None,
        empty_is_false=kind not in NEVER_EMPTY,
    )


def _possible_models(table: str) -> list[str]:
    """Odoo's names that `table` may stand for: `res_currency` is res.currency, `x_my_model` (Studio) is itself, and
    `l10n_latam_document_type` is l10n_latam.document.type."""
    parts = table.split("_")
    some = ["_".join(parts[: kept + 1]) + "." + ".".join(parts[kept + 1 :]) for kept in range(1, len(parts) - 1)]
    return list(dict.fromkeys([".".join(parts), table, *some]))


def _with_close_matches(name: str, fields: dict[str, dict[str, Any]]) -> str:
    close = difflib.get_close_matches(name, fields, n=3, cutoff=0.5)
    return f"{name} (did you mean {' or '.join(close)}?)" if close else name


def _modified_in(schema: TableSchema, window: Window) -> Domain:
    modified = schema.modified_column
    if modified is None:
        return []
    older = [(modified, "<", _second(window.hi, up=True))] if window.hi else []
    if window.lo is not None:
        return [(modified, ">=", _second(window.lo)), *older]
    return ["|", (modified, "=", False), *older] if older else []


def _second(moment: datetime, up: bool = False) -> str:
    """Odoo's way to write a time: whole seconds, UTC, no zone.

    Raises:
        ValueError: `moment` has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    if up and moment.microsecond:
        moment += timedelta(seconds=1)
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


SOURCE = SourceType("odoo", OdooSource, OdooConnector, poll_cost=4, poll_cost_a_table=1)
