"""The database in which an AWS partner keeps its APN data (opportunities, fund requests, claims): a Postgres with known tables.

Nothing here reads: `postgres.py` does, as it reads any other database.
"""

from typing import ClassVar, Literal

from pydantic import Field

from lake_config import SourceType
from resources.connectors.postgres import PostgresConnector, PostgresSource

TABLES = ("opportunity", "funding_request", "cash_claim", "funding_request_history", "end_user", "users")


class ApnSource(PostgresSource):
    """One APN database."""

    type: Literal["apn"] = "apn"  # pyright: ignore[reportIncompatibleVariableOverride]
    database: str = "apn"
    db_schema: str = Field("apn", alias="schema", description="where tables are looked for by their bare names")

    built_in: ClassVar[tuple[str, ...]] = TABLES


SOURCE = SourceType("apn", ApnSource, PostgresConnector, poll_cost=4, poll_cost_a_table=4)
