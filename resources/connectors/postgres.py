"""Any Postgres database as a source: which tables, and which of their rows.

A table is copied out by one statement in a read-only snapshot: all of it, or what its modification column says was changed. What
is known of a table comes from the catalog (`postgres_catalog`), sessions and errors are in `postgres_session`, how rows become
JSON in `postgres_copy`. `apn.py` is this with the tables of an APN database.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Literal, TypeVar

from psycopg import sql
from pydantic import Field

from lake_config import Secret, SourceSettings, SourceType, TableOptions
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
from resources.connectors.postgres_catalog import PgTable, columns_of, find_table, modified_of
from resources.connectors.postgres_copy import RowEncoder, changed, key_ids, moment, source
from resources.connectors.postgres_keys import UnsoundKey, check_key, is_certain, keys_of
from resources.connectors.postgres_session import Login, Sessions, wait_after, with_retries
from resources.pacing import Pace

log = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 4
IDS_A_STATEMENT = 5_000
IDS_A_BATCH = 20_000

NOW_SQL = """
    SELECT CASE WHEN pg_is_in_recovery() THEN least(now(), pg_last_xact_replay_timestamp()) ELSE now() END
           - coalesce((SELECT clock_timestamp() - min(xact_start) FROM pg_stat_activity
                             WHERE backend_xid IS NOT NULL AND datname = current_database()), interval '0')
"""
"""The server's time, or, where this user may see it (`pg_read_all_stats`), when the oldest transaction that has written and not
committed began: what it stamped is older than now. Of a standby the time up to which it has replayed its primary: its own clock
runs on while it lags."""

ZONE_SQL = "SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'"
"""What this session's zone was before it was set to UTC."""

ALL = sql.SQL("")


class PostgresTable(TableOptions):
    """How one table is read."""

    table: str | None = Field(
        None,
        min_length=1,
        description="its name in the database, letter by letter, where that is not the one used here",
    )
    db_schema: str | None = Field(None, alias="schema", min_length=1, description="the schema it is in")
    modified: str | None = Field(
        None, description="the column that tells when a row changed; `none` reads the table whole every time"
    )
    key: list[str] | None = Field(None, description="the columns that identify a row, where no primary key does")


class PostgresSource(SourceSettings):
    """One Postgres database."""

    type: Literal["postgres"] = "postgres"
    tables: dict[str, PostgresTable] | None = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        None, description="the tables to read: `name` is looked for in `schema`, `other.name` in schema `other`"
    )
    host: str = Field("127.0.0.1", description="where the server answers")
    port: int | str = 5432
    database: str
    username: str = Field(description="a user who may only read")
    password: Secret
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    timezone: str | None = Field(
        None, min_length=1, description="the zone of times that name none; else the one that the server gives this user"
    )
    db_schema: str = Field("public", alias="schema", description="where tables are looked for by their bare names")
    statement_timeout_seconds: float = Field(3600, gt=0, description="after which the server ends a statement")
    lock_timeout_seconds: float = Field(10, gt=0, description="how long a statement waits for a table that is locked")

    built_in: ClassVar[tuple[str, ...]] = ()


class PostgresConnector:
    """One Postgres database.

    Parameters:
        name: the source instance's name in `lake.yaml`.
        tenant: the tenant's slug.
        budget: what the source may be asked; a statement costs one.
        sleep: waits between tries.
    """

    def __init__(
        self,
        name: str,
        settings: PostgresSource,
        tenant: str,
        budget: Budget | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.type: str = settings.type
        self._settings, self._name, self._tenant, self._sleep = settings, name, tenant, sleep
        self._keys = f"tenants.{tenant}.sources.{name}"
        self._sessions = Sessions(
            self._login,
            self.where,
            settings.max_in_flight,
            Pace(settings.max_per_second, time.monotonic, sleep),
            budget or Budget(None, tenant, name, settings.max_per_day),
        )
        self._known: dict[str, PgTable] = {}
        self._trusted: bool | None = None
        self._zone: str | None = settings.timezone
        self._lock = threading.Lock()

    def where(self, table: str | None = None) -> str:
        """How messages name the place."""
        return f"tenant {self._tenant}, source {self._name}" + (f", table {table}" if table else "")

    def tables(self) -> list[str]:
        """The built-in tables and those added by configuration, or only those it lists."""
        listed = list(self._settings.tables or {})
        built_in = () if self._settings.only_listed else self._settings.built_in
        return [*built_in, *(table for table in listed if table not in built_in)]

    def check(self) -> str:
        began = time.monotonic()
        [(version, user, database)] = self._query("SELECT version(), current_user, current_database()")
        seconds = time.monotonic() - began
        return f"{version.partition(' on ')[0]}: logged in to {database} as {user} in {seconds:.2f} s"

    def server_time(self) -> datetime:
        return self._query(NOW_SQL)[0][0].astimezone(UTC)

    def schema(self, table: str) -> TableSchema:
        """The columns of `table` that this user may read, as the catalog has them now. Without a column that tells of changes
        the table is read whole every time.

        Raises:
            MissingAtSource, NotPermitted.
            PermanentError: nothing identifies a row, or configuration names columns that are not there.
        """
        found = self._look_up(table)
        columns = tuple(column.column() for column in found.columns)
        return TableSchema(
            table, found.source_name, columns, ",".join(found.key), found.modified, whole=found.modified is None
        )

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        """One statement, by time of change where the window has a lower end. A connection that is lost goes on, in a new
        snapshot, at the last time that was read."""
        table = self._table(schema)
        if table.modified is None:
            yield from self._pages(schema, lambda reached: ALL, whole=True)
            return
        name = sql.Identifier(table.modified)
        by_day = table.column(table.modified).base_type == "date"
        lo, hi = window.lo, window.hi

        def condition(reached: str | None) -> sql.Composable:
            parts: list[sql.Composable] = []
            if lo is not None and reached is not None and by_day:
                parts.append(sql.SQL("{} >= {}").format(name, sql.Literal(reached)))
            elif lo is not None:
                parts.append(changed(table, ">=", sql.Literal(reached or lo)))
            if hi is not None:
                before = changed(table, "<", sql.Literal(hi))
                parts.append(before if lo is not None else sql.SQL("({} OR {} IS NULL)").format(before, name))
            return sql.SQL("WHERE {}").format(sql.SQL(" AND ").join(parts)) if parts else ALL

        order = [moment(table), *map(sql.Identifier, table.key)] if lo is not None else []
        yield from self._pages(schema, condition, order, whole=lo is None)

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        table = self._table(schema)
        for some in _batches(ids, IDS_A_STATEMENT):
            condition = sql.SQL("WHERE {}").format(key_ids(table, some))
            yield from self._pages(schema, lambda reached, condition=condition: condition)

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        table = self._table(schema)
        if table.modified is not None and not table.column(table.modified).not_null:
            condition = sql.SQL("WHERE {} IS NULL").format(sql.Identifier(table.modified))
            yield from self._pages(schema, lambda reached: condition)

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[list[tuple[str, str | None]]]:
        table = self._table(schema)
        names = dict.fromkeys([*table.key, *([table.modified] if table.modified else [])])
        narrow = replace(table, columns=tuple(column for column in table.columns if column.name in names))
        for page in self._pages(schema, lambda reached: ALL, of=narrow, whole=True):
            records: Any = page.records
            entries = list(zip(records["source_id"].to_pylist(), records["modified"].to_pylist(), strict=True))
            yield from _batches(entries, IDS_A_BATCH)

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """One statement a table, each an index look-up where there is an index on the column.

        Raises:
            SourceError: the login failed. A table that fails alone counts as unchanged and is logged.
        """
        self._sessions.query("SELECT 1")
        for name, watermark in since.items():
            try:
                table = self._known.get(name) or self._look_up(name)
                if table.modified is None:
                    continue
                statement = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(
                    source(table), changed(table, ">", sql.Literal(watermark))
                )
                if self._sessions.query(statement, None, name)[0][0]:
                    return True
            except SourceError as error:
                level = logging.DEBUG if isinstance(error, MissingAtSource | NotPermitted) else logging.WARNING
                log.log(level, "cannot tell if there are changes: %s", error)
        return False

    def close(self) -> None:
        self._sessions.close()

    # -- reading -----------------------------------------------------------------------------------------------------------

    def _pages(
        self,
        schema: TableSchema,
        condition: Callable[[str | None], sql.Composable],
        order: list[sql.Composable] | None = None,
        of: PgTable | None = None,
        whole: bool = False,
    ) -> Iterator[Page]:
        """The rows that meet `condition(time reached so far)`. After a failure that may pass, in `order` those from the time
        reached on, some of them twice. Without an order it is the end: a new snapshot has no place to go on from.

        Parameters:
            whole: the table is gone through anyway, so the server may be asked first whether the key identifies its rows.
        """
        table = of or self._table(schema)
        check = partial(check_key, table) if whole and not table.key_is_certain else None
        encoder = RowEncoder(table, self._texts_are_utf8())
        by = sql.SQL("ORDER BY {}").format(sql.SQL(", ").join(order)) if order else ALL
        reached: str | None = None
        attempt = handed_out = 0
        while True:
            attempt += 1
            read_at = datetime.now(UTC)
            statement = encoder.copy_statement(condition(reached), by)
            try:
                for rows in self._sessions.copied(statement, schema.table, check):
                    encoded = encoder.encode(rows)
                    attempt = 1
                    handed_out += 1
                    if order:
                        reached = encoded["modified"][-1].as_py()
                    yield Page(encoded, read_at, distinct=not order)
                return
            except TransientError as error:
                if attempt >= TRIES or (handed_out and not order):
                    raise
                wait = wait_after(attempt)
                log.warning("%s; trying again in %.1f s", error, wait)
                self._sleep(wait)
            except UnsoundKey as error:
                raise PermanentError(
                    f"{self.where(schema.table)}: {error}. Name other columns in {self._option(schema.table)}.key, or read a"
                    " view that leaves such rows out."
                ) from None
            except ValueError as error:
                raise PermanentError(f"{self.where(schema.table)}: {error}") from None

    def _query(self, statement: str, values: Any = None, table: str | None = None) -> Any:
        return with_retries(lambda: self._sessions.query(statement, values, table), TRIES, self._sleep)

    def _texts_are_utf8(self) -> bool:
        trusted = self._trusted
        if trusted is None:
            self._trusted = trusted = self._query("SHOW server_encoding")[0][0] != "SQL_ASCII"
        return trusted

    def _time_zone(self) -> str:
        """The zone of columns that name none: in which `DEFAULT now()` writes, as far as the server tells."""
        zone = self._zone
        if zone is None:
            self._zone = zone = str(self._query(ZONE_SQL)[0][0])
        return zone

    # -- tables ------------------------------------------------------------------------------------------------------------

    def _table(self, schema: TableSchema) -> PgTable:
        """The table as it was when `schema` was asked for."""
        with self._lock:
            known = self._known.get(schema.table)
        return known or self._look_up(schema.table)

    def _option(self, name: str) -> str:
        """Where `lake.yaml` has the table's options."""
        return f"{self._keys}.tables.{self._settings.written.get(name, name)}"

    def _look_up(self, name: str) -> PgTable:
        where, settings = self.where(name), self._settings
        options = (settings.tables or {}).get(name) or PostgresTable.model_validate({})

        def query(statement: str, values: Any) -> Any:
            return self._query(statement, values, name)

        option, written = self._option(name), settings.written.get(name, name)
        schema_name, table_name = written.split(".", 1) if "." in written else (settings.db_schema, written)
        schema_name, table_name = options.db_schema or schema_name, options.table or table_name
        found = find_table(query, schema_name, table_name)
        if found is None:
            raise MissingAtSource(
                f"{where}: the database has no table {table_name} in schema {schema_name}. Correct"
                f" {option} (`table:` and `schema:` below it take any name) or {self._keys}.schema."
            )
        oid, allowed = found
        columns, hidden = columns_of(query, oid)
        if not allowed or not columns:
            raise NotPermitted(
                f"{where}: the user may not read {schema_name}.{table_name}: GRANT USAGE ON SCHEMA {schema_name} and SELECT"
                " on the table."
            )
        unique = keys_of(query, oid)
        key = options.key or next(iter(unique), None)
        if not key:
            raise PermanentError(
                f"{where}: {schema_name}.{table_name} has no primary key, nor a unique index without NULLs. Name the columns"
                f" that identify a row: {option}.key."
            )
        modified = modified_of(columns) if options.modified is None else options.modified
        modified = None if modified == "none" else modified
        names = {column.name for column in columns}
        always = {*key, *([modified] if modified else [])}
        wanted = (set(options.include) if options.include is not None else names) - set(options.exclude) | always
        # What this user may not read is left out anyway, so it may be excluded by name.
        excluded = set(options.exclude) - set(hidden)
        if unknown := sorted((set(options.include or ()) | always | excluded) - names):
            reason = " (not for this user)" if set(unknown) <= set(hidden) else ""
            raise PermanentError(f"{where}: {option} names columns that are not there{reason}: {unknown}")
        if modified and not next(column for column in columns if column.name == modified).is_time:
            raise PermanentError(f"{where}: {option}.modified: {modified} is neither a timestamp nor a date")
        local = modified and next(column for column in columns if column.name == modified).is_local_time
        read = tuple(column for column in columns if column.name in wanted)
        zone = self._time_zone() if local else None
        certain = is_certain(key, columns, unique)
        table = PgTable(schema_name, table_name, read, tuple(key), modified, zone, certain)
        with self._lock:
            self._known[name] = table
        return table

    def _login(self) -> Login:
        settings = self._settings
        return Login(
            host=configured(settings.host, f"{self._keys}.host"),
            port=configured(str(settings.port), f"{self._keys}.port"),
            database=configured(settings.database, f"{self._keys}.database"),
            username=configured(settings.username, f"{self._keys}.username"),
            password=configured(settings.password, f"{self._keys}.password"),
            sslmode=settings.sslmode,
            statement_timeout=settings.statement_timeout_seconds,
            lock_timeout=settings.lock_timeout_seconds,
            silence=settings.timeout_seconds,
        )


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


SOURCE = SourceType("postgres", PostgresSource, PostgresConnector, poll_cost=4, poll_cost_a_table=4)
