"""Fills the APN database: the story's rows by COPY, and copies of them, made by Postgres itself, where more are wanted.

The story tells up to `TEMPLATES` opportunities. Beyond, row n is row n % TEMPLATES with an id, a natural key, amounts and
times of its own, so that a million rows take seconds and still differ from each other.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sandbox.apn.story import Row, Story

TEMPLATES = 2000
SCHEMA = Path(__file__).parent / "apn_schema.sql"


def fill(connection: psycopg.Connection[Any], story: Story, reader: str) -> None:
    """Make the tables, fill them, let `reader` read them. In one transaction, so that Postgres logs nothing of it."""
    tables, indexes = _statements()
    amounts = story.amounts
    with connection.transaction():
        connection.execute(tables)
        connection.execute("SET LOCAL session_replication_role = replica")  # the rows are consistent as they come
        copy_rows(connection, "users", map(story.staff, range(min(amounts.users, TEMPLATES))))
        copy_rows(connection, "end_user", map(story.end_user, range(min(amounts.end_user, TEMPLATES))))
        copy_rows(connection, "opportunity", map(story.opportunity, range(min(amounts.opportunity, TEMPLATES))))
        requests = [story.funding_request(number) for number in range(min(amounts.funding_request, TEMPLATES))]
        copy_rows(connection, "funding_request", requests)
        copy_rows(connection, "cash_claim", (claim for request in requests for claim in story.cash_claims(request)))
        events = [event for request in requests for event in story.history(request)]
        copy_rows(
            connection, "funding_request_history", ({"id": place, **event} for place, event in enumerate(events, 1))
        )
        _multiply(connection, story, len(events))
        connection.execute(indexes)
        connection.execute(f"GRANT USAGE ON SCHEMA apn TO {reader}")  # pyright: ignore[reportArgumentType, reportCallIssue]
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA apn TO {reader}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    connection.execute("VACUUM (ANALYZE)" if amounts.opportunity > TEMPLATES else "ANALYZE")


def copy_rows(connection: psycopg.Connection[Any], table: str, rows: Iterable[Row]) -> int:
    """COPY rows into a table; columns that a row lacks are NULL. Returns how many."""
    count = 0
    found = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [f"apn.{table}"],
    )
    columns = [name for (name,) in found.fetchall()]
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY apn.{} ({}) FROM STDIN").format(sql.Identifier(table), names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([row.get(column) for column in columns])
            count += 1
    return count


def _statements() -> tuple[bytes, bytes]:
    """The schema's statements that make tables, and those that make indexes, which are made when the rows are there."""
    lines = SCHEMA.read_text().splitlines()
    index = [line for line in lines if line.startswith("CREATE INDEX")]
    return "\n".join(line for line in lines if line not in index).encode(), "\n".join(index).encode()


def _multiply(connection: psycopg.Connection[Any], story: Story, events: int) -> None:
    """Copies of the template rows up to the wanted amounts."""
    amounts = story.amounts
    start = f"TIMESTAMPTZ '{story.start.isoformat()}'"
    _copy_table(connection, "users", TEMPLATES, amounts.users, {
        "id": "n + 1", "email": "replace(t.email, '@', n || '@')", "updated_at": "t.updated_at - n % 86400 * interval '7 s'",
    }, "t.id - 1")  # fmt: skip
    _copy_table(connection, "end_user", TEMPLATES, amounts.end_user, {
        "id": "n + 1", "company_name": "t.company_name || ' ' || n", "legal_name": "t.legal_name || ' ' || n",
        "partner_crm_account_id": "(n + 1)::text", "created_at": _earlier("created_at"), "updated_at": _earlier("updated_at"),
    }, "t.id - 1")  # fmt: skip
    midnight = f"date_trunc('day', {start})"
    touched = f"{midnight} - (20 + n / {story.block} % 200) * interval '1 day'"
    _copy_table(connection, "opportunity", TEMPLATES, amounts.opportunity, {
        "id": "CASE WHEN n % 37 = 5 THEN 2147483648 + n + 1 ELSE n + 1 END", "apn_opportunity_id": "'O' || (1000000 + n)",
        "partner_crm_unique_identifier": "CASE WHEN t.partner_crm_unique_identifier IS NOT NULL THEN (n + 1)::text END",
        "partner_project_title": "t.partner_project_title || ' #' || n",
        "expected_monthly_aws_revenue": "round(t.expected_monthly_aws_revenue * (0.5 + n % 997 / 997.0), 2)",
        "end_user_id": f"n % {amounts.end_user} + 1", "created_date": f"{_earlier('created_date')} - interval '200 days'",
        "last_modified_date": f"CASE WHEN n / {story.block} % 4 = 1 THEN {touched} ELSE {_earlier('last_modified_date')} END",
    }, "substr(t.apn_opportunity_id, 2)::bigint - 1000000")  # fmt: skip
    _copy_table(connection, "funding_request", TEMPLATES, amounts.funding_request, {
        "id": "n + 1", "fund_request_id": "'FR-' || lpad((n + 1)::text, 8, '0')",
        "activity_name": "t.activity_name || ' ' || n", "created_at": _earlier("created_at"),
        "updated_at": _earlier("updated_at"),
    }, "t.id - 1")  # fmt: skip
    claim = f"t.id + 2 * (n - n % {TEMPLATES})"
    _copy_table(connection, "cash_claim", TEMPLATES, amounts.funding_request, {
        "id": claim, "cash_claim_id": f"'CC-' || lpad(({claim})::text, 8, '0')",
        "funding_request_id": "n + 1", "created_at": _earlier("created_at"), "updated_at": _earlier("updated_at"),
    }, "t.funding_request_id - 1")  # fmt: skip
    _copy_table(connection, "funding_request_history", TEMPLATES, amounts.funding_request, {
        "id": f"t.id + {events}::bigint * (n / {TEMPLATES})", "funding_request_id": "n + 1", "changed_at": _earlier("changed_at"),
    }, "t.funding_request_id - 1")  # fmt: skip


def _earlier(column: str) -> str:
    """A copy's time: up to ten days before its template's, never the same for two of them."""
    return f"t.{column} - n * 7919 % 864000 * interval '1 s' - n % 1000003 * interval '1 us'"


def _copy_table(
    connection: psycopg.Connection[Any], table: str, templates: int, wanted: int, own: dict[str, str], place: str
) -> None:
    """Rows number `templates` to `wanted` - 1: row n copies those whose number, the expression `place`, is n % templates."""
    if wanted <= templates:
        return
    cursor = connection.execute(f"SELECT * FROM apn.{table} LIMIT 0")  # pyright: ignore[reportArgumentType, reportCallIssue]
    columns = [column.name for column in cursor.description or ()]
    values = ", ".join(own.get(column, f"t.{column}") for column in columns)
    connection.execute(
        f"INSERT INTO apn.{table} ({', '.join(columns)}) "
        f"WITH t AS MATERIALIZED (SELECT *, {place.replace('t.', '')} AS place FROM apn.{table}) "
        f"SELECT {values} FROM generate_series({templates}::bigint, {wanted - 1}) AS n JOIN t ON t.place = n % {templates}"  # pyright: ignore[reportArgumentType, reportCallIssue]
    )
