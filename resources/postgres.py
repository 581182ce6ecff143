"""Which Postgres a lake uses, connecting to it, and locks held in it.

`lake.postgres` in the configuration is either `embedded`, a server that revlake runs itself, or the URL of one that others
run. What does not belong here: how the embedded one is run (`resources/embedded_postgres.py`).
"""

import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg

from lake_config import Settings, expand
from resources.embedded_postgres import EmbeddedPostgres
from resources.locks import LockHeld

log = logging.getLogger(__name__)

URL_VARIABLE = "REVLAKE_DAGSTER_POSTGRES_URL"
"""The environment variable by which `lake` (or docker-compose.yml) tells the processes it starts where Postgres is."""

_WAITS = (2, 4, 8)  # seconds before the second, third and fourth attempt to connect
_PERMANENT = re.compile(
    r"authentication failed|does not exist|no pg_hba\.conf entry|no password supplied|permission denied"
)


class ConnectionFailed(Exception):
    """Postgres cannot be reached or does not let us in; the message holds no password."""


@contextmanager
def postgres(settings: Settings, home: Path) -> Iterator[str]:
    """The URL of the lake's Postgres, for as long as the block lasts.

    An embedded server is started if no process of this machine has, and stopped if no other uses it. A process whose
    starter named the server in the environment takes that one.

    Parameters:
        home: the Dagster home, under which an embedded server keeps its data (`postgres/`).

    Raises:
        MissingVariableError: the configured URL refers to a variable that is not set.
        ConnectionFailed: the configured text is no URL of Postgres.
        PostgresError: the embedded server cannot be started.
    """
    if settings.lake.postgres != "embedded":
        yield _normal(expand(settings.lake.postgres, where="lake.postgres"))
        return
    if running := os.environ.get(URL_VARIABLE):
        yield _normal(running)
        return
    with EmbeddedPostgres(home / "postgres").running() as url:
        yield url


def running_url(settings: Settings) -> str | None:
    """Where the lake's Postgres is that this process may use; None if it is embedded and nobody has started it.

    Raises:
        MissingVariableError: the configured URL refers to a variable that is not set.
    """
    url = os.environ.get(URL_VARIABLE) or expand(settings.lake.postgres, where="lake.postgres")
    return None if url == "embedded" else url


def connect(url: str, application_name: str = "revlake", **options: Any) -> psycopg.Connection[Any]:
    """A connection; what may pass (refused, timed out, starting up) is tried again after 2, 4 and 8 seconds.

    Parameters:
        application_name: what `pg_stat_activity` shows.
        options: further arguments of `psycopg.connect`, such as `autocommit`.

    Raises:
        ConnectionFailed: with the server's reason, without the password.
    """
    url = _normal(url)
    for wait in (*_WAITS, None):
        try:
            return psycopg.connect(url, application_name=application_name, connect_timeout=10, **options)
        except psycopg.Error as error:
            reason = without_password(str(error).strip(), url)
        if wait is None or _is_permanent(reason):
            raise ConnectionFailed(f"{without_password(url, url)}: {reason}")
        log.warning("Postgres: %s; trying again in %d s", reason, wait)
        time.sleep(wait)
    raise AssertionError("unreachable")


def without_password(text: str, url: str) -> str:
    """`text` with the password that `url` carries replaced, as written there and decoded."""
    found = re.findall(r"//[^/@]*?:([^/]*)@", url) + re.findall(r"password=([^&\s]+)", url)
    for password in sorted(
        {variant for raw in found for variant in (raw, unquote(raw)) if variant}, key=len, reverse=True
    ):
        text = text.replace(password, "***")
    return text


@contextmanager
def advisory_lock(url: str, name: str, purpose: str, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock `name` among all that use this Postgres; the server releases it with the connection.

    Needs a session of its own: a pooler in transaction mode between us and the server would break it.

    Parameters:
        purpose: what is being done, for the message to whom the lock is refused.
        wait_seconds: how long to wait for another holder.

    Raises:
        LockHeld: it was not free in that time; the message names the holder.
        ConnectionFailed: no connection, or it was lost while the lock was held.
    """
    me = f"revlake {socket.gethostname()[:30]} process {os.getpid()}"
    connection = connect(url, me, autocommit=True, keepalives_idle=30, keepalives_interval=10, keepalives_count=3)
    deadline = time.monotonic() + wait_seconds
    with connection:
        while not _fetch(connection, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", name)[0]:
            if time.monotonic() >= deadline:
                holder = _holder(connection, name)
                raise LockHeld(f"{purpose}: already being done by {holder}. Wait for it to end, or end it.")
            time.sleep(0.1)
        yield
        try:
            kept = _fetch(connection, "SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)[0]
        except psycopg.OperationalError as error:
            reason = without_password(str(error).strip(), url)
            raise ConnectionFailed(f"{purpose}: the connection that held the lock was lost: {reason}") from None
        if not kept:
            raise ConnectionFailed(f"{purpose}: the lock was lost while it was needed")


def _holder(connection: psycopg.Connection[Any], name: str) -> str:
    query = """
        SELECT activity.application_name, activity.backend_start
        FROM pg_locks AS locks
        JOIN pg_stat_activity AS activity USING (pid)
        CROSS JOIN (SELECT hashtextextended(%s, 0) AS key) AS wanted
        WHERE locks.locktype = 'advisory' AND locks.granted AND locks.objsubid = 1
            AND (locks.classid::bigint << 32 | locks.objid::bigint) = wanted.key
    """
    row = connection.execute(query, (name,)).fetchone()
    return f"{row[0]} since {row[1]:%Y-%m-%d %H:%M:%S %Z}" if row else "another process"


def _fetch(connection: psycopg.Connection[Any], query: str, value: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), (value,)).fetchone()
    return row if row is not None else (None,)


def _is_permanent(reason: str) -> bool:
    """Whether trying again cannot help."""
    return bool(_PERMANENT.search(reason)) or "connection to server" not in reason


def _normal(url: str) -> str:
    url = url.strip()
    if url.startswith("postgres://"):  # libpq takes both spellings, SQLAlchemy one
        url = "postgresql://" + url.removeprefix("postgres://")
    if not url.startswith("postgresql://"):
        raise ConnectionFailed("lake.postgres: `embedded` or a URL that begins with postgresql:// is expected")
    return url
