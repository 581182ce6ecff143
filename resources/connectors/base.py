"""What every source system looks like to the lake: the connector protocol and its errors.

A connector reads; it knows nothing of the lake's files, of days or of Dagster. It hands out *pages* of records just as the
source gave them. What is new, what goes where and what counts as done is decided in `lake_assets/bronze`.

A connector module offers one class with this protocol and is listed in `resources/connectors/__init__.py`. All methods may be
called from several threads at once, one table per thread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

ColumnType = Literal[
    "boolean", "integer", "double", "decimal", "text", "date", "timestamp", "reference", "references", "json"
]
"""The lake's types of a source field. `reference` is one related record (`[id, label]` or a bare id), `references` a list of
ids; `timestamp` is UTC."""


class SourceError(Exception):
    """A source did not deliver. The message says what to do next and never holds a credential."""


class TransientError(SourceError):
    """Worth another try later: a timeout, a broken connection, a 5xx, a rate limit. Raised after the client's own retries."""


class PermanentError(SourceError):
    """Trying again changes nothing: wrong password, unknown database, a request the source refuses."""


class MissingAtSource(PermanentError):
    """The source has no such table."""


class NotPermitted(PermanentError):
    """The user may not read this table."""


@dataclass(frozen=True)
class Column:
    """One field of a source table."""

    name: str
    type: ColumnType
    source_type: str
    """The type in the source's own words, e.g. `many2one`."""
    label: str = ""
    """The name that a person sees in the source system."""
    relation: str | None = None
    """For references: the related table in the source's own words, e.g. `res.partner`."""
    empty_is_false: bool = False
    """The source writes `false` where it means "no value" (Odoo, for everything but booleans and numbers)."""


@dataclass(frozen=True)
class TableSchema:
    """The fields of one table that a sync reads, as the source described them at that moment."""

    table: str
    """snake_case name in paths and views, e.g. `crm_lead`."""
    source_name: str
    """The table in the source's own words, e.g. `crm.lead`."""
    columns: tuple[Column, ...]
    id_column: str = "id"
    modified_column: str | None = None

    @property
    def labelled(self) -> tuple[str, ...]:
        """Columns whose values carry a label, which is another record's property and so no part of this one's checksum."""
        return tuple(column.name for column in self.columns if column.type == "reference")


@dataclass(frozen=True)
class Window:
    """Which changes to read: those modified in [lo, hi), an end open where None. `Window()` is everything.

    `cursor` is the opaque token of the last sync for sources that hand one out instead of comparing times.
    """

    lo: datetime | None = None
    hi: datetime | None = None
    cursor: str | None = None


@dataclass
class Page:
    """Some records of one table, in one answer of the source."""

    records: list[Any]
    """Each as a dictionary, or as the JSON text (`bytes`) in which the source wrote it: the lake keeps such a text as it is."""
    read_at: datetime
    """When the request for them began, by this machine's clock, UTC."""
    deleted_ids: Sequence[int | str] = field(default_factory=list)
    """Records that the source itself reports as deleted."""
    cursor: str | None = None
    """Where the next sync goes on, for sources that hand out such a token; the last page's counts."""


class Connector(Protocol):
    """One source instance, ready to be read.

    Every method raises `SourceError` subclasses and nothing else for what goes wrong at the source. Credentials are taken
    when the connection is first needed, so constructing one touches no network.
    """

    type: str

    def tables(self) -> list[str]:
        """The tables a sync reads: the built-in ones, less or more by configuration. No network."""
        ...

    def check(self) -> str:
        """Log in and say in one line what answered (for `lake doctor`)."""
        ...

    def server_time(self) -> datetime:
        """The source's clock now, UTC; at most as late as the truth (a header's second is cut off, not rounded)."""
        ...

    def schema(self, table: str) -> TableSchema:
        """The fields to read of `table`.

        Raises:
            MissingAtSource, NotPermitted.
        """
        ...

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        """Every record modified in `window`, each once, no matter what moves meanwhile. Records without a modification time
        belong to the window whose `lo` is open."""
        ...

    def by_ids(self, schema: TableSchema, ids: Sequence[str]) -> Iterator[Page]:
        """These records; those that are gone are left out."""
        ...

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        """Records without a modification time, which no window finds."""
        ...

    def inventory(self, schema: TableSchema) -> Iterator[list[tuple[str, str | None]]]:
        """The id of every record there is and its modification time as the source writes it (None without), in batches."""
        ...

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """Cheaply: is anything in one of these tables (name -> watermark) newer than its watermark? Tables that cannot be
        asked count as unchanged."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...
