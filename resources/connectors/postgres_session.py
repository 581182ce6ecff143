"""Sessions of a Postgres server that can do nothing but read, and what its errors mean.

What belongs here: connecting, bounds, one statement's answer as it streams in. What does not: which statements (`postgres`).
"""

import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from resources.budget import Budget
from resources.connectors.base import MissingAtSource, NotPermitted, PermanentError, SourceError, TransientError
from resources.pacing import Pace

BLOCK_BYTES = 6_000_000
"""Of rows handed over at once: what is made of them still fits the processor's cache."""

BLOCKS_WAITING = 3

_SETTINGS = {
    "default_transaction_read_only": "on", "TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "iso_8601",
    "bytea_output": "hex", "extra_float_digits": "1",
}  # fmt: skip
"""How values are written must not depend on the server's or the user's defaults: a checksum goes by it."""

_KINDS: dict[str, tuple[type[SourceError], str]] = {
    "42P01": (MissingAtSource, "there is no such table"),
    "3F000": (MissingAtSource, "there is no such schema"),
    "42501": (NotPermitted, "the user may not read it: GRANT SELECT on it and USAGE on its schema"),
    "28P01": (PermanentError, "wrong user or password"),
    "28000": (PermanentError, "the server does not let this user in: see its pg_hba.conf"),
    "3D000": (PermanentError, "there is no such database"),
    "55P03": (TransientError, "another session holds a lock on it, longer than lock_timeout_seconds"),
    "57014": (TransientError, "the statement was cancelled: it took longer than statement_timeout_seconds, or somebody ended it"),
    "42703": (TransientError, "a column went while it was read"),
    "53300": (TransientError, "the server has no connection left for this user"),
    "40001": (TransientError, "a standby cancelled the statement to keep up with its primary"),
    "22023": (PermanentError, "a setting that the server does not know: `timezone`, perhaps"),
    "22P02": (PermanentError, "an id does not fit the key's type"),
}  # fmt: skip
_REFUSALS = (
    (re.compile("password authentication failed"), "28P01"),
    (re.compile(r"no pg_hba\.conf entry|role .* does not exist|not permitted to log in"), "28000"),
    (re.compile("database .* does not exist"), "3D000"),
    (re.compile("too many connections|remaining connection slots|too many clients"), "53300"),
)
"""What a server says while connecting, for which libpq tells no SQLSTATE."""
_TRANSIENT_CLASSES = ("08", "40", "53", "57", "58", "XX")
"""Connection, rollback, resources, operator intervention, system, internal."""


def classified(error: psycopg.Error, where: str) -> SourceError:
    """What an error of the server or of the connection to it means. Its text is the server's own, which holds no password.

    Parameters:
        where: tenant, source and table, to begin the message with.
    """
    state = error.sqlstate
    said = " ".join(str(error.diag.message_primary or error).split())
    if state is None:
        state = next((known for pattern, known in _REFUSALS if pattern.search(said)), None)
    kind, meaning = _KINDS.get(state or "", (None, ""))
    if kind is None:
        lost = state is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        kind = TransientError if lost or (state or "").startswith(_TRANSIENT_CLASSES) else PermanentError
    text = f"{where}: {meaning + ': ' if meaning else ''}{said}" + (f" (SQLSTATE {state})" if state else "")
    return kind(text)


@dataclass(frozen=True)
class Login:
    """Where the server is and who asks. Times in seconds."""

    host: str
    port: str
    database: str
    username: str
    password: str
    sslmode: str
    statement_timeout: float
    lock_timeout: float
    silence: float
    """Longer than this without a row after the first one, and the connection counts as lost."""


class Sessions:
    """The connections of one source instance, kept for the next statement. Safe to use from many threads.

    Parameters:
        login: called when the first connection is needed.
        where: how messages name the place, given a table or None.
    """

    def __init__(
        self, login: Callable[[], Login], where: Callable[[str | None], str], at_once: int, pace: Pace, budget: Budget
    ) -> None:
        self._login, self._where, self._pace, self._budget = login, where, pace, budget
        self._slots = threading.BoundedSemaphore(at_once)
        self._idle: list[psycopg.Connection[Any]] = []
        self._lock = threading.Lock()

    @contextmanager
    def statement(self, table: str | None = None) -> Iterator[psycopg.Connection[Any]]:
        """A connection for one statement, in a read-only snapshot of its own.

        Raises:
            SourceError: whatever psycopg raises inside, in the lake's words.
        """
        with self._slots:
            self._budget.spend()
            self._pace.wait()
            try:
                with self._lock:
                    connection = self._idle.pop() if self._idle else None
                connection = connection or self._connect()
                try:
                    yield connection
                    connection.rollback()  # there is nothing to commit
                except BaseException:
                    connection.close()
                    raise
                with self._lock:
                    self._idle.append(connection)
            except psycopg.Error as error:
                raise classified(error, self._where(table)) from None

    def query(self, statement: Any, values: Any = None, table: str | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small answer."""
        with self.statement(table) as connection:
            return connection.execute(statement, values).fetchall()

    def copied(
        self, statement: sql.Composed, table: str, check: Callable[[psycopg.Connection[Any]], None] | None = None
    ) -> Iterator[list[Any]]:
        """The rows of a `COPY ... TO STDOUT`, some at a time, read ahead by a thread.

        Parameters:
            check: asks one question first, in the same snapshot, and raises what speaks against reading.
        """
        with self.statement(table) as connection:
            if check is not None:
                check(connection)
                self._budget.spend()
                self._pace.wait()
            login = self._login()
            # Until the first row a server at work looks like one that is gone; but one at work ends the statement in time.
            first = login.statement_timeout + login.silence
            yield from _streamed(connection, statement, first, login.silence, self._where(table))

    def close(self) -> None:
        """End the idle sessions, and give back what is left of the budget's portion."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        self._budget.close()

    def _connect(self) -> psycopg.Connection[Any]:
        login = self._login()
        connection = psycopg.connect(
            host=login.host, port=login.port, dbname=login.database, user=login.username, password=login.password,
            sslmode=login.sslmode, connect_timeout=max(2, min(30, int(login.silence))), client_encoding="UTF8",
            application_name="revlake", keepalives_idle=30, keepalives_interval=10, keepalives_count=3,
        )  # fmt: skip
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        settings = {
            **_SETTINGS,
            "statement_timeout": f"{login.statement_timeout * 1000:.0f}",
            "lock_timeout": f"{login.lock_timeout * 1000:.0f}",
        }
        values = [part for item in settings.items() for part in item]
        calls = sql.SQL(", ").join([sql.SQL("set_config(%s, %s, false)")] * len(settings))
        try:
            connection.execute(sql.SQL("SELECT {}").format(calls), values)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection


def _streamed(
    connection: psycopg.Connection[Any], statement: sql.Composed, first: float, silence: float, where: str
) -> Iterator[list[Any]]:
    """A COPY's rows, as psycopg hands them out, in lists of about `BLOCK_BYTES`. A thread receives while the consumer works.

    Parameters:
        first: seconds until the first row, or the end of none. The server may sort or search all that time.
        silence: seconds from one row to the next.

    Raises:
        TransientError: it took longer.
    """
    waiting: queue.Queue[list[Any] | BaseException | None] = queue.Queue(BLOCKS_WAITING)
    stopped = threading.Event()
    heard: list[float] = []
    """When the last row came, if one did."""

    def put(item: "list[Any] | BaseException | None") -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                return waiting.put(item, timeout=0.1)

    def receive() -> None:
        monotonic = time.monotonic
        try:
            rows: list[Any] = []
            size = 0
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                for data in copy:
                    heard[:] = (monotonic(),)
                    rows.append(data)
                    size += len(data)
                    if size >= BLOCK_BYTES:
                        put(rows)
                        if stopped.is_set():
                            return _hang_up(connection)
                        rows, size = [], 0
            put(rows)
            put(None)
        except BaseException as error:
            put(error)

    def waited(since: float) -> "list[Any] | BaseException | None":
        while True:
            [last], limit = (heard, silence) if heard else ([since], first)
            left = max(last, since) + limit - time.monotonic()
            if left <= 0:
                raise TransientError(f"{where}: the server sent nothing for {limit:.0f} s")
            with suppress(queue.Empty):
                return waiting.get(timeout=min(left, silence))

    thread = threading.Thread(target=receive, name="copy-out", daemon=True)
    thread.start()
    ended = False
    try:
        while True:
            item = waited(time.monotonic())
            ended = item is None or isinstance(item, BaseException)
            if isinstance(item, BaseException):
                raise item
            if item is None:
                return
            if item:
                yield item
    finally:
        stopped.set()
        if not ended:
            _hang_up(connection)
        thread.join()


def _hang_up(connection: psycopg.Connection[Any]) -> None:
    """Let whoever waits for this connection find it closed."""
    with suppress(OSError, psycopg.Error):
        descriptor = os.dup(connection.fileno())
        with socket.socket(fileno=descriptor) as held:
            held.shutdown(socket.SHUT_RDWR)


def with_retries(
    work: Callable[[], Sequence[tuple[Any, ...]]], tries: int, sleep: Callable[[float], None] = time.sleep
) -> Sequence[tuple[Any, ...]]:
    """What `work` gives, tried again after what may pass by itself."""
    for attempt in range(1, tries + 1):
        try:
            return work()
        except TransientError:
            if attempt == tries:
                raise
            sleep(wait_after(attempt))
    raise AssertionError("unreachable")


def wait_after(attempt: int) -> float:
    """Seconds to wait after the n-th try."""
    return min(30.0, 0.5 * 4 ** (attempt - 1))
