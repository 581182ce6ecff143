"""The APN database as a source of the sandbox: what is in it, how time passes in it, and what can go wrong with it.

Clients talk to Postgres itself: address 127.0.0.1, the port that `describe()` tells, database `apn`, user and password
`reader`. The database's own `now()` tells the sandbox's time, so that what a client takes for the server's clock fits the
stamps. Latency and HTTP faults do not apply; control endpoints under `/_sandbox/apn/<tenant>/` do instead:

- `sql {"statement", "hold_seconds"}`: run as owner; with `hold_seconds` it commits so much later (a late commit, a lock);
- `commit`: commit what is held; `clock {"ahead_seconds"}`: let the server's clock go wrong;
- `terminate {"after_rows", "wait_seconds"}`: end the reader's next COPY once so many rows have left, or any of its sessions (0).
"""

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import psycopg.rows
from psycopg import sql
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.apn.bulk import fill
from sandbox.apn.living import Days, ahead
from sandbox.apn.server import READER, Server
from sandbox.apn.story import CURSORS, NATURAL_KEYS, TABLES, Amounts, Story
from sandbox.collection import Record
from sandbox.context import Context
from sandbox.world import World

TENANT = "podium"
_CLOCK = f"""
    CREATE SCHEMA clock;
    CREATE TABLE clock.ahead (by interval NOT NULL);
    INSERT INTO clock.ahead VALUES ('0');
    CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
        AS 'SELECT pg_catalog.now() + by FROM clock.ahead';
    GRANT USAGE ON SCHEMA clock TO {READER};
    ALTER DATABASE apn SET search_path = clock, pg_catalog, apn, public;
"""


@dataclass
class Held:
    """A transaction that commits later."""

    connection: psycopg.Connection[Any]
    timer: threading.Timer


class ApnSource:
    """The APN database of the tenant podium."""

    def __init__(self, context: Context) -> None:
        self.context = context
        options, start = context.options, context.clock.start
        world = World(TENANT, options.seed, companies=max(8, round(24 * options.scale)))
        self.story = Story(world, start, Amounts.of(options.amount(usual=80), world.companies))
        self.days = Days(self.story, self._tell)
        self.server = Server(options.apn_port)
        self._held: list[Held] = []
        self._lock = threading.RLock()
        self._counts: dict[str, int] | None = None
        """What was counted last; None since something was written."""
        try:
            self.connection = self.server.connect()
            self.connection.execute(_CLOCK)  # pyright: ignore[reportArgumentType, reportCallIssue]
            fill(self.connection, self.story, READER)
            self.connection.execute("SET lock_timeout = '10s'")
            self._set_clock(context.clock.now())
        except BaseException:
            self.server.close()
            raise
        self.describe()  # counts: of millions of rows that takes longer than whoever asks for it waits
        for number in range(min(self.story.amounts.end_user, world.companies)):
            context.identities.tell(TENANT, "company", number, "apn", "end_user", number + 1)
        rows = self.connection.execute(
            "SELECT apn_opportunity_id, id FROM apn.opportunity ORDER BY 1 LIMIT 2000"
        ).fetchall()
        for key, record_id in rows:
            self._tell(int(key[1:]) - 1_000_000, record_id)

    def _tell(self, number: int, record_id: int) -> None:
        self.context.identities.tell(TENANT, "deal", number, "apn", "opportunity", record_id)

    def _set_clock(self, now: datetime, wrong_by: timedelta = timedelta()) -> None:
        self.connection.execute("UPDATE clock.ahead SET by = %s", [ahead(now) + wrong_by])

    # -- what the sandbox asks -----------------------------------------------------------------------------------------

    def advance(self, to: datetime, tenant: str | None) -> dict[str, Any]:
        """Let the database live up to `to`; transactions that are held commit first."""
        if tenant not in (None, TENANT):
            return {}
        with self._lock:
            if to > self.days.lived_until:
                self._commit()
            changes = self.days.live(self.connection, to)
            self._counts = None
            self._set_clock(max(to, self.context.clock.now()))
        return {TENANT: changes}

    def describe(self) -> dict[str, Any]:
        """The port and the number of rows of each table."""
        with self._lock:
            if self._counts is None:
                statement = sql.SQL("SELECT count(*) FROM apn.{}")
                self._counts = {table: self._query(statement, table)[0][0] for table in TABLES}
            return {TENANT: {"port": self.server.port, **self._counts}}

    def truth(self, tenant: str, entity: str) -> list[Record]:
        """Every row by id: money as text with its digits, moments in ISO format, UTC."""
        with self._lock, self.connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            cursor.execute(sql.SQL("SELECT * FROM apn.{} ORDER BY id").format(sql.Identifier(entity)))
            return [{name: _plain(value) for name, value in row.items()} for row in cursor]

    def change(self, tenant: str, entity: str, put: list[Record], delete: list[int | str]) -> list[int | str]:
        """Insert or update rows, and delete some; a stamp that is not given is the sandbox's now."""
        cursor = CURSORS.get(entity, "updated_at")
        ids: list[int | str] = []
        self._counts = None
        with self._lock, self.connection.transaction():
            for record in put:
                record = {cursor: self.context.clock.stamp() + "+00", **record}
                if not self._query(sql.SQL("SELECT id FROM apn.{} WHERE id = %s"), entity, record.get("id")):
                    record = self._complete(entity, record)
                ids.append(self._put(entity, record))
            for record_id in delete:
                self._query(sql.SQL("DELETE FROM apn.{} WHERE id = %s RETURNING id"), entity, record_id)
        return ids

    def _complete(self, entity: str, record: Record) -> Record:
        """A new row's id, natural key and what else may not be NULL."""
        if record.get("id") is None:
            statement = sql.SQL("SELECT coalesce(max(id), 0) + 1 FROM apn.{} WHERE id < 2147483648")
            record = {**record, "id": self._query(statement, entity)[0][0]}
        record_id, moment = record["id"], record[CURSORS.get(entity, "updated_at")]
        missing = {
            "created_date": moment,
            "created_at": moment,
            "company_name": f"Company {record_id}",
            "funding_request_id": 1,
        }
        if entity in NATURAL_KEYS:
            missing[NATURAL_KEYS[entity]] = f"X{record_id}"
        needed = self.connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attnotnull",
            [f"apn.{entity}"],
        ).fetchall()
        return {**{name: missing[name] for (name,) in needed if name in missing}, **record}

    def _put(self, entity: str, record: Record) -> int | str:
        names = [sql.Identifier(name) for name in record]
        statement = sql.SQL("INSERT INTO apn.{} ({}) VALUES ({}) ON CONFLICT (id) DO UPDATE SET {} RETURNING id").format(
            sql.Identifier(entity), sql.SQL(", ").join(names), sql.SQL(", ").join([sql.Placeholder()] * len(names)),
            sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(name) for name in names),
        )  # fmt: skip
        known = self._query(sql.SQL("SELECT * FROM apn.{} WHERE id = %s"), entity, record["id"])
        if known:  # an upsert would want all that may not be NULL
            statement = sql.SQL("UPDATE apn.{} SET {} WHERE id = {} RETURNING id").format(
                sql.Identifier(entity), sql.SQL(", ").join(sql.SQL("{} = %s").format(name) for name in names),
                sql.Literal(record["id"]),
            )  # fmt: skip
        return self.connection.execute(statement, list(record.values())).fetchall()[0][0]

    def _query(self, statement: sql.SQL, entity: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement.format(sql.Identifier(entity)), values).fetchall()

    def close(self) -> None:
        """End the server; what is held is lost."""
        for held in self._held:
            held.timer.cancel()
        self.server.close()

    # -- control endpoints -----------------------------------------------------------------------------------------------

    def routes(self) -> list[BaseRoute]:
        """What steers the database; clients use Postgres's own protocol."""
        actions = {"sql": self.run, "commit": self.commit, "clock": self.clock, "terminate": self.terminate}
        return [Route(f"/_sandbox/apn/{TENANT}/{name}", act, methods=["POST"]) for name, act in actions.items()]

    async def run(self, request: Request) -> Response:
        """One statement as owner; its rows, where it has some."""
        body = await request.json()
        try:
            return JSONResponse(
                {"rows": await asyncio.to_thread(self._run, body["statement"], body.get("hold_seconds"))}
            )
        except psycopg.Error as error:
            return JSONResponse({"error": str(error)}, 400)

    def _run(self, statement: str, hold_seconds: float | None) -> list[list[Any]]:
        self._counts = None
        connection = self.server.connect(autocommit=hold_seconds is None)
        try:
            cursor = connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
            rows = [list(map(_plain, row)) for row in cursor.fetchall()] if cursor.description else []
        except BaseException:
            connection.close()
            raise
        if hold_seconds is None:
            connection.close()
        else:
            timer = threading.Timer(hold_seconds, self._commit)
            timer.daemon = True
            held = Held(connection, timer)
            timer.args = [held]
            with self._lock:
                self._held.append(held)
            timer.start()
        return rows

    async def commit(self, request: Request) -> Response:
        """Commit everything that is held; how much that was."""
        return JSONResponse({"committed": await asyncio.to_thread(self._commit)})

    def _commit(self, only: Held | None = None) -> int:
        with self._lock:
            due = [held for held in self._held if only in (None, held)]
            for held in due:
                self._held.remove(held)
                held.timer.cancel()
                held.connection.commit()
                self._counts = None
                held.connection.close()
        return len(due)

    async def clock(self, request: Request) -> Response:
        """The server's clock goes wrong by so many seconds."""
        wrong_by = timedelta(seconds=(await request.json())["ahead_seconds"])
        with self._lock:
            self._set_clock(self.context.clock.now(), wrong_by)
        return JSONResponse({"ahead_seconds": wrong_by.total_seconds()})

    async def terminate(self, request: Request) -> Response:
        """Arm the trap, which snaps once, or end the reader's sessions now."""
        body = await request.json()
        after = body.get("after_rows", 0)
        if not after:
            statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
            return JSONResponse({"terminated": len(self.connection.execute(statement, [READER]).fetchall())})
        ready = threading.Event()
        threading.Thread(target=self._trap, args=(after, body.get("wait_seconds", 30), ready), daemon=True).start()
        await asyncio.to_thread(ready.wait)
        return JSONResponse({"armed": after})

    def _trap(self, after_rows: int, wait_seconds: float, ready: threading.Event) -> None:
        statement = """SELECT pg_terminate_backend(pid) FROM pg_stat_progress_copy JOIN pg_stat_activity USING (pid)
                       WHERE usename = %s AND tuples_processed >= %s"""
        deadline = time.monotonic() + wait_seconds
        with self.server.connect() as connection:
            ready.set()
            while not connection.execute(statement, [READER, after_rows]).fetchall():
                if time.monotonic() > deadline:
                    return
                time.sleep(0.001)


def _plain(value: Any) -> Any:
    """A value as JSON can say it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value if value is None or isinstance(value, bool | int | str | list | dict) else str(value)
