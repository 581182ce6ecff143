"""A metering ledger: the table of a Postgres in which a seller's own metering client notes what it sent.

Nothing here reads: `postgres.py` does, as it reads any other table. What belongs here: that the table goes by another name.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from resources.budget import Budget
from resources.connectors.base import Page, TableSchema, Window
from resources.connectors.postgres import PostgresConnector, PostgresSource


class UsageLedger:
    """The one table that `settings.tables` names.

    Parameters:
        name: how messages name the database.
    """

    def __init__(self, name: str, settings: PostgresSource, tenant: str, budget: Budget | None) -> None:
        self._database = PostgresConnector(name, settings, tenant, budget)
        [self._table] = self._database.tables()
        self._schema: TableSchema | None = None

    def schema(self, table: str) -> TableSchema:
        """The table's columns as they are now, under the name `table`."""
        self._schema = self._database.schema(self._table)
        return replace(self._schema, table=table)

    def pages(self, window: Window) -> Iterator[Page]:
        """Rows that changed in `window`."""
        return self._database.changes(self._known(), window)

    def of_ids(self, ids: Iterable[str]) -> Iterator[Page]:
        """These rows."""
        return self._database.by_ids(self._known(), ids)

    def undated(self) -> Iterator[Page]:
        """Rows without a time of change."""
        return self._database.undated(self._known())

    def inventory(self) -> Iterator[list[tuple[str, str | None]]]:
        """Each row's id and time of change."""
        return self._database.inventory(self._known())

    def newer_than(self, since: datetime) -> bool:
        """Whether a row changed since."""
        return self._database.has_changes({self._table: since})

    def check(self) -> str:
        """What answered, in a few words."""
        return f"ledger: {self._database.check()}"

    def close(self) -> None:
        """Give connections back."""
        self._database.close()

    def _known(self) -> TableSchema:
        if self._schema is None:
            self._schema = self._database.schema(self._table)
        return self._schema
