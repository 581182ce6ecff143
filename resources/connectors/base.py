"""What every source system looks like to the lake: the connector protocol and its errors.

A connector reads; it knows nothing of the lake's files, of days or of Dagster. It hands out *pages* of records just as the
source gave them. What is new, what goes where and what counts as done is decided in `lake_assets/bronze`.

A connector module holds the source's settings, one class with this protocol, and a `lake_config.SourceType` named `SOURCE` that
an entry point of `pyproject.toml` names. All methods may be called from several threads at once, one table per thread.

How a table is read is said by its schema:

    as it comes   `changes` gives every record modified in a window (the usual way)
    whole         what is asked for, `changes` gives every record there is: what is missing is gone
    listed        `inventory` tells ids and modification times, and `by_ids` reads those that the lake does not hold like that
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import pyarrow as pa

from lake_config import MissingVariableError, Secret, expand

ColumnType = Literal[
    "boolean", "integer", "double", "decimal", "text", "date", "timestamp", "reference", "references", "texts", "json"
]
"""The lake's types of a source field. `reference` is one related record as `[id, label]` (a bare id is an `integer` or `text`
with a `relation`), `references` a list of integer ids, `texts` a list of texts; `timestamp` is UTC."""


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


class BudgetSpent(SourceError):
    """What the source may be asked in a day is used up. What was read is kept.

    Parameters:
        resumes_at: when asking may go on, UTC.
        rest: for connectors that can say it: what is left to be read, handed back in the next sync's `Window.rest`.
    """

    def __init__(self, message: str, resumes_at: datetime, rest: str | None = None) -> None:
        super().__init__(message)
        self.resumes_at, self.rest = resumes_at, rest


class WebhookRefused(Exception):
    """A webhook message does not come from whom it says; the message says why, and nothing of the secret."""


@dataclass(frozen=True)
class Change:
    """What a webhook tells: a record was created, changed or deleted. What became of it is for a read to find out."""

    table: str
    source_id: str


def configured(value: Secret | str, where: str) -> str:
    """A configured text with its `${VAR}` references resolved.

    Parameters:
        where: the key's path in `lake.yaml`.

    Raises:
        PermanentError: it refers to a variable that is not set.
    """
    try:
        return value.reveal(where) if isinstance(value, Secret) else expand(value, where=where)
    except MissingVariableError as error:
        raise PermanentError(str(error)) from None


@dataclass(frozen=True)
class Column:
    """One field of a source table."""

    name: str
    """As it is called in `raw.*`: the source's own name, or for a custom field with a coded one a readable one."""
    type: ColumnType
    source_type: str
    """The type in the source's own words, e.g. `many2one`."""
    label: str = ""
    """The name that a person sees in the source system."""
    relation: str | None = None
    """For references: the related table in the source's own words, e.g. `res.partner`."""
    empty_is_false: bool = False
    """The source writes `false` where it means "no value" (Odoo, for everything but booleans and numbers)."""
    path: tuple[str, ...] = ()
    """Where the value stands in the record, if not under `name`: keys of nested objects, e.g. `("custom_fields", "9dc8...")`.
    A key written `id=123` takes the object with that `id` out of a list. No column's path may lead through another's."""
    options: Mapping[str, str] | None = None
    """Value -> label, for values that only stand for a label. `raw.*` shows the label; a value without one stays as it is."""
    custom: bool = False
    """The customer added this field to the source's own."""
    sql_type: str = ""
    """DuckDB's type in `raw.*` where it is known more precisely than by `type`, e.g. `DECIMAL(18,2)`."""

    @staticmethod
    def stored(values: Mapping[str, Any]) -> "Column":
        """The column of what `dataclasses.asdict` made, after a turn through JSON."""
        return Column(**{**values, "path": tuple(values.get("path") or ())})


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
    deleted: tuple[str, Any] | None = None
    """(column, value) of records that the source still shows although they are deleted: they become tombstones. `...` as the
    value stands for any but null."""
    whole: bool = False
    listed: bool = False
    """How the table is read; see the module's docstring. Both: the list is always complete."""
    filled_silently: bool = True
    """A new field may have values in records whose modification time did not move (Odoo fills a new column, Salesforce computes
    formulas), so that the table is to be read in full once."""
    unchecked: tuple[str, ...] = ()
    """Members of a record that are no part of its checksum: they differ from one read to the next without a change."""

    @property
    def labelled(self) -> tuple[str, ...]:
        """Columns whose values carry a label, which is another record's property and so no part of this one's checksum."""
        return tuple(column.name for column in self.columns if column.type == "reference")


@dataclass(frozen=True)
class Window:
    """Which changes to read: those modified in [lo, hi), an end open where None. `Window()` is everything.

    `cursor` is the opaque token of the last sync for sources that hand one out instead of comparing times; None where that
    token does not fit the window (a past day). `rest`: what a sync that ran out of budget left unread (`BudgetSpent.rest`), to
    be read besides.
    """

    lo: datetime | None = None
    hi: datetime | None = None
    cursor: str | None = None
    rest: str | None = None


@dataclass
class Page:
    """Some records of one table, in one answer of the source."""

    records: "list[Any] | pa.Table"
    """Each as a dictionary, or as the JSON text (`bytes`) in which the source wrote it: the lake keeps such a text as it is. Or
    all as an Arrow table of texts `source_id`, `raw_data` (JSON), `modified` (as the source writes it) and `checksum` (hex of the
    sha256 of what does not change unless the record does), from a connector that has better than record by record."""
    read_at: datetime
    """When the request for them began, by this machine's clock, UTC."""
    deleted_ids: Iterable[int | str] = field(default_factory=list)
    """Records that the source reports as deleted by their id alone."""
    refused_ids: Iterable[str] = ()
    """Records that are there but may not be read: not captured, and not gone."""
    distinct: bool = False
    """No record of this page comes a second time in the same read: a sync that knows no earlier versions need not compare."""
    cursor: str | None = None
    """Where the next sync goes on, for sources that hand out such a token; the last page's counts. None once the token would skip
    something (a past day's end)."""


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
        """Every record modified in `window`, at least once, no matter what moves meanwhile. Records without a modification time
        belong to the window whose `lo` is open. Not asked of listed tables.

        Raises:
            BudgetSpent: after the pages that were still read.
        """
        ...

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        """These records; those that are gone are left out. `ids` may still be listed while the first are read."""
        ...

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        """Records without a modification time, which no window finds."""
        ...

    def inventory(self, schema: TableSchema, window: Window = Window()) -> Iterator[list[tuple[str, str | None]]]:
        """The id of every record there is and its modification time as the source writes it (None without), in batches; of a
        listed table at least those modified in `window`."""
        ...

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """Cheaply: is anything in one of these tables (name -> watermark) newer than its watermark? Tables that cannot be
        asked count as unchanged."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...
