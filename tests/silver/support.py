"""Records through the real pipeline: captured as bronze files, made into silver and quarantine files, read back.

The source is a connector that hands out given records; everything behind it is the code that production runs.
`data/recordings.json.gz` holds what a real Odoo 17 answered: per model the types of the stored fields and up to 200 records, as
`search_read` returned them. What a table not recorded there holds may stand in `data/<table>.json`, in the same form:
`{"fields": {"name": {"type": "char"}, ...}, "records": [...]}`.
"""

import gzip
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from lake_assets.bronze.capture import SyncRequest, TableOutcome, capture_table
from lake_assets.bronze.state import register_source
from lake_assets.silver.make import SilverOutcome, make_entity
from lake_assets.silver.spec import EntitySpec, load_specs
from resources.connectors.base import Column, Page, TableSchema, Window
from resources.connectors.odoo import COLUMN_TYPES, NEVER_EMPTY
from resources.lake import Lake

TENANT, SOURCE = "northwind", "odoo"
DAY = date(2026, 11, 20)

Record = dict[str, Any]


DATA = Path(__file__).parent / "data"


@lru_cache(maxsize=1)
def _recordings() -> dict[str, Any]:
    return json.loads(gzip.decompress((DATA / "recordings.json.gz").read_bytes()))


def is_recorded(table: str) -> bool:
    """Whether the recordings of the real server hold this table."""
    return _model(table) in _recordings()


def _recording(table: str) -> dict[str, Any]:
    if is_recorded(table):
        return _recordings()[_model(table)]
    own = DATA / f"{table}.json"
    assert own.exists(), (
        f"no records of {table} are at hand: put some into {own}, in the form of {__name__}'s first lines"
    )
    return json.loads(own.read_text(encoding="utf-8"))


def recorded(table: str) -> list[Record]:
    """The recorded records of a table, e.g. `crm_lead`; the caller may change them."""
    return deepcopy(_recording(table)["records"])


def recorded_types(table: str) -> dict[str, str]:
    """Field -> Odoo's type, of the recorded fields."""
    return {name: described["type"] for name, described in _recording(table)["fields"].items()}


def odoo_column(name: str, odoo_type: str) -> Column:
    kind = COLUMN_TYPES.get(odoo_type, "json")
    return Column(name, kind, odoo_type, empty_is_false=kind not in NEVER_EMPTY)


def _model(table: str) -> str:
    return table.replace("_", ".")


class GivenSource:
    """A connector whose tables hold what the test puts there. `types`: table -> field -> Odoo's type."""

    type = "odoo"

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {}
        self.types: dict[str, dict[str, str]] = {}

    def put(self, table: str, records: list[Record], types: dict[str, str] | None = None) -> None:
        self.records[table] = records
        self.types[table] = recorded_types(table) if types is None else types

    def tables(self) -> list[str]:
        return list(self.records)

    def check(self) -> str:
        return "given"

    def server_time(self) -> datetime:
        return datetime.now(UTC)

    def schema(self, table: str) -> TableSchema:
        types = self.types[table]
        columns = tuple(odoo_column(name, types[name]) for name in sorted(types))
        return TableSchema(table, _model(table), columns, "id", "write_date" if "write_date" in types else None)

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        yield Page(self.records[schema.table], datetime.now(UTC))

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        yield Page([record for record in self.records[schema.table] if str(record["id"]) in ids], datetime.now(UTC))

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        yield from ()

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[list[tuple[str, str | None]]]:
        yield [(str(record["id"]), record.get("write_date") or None) for record in self.records[schema.table]]

    def has_changes(self, since: dict[str, datetime]) -> bool:
        return bool(since)

    def close(self) -> None:
        pass


class TestLake:
    """A lake on disk with one tenant and one Odoo instance."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.lake = Lake(str(folder))
        self.source = GivenSource()
        self._runs = itertools.count(1)
        register_source(self.lake, TENANT, SOURCE, "odoo")

    def sync(self, table: str, sweep: bool = False, day: date = DAY) -> TableOutcome:
        """Capture what the source holds now."""
        request = SyncRequest(TENANT, SOURCE, day, f"run-{next(self._runs)}", sweep=sweep, confirm_deletes=True)
        outcome = capture_table(self.lake, self.source, table, request)
        assert not outcome.failed, outcome.message
        return outcome

    def make(self, entity: str | EntitySpec, force: Sequence[date] = ()) -> SilverOutcome:
        return make_entity(self.lake, TENANT, load_specs()[entity] if isinstance(entity, str) else entity, force)

    def silver(self, entity: str) -> list[Record]:
        """Every row of the entity's silver files, in the order of reading."""
        return self._rows(f"silver/tenant_id={TENANT}/entity={entity}", "ORDER BY read_at, bronze_file, bronze_row")

    def quarantine(self, entity: str) -> list[Record]:
        return self._rows(
            f"quarantine/tenant_id={TENANT}", f"WHERE silver_entity = '{entity}' ORDER BY bronze_file, bronze_row"
        )

    def bronze(self, table: str) -> list[Record]:
        return self._rows(f"bronze/tenant_id={TENANT}/source={SOURCE}/entity={table}", "ORDER BY read_at")

    def load(self, entity: str, records: list[Record], types: dict[str, str] | None = None) -> SilverOutcome:
        """Put, capture and make `records` of the entity's table."""
        table = table_of(entity)
        self.source.put(table, records, types)
        self.sync(table)
        return self.make(entity)

    def _rows(self, folder: str, rest: str) -> list[Record]:
        files = self.lake.storage.files(folder, ".parquet")
        if not files:
            return []
        with self.lake.connection() as connection:
            table = connection.sql(
                f"SELECT * FROM read_parquet({self.lake.sql_list(files)}, hive_partitioning = false, union_by_name = true) {rest}"
            ).to_arrow_table()
        return table.to_pylist()


def table_of(entity: str) -> str:
    """The Odoo table that an entity is made from."""
    return next(table for source_type, table in load_specs()[entity].tables if source_type == "odoo")
