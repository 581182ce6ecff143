"""A Postgres table's key becomes its rows' ids, or the table says why it cannot."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resources.connectors.base import MissingAtSource, PermanentError, Window
from sandbox.server import Sandbox, running
from tests.connectors.apn_lake import connector, lake_of, port_of, sql
from tests.lakes import SyncedLake


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A server with a schema for a test's own tables."""
    with running(sources="apn", records=10) as started:
        sql(started, "CREATE SCHEMA keys; GRANT USAGE ON SCHEMA keys TO reader")
        sql(started, "ALTER DEFAULT PRIVILEGES IN SCHEMA keys GRANT SELECT ON TABLES TO reader")
        yield started


@pytest.fixture(scope="module")
def port(sandbox: Sandbox) -> int:
    return port_of(sandbox)


def lake_with(folder: Path, port: int, **tables: dict[str, Any]) -> SyncedLake:
    return lake_of(folder, port, type="postgres", database="apn", schema="keys", tables=tables)


def capture(lake: SyncedLake, table: str, **options: Any) -> Any:
    return lake.capture(table, source="apn", **options)[table]


# -- keys that do not identify rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modified", "key", "values", "found"),
    [
        (
            "none",
            ["sku"],
            "('a', 'DE'), (NULL, 'DE')",
            "(sku) does not identify the rows of keys.prices: a row has sku = NULL",
        ),
        ("at", ["sku", "country"], "('a', 'DE'), ('b', NULL)", "a row has sku = b, country = NULL"),
        ("at", ["sku"], "('a', 'DE'), ('a', 'FR'), ('b', 'DE')", "2 rows have sku = a"),
        ("none", ["sku", "country"], "('a', 'DE'), ('a', 'DE'), ('a', 'FR')", "2 rows have sku = a, country = DE"),
    ],
)
def test_a_first_sync_and_a_sweep_refuse_a_key_that_does_not_identify_rows(
    sandbox: Sandbox, port: int, tmp_path: Path, modified: str, key: list[str], values: str, found: str
) -> None:
    sql(sandbox, "DROP TABLE IF EXISTS keys.prices")
    sql(sandbox, "CREATE TABLE keys.prices (sku text, country text, at timestamptz DEFAULT '2026-01-01Z')")
    sql(sandbox, "INSERT INTO keys.prices VALUES ('a', 'DE'), ('b', 'FR')")
    lake = lake_with(tmp_path, port, prices={"key": key, "modified": modified})
    assert capture(lake, "prices").rows_written == 2
    held = sorted(row["source_id"] for row in lake.bronze("prices", source="apn"))
    sql(sandbox, f"DELETE FROM keys.prices; INSERT INTO keys.prices (sku, country) VALUES {values}")
    outcomes = [capture(lake, "prices", sweep=True), capture(lake, "prices", full=True)]
    (tmp_path / "new").mkdir()
    outcomes.append(capture(lake_with(tmp_path / "new", port, prices={"key": key, "modified": modified}), "prices"))
    for outcome in outcomes:
        assert (outcome.status, outcome.retry) == ("failed", False)
        assert "tenant podium, source apn, table prices: (" in outcome.message
        assert found in outcome.message
        assert "Name other columns in tenants.podium.sources.apn.tables.prices.key, or read a view" in outcome.message
    assert sorted(row["source_id"] for row in lake.bronze("prices", source="apn")) == held


def test_an_increment_refuses_a_null_in_the_key_without_going_through_the_table(sandbox: Sandbox, port: int) -> None:
    sql(sandbox, "CREATE TABLE keys.grown (sku text, n int, note text, updated_at timestamptz)")
    sql(sandbox, "INSERT INTO keys.grown VALUES ('a', 1, '', '2026-01-01Z'), ('a', 1, '', '2026-01-01Z')")
    sql(sandbox, "INSERT INTO keys.grown VALUES ('null', 2, '', '2026-03-01Z')")
    since = Window(datetime(2026, 2, 1, tzinfo=UTC))
    options = {"type": "postgres", "database": "apn", "schema": "keys"}
    for key, found in ((["sku"], "sku = NULL"), (["sku", "n"], "sku = NULL, n = 3"), (["n"], "")):
        source = connector(port, **options, tables={"grown": {"key": key}})
        assert len(list(source.changes(source.schema("grown"), since))) == 1
        for note in ("", "\x01"):  # by the block and row by row
            sql(sandbox, f"INSERT INTO keys.grown VALUES (NULL, 3, '{note}', '2026-03-02Z')")
            pages = source.changes(source.schema("grown"), since)
            if found:
                with pytest.raises(
                    PermanentError, match=rf"does not identify the rows of keys\.grown: a row has {found}"
                ):
                    list(pages)
            else:
                assert len(list(pages)) == 1
            sql(sandbox, "DELETE FROM keys.grown WHERE n = 3")


def test_the_server_is_not_asked_about_a_key_that_an_index_covers(
    sandbox: Sandbox, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql(sandbox, "CREATE TABLE keys.covered (a int PRIMARY KEY, b int NOT NULL, c int, d int NOT NULL UNIQUE)")
    sql(sandbox, "INSERT INTO keys.covered VALUES (1, 1, 1, 1)")
    options = {"type": "postgres", "database": "apn", "schema": "keys"}
    certain = {
        key: connector(port, **options, tables={"covered": {"key": list(key)}})._look_up("covered").key_is_certain
        for key in ("a", "d", "ab", "b", "ac")
    }
    assert certain == {"a": True, "d": True, "ab": True, "b": False, "ac": False}
    for key, statements in (("d", 5), ("b", 6)):
        source = connector(port, **options, tables={"covered": {"key": [key]}}, max_per_day=1000)
        source.check()
        spent: list[int] = []
        monkeypatch.setattr(source._sessions._budget, "spend", lambda spent=spent: spent.append(1))
        source.server_time()
        [page] = source.changes(source.schema("covered"), Window())
        assert page.records.num_rows == 1  # type: ignore[union-attr]
        assert len(spent) == statements + 1  # and one, once, for the server's encoding


# -- keys of any type --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("note", ["", "\x01"], ids=["by the block", "row by row"])
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("boolean", ["true", "false"]),
        ("double precision", ["NaN", "-Infinity", "0.1", "-0", "1e-300", "1e+22", "123456789.123"]),
        ("real", ["NaN", "0.1", "3.4e+38"]),
        ("numeric", ["NaN", "1.50", "12345678901234567890.1"]),
    ],
)
def test_a_key_s_id_is_its_text(sandbox: Sandbox, port: int, kind: str, values: list[str], note: str) -> None:
    rows = ", ".join(f"('{value}', 1, '{note}')" for value in values)
    sql(sandbox, "DROP TABLE IF EXISTS keys.single, keys.double")
    for table, key in (("single", "id"), ("double", "id, n")):
        sql(sandbox, f"CREATE TABLE keys.{table} (id {kind}, n int, note text, PRIMARY KEY ({key}))")
        sql(sandbox, f"INSERT INTO keys.{table} VALUES {rows}")
    source = connector(port, type="postgres", database="apn", schema="keys", tables=["single", "double"])
    in_lists = values if kind != "numeric" else [f'"{value}"' for value in values]
    in_lists = [f'"{value}"' if value in ("NaN", "-Infinity") else value for value in in_lists]
    for table, ids in (("single", values), ("double", [f"[{value},1]" for value in in_lists])):
        schema = source.schema(table)
        pages: list[Any] = list(source.changes(schema, Window()))
        assert sorted(record_id for page in pages for record_id in page.records["source_id"].to_pylist()) == sorted(ids)
        listed = [record_id for batch in source.inventory(schema) for record_id, _ in batch]
        assert sorted(listed) == sorted(ids)
        [page] = source.by_ids(schema, ids)
        found: Any = page.records
        assert sorted(found["source_id"].to_pylist()) == sorted(ids)


# -- names of any kind ---------------------------------------------------------------------------------------------------------


def test_a_table_of_any_name_is_read(sandbox: Sandbox, port: int, tmp_path: Path) -> None:
    sql(sandbox, 'CREATE SCHEMA "Sales EU"; GRANT USAGE ON SCHEMA "Sales EU" TO reader')
    names = {
        "order": ("keys", "Order"),
        "eu_order": ("Sales EU", "Order"),
        "dotted": ("keys", "we.ird"),
        "quoted": ("keys", 'we-"ird"'),
        "order_small": ("keys", "order"),
    }
    for place, (schema, table) in enumerate(names.values(), 1):
        name = '"{}"."{}"'.format(*(part.replace('"', '""') for part in (schema, table)))
        sql(sandbox, f'CREATE TABLE {name} ("Id" int PRIMARY KEY, "updated_at" timestamptz DEFAULT \'2026-01-01Z\')')
        sql(sandbox, f"INSERT INTO {name} VALUES ({place}); GRANT SELECT ON {name} TO reader")
    own = {key: {"table": table} if schema == "keys" else {"table": table, "schema": schema}
           for key, (schema, table) in names.items()}  # fmt: skip
    lake = lake_with(tmp_path, port, **own)
    lake.capture(*names, source="apn")
    for place, key in enumerate(names, 1):
        assert lake.query(f'SELECT "Id" FROM raw.postgres_{key}') == [(place,)]
    assert capture(lake, "order", sweep=True).status == "unchanged"
    assert connector(port, type="postgres", database="apn", tables=own, schema="keys").has_changes(
        dict.fromkeys(names, datetime(2025, 1, 1, tzinfo=UTC))
    )


def test_a_name_that_is_not_there_says_where_it_was_looked_for(port: int) -> None:
    source = connector(port, type="postgres", database="apn", schema="keys", tables={"order": {"table": "ORDER"}})
    with pytest.raises(
        MissingAtSource, match=r"no table ORDER in schema keys\. Correct tenants\.podium\.sources\.apn\.tables\.order "
    ):
        source.schema("order")
