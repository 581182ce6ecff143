"""A source whose records move while they are read, in this process: pages by ascending id, as the Odoo connector reads them.

`before_page` runs before each page is taken, so that a test can move, add or delete records between two pages.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from resources.connectors.base import Column, Page, SourceError, TableSchema, Window

Record = dict[str, Any]

COLUMNS = (
    Column("id", "integer", "integer"),
    Column("name", "text", "char", empty_is_false=True),
    Column("partner_id", "reference", "many2one", relation="res.partner", empty_is_false=True),
    Column("write_date", "timestamp", "datetime", empty_is_false=True),
)
FORMAT = "%Y-%m-%d %H:%M:%S"


class MovingSource:
    """One table, `crm_lead`. `now` is the source's clock, `read_clock` gives the reader's."""

    type = "odoo"

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime.now(UTC)
        self.read_clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.records: dict[int, Record] = {}
        self.modified: dict[int, datetime | None] = {}
        self.columns = list(COLUMNS)
        self.page_size = 3
        self.before_page: Callable[[int], None] = lambda page: None
        self.each_page_times = 1
        self.windows: list[Window] = []
        self.error: Exception | None = None

    def put(
        self, record_id: int, name: str = "", at: datetime | None = None, undated: bool = False, **values: Any
    ) -> None:
        """Create or write a record, stamped with the source's time."""
        moment = None if undated else at or self.now
        self.modified[record_id] = moment
        stamp = moment.strftime(FORMAT) if moment else False
        before = self.records.get(record_id, {"id": record_id, "partner_id": False})
        self.records[record_id] = {**before, "name": name or f"record {record_id}", "write_date": stamp, **values}

    def unlink(self, *ids: int) -> None:
        for record_id in ids:
            del self.records[record_id], self.modified[record_id]

    def later(self, **span: float) -> datetime:
        self.now += timedelta(**span)
        return self.now

    def tables(self) -> list[str]:
        return ["crm_lead"]

    def check(self) -> str:
        return "here"

    def server_time(self) -> datetime:
        return self.now.replace(microsecond=0)

    def schema(self, table: str) -> TableSchema:
        return TableSchema(table, "crm.lead", tuple(self.columns), "id", "write_date")

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        self.windows.append(window)
        lo = window.lo.replace(microsecond=0) if window.lo else None

        def inside(record_id: int) -> bool:
            moment = self.modified[record_id]
            if moment is None:
                return lo is None
            return (lo is None or moment >= lo) and (window.hi is None or moment < window.hi)

        yield from self._pages(inside)

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        yield from self._pages(lambda record_id: str(record_id) in ids)

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        yield from self._pages(lambda record_id: self.modified[record_id] is None)

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[list[tuple[str, str | None]]]:
        yield [(str(record_id), self.records[record_id]["write_date"] or None) for record_id in sorted(self.records)]

    def has_changes(self, since: dict[str, datetime]) -> bool:
        return True

    def close(self) -> None:
        pass

    def _pages(self, inside: Callable[[int], bool]) -> Iterator[Page]:
        last = page = 0
        while True:
            page += 1
            self.before_page(page)
            if self.error is not None and page == 2:
                error, self.error = self.error, None
                raise error
            read_at = self.read_clock()
            ids = [record_id for record_id in sorted(self.records) if record_id > last and inside(record_id)][
                : self.page_size
            ]
            if not ids:
                return
            for _ in range(self.each_page_times):
                yield Page([dict(self.records[record_id]) for record_id in ids], read_at)
            last = ids[-1]


class Unreachable(SourceError):
    """What a test's source raises."""
