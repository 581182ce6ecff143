"""Pipedrive as a source: which tables, which fields, which records.

Records come by the modification time in windows that are read side by side (`windows.py`), and inside a window along
the vendor's cursor, which is a place in the order (modification time, id): a record that moves meanwhile comes again,
none is lost. Deals are in four lists: live ones, archived ones, and of both those deleted within 30 days, which
become tombstones. Tables that cannot be asked for changes (pipelines, stages, products, users, the fields' metadata)
are small and read whole. Everything is API v2 but users; v1's lists of the others are out of support. HTTP is in
`pipedrive_api`, columns are in `pipedrive_columns`.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from pydantic import Field, model_validator

from lake_config import HttpUrl, Secret, SourceSettings, SourceType
from resources.budget import Budget
from resources.connectors.base import Column, Page, PermanentError, TableSchema, Window, configured
from resources.connectors.chosen_fields import ChosenFields
from resources.connectors.pipedrive_api import Api, Credentials, CursorRefused, Listed
from resources.connectors.pipedrive_columns import FIELDS, columns_of, standard_column
from resources.connectors.pipedrive_records import entry, field, moment, stamp
from resources.connectors.pipedrive_tables import BUILT_IN_TABLES, FIELDS_OF, METADATA, PARTS, POLL_COST, WHOLE, Part
from resources.connectors.pipedrive_webhooks import webhook
from resources.connectors.windows import ReadSpan, Span, Step, read_side_by_side, spans_of
from resources.http import HttpClient, Usage

log = logging.getLogger(__name__)

MOST_RECORDS, MOST_IDS = 500, 100
"""A page, and ids a request: the vendor's limits."""

FIELDS_KEPT_SECONDS = 60.0
"""So long one reading of a table's metadata serves both its columns and the table of its fields."""

RESTARTS = 3
"""So often a chain may lose its cursor, or be given the same page again, without getting any further."""

ALWAYS = ("id", "field_code", "update_time", "modified", "is_deleted")
"""Members of records that no configuration leaves out."""

ME_COST = 2

PLANS = {"lite": (1, 20, 80), "growth": (2, 40, 160), "premium": (5, 100, 400), "ultimate": (7, 120, 480)}
"""Plan -> (multiplier of the daily tokens, requests in two seconds with an API token, with OAuth)."""
BASE_TOKENS = 30_000


class PipedriveSource(SourceSettings):
    """One Pipedrive company account, by an API token or as an OAuth app."""

    type: Literal["pipedrive"] = "pipedrive"
    url: HttpUrl | None = Field(
        None, description="https://<company>.pipedrive.com; default: api.pipedrive.com, or what the OAuth token says"
    )
    api_token: Secret | None = Field(None, description="a user's personal API token")
    client_id: str = Field("", description="of the OAuth app, in place of api_token")
    client_secret: Secret | None = Field(None, description="of the OAuth app")
    refresh_token: Secret | None = Field(None, description="that the company granted the OAuth app")
    token_url: HttpUrl = Field("https://oauth.pipedrive.com/oauth/token", description="where access tokens are renewed")
    plan: Literal["lite", "growth", "premium", "ultimate"] = Field("lite", description="decides burst limit and budget")
    seats: int = Field(1, ge=1, description="seats of the plan: they multiply the daily token budget")
    page_size: int = Field(MOST_RECORDS, ge=1, le=MOST_RECORDS, description="records a page")
    max_in_flight: int = Field(10, ge=1, le=64, description="requests under way at once, over all tables")

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> "PipedriveSource":
        app = (self.client_id, self.client_secret, self.refresh_token)
        if (self.api_token is None) == (not any(app)) or (any(app) and not all(app)):
            raise ValueError("either api_token, or client_id, client_secret and refresh_token are expected")
        return self


class PipedriveConnector:
    """One Pipedrive account.

    Parameters:
        name: the source instance's name in `lake.yaml`.
        tenant: the tenant's slug.
        http: the client to use; by default one with the bounds of `settings`.
        budget: what the source may be asked, in tokens.
    """

    type = "pipedrive"

    def __init__(
        self,
        name: str,
        settings: PipedriveSource,
        tenant: str,
        http: HttpClient | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._settings = settings
        self._keys = f"tenants.{tenant}.sources.{name}"
        self._http = http or HttpClient.of(name, settings, tenant, budget)
        self._login_http = HttpClient(tenant, name, max_in_flight=1, timeout_seconds=settings.timeout_seconds)
        self._login_lock, self._first_ask = threading.Lock(), threading.Lock()
        self._opened: Api | None = None
        self._fields_lock = threading.Lock()
        self._choices: dict[str, ChosenFields] = {}
        self._fields: dict[str, tuple[list[dict[str, Any]], Page, float]] = {}

    def tables(self) -> list[str]:
        """The built-in tables, or only those that configuration lists."""
        chosen = list(self._settings.tables or {})
        if self._settings.only_listed:
            return chosen
        return list(BUILT_IN_TABLES)

    def check(self) -> str:
        began = time.monotonic()
        me = self._api().one("/v1/users/me", None, ME_COST) or {}
        seconds = time.monotonic() - began
        company = me.get("company_name") or me.get("company_domain")
        return f"Pipedrive of {company}: logged in as {me.get('name')} (user {me.get('id')}) in {seconds:.2f} s"

    def server_time(self) -> datetime:
        with self._first_ask:  # tables that begin together need one answer
            if self._http.server_time() is None:
                self._api().one("/v1/users/me", None, ME_COST)
        return self._http.source_time()

    def schema(self, table: str) -> TableSchema:
        """The fields of `table`, custom ones under the names that they have now.

        Raises:
            PermanentError: there is no such table, or configuration names a column that is not there.
        """
        if table in METADATA:
            columns = self._kept(table, [standard_column(name, kind) for name, kind in FIELDS.items()])
            return TableSchema(table, METADATA[table].path, columns, "field_code", whole=True)
        if table not in BUILT_IN_TABLES:
            raise PermanentError(
                f"{self._http.where(table)}: there is no such table; known are {', '.join(BUILT_IN_TABLES)}. Leave it out in"
                f" {self._keys}.tables."
            )
        fields = self._metadata(FIELDS_OF[table])[0] if table in FIELDS_OF else []
        columns = self._kept(table, columns_of(table, fields))
        modified = "modified" if table == "users" else "update_time"
        deleted = ("is_deleted", True) if table in PARTS else None
        return TableSchema(
            table, table, columns, "id", modified, deleted=deleted, whole=table in WHOLE, filled_silently=False
        )

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        """Records modified in `window`, deleted deals among them; of tables that cannot be asked for changes all."""
        yield from self._cut(schema.table, self._changes(schema.table, window))

    def _changes(self, table: str, window: Window) -> Iterator[Page]:
        if table in METADATA:
            yield self._metadata(table)[1]
        elif table in WHOLE:
            for listed in self._along_ids(table, WHOLE[table]):
                yield Page(listed.records, listed.read_at)
        else:
            spans = spans_of(window, PARTS[table])
            yield from read_side_by_side(spans, self._reader(table), self.server_time(), self._settings.max_in_flight)

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        table, todo = schema.table, list(ids)
        if table in PARTS:
            yield from self._cut(table, self._by_ids(table, todo))
        else:
            yield from (_chosen(page, schema.id_column, set(todo)) for page in self.changes(schema, Window()))

    def _by_ids(self, table: str, todo: list[str]) -> Iterator[Page]:
        for start in range(0, len(todo), MOST_IDS):
            missing = set(todo[start : start + MOST_IDS])
            for part in _present(table):
                if missing:
                    params = {"ids": ",".join(sorted(missing)), "limit": str(MOST_IDS)}
                    listed = self._api().listed(part.path, params, table, part.cost)
                    missing -= {str(stamp(record).id) for record in listed.records}
                    yield Page(listed.records, listed.read_at)

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        """Nothing: every record has a modification time, and there is no way to ask for others."""
        return iter(())

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[list[tuple[str, str | None]]]:
        """By ascending id, which no record leaves while the list is read. A deal may move between the live and the archived list
        meanwhile: those that changed since the beginning are listed once more."""
        table = schema.table
        if table not in PARTS:
            for page in self.changes(schema, window):
                yield [(str(field(record, schema.id_column)), None) for record in page.records]
            return
        began = self.server_time() - timedelta(seconds=1)
        # The answer cannot be had without its records, but with one custom field in place of all.
        custom = next((column.path[1] for column in schema.columns if column.path[:1] == ("custom_fields",)), None)
        params = {"custom_fields": custom} if custom else {}
        for part in _present(table):
            for listed in self._along_ids(table, part, params):
                yield [entry(record) for record in listed.records]
        if len(PARTS[table]) > 1:
            for part in _present(table):
                for listed in self._along_ids(table, part, {**params, "updated_since": _second(began)}):
                    yield [entry(record) for record in listed.records]

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """Asks for one record of each table that can be asked, until one has something; at most `POLL_COST` tokens."""
        for table in PARTS:
            if table in since:
                part = next(iter(PARTS[table].values()))
                params = {"limit": "1", "updated_since": _second(since[table])}
                if table == "deals":  # one request, deleted ones included
                    params["status"] = "open,won,lost,deleted"
                if self._api().listed(part.path, params, table, part.cost).records:
                    return True
        return False

    def usage(self, table: str | None = None) -> Usage:
        """What the source was asked for `table` so far, or altogether."""
        return self._http.usage(table)

    def close(self) -> None:
        self._http.close()
        self._login_http.close()

    # -- configured fields ---------------------------------------------------------------------------------------------

    def _kept(self, table: str, columns: Sequence[Column]) -> tuple[Column, ...]:
        chosen = ChosenFields(columns, (self._settings.tables or {}).get(table), ALWAYS)
        kept = chosen.kept(self._http.where(table), f"{self._keys}.tables.{table}")
        self._choices[table] = chosen
        return kept

    def _cut(self, table: str, pages: Iterable[Page]) -> Iterator[Page]:
        """v2 always answers with whole records: what configuration leaves out is taken out here."""
        if table not in self._choices:
            self.schema(table)
        return self._choices[table].cut(pages)

    # -- reading -----------------------------------------------------------------------------------------------------

    def _reader(self, table: str) -> ReadSpan:
        """Reads a span of one of the table's lists by ascending modification time."""

        def read(span: Span) -> Iterator[Step]:
            part = PARTS[table][span.part]
            lo, restarts = span.lo, 0
            while True:
                reached = lo
                try:
                    for listed in self._chain(table, part, self._window_params(part, lo, span.hi)):
                        if not listed.records:
                            continue
                        began, reached = moment(listed.records[0]), moment(listed.records[-1])
                        yield Step(Page(listed.records, listed.read_at), began, reached, last=listed.cursor is None)
                    return
                except CursorRefused:
                    # On from the last second that came: what shares it comes again, nothing is left out.
                    restarts = 0 if reached is not None and reached != lo else restarts + 1
                    if restarts >= RESTARTS:
                        raise
                    lo = reached
                    log.info("%s: the cursor was refused; going on from %s", self._http.where(table), lo)

        return read

    def _window_params(self, part: Part, lo: datetime | None, hi: datetime | None) -> dict[str, str]:
        params = {"sort_by": "update_time", "sort_direction": "asc", **dict(part.params)}
        if lo is not None:
            params["updated_since"] = _second(lo)
        if hi is not None:
            params["updated_until"] = _second(hi, up=True)
        return params

    def _along_ids(self, table: str, part: Part, params: dict[str, str] | None = None) -> Iterator[Listed]:
        """A list by ascending id, page by page; from its beginning again, what was read included, where its cursor is refused.
        v1 gives all at once."""
        if not part.path.startswith("/api/v2/"):
            yield self._api().listed(part.path, {}, table, part.cost)
            return
        for begun in range(1, RESTARTS + 1):
            try:
                yield from self._chain(table, part, params or {})
                return
            except CursorRefused as error:
                if begun == RESTARTS:
                    raise
                log.info("%s; reading the list from its beginning", error)

    def _chain(self, table: str, part: Part, params: dict[str, str]) -> Iterator[Listed]:
        cursor: str | None = None
        repeats = 0
        while True:
            asked = {**params, "limit": str(self._settings.page_size), **({"cursor": cursor} if cursor else {})}
            listed = self._api().listed(part.path, asked, table, part.cost)
            yield listed
            if listed.cursor is None:
                return
            repeats = repeats + 1 if listed.cursor == cursor else 0
            if repeats >= RESTARTS:
                raise PermanentError(f"{self._http.where(table)}: the source gives the same page again and again.")
            cursor = listed.cursor

    def _metadata(self, table: str) -> tuple[list[dict[str, Any]], Page]:
        """The fields as dictionaries and as a page; asked anew after a minute."""
        with self._fields_lock:
            known = self._fields.get(table)
            if known is None or time.monotonic() - known[2] > FIELDS_KEPT_SECONDS:
                pages = list(self._along_ids(table, METADATA[table]))
                # A list that was begun anew holds fields twice.
                latest = {field(record, "field_code"): record for listed in pages for record in listed.records}
                records = list(latest.values())
                fields = [msgspec.json.decode(record) if isinstance(record, bytes) else record for record in records]
                known = self._fields[table] = (fields, Page(records, pages[0].read_at), time.monotonic())
            return known[0], known[1]

    # -- login -------------------------------------------------------------------------------------------------------

    def _api(self) -> Api:
        with self._login_lock:
            if self._opened is None:
                settings, oauth = self._settings, self._settings.api_token is None
                url = configured(settings.url, f"{self._keys}.url") if settings.url else ""
                credentials = self._credentials()
                self._opened = Api(
                    url if url or oauth else "https://api.pipedrive.com",
                    PLANS[settings.plan][2 if oauth else 1],
                    lambda: credentials,
                    self._http,
                    self._login_http,
                    self._keys,
                )
            return self._opened

    def _credentials(self) -> Credentials:
        settings = self._settings
        if settings.api_token is not None:
            token = configured(settings.api_token, f"{self._keys}.api_token")
            if not token:
                raise PermanentError(f"{self._http.where()}: {self._keys}.api_token is empty.")
            return Credentials(api_token=token)
        return Credentials(
            client_id=configured(settings.client_id, f"{self._keys}.client_id"),
            client_secret=configured(settings.client_secret or "", f"{self._keys}.client_secret"),
            refresh_token=configured(settings.refresh_token or "", f"{self._keys}.refresh_token"),
            token_url=configured(settings.token_url, f"{self._keys}.token_url"),
        )


def _chosen(page: Page, id_column: str, ids: set[str]) -> Page:
    return Page([record for record in page.records if str(field(record, id_column)) in ids], page.read_at)


def _present(table: str) -> list[Part]:
    """The lists of records that are not deleted."""
    return [part for part in PARTS[table].values() if not part.params]


def _second(moment: datetime, up: bool = False) -> str:
    """RFC 3339 in whole seconds: v2 refuses fractions.

    Raises:
        ValueError: `moment` has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    if up and moment.microsecond:
        moment += timedelta(seconds=1)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _daily_budget(settings: PipedriveSource) -> float:
    """Tokens a day that the vendor gives the company."""
    return BASE_TOKENS * PLANS[settings.plan][0] * settings.seats


SOURCE = SourceType("pipedrive", PipedriveSource, PipedriveConnector, POLL_COST, _daily_budget, webhook)
