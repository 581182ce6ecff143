"""What webhooks told and no sync has read yet: a durable queue in Postgres, `ops.ingest_queue`.

A row is one record that changed. It waits until a sync has read that record into bronze; reading one twice does no harm, so a
crash between the two only repeats it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from resources.connectors.base import Change

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS ops;
CREATE TABLE IF NOT EXISTS ops.ingest_queue (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL,
    source text NOT NULL,
    entity text NOT NULL,
    source_id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    run_id text
);
CREATE INDEX IF NOT EXISTS ingest_queue_waiting ON ops.ingest_queue (tenant_id, source) WHERE processed_at IS NULL;
"""

KEPT_DAYS = 30
"""How long processed rows stay, for whoever asks what came when."""


@dataclass
class Waiting:
    """What waits of one source instance: `ids` by table, from the row `first` up to the row `upto`."""

    tenant: str
    source: str
    first: int = 0
    upto: int = 0
    ids: dict[str, list[str]] = field(default_factory=dict)


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make the table if it is not there."""
    # Two processes that start at once would both find it missing.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('ops.ingest_queue', 0))")
    connection.execute(SCHEMA)
    connection.commit()


def put(connection: psycopg.Connection[Any], tenant: str, source: str, changes: Iterable[Change]) -> int:
    """Queue these changes, all or none; how many. Committed when this returns."""
    rows = [(tenant, source, change.table, change.source_id) for change in changes]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.ingest_queue (tenant_id, source, entity, source_id) VALUES (%s, %s, %s, %s)", rows
        )
    return len(rows)


def waiting(connection: psycopg.Connection[Any], limit: int = 1_000) -> list[Waiting]:
    """What waits, oldest first; of each source instance at most `limit` rows, so that none stands in another's way."""
    rows = connection.execute(
        "SELECT seq, tenant_id, source, entity, source_id FROM ("
        " SELECT *, row_number() OVER (PARTITION BY tenant_id, source ORDER BY seq) AS place FROM ops.ingest_queue"
        " WHERE processed_at IS NULL) AS queued WHERE place <= %s ORDER BY seq",
        (limit,),
    ).fetchall()
    connection.commit()
    found: dict[tuple[str, str], Waiting] = {}
    for seq, tenant, source, entity, source_id in rows:
        entry = found.setdefault((tenant, source), Waiting(tenant, source, first=seq))
        entry.upto = seq
        ids = entry.ids.setdefault(entity, [])
        if source_id not in ids:
            ids.append(source_id)
    return list(found.values())


def done(
    connection: psycopg.Connection[Any],
    tenant: str,
    source: str,
    table: str,
    ids: Iterable[str],
    upto: int,
    run_id: str,
) -> None:
    """A run has read these records of the table, of which was told up to the row `upto`. By their ids besides: a message that was
    committed late may have a lower row."""
    with connection.transaction():
        connection.execute(
            "UPDATE ops.ingest_queue SET processed_at = now(), run_id = %s WHERE tenant_id = %s AND source = %s"
            " AND entity = %s AND source_id = ANY(%s) AND seq <= %s AND processed_at IS NULL",
            (run_id, tenant, source, table, list(ids), upto),
        )
        connection.execute(
            "DELETE FROM ops.ingest_queue WHERE tenant_id = %s AND source = %s AND processed_at < now() - %s * interval '1 day'",
            (tenant, source, KEPT_DAYS),
        )
