"""Is the SQL in a spec valid? Asked before any row is read, so that a typing mistake is the spec's error, not a sync's."""

from collections.abc import Callable, Mapping
from types import TracebackType

import duckdb

from lake_assets.silver.spec_yaml import Location

Texts = Mapping[Location, str]
Mistakes = list[tuple[Location, str]]


class SqlCheck:
    """Asks DuckDB; one for many specs, since starting it takes longer than asking."""

    def __enter__(self) -> "SqlCheck":
        self._connection = duckdb.connect(config={"threads": 1})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def unfit(self, texts: Texts, columns: Mapping[str, str]) -> Mistakes:
        """(location, why) of those expressions that cannot be asked of a row with these columns (name -> DuckDB type)."""
        row = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns.items())

        def why(some: list[str]) -> str | None:
            try:
                self._connection.execute(f"EXPLAIN SELECT {_listed(some)} FROM (SELECT {row})")
            except duckdb.Error as error:
                return str(error).split("\n")[0]
            return None

        return _culprits(texts, why)

    def unparsable(self, texts: Texts) -> Mistakes:
        """(location, why) of those that are no SQL expression at all."""

        def why(some: list[str]) -> str | None:
            query = "SELECT json_serialize_sql(?)->>'error_message'"
            return self._connection.execute(query, [f"SELECT {_listed(some)}"]).fetchall()[0][0]

        return _culprits(texts, why)


def _listed(texts: list[str]) -> str:
    return ", ".join(f"({text})" for text in texts)


def _culprits(texts: Texts, why: Callable[[list[str]], str | None]) -> Mistakes:
    """All are asked at once, which is quick, and one by one only to find the culprit."""
    if not texts or why(list(texts.values())) is None:
        return []
    asked = {location: why([text]) for location, text in texts.items()}
    return [(location, f"not valid SQL: {reason}") for location, reason in asked.items() if reason]
