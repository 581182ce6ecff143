"""What the commands answer about a lake: on stdout the answer and nothing else, in a form that programs can read."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.cli.command import CommandLake
from tests.cli.conftest import SECRET, Said

Call = Callable[..., Said]

VALUES = (
    "SELECT 'Zoë, \"x\"' AS t, 1 AS i, 2.50::DECIMAL(18,2) AS m, 0.5::DOUBLE AS f, true AS b, NULL AS n, "
    "DATE '2026-01-02' AS d, TIMESTAMP '2026-01-02 03:04:05.000006' AS ts, [1, 2] AS l, "
    "{'a': 'x', 'b': [1.5]} AS s, 'nan'::DOUBLE AS nan, 'ab'::BLOB AS bl"
)
AS_JSON = {
    "t": 'Zoë, "x"', "i": 1, "m": 2.5, "f": 0.5, "b": True, "n": None, "d": "2026-01-02", "ts": "2026-01-02 03:04:05.000006",
    "l": [1, 2], "s": {"a": "x", "b": [1.5]}, "nan": None, "bl": "6162",
}  # fmt: skip
AS_CSV = {
    "t": 'Zoë, "x"', "i": "1", "m": "2.50", "f": "0.5", "b": "true", "n": "", "d": "2026-01-02",
    "ts": "2026-01-02 03:04:05.000006", "l": "[1, 2]", "s": '{"a": "x", "b": [1.5]}', "nan": "nan", "bl": "6162",
}  # fmt: skip

READ_ONLY = [
    "INSERT INTO silver.user VALUES (1)",
    "UPDATE silver.user SET name = 'x'",
    "DELETE FROM silver.user",
    "DROP VIEW silver.user",
    "CREATE TABLE x AS SELECT 1",
    "COPY (SELECT 1) TO 'x.csv'",
    "EXPORT DATABASE 'x'",
    "ATTACH 'x.db'",
    "PRAGMA version",
    "SET enable_external_access = true",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CALL pragma_version()",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW silver.user",
    "",
]


def test_a_real_call_answers_on_stdout_only(synced: CommandLake) -> None:
    query = "SELECT count(*) AS n FROM raw.odoo_crm_lead"
    result = synced.run("sql", query, "--format", "json")
    assert (result.returncode, json.loads(result.stdout), result.stderr) == (0, [{"n": 60}], "")


def test_json_is_a_list_of_objects(call: Call, synced: CommandLake) -> None:
    assert json.loads(call("sql", VALUES, "--format", "json").out, parse_constant=pytest.fail) == [AS_JSON]
    assert call("sql", "SELECT 1 AS a WHERE false", "--format", "json").out == "[]\n"


def test_csv_has_a_header_and_plain_values(call: Call, synced: CommandLake) -> None:
    out = call("sql", VALUES, "--format", "csv").out
    assert list(csv.DictReader(io.StringIO(out))) == [AS_CSV]
    assert call("sql", "SELECT 1 AS a WHERE false", "--format", "csv").out == "a\n"


def test_a_table_shows_every_column_and_row(call: Call, synced: CommandLake) -> None:
    out = call("sql", "SELECT name, sequence FROM raw.odoo_crm_stage ORDER BY sequence").out
    assert "name" in out
    assert "sequence" in out
    assert "Won" in out


def test_many_columns_are_listed_record_by_record(call: Call, synced: CommandLake) -> None:
    columns = ", ".join(f"{number} AS column_{number}" for number in range(30))
    out = call("sql", f"SELECT {columns}, true AS is_so, '[bold]' AS markup FROM range(2)").out
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert lines.count(["column_29", "29"]) == lines.count(["is_so", "true"]) == lines.count(["markup", "[bold]"]) == 2
    assert "2 of 2" in out


@pytest.mark.parametrize("query", READ_ONLY)
def test_sql_only_reads(call: Call, synced: CommandLake, query: str) -> None:
    assert call("sql", query) == Said(2, "", "lake sql reads only: one SELECT statement is expected\n")


@pytest.mark.parametrize(
    "query",
    ["FROM silver.user", "WITH a AS (SELECT 1) FROM a", "DESCRIBE silver.user", 'FROM "silver"."user";', "EXPLAIN SELECT 1"],
)  # fmt: skip
def test_every_way_to_read_is_welcome(call: Call, synced: CommandLake, query: str) -> None:
    assert call("sql", query).status == 0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELEC 1", "Parser Error"),
        ("SELECT * FROM silver.nothing", "nothing"),
        ("SELECT nam FROM silver.user", '"nam"'),
    ],
)
def test_an_sql_error_is_told_on_stderr(call: Call, synced: CommandLake, query: str, said: str) -> None:
    result = call("sql", query)
    assert (result.status, result.out) == (1, "")
    assert said in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "what",
    [
        "'{folder}/.env'",
        "'/etc/passwd'",
        "'{root}/_state/**/*.json'",
        "'{root}/bronze/tenant_id=northwind/**/*.parquet'",
    ],
)
def test_sql_sees_no_files_but_the_tenants_own(call: Call, synced: CommandLake, what: str) -> None:
    path = what.format(folder=synced.folder, root=synced.root)
    for function in ("read_text", "read_blob", "read_parquet", "glob"):
        result = call("sql", f"SELECT * FROM {function}({path})", "--tenant", "other")
        assert (result.status, result.out) == (1, "")
        assert "Permission Error" in result.err


def test_sql_of_a_tenant_shows_nobody_elses_rows(call: Call, synced: CommandLake) -> None:
    query = "SELECT count(*) AS n, count(DISTINCT tenant_id) AS tenants FROM bronze.odoo_crm_lead"
    assert json.loads(call("sql", query, "--tenant", "northwind", "--format", "json").out) == [{"n": 60, "tenants": 1}]
    others = json.loads(
        call("sql", query + " WHERE tenant_id = 'northwind'", "--tenant", "other", "--format", "json").out
    )
    assert others[0]["n"] == 0


STATUS_KEYS = [
    "tenant",
    "layer",
    "source",
    "table",
    "rows",
    "status",
    "last_sync",
    "lag_minutes",
    "quality_score",
    "open_quarantine",
    "requests_today",
    "budget_used",
    "budget_per_day",
    "resumes_at",
    "message",
]


def test_status_tells_of_every_table(call: Call, synced: CommandLake) -> None:
    result = call("status", "--json")
    entries: list[dict[str, Any]] = json.loads(result.out)
    assert (result.status, result.err) == (0, "")
    assert all(list(entry) == STATUS_KEYS for entry in entries)
    mine = {
        (entry["layer"], entry["source"], entry["table"]): entry for entry in entries if entry["tenant"] == "northwind"
    }
    leads = mine["bronze", "odoo", "crm_lead"]
    assert (leads["rows"], leads["status"]) == (60, "ok")
    assert 0 <= leads["lag_minutes"] < 60
    assert leads["requests_today"] == leads["budget_used"] > 10
    assert (leads["budget_per_day"], leads["resumes_at"]) == (None, None)
    assert leads["last_sync"].endswith("+00:00")
    opportunities = mine["silver", None, "opportunity"]
    assert opportunities["rows"] + opportunities["open_quarantine"] == 60
    assert 0 < opportunities["quality_score"] <= 1
    assert mine["silver", None, "invoice"]["rows"] == 0
    assert mine["gold", None, "opportunity"]["rows"] == opportunities["rows"]
    assert ("bronze", "odoo", "res_lang") in mine
    table = call("status")
    assert table.status == 0
    assert "crm_lead" in table.out
    assert "Asked today" in table.out


def test_doctor_is_content_with_what_works(synced: CommandLake) -> None:
    config = yaml.safe_load((synced.folder / "lake.yaml").read_text())
    sources = config["tenants"]["northwind"]["sources"]
    well = synced.folder / "well.yaml"
    well.write_text(yaml.safe_dump({**config, "tenants": {"northwind": {"sources": {"odoo": sources["odoo"]}}}}))
    result = synced.run("doctor", "--json", "--config", str(well))
    findings = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert all(list(finding) == ["what", "ok", "detail", "advice"] for finding in findings)
    assert [finding["what"] for finding in findings] == ["configuration", "specs", "lake", "postgres", "northwind/odoo"]
    assert all(finding["ok"] for finding in findings)


def test_no_secret_is_anywhere_in_the_lake_or_its_logs(synced: CommandLake) -> None:
    found = [
        path
        for path in synced.folder.rglob("*")
        if path.is_file() and path.name != ".env" and path.suffix != ".yaml" and SECRET.encode() in path.read_bytes()
    ]
    assert found == []
