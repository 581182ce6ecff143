"""Zendesk Support as a source: which tables, how each is read, what counts as deleted.

    tickets, users                          exports by cursor: the next sync goes on from the cursor of the last one
    organizations, ticket_metric_events     exports by time, from a little before the last sync
    groups, ticket_fields, ticket_forms     lists, read whole each time

What belongs here: tables, windows, pages. What does not: the chains of requests (`zendesk_exports`), one request (`zendesk_api`),
columns (`zendesk_fields`).
"""

import difflib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from lake_config import HttpUrl, Secret, SourceSettings, SourceType
from resources.budget import Budget
from resources.connectors.base import (
    MissingAtSource,
    NotPermitted,
    Page,
    PermanentError,
    SourceError,
    TableSchema,
    TransientError,
    Window,
    configured,
)
from resources.connectors.zendesk_api import Answer, Api, CursorRefused, Login, LoginFailed
from resources.connectors.zendesk_exports import LIST_PAGE, cursor_export, listed, time_export
from resources.connectors.zendesk_fields import BUILT_IN, Choice, chosen, custom_columns
from resources.connectors.zendesk_records import before, decoded, glance, stamp
from resources.connectors.zendesk_webhooks import webhook
from resources.http import HttpClient, RetryPolicy, Usage

log = logging.getLogger(__name__)

BY_CURSOR = ("tickets", "users")
BY_TIME = ("organizations", "ticket_metric_events")
WHOLE = ("groups", "ticket_fields", "ticket_forms")
BY_IDS = ("tickets", "users", "organizations")
"""Tables with an address that answers records by their ids."""

MODIFIED = {"ticket_metric_events": "time"}
"""Where the modification time is not `updated_at`."""
DELETED = {"tickets": ("status", "deleted"), "users": ("active", False), "organizations": ("deleted_at", ...)}
UNCHECKED = {"tickets": ("generated_timestamp", "fields"), "organizations": ("deleted_at",)}
"""Exports alone show these. `fields` repeats `custom_fields`; `generated_timestamp` also moves when Zendesk itself touches a
ticket; a `deleted_at` makes a tombstone."""

HOLD_BACK = 60
"""Seconds: exports do not show what changed in the last minute, which the next sync must still read."""
TOO_RECENT = 310
"""Seconds that a `start_time` must at least lie back: a minute by today's documentation, five by the error's text."""
POLLED = ("tickets", "users", "organizations")
"""Asked for news, in this order. Events hardly come alone."""
MINUTES_A_DAY = 24 * 60
REMEMBER_FAILURE_SECONDS = 60.0
"""So long a failed login stands for all tables, instead of each of them trying the wrong token again."""


class ZendeskSource(SourceSettings):
    """One Zendesk Support account."""

    type: Literal["zendesk"] = "zendesk"
    url: HttpUrl = Field(description="the account's address, https://<subdomain>.zendesk.com; a path prefix is kept")
    username: str | None = Field(None, description="the e-mail address of the admin that `token` is used as")
    token: Secret | None = Field(None, description="an API token; usually ${SOME_VARIABLE}")
    oauth_token: Secret | None = Field(None, description="instead of both: an OAuth access token with the scope `read`")
    exports_per_minute: int = Field(
        10,
        ge=1,
        le=1000,
        description="what the account's plan allows all incremental exports together; 30 with High Volume",
    )
    page_size: int = Field(1000, ge=100, le=1000, description="records a page of an export")

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> "ZendeskSource":
        if (self.oauth_token is None) == (self.token is None or self.username is None):
            raise ValueError("either `username` and `token` or `oauth_token` is expected")
        return self


class ZendeskConnector:
    """One Zendesk Support account.

    Parameters:
        name: the source instance's name in `lake.yaml`.
        tenant: the tenant's slug.
        http: the client to use; by default one with the bounds of `settings`.
        budget: what the source may be asked.
    """

    type = "zendesk"

    def __init__(
        self,
        name: str,
        settings: ZendeskSource,
        tenant: str,
        http: HttpClient | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._settings = settings
        self._keys = f"tenants.{tenant}.sources.{name}"
        # A 429 asks to wait up to a minute and a half, and whoever else exports shares the minute with us.
        patient = RetryPolicy(tries=8, deadline=900)
        self._http = http or HttpClient.of(name, settings, tenant, budget, patient)
        self._lock = threading.RLock()
        self._connected: Api | None = None
        self._fields_read: list[Answer] | None = None
        self._failure: tuple[SourceError, float] | None = None
        self._choices: dict[str, Choice | None] = {}

    def tables(self) -> list[str]:
        """The built-in tables, or those that configuration lists."""
        named = list(self._settings.tables or {})
        return (
            named if self._settings.only_listed else [*BUILT_IN, *(table for table in named if table not in BUILT_IN)]
        )

    def check(self) -> str:
        began = time.monotonic()
        user = self._api().value("users/me")["user"]
        if user.get("id") is None:  # Zendesk answers requests that nobody logged in for as an anonymous user's
            raise PermanentError(f"{self._http.where()}: Zendesk does not know the user: see {self._keys}.")
        seconds = time.monotonic() - began
        text = f"Zendesk: logged in as {user.get('name')} ({user.get('role')}) in {seconds:.2f} s"
        return text if user.get("role") == "admin" else f"{text}; tickets, users and organizations need an admin"

    def server_time(self) -> datetime:
        self._fields()
        return self._http.source_time()

    def schema(self, table: str) -> TableSchema:
        """The documented columns, and of tickets the custom fields as the account has them now.

        Raises:
            MissingAtSource: there is no such table.
            PermanentError: configuration asks for columns that are not there.
        """
        if table not in BUILT_IN:
            raise MissingAtSource(f"{self._http.where(table)}: the tables of Zendesk are {', '.join(BUILT_IN)}.")
        columns = dict(BUILT_IN[table])
        if table == "tickets" and (custom := custom_columns(self._field_records())):
            del columns["custom_fields"]  # their values have columns of their own
            columns |= {column.name: column for column in custom}
        modified, deleted = MODIFIED.get(table, "updated_at"), DELETED.get(table)
        always = {"id", modified, *(deleted[:1] if deleted else ()), *UNCHECKED.get(table, ())} & columns.keys()
        options = (self._settings.tables or {}).get(table)
        try:
            left, self._choices[table] = chosen(list(columns.values()), options, always - {"fields"})
        except KeyError as error:
            option, unknown = error.args
            named = "; ".join(_with_close_matches(name, columns) for name in unknown)
            raise PermanentError(
                f"{self._http.where(table)}: {self._keys}.tables.{table}.{option} names columns that are not there: {named}"
            ) from None
        return TableSchema(
            table, table, tuple(left), "id", modified, deleted=deleted, whole=table in WHOLE,
            unchecked=UNCHECKED.get(table, ()), filled_silently=False,
        )  # fmt: skip

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        table = schema.table
        if table in WHOLE:
            pages: Iterator[Answer] = self._list(table)
        elif table in BY_CURSOR:
            pages = self._from_cursor(table, window)
        else:
            pages = self._from_time(table, window)
        # Of a part of the past the cursor would lie before the one that is stored.
        goes_on = window.cursor is not None or window.lo is None or window.hi is None
        for answer in pages:
            records, beyond = before(answer.records, None if table in WHOLE else window.hi, answer.by_time)
            cursor = answer.after_cursor if table in BY_CURSOR and goes_on and not beyond else None
            yield self._page(table, answer, records, cursor)
            if beyond:
                return

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        """Tickets, users and organizations a hundred at a time; other tables have no such address and are read whole."""
        table, wanted = schema.table, sorted({int(record_id) for record_id in ids})
        if not wanted:
            return
        if table in BY_IDS:
            for begin in range(0, len(wanted), LIST_PAGE):
                part = ",".join(map(str, wanted[begin : begin + LIST_PAGE]))
                answer = self._api().page(table, f"{table}/show_many", table, ids=part)
                yield self._page(table, answer, answer.records, None)
            return
        kept = set(wanted)
        for page in self.changes(schema, Window()):
            yield Page([record for record in page.records if glance(record).id in kept], page.read_at)

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        """None: Zendesk stamps every record."""
        yield from ()

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[list[tuple[str, str | None]]]:
        """From the same pages as `changes`: the list of tickets lacks archived ones, so only the export has all ids."""
        modified = MODIFIED.get(schema.table, "updated_at")
        for page in self.changes(schema, window):
            there = [look for look in map(glance, page.records) if not look.is_deleted(schema.deleted)]
            yield [(str(look.id), look.text(modified)) for look in there]

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """One page of an export each, until one has something that the last sync could not see.

        Raises:
            SourceError: the login failed. A table that fails alone counts as unchanged and is logged.
        """
        for table in POLLED:
            if table not in since:
                continue
            try:
                if self._has_newer(table, since[table]):
                    return True
            except LoginFailed:
                raise
            except SourceError as error:
                level = logging.DEBUG if isinstance(error, (MissingAtSource, NotPermitted)) else logging.WARNING
                log.log(level, "cannot tell if there are changes: %s", error, extra=self._http.names(table))
        return False

    def usage(self, table: str | None = None) -> Usage:
        """What the source was asked for `table` so far, or altogether."""
        return self._http.usage(table)

    def close(self) -> None:
        self._http.close()

    # -- reading -------------------------------------------------------------------------------------------------------

    def _from_cursor(self, table: str, window: Window) -> Iterator[Answer]:
        """Pages of an export by cursor; where a cursor is refused it begins anew with the last second that was read."""
        begin: str | int = window.cursor or self._start(window)
        restarted_at = -1
        while True:
            reached = self._start(window) if isinstance(begin, str) else begin
            try:
                for answer in cursor_export(self._api(), table, begin, self._settings.page_size):
                    if answer.records:
                        reached = max(reached, stamp(glance(answer.records[-1])) or 0)
                    yield answer
                return
            except CursorRefused as error:
                if reached <= restarted_at:
                    raise TransientError(f"{error}: Zendesk refuses the cursors that it gives.") from None
                log.warning("%s; reading again from %d", error, reached, extra=self._http.names(table))
                begin = restarted_at = reached

    def _from_time(self, table: str, window: Window) -> Iterator[Answer]:
        start = self._start(window)
        if window.rest is not None:
            start = min(start, int(window.rest))
        rest = self._rest_of_second(table)
        return time_export(self._api(), table, start, self._settings.page_size, rest, lambda: self._now() - HOLD_BACK)

    def _rest_of_second(self, table: str) -> Callable[[int], Iterator[Answer]]:
        """How to read a second with more records than a page: events also come by cursor, organizations from their list."""
        api = self._api()
        read_list = False

        def events(second: int) -> Iterator[Answer]:
            for answer in listed(api, table, f"incremental/{table}", start_time=second):
                yield answer
                if answer.records and (stamp(glance(answer.records[-1])) or 0) > second:
                    return

        def organizations(second: int) -> Iterator[Answer]:
            nonlocal read_list
            if not read_list:  # it holds all seconds
                yield from listed(api, table)
            read_list = True

        return organizations if table == "organizations" else events

    def _list(self, table: str) -> Iterator[Answer]:
        if table == "ticket_fields":
            yield from self._fields()
        elif table == "ticket_forms":
            yield self._api().page(table, table, table)  # comes in one page
        else:
            several = 0
            for answer in listed(self._api(), table):
                several += 1
                yield answer
            if several > 1:
                # Groups are listed by name: one renamed meanwhile may have moved from the unread pages to the read ones.
                yield from listed(self._api(), table)

    def _fields(self) -> list[Answer]:
        """The ticket fields, asked for once: every sync needs them, and they show whether the login works."""
        with self._lock:
            if self._fields_read is not None:
                return self._fields_read
            if self._failure is not None and time.monotonic() - self._failure[1] < REMEMBER_FAILURE_SECONDS:
                raise self._failure[0].with_traceback(None) from None
            try:
                self._fields_read = list(listed(self._api(), "ticket_fields"))
            except (NotPermitted, MissingAtSource):
                raise
            except SourceError as error:
                self._failure = (error, time.monotonic())
                raise
            return self._fields_read

    def _field_records(self) -> list[dict[str, Any]]:
        try:
            answers = self._fields()
        except (NotPermitted, MissingAtSource) as error:
            log.warning("tickets get no columns for their custom fields: %s", error, extra=self._http.names("tickets"))
            return []
        return [decoded(record) for answer in answers for record in answer.records]

    def _page(self, table: str, answer: Answer, records: Any, cursor: str | None) -> Page:
        if choice := self._choices.get(table):
            records = [choice.apply(decoded(record)) for record in records]
        return Page(records, answer.read_at, cursor=cursor)

    def _start(self, window: Window) -> int:
        """The Unix second that an export of the window begins with."""
        if window.lo is None:
            return 0
        return max(0, min(int(window.lo.timestamp()) - HOLD_BACK, self._now() - TOO_RECENT))

    def _now(self) -> int:
        return int(self.server_time().timestamp())

    def _has_newer(self, table: str, watermark: datetime) -> bool:
        unseen = int(watermark.timestamp()) - HOLD_BACK
        # The watermark is the server's own time, so this lies back far enough whatever clock is asked.
        start = max(0, int(watermark.timestamp()) - TOO_RECENT)
        path = f"incremental/{table}/cursor" if table in BY_CURSOR else f"incremental/{table}"
        answer = self._api().page(table, path, table, start_time=start, per_page=self._settings.page_size)
        newest = max((stamp(look) or 0 for look in map(glance, answer.records)), default=0)
        return newest > unseen or not answer.end_of_stream

    def _api(self) -> Api:
        with self._lock:
            if self._connected is None:
                settings, keys = self._settings, self._keys
                if settings.oauth_token is not None:
                    login = Login.with_oauth_token(configured(settings.oauth_token, f"{keys}.oauth_token"))
                else:
                    login = Login.with_api_token(
                        configured(settings.username or "", f"{keys}.username"),
                        configured(settings.token or "", f"{keys}.token"),
                    )
                url = configured(settings.url, f"{keys}.url")
                self._connected = Api(self._http, url, login, settings.exports_per_minute)
            return self._connected


def _with_close_matches(name: str, columns: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(columns), n=3, cutoff=0.5)
    return f"{name} (did you mean {' or '.join(close)}?)" if close else name


SOURCE = SourceType(
    "zendesk",
    ZendeskSource,
    ZendeskConnector,
    poll_cost=len(POLLED),
    daily_budget=lambda settings: settings.exports_per_minute * MINUTES_A_DAY,
    webhook=webhook,
)
