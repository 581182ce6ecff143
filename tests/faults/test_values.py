"""Values that break parsers: kept exactly in bronze, readable by everyone, and counted in silver or quarantine."""

import json
import math
from typing import Any

import orjson
import polars as pl
import pyarrow.parquet as pq
import pytest
import requests

from sandbox.server import Sandbox
from tests.lakes import SyncedLake, assert_lake_is_source

ODD: dict[str, dict[str, Any]] = {
    "emoji": {"name": "Deal 🎉 für Łódź \u202e ﷽"},
    "control characters": {"name": "a\x00b\x01c\x1f\x7f\u2028"},
    "quotes": {"name": 'it\'s "quoted" \\ and \\u0041 {json: [1]}; DROP TABLE x; --'},
    "a megabyte": {"description": "x" * 1_000_000},
    "lone surrogate": {"name": "before \ud800 after"},
    "pair in the wrong order": {"name": "\udc00\ud800"},
    "beyond 64 bits": {"color": 2**70},
    "most negative": {"color": -(2**63) - 1},
    "not a number": {"expected_revenue": math.nan},
    "infinite": {"expected_revenue": -math.inf},
    "huge": {"expected_revenue": 1e308},
    "text of a value": {"name": "false"},
    "text of nothing": {"name": "null"},
    "spaces only": {"name": "   "},
    "a date before Christ": {"date_deadline": "0000-00-00"},
}


@pytest.fixture
def odd(northwind: SyncedLake, odoo: Sandbox) -> tuple[SyncedLake, dict[str, str]]:
    """A lake that has read one record for each odd value: its name -> the record's id."""
    ids = odoo.create(
        "northwind", "crm.lead", [{"name": f"odd {number}", "type": "opportunity"} for number in range(len(ODD))]
    )
    for record_id, values in zip(ids, ODD.values(), strict=True):
        _store(odoo, record_id, values)
    outcome = northwind.pull("crm_lead")["crm_lead"]
    assert outcome.status == "ok", outcome.message
    return northwind, dict(zip(ODD, map(str, ids), strict=True))


def _store(odoo: Sandbox, record_id: int, values: dict[str, Any]) -> None:
    """`Sandbox.write` cannot say NaN: the HTTP client refuses what is not JSON."""
    body = json.dumps({"model": "crm.lead", "ids": [record_id], "values": values, "sql": True})
    with requests.Session() as http:
        http.trust_env = False
        http.post(f"{odoo.url}/_sandbox/odoo/northwind/write", data=body, timeout=60).raise_for_status()


def test_every_odd_value_is_kept_parsed_and_counted(odd: tuple[SyncedLake, dict[str, str]], odoo: Sandbox) -> None:
    lake, ids = odd
    rows = {row["source_id"]: row["raw_data"] for row in lake.bronze("crm_lead")}
    assert set(rows) == {str(number) for number in odoo.ids("northwind", "crm.lead")}

    # Every reader parses every record.
    for text in rows.values():
        json.loads(text)
        orjson.loads(text)
    with lake.lake.connection() as connection:
        files = lake.lake.scan(lake.lake.bronze_files("northwind", "odoo", "crm_lead"))
        assert connection.execute(f"SELECT count(*) FROM ({files}) WHERE NOT json_valid(raw_data)").fetchall() == [(0,)]
        parsed = connection.execute(f"SELECT count(json_extract(raw_data, '$.id')) FROM ({files})").fetchall()
        assert parsed == [(len(rows),)]
    for path in lake.files("bronze"):
        url = lake.lake.storage.url(path)
        assert (
            len(pl.read_parquet(url)["raw_data"].str.json_decode(pl.Struct({"id": pl.Int64})))
            == pq.read_metadata(url).num_rows
        )

    # Nothing is lost or made up.
    given = {name: json.loads(rows[record_id]) for name, record_id in ids.items()}
    for name in (
        "emoji",
        "control characters",
        "quotes",
        "a megabyte",
        "text of a value",
        "text of nothing",
        "spaces only",
    ):
        for field, value in ODD[name].items():
            assert given[name][field] == value, name
    assert given["beyond 64 bits"]["color"] == 2**70
    assert given["most negative"]["color"] == -(2**63) - 1
    assert "\\ud800" in rows[ids["lone surrogate"]].lower()

    # Silver and quarantine together are the source.
    current, rejected = (
        lake.ids("silver.opportunity"),
        {row[0] for row in lake.query("SELECT source_id FROM quarantine.records")},
    )
    assert not current & rejected
    assert current | rejected == set(rows)


def test_odd_values_in_views(odd: tuple[SyncedLake, dict[str, str]]) -> None:
    lake, ids = odd
    names = dict(lake.query("SELECT _source_id, name FROM raw.odoo_crm_lead"))
    assert names[ids["emoji"]] == ODD["emoji"]["name"]
    assert names[ids["quotes"]] == ODD["quotes"]["name"]
    assert names[ids["text of a value"]] == "false"
    assert names[ids["text of nothing"]] == "null"
    lengths = dict(lake.query("SELECT _source_id, length(description) FROM raw.odoo_crm_lead"))
    assert lengths[ids["a megabyte"]] == 1_000_000
    colors = dict(lake.query("SELECT _source_id, color FROM raw.odoo_crm_lead"))
    assert colors[ids["beyond 64 bits"]] is None
    values = dict(lake.query("SELECT source_id, value FROM silver.opportunity"))
    for name in ("not a number", "infinite", "huge"):
        assert values.get(ids[name]) is None, name


def test_the_graph_runs_over_odd_values(odd: tuple[SyncedLake, dict[str, str]], odoo: Sandbox) -> None:
    lake, ids = odd
    odoo.write("northwind", "crm.lead", [int(ids["emoji"])], {"name": "calm"})
    assert lake.sync("crm_lead", sweep=True)
    assert lake.query(f"SELECT name FROM silver.opportunity WHERE source_id = '{ids['emoji']}'") == [("calm",)]


def test_nothing_odd_is_read_as_a_change_again_and_again(odd: tuple[SyncedLake, dict[str, str]]) -> None:
    lake, _ = odd
    outcome = lake.capture("crm_lead", full=True, sweep=True)["crm_lead"]
    assert outcome.status == "unchanged"


def test_a_corrected_record_leaves_the_quarantine(northwind: SyncedLake, odoo: Sandbox) -> None:
    [bad] = odoo.create("northwind", "crm.lead", [{"name": "soon without a name", "type": "opportunity"}])
    odoo.write("northwind", "crm.lead", [bad], {"name": None}, sql=True)
    northwind.pull("crm_lead")
    select = f"SELECT status FROM quarantine.records WHERE source_id = '{bad}'"
    assert northwind.query(select) == [("open",)]
    assert str(bad) not in northwind.ids("silver.opportunity")
    odoo.write("northwind", "crm.lead", [bad], {"name": "named"})
    northwind.pull("crm_lead")
    assert northwind.query(select) == [("superseded",)]
    assert str(bad) in northwind.ids("silver.opportunity")
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])
