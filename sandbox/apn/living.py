"""What happens in the APN database as days pass: opportunities and fund requests move, claims are paid, customers are renamed.

A day is a handful of statements, whatever the size of the tables: which rows move on a day, when and how follows from a hash
of their id and the day, so a day is the same however many steps lead to it (days cut in two number new rows by halves).
Nothing is deleted here: ACE closes what ends. INVENTED: how often what happens.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg import sql

from sandbox.apn.bulk import copy_rows
from sandbox.apn.story import CLAIM_STATUSES, COMMENTS, FUNDING_STAGES, LOST_REASONS, NEXT_STEPS, STAGES, Story
from sandbox.days import days_between, moment_of_day, often

RATES = {
    "opportunity": 0.02, "funding_request": 0.03, "cash_claim": 0.05, "end_user": 0.002, "users": 0.005, "comment": 0.02,
    "new opportunity": 0.01, "new funding_request": 0.01,
}  # fmt: skip
"""The share of a table that an event of this kind strikes on a working day."""
_ARRAYS = {
    "stages": STAGES, "funding_stages": FUNDING_STAGES, "claim_statuses": CLAIM_STATUSES, "lost": LOST_REASONS,
    "steps": NEXT_STEPS, "comments": COMMENTS,
}  # fmt: skip

_PICKED = """
    WITH picked AS MATERIALIZED (
        SELECT id AS picked_id, %(day)s::timestamptz + interval '6 hours'
            + (hashint8extended(id, %(salt)s + 1) & 1048575) / 1048576.0 * interval '12 hours' AS moment,
            (hashint8extended(id, %(salt)s + 2) & 1048575) / 1048576.0 AS chance,
            hashint8extended(id, %(salt)s + 3) & 1048575 AS choice
        FROM apn.{table}
        WHERE (hashint8extended(id, %(salt)s) & 1048575) < %(rate)s * 1048576 AND {wanted}),
    due AS (SELECT * FROM picked WHERE moment >= %(begin)s AND moment < %(to)s)
"""
_MOVE_OPPORTUNITY = """
    UPDATE apn.opportunity SET
        stage = CASE WHEN chance < 0.1 THEN 'Closed Lost' WHEN chance < 0.6
                THEN (%(stages)s::text[])[array_position(%(stages)s::text[], stage) + 1] ELSE stage END,
        closed_lost_reason = CASE WHEN chance < 0.1 THEN (%(lost)s::text[])[1 + choice %% 9] END,
        next_step = (%(steps)s::text[])[1 + choice %% 9],
        next_step_history = next_step_history || E'\n' || to_char(moment, 'YYYY-MM-DD') || ': ' || coalesce(next_step, ''),
        expected_monthly_aws_revenue = CASE WHEN chance > 0.8 THEN round(expected_monthly_aws_revenue * 1.1, 2)
                ELSE expected_monthly_aws_revenue END,
        status = CASE WHEN status IN ('Submitted', 'In review') THEN 'Approved' ELSE status END,
        last_modified_by = CASE WHEN chance < 0.5 THEN 'Ava Stone' ELSE 'Noah Petrov' END, last_modified_date = moment
    FROM due WHERE id = picked_id RETURNING id"""
_MOVE_FUNDING = """,
    moved AS (
        UPDATE apn.funding_request SET
            stage = (%(funding_stages)s::text[])[array_position(%(funding_stages)s::text[], stage) + 1],
            status = CASE WHEN stage = 'Cash Claim' THEN 'Completed' ELSE status END,
            submitted_at = coalesce(submitted_at, moment), approved_at = CASE WHEN stage = 'Finance Approval' THEN moment
                ELSE approved_at END,
            approved_cash_amount = CASE WHEN stage = 'Finance Approval' THEN requested_cash_amount ELSE approved_cash_amount END,
            revision = revision + 1, updated_at = moment
        FROM due WHERE id = picked_id
        RETURNING new.id, old.stage AS before, new.stage AS after, new.updated_at AS moment),
    told AS (
        INSERT INTO apn.funding_request_history (id, funding_request_id, sequence_no, event_type, field_name, old_value,
            new_value, from_stage, to_stage, changed_by, changed_at)
        SELECT (SELECT max(id) FROM apn.funding_request_history) + row_number() OVER (ORDER BY moment, id), id,
            (SELECT count(*) FROM apn.funding_request_history h WHERE h.funding_request_id = moved.id) + 1,
            'stage_changed', 'stage', before, after, before, after, 'AWS Partner Funding', moment
        FROM moved RETURNING id)
    SELECT 'funding_request', id FROM moved UNION ALL SELECT 'funding_request_history', id FROM told"""
_COMMENT = """
    INSERT INTO apn.funding_request_history (id, funding_request_id, sequence_no, event_type, comment, changed_by, changed_at)
    SELECT (SELECT max(id) FROM apn.funding_request_history) + row_number() OVER (ORDER BY moment, picked_id), picked_id,
        (SELECT count(*) FROM apn.funding_request_history h WHERE h.funding_request_id = picked_id) + 1,
        'comment', (%(comments)s::text[])[1 + choice %% 6], 'Noah Petrov', moment
    FROM due RETURNING id"""
_MOVE_CLAIM = """
    UPDATE apn.cash_claim SET
        claim_status = (%(claim_statuses)s::text[])[array_position(%(claim_statuses)s::text[], claim_status) + 1],
        claimed_amount = coalesce(claimed_amount, planned_amount), submitted_at = coalesce(submitted_at, moment),
        paid_amount = CASE WHEN claim_status = 'Invoiced' THEN planned_amount END,
        payment_date = CASE WHEN claim_status = 'Invoiced' THEN moment::date END, updated_at = moment
    FROM due WHERE id = picked_id RETURNING id"""
_RENAME = """
    UPDATE apn.end_user SET company_name = regexp_replace(company_name, '( Holding)?$', ' Holding'), updated_at = moment
    FROM due WHERE id = picked_id RETURNING id"""
_STAFF = """
    UPDATE apn.users SET is_active = NOT coalesce(is_active, true), updated_at = moment
    FROM due WHERE id = picked_id RETURNING id"""
_EVENTS = (
    ("opportunity", "opportunity", "stage NOT IN ('Launched', 'Closed Lost') AND created_date < %(day)s", _MOVE_OPPORTUNITY),
    ("funding_request", "funding_request",
     "status = 'Active' AND stage <> 'Completed' AND created_at < %(day)s", _MOVE_FUNDING),
    ("comment", "funding_request", "status = 'Active' AND created_at < %(day)s", _COMMENT),
    ("cash_claim", "cash_claim", "claim_status <> 'Paid' AND created_at < %(day)s", _MOVE_CLAIM),
    ("end_user", "end_user", "created_at < %(day)s", _RENAME), ("users", "users", "true", _STAFF),
)  # fmt: skip


class Days:
    """Lives the database's days.

    Parameters:
        tell: called with the number and id of each opportunity that is new.
    """

    def __init__(self, story: Story, tell: Callable[[int, int], None]) -> None:
        self.story, self.tell = story, tell
        self.lived_until = story.start
        self.next_opportunity, self.next_request = story.amounts.opportunity, story.amounts.funding_request

    def live(self, connection: psycopg.Connection[Any], to: datetime) -> dict[str, dict[str, list[int]]]:
        """Everything up to `to`, in one transaction; returns entity -> what became of it -> ids."""
        created: dict[str, set[int]] = defaultdict(set)
        updated: dict[str, set[int]] = defaultdict(set)
        begin = self.lived_until
        if to > begin:
            with connection.transaction():
                for day in days_between(begin, to):
                    self._day(connection, day, begin, to, created, updated)
            self.lived_until = to
        entities = sorted(created.keys() | updated.keys())
        return {
            entity: {
                "created": sorted(created[entity]),
                "updated": sorted(updated[entity] - created[entity]),
                "deleted": [],
            }
            for entity in entities
            if created[entity] | updated[entity]
        }

    def _day(
        self, connection: psycopg.Connection[Any], day: date, begin: datetime, to: datetime, created: Any, updated: Any
    ) -> None:
        activity = 0.2 if day.weekday() >= 5 else 1.0
        midnight = datetime.combine(day, time(), UTC)
        for kind, table, wanted, act in _EVENTS:
            salt = self.story.world.random(f"apn {kind}", day.isoformat()).getrandbits(60)
            values = {
                "day": midnight,
                "begin": begin,
                "to": to,
                "salt": salt,
                "rate": RATES[kind] * activity,
                **_lists(),
            }
            statement = sql.SQL(_PICKED + act).format(table=sql.Identifier(table), wanted=sql.SQL(wanted))  # pyright: ignore[reportArgumentType]
            for row in connection.execute(statement, values).fetchall():
                entity, record_id = row if len(row) == 2 else (table, row[0])
                if kind == "comment":
                    entity = "funding_request_history"
                (created if entity == "funding_request_history" else updated)[entity].add(record_id)
        amounts = self.story.amounts
        for moment in self._moments("new opportunity", day, amounts.opportunity * activity, begin, to):
            row = self.story.opportunity(self.next_opportunity, moment)
            self.tell(self.next_opportunity, row["id"])
            self.next_opportunity += 1
            created["opportunity"].add(row["id"])
            copy_rows(connection, "opportunity", [row])
        for moment in self._moments("new funding_request", day, amounts.funding_request * activity, begin, to):
            row = self.story.funding_request(self.next_request, moment)
            self.next_request += 1
            created["funding_request"].add(row["id"])
            copy_rows(connection, "funding_request", [row])
            last = connection.execute("SELECT max(id) FROM apn.funding_request_history").fetchall()[0][0]
            event = {"id": last + 1, **self.story.history(row)[0]}
            created["funding_request_history"].add(event["id"])
            copy_rows(connection, "funding_request_history", [event])

    def _moments(self, kind: str, day: date, base: float, begin: datetime, to: datetime) -> Iterable[datetime]:
        """When something of this kind happens on the day, as far as it falls due."""
        random = self.story.world.random(f"apn {kind}", day.isoformat())
        moments = sorted(moment_of_day(random, day) for _ in range(often(random, max(0.5, RATES[kind] * base))))
        return [moment for moment in moments if begin <= moment < to]


def _lists() -> dict[str, list[str]]:
    return {name: list(values) for name, values in _ARRAYS.items()}


def ahead(clock_now: datetime) -> timedelta:
    """How far the sandbox's clock is ahead of this machine's."""
    return clock_now - datetime.now(UTC)
