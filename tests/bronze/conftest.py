"""A lake with one table, and a source that moves."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from lake_assets.bronze.capture import SyncRequest, TableOutcome, capture_table
from lake_assets.bronze.state import register_source
from lake_assets.bronze.views import BronzeTable, raw_view
from resources import layout
from resources.lake import Lake
from resources.scope import Scope
from tests.bronze.moving_source import MovingSource

TENANT, SOURCE, TABLE = "northwind", "odoo", "crm_lead"


class Captured:
    """A lake with one table, and its source."""

    def __init__(self, folder: Path) -> None:
        self.lake = Lake(str(folder))
        self.source = MovingSource()
        self.runs = 0
        register_source(self.lake, TENANT, SOURCE, "odoo")

    def sync(self, day: date | None = None, **options: Any) -> TableOutcome:
        self.runs += 1
        today = datetime.now(UTC).date()
        request = SyncRequest(TENANT, SOURCE, day or today, f"run-{self.runs}", **options)
        return capture_table(self.lake, self.source, TABLE, request)

    def files(self) -> list[str]:
        return self.lake.bronze_files(TENANT, SOURCE, TABLE)

    def rows(self) -> list[dict[str, Any]]:
        """Every captured row, in the order of files and rows."""
        found: list[dict[str, Any]] = []
        with self.lake.connection() as connection:
            for path in self.files():
                found += (
                    connection.sql(f"FROM read_parquet('{self.lake.storage.url(path)}')").to_arrow_table().to_pylist()
                )
        return sorted(found, key=lambda row: row["read_at"])

    def versions(self, record_id: int) -> list[tuple[str, str | None]]:
        """(change type, name) of each capture of one record."""
        return [
            (row["change_type"], json.loads(row["raw_data"]).get("name"))
            for row in self.rows()
            if row["source_id"] == str(record_id)
        ]

    def raw(self, column: str = "name") -> dict[str, str]:
        """id -> value, of the current state."""
        with self.lake.connection() as connection:
            view = raw_view(Scope(self.lake, (TENANT,)), BronzeTable("odoo", TABLE))
            rows = connection.execute(f"SELECT _source_id, {column} FROM ({view})").fetchall()
        assert len(rows) == len(dict(rows))
        return dict(rows)

    def state_file(self) -> Path:
        return Path(self.lake.storage.url(layout.table_state(TENANT, SOURCE, TABLE)))


@pytest.fixture
def captured(tmp_path: Path) -> Captured:
    it = Captured(tmp_path / "lake")
    for record_id in range(1, 8):
        it.source.put(record_id)
    assert it.sync().status == "ok"
    it.source.later(seconds=30)
    return it
