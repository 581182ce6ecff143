"""A source type of another package: one module and an entry point, and everything else follows."""

from collections.abc import Iterator

import pytest

from tests.cli.command import CommandLake, command_lake

MODULE = '''
"""A source of two shelves, from a JSON file."""

import json
from datetime import UTC, datetime
from pathlib import Path

from lake_config import Place, SourceSettings, SourceType
from resources.connectors.base import Column, MissingAtSource, Page, TableSchema, Window


class ShelfSource(SourceSettings):
    type: str = "shelf"
    file: Place


class ShelfConnector:
    type = "shelf"

    def __init__(self, name, settings, tenant, budget=None):
        self._settings, self._budget = settings, budget

    def tables(self):
        return ["books", "boxes"]

    def check(self):
        return f"{len(json.loads(Path(self._settings.file).read_text()))} shelves"

    def server_time(self):
        return datetime.now(UTC).replace(microsecond=0)

    def schema(self, table):
        if table not in json.loads(Path(self._settings.file).read_text()):
            raise MissingAtSource(f"there is no shelf of {table}")
        return TableSchema(table, table, (Column("id", "integer", "int"), Column("title", "text", "str")), whole=True)

    def changes(self, schema, window):
        self._budget.spend(1)
        yield Page(json.loads(Path(self._settings.file).read_text())[schema.table], datetime.now(UTC))

    def by_ids(self, schema, ids):
        wanted = set(ids)
        for page in self.changes(schema, Window()):
            yield Page([record for record in page.records if str(record["id"]) in wanted], page.read_at)

    def undated(self, schema):
        return iter(())

    def inventory(self, schema, window=Window()):
        for page in self.changes(schema, window):
            yield [(str(record["id"]), None) for record in page.records]

    def has_changes(self, since):
        return False

    def close(self):
        self._budget.close()


SOURCE = SourceType("shelf", ShelfSource, ShelfConnector)
'''


@pytest.fixture
def shelves() -> Iterator[CommandLake]:
    with command_lake({"acme": {"shelf": {"file": "shelves.json"}}}) as lake:
        package = lake.folder / "package"
        metadata = package / "shelf_source-1.0.dist-info"
        metadata.mkdir(parents=True)
        (package / "shelf_source.py").write_text(MODULE)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf-source\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[revlake.sources]\nshelf = shelf_source:SOURCE\n")
        (lake.folder / "shelves.json").write_text(
            '{"books": [{"id": 1, "title": "Ulysses"}, {"id": 2, "title": null}]}'
        )
        lake.environment = {"PYTHONPATH": str(package)}
        yield lake


def test_a_module_and_an_entry_point_make_a_source(shelves: CommandLake) -> None:
    shelves.sync("acme")
    query = "SELECT id, title, _source_system FROM raw.shelf_books ORDER BY id"
    assert shelves.query(query) == [(1, "Ulysses", "shelf"), (2, None, "shelf")]
    status = {entry["table"]: entry for entry in shelves.json("status", "--json") if entry["layer"] == "bronze"}
    assert (status["books"]["rows"], status["books"]["budget_used"]) == (2, 1)
    assert status["boxes"]["status"] == "missing_at_source"
    (shelves.folder / "shelves.json").write_text('{"books": [{"id": 2, "title": "Dubliners"}]}')
    shelves.sync("acme")
    assert shelves.query(query) == [(2, "Dubliners", "shelf")]
