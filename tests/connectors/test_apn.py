"""The APN database is read exactly and completely; so is any other Postgres."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from resources.connectors.apn import TABLES
from resources.connectors.base import MissingAtSource, NotPermitted, PermanentError, Window
from resources.connectors.postgres import PostgresConnector
from sandbox.server import Sandbox, running
from tests.connectors.apn_lake import connector, lake_of, port_of, sql
from tests.lakes import today

CONTROLS = "".join(chr(code) for code in range(1, 32))
ODD_TEXTS = [
    "", " ", "null", "\\N", "\\", '"', '\\"', "a\tb\nc\rd", "a\vb\fc\bd", CONTROLS, "\x1f", "\x1e\x1f\x02\x03", "[]", "{}",
    "~", "Zoë — 株式会社 🚀", "\u2028\x7f\ufeff", "x" * 70_000, "\\u0041", "a,b;c", "'quoted'", None,
]  # fmt: skip
ODD_LISTS: list[Any] = [
    [], [""], ["", ""], [None], ["null"], ["NULL", None, "a"], ['a"b', "c\\d", "e,f", "{g}"], ["a\nb\tc"],
    ["\x1f", "\x01"], ["[]"], None,
]  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Nothing in it moves but what a test adds in tables of its own."""
    with running(sources="apn", records=2600) as started:
        yield started


@pytest.fixture(scope="module")
def port(sandbox: Sandbox) -> int:
    return port_of(sandbox)


def read(source: PostgresConnector, table: str, window: Window = Window()) -> list[dict[str, Any]]:  # noqa: B008
    """The records of a window, each held against its id and checksum."""
    schema = source.schema(table)
    records = []
    for page in source.changes(schema, window):
        assert not isinstance(page.records, list)
        for row in page.records.to_pylist():
            record = orjson.loads(row["raw_data"])
            assert row["checksum"] == hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()
            if len(source._table(schema).key) == 1:
                assert row["source_id"] == str(record[schema.id_column])
            if schema.modified_column and not source._table(schema).zone:
                assert row["modified"] == record[schema.modified_column]
            records.append(record)
    return records


def as_stored(value: Any) -> Any:
    """A value of a record as the sandbox tells its own."""
    if isinstance(value, str) and value[:2] == "20" and value[10:11] == " " and value.endswith("+00"):
        return datetime.fromisoformat(value).astimezone(UTC).isoformat(timespec="microseconds")
    return value


# -- reading -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_read_exactly(sandbox: Sandbox, port: int, table: str) -> None:
    got = {row["id"]: {name: as_stored(value) for name, value in row.items()} for row in read(connector(port), table)}
    assert got == {row["id"]: row for row in sandbox.records("apn", "podium", table)}


def test_raw_views_have_the_columns_and_types_of_the_database(sandbox: Sandbox, port: int, tmp_path: Path) -> None:
    lake = lake_of(tmp_path, port)
    outcomes = lake.capture(*TABLES, source="apn")
    assert {table: outcome.status for table, outcome in outcomes.items()} == dict.fromkeys(TABLES, "ok")
    described = dict(row[:2] for row in lake.query("DESCRIBE raw.apn_opportunity"))
    own = {name: kind for name, kind in described.items() if name != "tenant_id" and not name.startswith("_")}
    assert len(own) == 66
    assert own["expected_monthly_aws_revenue"] == "DECIMAL(18,2)"
    assert own["customer_software_value"] == "DECIMAL(16,2)"
    assert own["created_date"].startswith("TIMESTAMP")
    assert (own["target_close_date"], own["id"], own["national_security"]) == ("DATE", "BIGINT", "BOOLEAN")
    assert own["aws_products"] == "VARCHAR[]"
    rows = lake.query(
        "SELECT id, expected_monthly_aws_revenue, aws_products, last_modified_date FROM raw.apn_opportunity"
    )
    truth = {row["id"]: row for row in sandbox.records("apn", "podium", "opportunity")}
    assert len(rows) == len(truth)
    for record_id, amount, products, modified in rows:
        stored = truth[record_id]
        assert (amount, products) == (Decimal(stored["expected_monthly_aws_revenue"]), stored["aws_products"])
        assert modified.replace(tzinfo=UTC).isoformat(timespec="microseconds") == stored["last_modified_date"]
    assert max(row[0] for row in rows) == 2**53 + 12
    kinds = dict(lake.query("SELECT typeof(milestone_number), count(*) FROM raw.apn_cash_claim GROUP BY 1"))
    assert list(kinds) == ["SMALLINT"]
    rates = lake.query("SELECT DISTINCT typeof(usd_exchange_rate) FROM raw.apn_funding_request")
    assert rates == [("DECIMAL(12,6)",)]


def test_a_second_sync_reads_nothing_and_the_next_one_what_changed(tmp_path: Path) -> None:
    with running(sources="apn", records=2600, start="2026-11-10") as sandbox:
        lake = lake_of(tmp_path, port_of(sandbox))
        day = date(2026, 11, 10)
        lake.capture(*TABLES, source="apn", day=day)
        again = lake.capture(*TABLES, source="apn", day=day)
        assert {outcome.status for outcome in again.values()} == {"unchanged"}
        told = sandbox.advance("2026-11-13T10:00:00Z")["apn"]["podium"]
        outcomes = lake.capture(*TABLES, source="apn", day=date(2026, 11, 13))
        for table in TABLES:
            changed = {str(record_id) for ids in told.get(table, {}).values() for record_id in ids}
            wrote = {row["source_id"] for row in lake.bronze(table, source="apn") if row["sync_batch_id"] == "run-0003"}
            assert wrote == changed, table
            assert outcomes[table].rows_written == len(changed)
        assert told["opportunity"]["created"]
        assert told["funding_request_history"]["created"]


def test_thousands_of_rows_with_one_timestamp_at_a_window_s_edge(sandbox: Sandbox, port: int) -> None:
    rows = sandbox.records("apn", "podium", "opportunity")
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["last_modified_date"]] = counts.get(row["last_modified_date"], 0) + 1
    moment = max(counts, key=lambda stamp: counts[stamp])
    assert counts[moment] > 200
    edge = datetime.fromisoformat(moment)
    source = connector(port)
    after, before = (len(read(source, "opportunity", window)) for window in (Window(edge), Window(hi=edge)))
    assert after + before == len(rows)
    assert len(read(source, "opportunity", Window(edge, edge + timedelta(microseconds=1)))) == counts[moment]


def test_ids_are_listed_and_rows_found_by_them(sandbox: Sandbox, port: int) -> None:
    source = connector(port)
    schema = source.schema("opportunity")
    listed = [entry for batch in source.inventory(schema) for entry in batch]
    truth = {str(row["id"]): row["last_modified_date"] for row in sandbox.records("apn", "podium", "opportunity")}
    assert {record_id: as_stored(modified) for record_id, modified in listed} == truth
    wanted = [listed[0][0], str(2**53 + 12), "424242424242"]
    pages: list[Any] = list(source.by_ids(schema, wanted))
    assert {record_id for page in pages for record_id in page.records["source_id"].to_pylist()} == set(wanted[:2])


# -- values ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(sandbox: Sandbox) -> str:
    """A table with what texts and lists can hold, in a schema of its own."""

    def literal(value: Any) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, list):
            return f"ARRAY[{', '.join(map(literal, value))}]::text[]"
        return "'" + value.replace("'", "''") + "'"

    rows = [(text, []) for text in ODD_TEXTS] + [("x", items) for items in ODD_LISTS]
    values = ", ".join(f"({place}, {literal(text)}, {literal(items)})" for place, (text, items) in enumerate(rows, 1))
    sql(sandbox, "CREATE SCHEMA odd; GRANT USAGE ON SCHEMA odd TO reader")
    sql(sandbox, "ALTER DEFAULT PRIVILEGES IN SCHEMA odd GRANT SELECT ON TABLES TO reader")
    sql(sandbox, 'CREATE TABLE odd.texts (id int PRIMARY KEY, "a ""b"" ü" text, list text[])')
    sql(sandbox, f"INSERT INTO odd.texts VALUES {values}")
    return "odd"


def test_texts_and_lists_hold_any_character(sandbox: Sandbox, port: int, odd: str) -> None:
    source = connector(port, type="postgres", schema=odd, database="apn", tables=["texts"])
    assert source.schema("texts").whole
    got = {row["id"]: (row['a "b" ü'], row["list"]) for row in read(source, "texts")}
    want = [(text, []) for text in ODD_TEXTS] + [("x", items) for items in ODD_LISTS]
    assert got == dict(enumerate(want, 1))
    controls = "E'[\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f]'"
    sql(sandbox, "CREATE TABLE odd.plain (LIKE odd.texts INCLUDING ALL); INSERT INTO odd.plain SELECT * FROM odd.texts")
    sql(sandbox, f'DELETE FROM odd.plain WHERE list::text ~ {controls} OR "a ""b"" ü" ~ {controls}')
    fast = {row["id"]: (row['a "b" ü'], row["list"]) for row in read(source, "plain")}
    assert 20 < len(fast) < len(got)  # no control characters: made by the block, not row by row
    assert fast == {place: got[place] for place in fast}


def test_every_type_keeps_its_value(sandbox: Sandbox, port: int, odd: str) -> None:
    sql(
        sandbox,
        """
        CREATE TYPE odd.mood AS ENUM ('ok', 'so "so"'); CREATE DOMAIN odd.price AS numeric(12,3); CREATE TABLE odd.kinds (
        id uuid PRIMARY KEY, small smallint, big bigint, yes boolean, exact numeric(38,10), free numeric, single real,
        double float8,
        day date, at timestamp(3), zoned timestamptz, clock time, span interval, data json, datab jsonb, bytes bytea,
        ranged int4range, mood odd.mood, price odd.price, ints int[], matrix int[][], texts text[][], times timestamptz[],
        c char(5));
        INSERT INTO odd.kinds VALUES ('00000000-0000-0000-0000-000000000001', -32768, 9223372036854775807, false,
        '1234567890123456789012345678.0123456789', 'NaN', '1e-30', 'NaN', '0001-01-01', '2026-02-03 04:05:06.789',
        '2026-06-01 00:00+02', '24:00', '1 year 2 days 03:04:05.6', '{"a": "\\u00e9"}', '{"b":  [1, "x"]}', '\\xDEADBEEF',
        '[1,5)',
        'so "so"', 1.5, '{1,NULL,3}', '{{1,2},{3,4}}', '{{a,"b c"},{d,NULL}}', '{2026-01-01 00:00+00}', 'ab');
        INSERT INTO odd.kinds (id, double, single) VALUES ('00000000-0000-0000-0000-000000000002', '-Infinity', 0.1);
    """,
    )
    source = connector(port, type="postgres", schema=odd, database="apn", tables=["kinds"])
    one, two = sorted(read(source, "kinds"), key=lambda row: row["id"])
    assert one == {
        "id": "00000000-0000-0000-0000-000000000001", "small": -32768, "big": 2**63 - 1, "yes": False,
        "exact": "1234567890123456789012345678.0123456789", "free": "NaN", "single": 1e-30, "double": "NaN", "day": "0001-01-01",
        "at": "2026-02-03 04:05:06.789", "zoned": "2026-05-31 22:00:00+00", "clock": "24:00:00", "span": "P1Y2DT3H4M5.6S",
        "data": '{"a": "\\u00e9"}', "datab": '{"b": [1, "x"]}', "bytes": "\\xdeadbeef", "ranged": "[1,5)", "mood": 'so "so"',
        "price": "1.500", "ints": [1, None, 3], "matrix": [[1, 2], [3, 4]], "texts": ['{{a,"b c"},{d,NULL}}'],
        "times": ["2026-01-01 00:00:00+00"], "c": "ab   ",
    }  # fmt: skip
    assert {name for name, value in two.items() if value is not None} == {"id", "double", "single"}
    assert (two["double"], two["single"]) == ("-Infinity", 0.1)
    types = {column.name: (column.type, column.sql_type) for column in source.schema("kinds").columns}
    assert types["exact"] == ("decimal", "DECIMAL(38,10)")
    assert types["price"] == ("decimal", "DECIMAL(12,3)")
    assert types["at"] == ("timestamp", "")
    assert types["datab"] == ("text", "")


def test_what_raw_views_cannot_show_is_null_there(sandbox: Sandbox, port: int, odd: str, tmp_path: Path) -> None:
    sql(
        sandbox,
        """CREATE TABLE odd.old (id int PRIMARY KEY, local timestamp, zoned timestamptz, day date, amount numeric(8,2),
        updated_at timestamp); INSERT INTO odd.old VALUES
        (1, '0044-03-15 12:00 BC', '0044-03-15 12:00Z BC', '0044-03-15 BC', 'NaN', '0044-03-15 12:00 BC'),
        (2, '294276-01-01', '294276-01-01Z', '10000-01-01', 1, NULL),
        (3, 'infinity', '-infinity', '0044-03-15', 2, '2026-01-01')""",
    )
    lake = lake_of(tmp_path, port, tables=["odd.old"])
    assert lake.capture("odd_old", source="apn")["odd_old"].rows_written == 3
    assert lake.capture("odd_old", source="apn", sweep=True)["odd_old"].rows_written == 0
    columns = (
        "CAST(local AS VARCHAR), CAST(zoned AS VARCHAR), CAST(day AS VARCHAR), amount, CAST(updated_at AS VARCHAR)"
    )
    assert lake.query(f"SELECT {columns} FROM raw.apn_odd_old ORDER BY id") == [
        (None, None, None, None, None),
        (None, None, "10000-01-01", 1, None),
        ("infinity", "-infinity", "0044-03-15", 2, "2026-01-01 00:00:00"),
    ]
    [first] = [row for row in lake.bronze("odd_old", source="apn") if row["source_id"] == "1"]
    assert first["source_modified_at"] is None
    kept = orjson.loads(first["raw_data"])
    assert (kept["local"], kept["day"], kept["amount"]) == ("0044-03-15 12:00:00 BC", "0044-03-15 BC", "NaN")


def test_how_values_are_written_does_not_depend_on_the_user_s_settings(sandbox: Sandbox, port: int) -> None:
    def checksums() -> dict[str, str]:
        source = connector(port)
        pages: list[Any] = list(source.changes(source.schema("funding_request"), Window()))
        return {row["source_id"]: row["checksum"] for page in pages for row in page.records.to_pylist()}

    before = checksums()
    sql(sandbox, "ALTER ROLE reader SET datestyle = 'German'; ALTER ROLE reader SET timezone = 'Asia/Tokyo';"
                 "ALTER ROLE reader SET extra_float_digits = -3; ALTER ROLE reader SET bytea_output = 'escape'")  # fmt: skip
    try:
        assert checksums() == before
    finally:
        sql(sandbox, "ALTER ROLE reader RESET ALL")


# -- any table ----------------------------------------------------------------------------------------------------------------


def test_a_key_of_several_columns_identifies_rows(sandbox: Sandbox, port: int, odd: str, tmp_path: Path) -> None:
    sql(
        sandbox,
        """CREATE TABLE odd.parts (n int, code text, amount int, updated_at timestamptz NOT NULL DEFAULT '2026-01-01Z',
                    PRIMARY KEY (n, code)); INSERT INTO odd.parts VALUES (1, 'a"b', 5), (1, 'c', 6), (2, 'c', 7)""",
    )
    lake = lake_of(tmp_path, port, tables=["odd.parts"])
    assert lake.capture("odd_parts", source="apn")["odd_parts"].status == "ok"
    assert {row["source_id"] for row in lake.bronze("odd_parts", source="apn")} == {'[1,"a\\"b"]', '[1,"c"]', '[2,"c"]'}
    sql(
        sandbox,
        "DELETE FROM odd.parts WHERE n = 2; UPDATE odd.parts SET amount = 9, updated_at = '2025-01-01Z' WHERE code = 'c'",
    )
    swept = lake.capture("odd_parts", source="apn", sweep=True)["odd_parts"]
    assert (swept.rows_deleted, swept.rows_written) == (
        1,
        2,
    )  # an older stamp than the lake's is found by the sweep too
    assert lake.query("SELECT n, code, amount FROM raw.apn_odd_parts ORDER BY 2") == [(1, 'a"b', 5), (1, "c", 9)]


def test_a_table_without_a_key_says_what_to_configure(sandbox: Sandbox, port: int, odd: str) -> None:
    sql(
        sandbox,
        "CREATE TABLE odd.keyless (a int, b int, seen date); INSERT INTO odd.keyless VALUES (1, 2, '2026-01-05'), (2, 2, NULL)",
    )
    options = {"type": "postgres", "schema": odd, "database": "apn"}
    with pytest.raises(PermanentError, match=r"no primary key.*tenants\.podium\.sources\.apn\.tables\.keyless\.key"):
        connector(port, **options, tables=["keyless"]).schema("keyless")
    source = connector(port, **options, tables={"keyless": {"key": ["a"], "modified": "seen", "exclude": ["b"]}})
    schema = source.schema("keyless")
    assert (schema.id_column, schema.modified_column, schema.whole) == ("a", "seen", False)
    assert [column.name for column in schema.columns] == ["a", "seen"]
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert read(source, "keyless", Window(noon)) == [
        {"a": 1, "seen": "2026-01-05"}
    ]  # the whole day: a date tells no more
    assert len(read(source, "keyless", Window(hi=noon))) == 1  # the row without a date
    [page] = source.undated(schema)
    assert page.records.num_rows == 1  # type: ignore[union-attr]
    with pytest.raises(PermanentError, match=r"names columns that are not there: \['nope'\]"):
        connector(port, **options, tables={"keyless": {"key": ["nope"]}}).schema("keyless")
    with pytest.raises(PermanentError, match=r"tables\.keyless names columns that are not there: \['bb'\]"):
        connector(port, **options, tables={"keyless": {"key": ["a"], "exclude": ["b", "bb"]}}).schema("keyless")
    with pytest.raises(PermanentError, match="neither a timestamp nor a date"):
        connector(port, **options, tables={"keyless": {"key": ["a"], "modified": "b"}}).schema("keyless")


def test_a_table_is_the_one_of_the_schema_that_is_written(sandbox: Sandbox, port: int, odd: str) -> None:
    sql(
        sandbox,
        """CREATE TABLE odd.apn_users (id int PRIMARY KEY); CREATE TABLE odd.odd_one (id int PRIMARY KEY);
        CREATE TABLE odd.one (id int PRIMARY KEY); INSERT INTO odd.one VALUES (1)""",
    )
    options = {"type": "postgres", "schema": odd, "database": "apn"}
    assert connector(port, **options, tables=["apn.users"]).schema("apn_users").source_name == "apn.users"
    assert connector(port, **options, tables=["apn_users"]).schema("apn_users").source_name == "odd.apn_users"
    source = connector(port, **options, tables={"odd.one": {"exclude": ["nope"]}, "users": {}, "opportunity": {}})
    with pytest.raises(PermanentError, match=r"sources\.apn\.tables\.odd\.one names columns that are not there"):
        source.schema("odd_one")
    with pytest.raises(MissingAtSource, match=r"table users: the database has no table users in schema odd\. Correct"):
        source.schema("users")


def test_times_without_a_zone_are_the_server_s(sandbox: Sandbox, port: int, odd: str, tmp_path: Path) -> None:
    sql(sandbox, "ALTER DATABASE apn SET timezone = 'America/New_York'")
    try:
        sql(
            sandbox,
            """CREATE TABLE odd.naive (id int PRIMARY KEY, note text, updated_at timestamp DEFAULT now(), day date);
            INSERT INTO odd.naive VALUES (1, 'before clocks go back', '2025-11-02 01:50'), (2, E'after\x01', '2025-11-02 01:10'),
            (3, 'undated', NULL), (4, 'summer', '2025-07-01 20:30')""",
        )
        sql(sandbox, "INSERT INTO odd.naive VALUES (5, 'now')")
        lake = lake_of(tmp_path, port, tables=["odd.naive"])
        assert lake.capture("odd_naive", source="apn")["odd_naive"].rows_written == 5
        rows = lake.bronze("odd_naive", source="apn")
        told = {row["source_id"]: row["source_modified_at"] for row in rows}
        assert (str(told["4"]), str(told["2"]), told["3"]) == ("2025-07-02 00:30:00", "2025-11-02 06:10:00", None)
        assert abs(told["5"].replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=1)
        assert "2025-07-01 20:30:00" in {orjson.loads(row["raw_data"])["updated_at"] for row in rows}
        assert lake.capture("odd_naive", source="apn")["odd_naive"].status == "unchanged"
        sql(
            sandbox,
            "INSERT INTO odd.naive VALUES (6, 'later'); UPDATE odd.naive SET note = 'x', updated_at = now() WHERE id = 1",
        )
        assert lake.capture("odd_naive", source="apn")["odd_naive"].rows_written == 2
        assert lake.capture("odd_naive", source="apn", sweep=True)["odd_naive"].rows_written == 0
        source = connector(port, tables={"odd.naive": {}})
        minute = timedelta(minutes=1)
        assert source.has_changes({"odd_naive": source.server_time() - minute})
        assert not source.has_changes({"odd_naive": source.server_time() + minute})
        back = datetime(2025, 11, 2, 6, tzinfo=UTC)  # 01:59 in summer time is followed by 01:00 in winter time
        assert [row["id"] for row in read(source, "odd_naive", Window(back, back + 20 * minute))] == [2]
        tokyo = connector(port, tables={"odd.naive": {}}, timezone="Asia/Tokyo")
        summer = datetime(2025, 7, 1, 11, 30, tzinfo=UTC)
        assert [row["id"] for row in read(tokyo, "odd_naive", Window(summer, summer + minute))] == [4]
        dated = connector(port, tables={"odd.naive": {"modified": "day"}})
        sql(sandbox, "UPDATE odd.naive SET day = '2026-01-05' WHERE id = 6")
        assert [row["id"] for row in read(dated, "odd_naive", Window(datetime(2026, 1, 6, 3, tzinfo=UTC)))] == [6]
        with pytest.raises(PermanentError, match=r"timezone.*Nowhere"):
            read(connector(port, tables={"odd.naive": {}}, timezone="Nowhere"), "odd_naive", Window(back))
    finally:
        sql(sandbox, "ALTER DATABASE apn RESET timezone")


def test_a_table_without_a_time_of_change_is_read_whole(sandbox: Sandbox, port: int, odd: str, tmp_path: Path) -> None:
    sql(
        sandbox,
        "CREATE TABLE odd.rates (code text PRIMARY KEY, rate numeric(8,4)); INSERT INTO odd.rates VALUES ('EUR', 1), ('USD', 2)",
    )
    lake = lake_of(tmp_path, port, tables=["odd.rates"])
    lake.capture("odd_rates", source="apn")
    sql(sandbox, "UPDATE odd.rates SET rate = 3 WHERE code = 'USD'; DELETE FROM odd.rates WHERE code = 'EUR'")
    outcome = lake.capture("odd_rates", source="apn")["odd_rates"]
    assert (outcome.rows_written, outcome.rows_deleted) == (2, 1)
    assert lake.query("SELECT code, rate FROM raw.apn_odd_rates") == [("USD", Decimal("3.0000"))]


def test_columns_that_the_user_may_not_read_are_left_out(sandbox: Sandbox, port: int, odd: str) -> None:
    sql(
        sandbox,
        """CREATE TABLE odd.secret (id int PRIMARY KEY, open text, hidden text); REVOKE ALL ON odd.secret FROM reader;
                    GRANT SELECT (id, open) ON odd.secret TO reader; INSERT INTO odd.secret VALUES (1, 'a', 'b')""",
    )
    options = {"type": "postgres", "schema": odd, "database": "apn"}
    assert read(connector(port, **options, tables=["secret"]), "secret") == [{"id": 1, "open": "a"}]
    assert read(connector(port, **options, tables={"secret": {"exclude": ["hidden"]}}), "secret") == [
        {"id": 1, "open": "a"}
    ]
    with pytest.raises(PermanentError, match="not for this user"):
        connector(port, **options, tables={"secret": {"include": ["hidden"]}}).schema("secret")
    sql(sandbox, "REVOKE ALL (id, open) ON odd.secret FROM reader")
    with pytest.raises(NotPermitted, match=r"GRANT USAGE ON SCHEMA odd and SELECT"):
        connector(port, **options, tables=["secret"]).schema("secret")


def test_a_poll_finds_what_is_newer(sandbox: Sandbox, port: int) -> None:
    source = connector(port)
    now = source.server_time()
    assert not source.has_changes(dict.fromkeys(TABLES, now))
    assert source.has_changes({"users": now, "opportunity": now - timedelta(days=30)})
    assert not source.has_changes({"no_such_table": now - timedelta(days=30)})


def test_an_empty_table_and_a_check(sandbox: Sandbox, port: int, odd: str) -> None:
    sql(sandbox, "CREATE TABLE odd.nothing (id int PRIMARY KEY)")
    assert read(connector(port, type="postgres", schema=odd, database="apn", tables=["nothing"]), "nothing") == []
    assert "logged in to apn as reader" in connector(port).check()
    assert abs(connector(port).server_time() - datetime.now(UTC)) < timedelta(seconds=5)
    assert today()


def test_names_that_differ_only_by_capitals_or_are_the_lake_s_own_all_show(
    sandbox: Sandbox, port: int, tmp_path: Path
) -> None:
    sql(
        sandbox,
        """CREATE TABLE public.odd ("A" int PRIMARY KEY, a text, "Tags" text[], tags text[], tenant_id text, _ingested_at date);
        INSERT INTO public.odd VALUES (1, 'x', '{b}', '{c,d}', 'theirs', '2026-01-02'); GRANT SELECT ON public.odd TO reader""",
    )
    try:
        lake = lake_of(tmp_path, port, type="postgres", database="apn", tables={"odd": {}})
        assert lake.capture("odd", source="apn")["odd"].status == "ok"
        shown = 'tenant_id, "A", a_, "Tags", tags_, tenant_id_, _ingested_at_'
        assert lake.query(f"SELECT {shown} FROM raw.postgres_odd") == [
            ("podium", 1, "x", ["b"], ["c", "d"], "theirs", date(2026, 1, 2))
        ]
        assert lake.query("SELECT typeof(_ingested_at) FROM raw.postgres_odd") == [("TIMESTAMP",)]
    finally:
        sql(sandbox, "DROP TABLE public.odd")
