"""One mart of one tenant in one run: what was asked, a connection on which its statement runs, its files and its state.

What belongs here: what snapshots, facts and dimensions have in common. What does not: which files each of them has to make again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb

from lake_assets.gold.inputs import Versions, first_source, input_versions
from lake_assets.gold.spec import MACROS, MartSpec
from lake_assets.silver.views import load_silver
from resources import layout
from resources.lake import PARQUET, Lake, sql_name, sql_text
from resources.scope import Scope, empty_relation


@dataclass
class MartOutcome:
    """What making a mart did. `dates`: the snapshots or business dates whose file is new; counts are rows of those files."""

    mart: str
    dates: list[date] = field(default_factory=list)
    rows: int = 0
    bytes_written: int = 0
    changed: bool = False

    @property
    def status(self) -> str:
        return "ok" if self.changed else "unchanged"


@dataclass(frozen=True)
class MartRequest:
    """Whose mart, for which day, by which run. `force`: snapshots to make again even if nothing moved (a changed statement takes
    effect that way; of facts and dimensions any forced day makes everything again)."""

    tenant: str
    day: date
    run_id: str
    timezone: str = "UTC"
    force: tuple[date, ...] = ()


class MartWork:
    """`state` is what the mart was made from; it lies beside the lake, and a mart whose state is lost is made again."""

    def __init__(self, lake: Lake, spec: MartSpec, request: MartRequest) -> None:
        self.lake = lake
        self.spec = spec
        self.request = request
        self.outcome = MartOutcome(spec.mart)
        self.folder = layout.gold_mart(request.tenant, spec.mart)
        self._state_path = layout.asset_state("gold", request.tenant, spec.mart)
        self.state: dict[str, Any] = lake.storage.read_json(self._state_path) or {}

    def save_state(self) -> None:
        self.lake.storage.write_json(self._state_path, self.state)

    def versions(self) -> Versions:
        """The versions of the mart's inputs, by day."""
        return input_versions(self.lake, self.request.tenant, self.spec.inputs, self.spec.words)

    def scope(self, as_of: date | None = None) -> Scope:
        return Scope(self.lake, (self.request.tenant,), as_of)

    @contextmanager
    def connection(self, as_of: date | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection on which the mart's statement runs: silver as of a day (now if None), and as of the day before if the mart
        compares."""
        with self.lake.connection() as connection:
            connection.execute(MACROS)
            load_silver(connection, self.scope(as_of), self.spec.inputs, self.spec.words)
            if self.spec.previous and as_of is not None:
                load_silver(
                    connection, self.scope(as_of - timedelta(days=1)), self.spec.inputs, self.spec.words, "previous"
                )
            connection.execute(
                f"SET VARIABLE timezone = {sql_text(self.request.timezone)};"
                f"SET VARIABLE snapshot_date = DATE '{as_of or self.request.day}';"
                f"SET VARIABLE first_source = {sql_text(first_source(self.lake, self.request.tenant))}"
            )
            yield connection

    def read(self, paths: list[str]) -> str:
        """SQL for the rows of files of this mart, whichever spec made them."""
        return f"read_parquet({self.lake.sql_list(paths)}, union_by_name = true, hive_partitioning = false)"

    def empty(self) -> str:
        """SQL for no rows with the columns of this mart's files."""
        return empty_relation(self.spec.all_columns)

    def select(self, statement: str, more_columns: Mapping[str, str] | None = None) -> str:
        """SELECT of the rows of `statement` in the spec's columns and types.

        Parameters:
            more_columns: name -> DuckDB type of columns beside the spec's.
        """
        types = {**{name: column.type for name, column in self.spec.columns.items()}, **(more_columns or {})}
        columns = ", ".join(f"CAST({sql_name(name)} AS {kind}) AS {sql_name(name)}" for name, kind in types.items())
        return f"SELECT {columns} FROM ({statement}\n)"

    def write(
        self,
        connection: duckdb.DuckDBPyConnection,
        statement: str,
        path: str,
        more_columns: Mapping[str, str] | None = None,
    ) -> None:
        """Replace `path` by the rows of `statement`; parameters as for `select`."""
        made_at = datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ")
        lineage = f"{sql_text(self.request.run_id)} AS run_id, TIMESTAMP '{made_at}' AS made_at"
        with self.lake.storage.publishing(path) as aside:
            rows = connection.execute(
                f"COPY (SELECT *, {lineage} FROM ({self.select(statement, more_columns)})) TO {sql_text(str(aside))}"
                f" ({PARQUET}, KV_METADATA {{revlake_spec: {sql_text(self.spec.fingerprint)}}})"
            ).fetchall()[0][0]
        self.outcome.rows += int(rows)
        self.outcome.bytes_written += self.lake.storage.size(path)
        self.outcome.changed = True
