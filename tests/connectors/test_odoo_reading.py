"""Nothing lost, nothing twice, everything as a classic read gives it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.connectors.base import MissingAtSource, SourceError, Window
from resources.connectors.odoo import BUILT_IN_TABLES, _second
from resources.http import Usage
from sandbox.server import Sandbox
from tests.connectors.conftest import DATABASE, Connect, ids, read, records

PROTOCOLS = ("jsonrpc", "json2")


def soon(connector: Any) -> datetime:
    """A bound later than everything written so far."""
    return connector.server_time() + timedelta(seconds=2)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.usefixtures("always_bare")
def test_every_table_equals_a_classic_read(
    connect: Connect, witness: Callable[..., Any], sandbox: Sandbox, protocol: str
) -> None:
    found = 0
    for database in ("northwind", "nkretail", "podium"):
        connector = connect(protocol, database=database, page_size=40)
        for table in BUILT_IN_TABLES:
            try:
                schema = connector.schema(table)
            except MissingAtSource:
                continue
            found += 1
            expected = witness(
                schema.source_name,
                "search_read",
                [],
                [column.name for column in schema.columns],
                order="id",
                context={"active_test": False},
                database=database,
            )
            assert read(connector, schema) == expected, (database, table)
            assert ids(expected) == sandbox.ids(database, schema.source_name)
    assert found >= len(BUILT_IN_TABLES)


@pytest.mark.parametrize("size", [1, 7, 49, 50, 51, 1000])
def test_the_page_size_does_not_matter(connect: Connect, sandbox: Sandbox, size: int) -> None:
    reference = read(connect(page_size=10_000), "project_project")
    assert read(connect(page_size=size), "project_project") == reference
    assert ids(reference) == sandbox.ids(DATABASE, "project.project")


def test_page_sizes_that_divide_the_number_of_records(connect: Connect, sandbox: Sandbox) -> None:
    number = len(sandbox.ids(DATABASE, "res.country.state"))
    for size in {number, number // 2, number + 1}:
        assert len(read(connect(page_size=size), "res_country_state")) == number


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_3000_records_of_one_second_are_all_read_once(connect: Connect, sandbox: Sandbox, protocol: str) -> None:
    connector = connect(protocol, page_size=1000)
    before = connector.server_time()
    made = sandbox.create(DATABASE, "crm.stage", [{"name": f"tie {number}"} for number in range(3000)])
    try:
        stamps = {row["write_date"] for row in sandbox.truth(DATABASE, "crm.stage") if row["id"] >= made[0]}
        assert len(stamps) == 1
        assert ids(read(connector, "crm_stage", Window(before, soon(connector)))) == made
    finally:
        sandbox.unlink(DATABASE, "crm.stage", made)


def test_a_record_that_moves_while_read_is_not_lost(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(page_size=10)
    schema = connector.schema("res_country_state")
    everything = sandbox.ids(DATABASE, "res.country.state")
    hi = soon(connector)
    sandbox.advance(to=hi.isoformat().replace("+00:00", "Z"))
    pages = connector.changes(schema, Window(hi=hi))
    first = next(pages)
    read_already, not_yet = ids(records([first]))[0], everything[30]
    sandbox.write(DATABASE, "res.country.state", [read_already, not_yet], {"code": "MV"})
    rest = records(pages)
    assert ids(records([first])) + ids(rest) == [value for value in everything if value != not_yet]
    later = read(connector, schema, Window(hi - timedelta(minutes=10), soon(connector)))
    assert {read_already, not_yet} <= set(ids(later))
    assert all(row["code"] == "MV" for row in later if row["id"] in (read_already, not_yet))


def test_deletes_between_pages_shift_nothing(connect: Connect, sandbox: Sandbox) -> None:
    made = sandbox.create(DATABASE, "crm.stage", [{"name": f"stage {number}"} for number in range(40)])
    try:
        connector = connect(page_size=10)
        pages = connector.changes(connector.schema("crm_stage"), Window())
        first = next(pages)
        gone = [*ids(records([first]))[-2:], made[20]]
        kept = [value for value in sandbox.ids(DATABASE, "crm.stage") if value not in gone]
        sandbox.unlink(DATABASE, "crm.stage", [value for value in gone if value in made])
        seen = ids(records([first])) + ids(records(pages))
        assert [value for value in seen if value not in gone] == kept
        assert len(seen) == len(set(seen))
        assert made[20] not in seen
    finally:
        sandbox.unlink(DATABASE, "crm.stage", [value for value in made if value in sandbox.ids(DATABASE, "crm.stage")])


def test_records_without_a_modification_time(connect: Connect, sandbox: Sandbox) -> None:
    chosen = sandbox.ids(DATABASE, "res.country")[3:8]
    sandbox.write(DATABASE, "res.country", chosen, {"write_date": None}, sql=True)
    connector = connect(page_size=20)
    schema = connector.schema("res_country")
    everything = sandbox.ids(DATABASE, "res.country")
    open_start, hi = Window(hi=soon(connector)), soon(connector)
    assert ids(read(connector, schema)) == everything
    assert ids(read(connector, schema, open_start)) == everything
    dated = ids(read(connector, schema, Window(datetime(2000, 1, 1, tzinfo=UTC), hi)))
    assert set(everything) - set(dated) >= set(chosen)
    undated = records(connector.undated(schema))
    assert set(ids(undated)) == set(everything) - set(dated)
    assert all(row["write_date"] is False for row in undated)


def test_a_late_commit_is_found_by_an_overlap_only(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect()
    schema = connector.schema("crm_stage")
    held = sandbox.transaction(DATABASE, "crm.stage", {"name": "late"}, hold_seconds=60)
    watermark = connector.server_time() + timedelta(seconds=5)
    sandbox.advance(to=(watermark + timedelta(seconds=1)).isoformat().replace("+00:00", "Z"))
    assert held["id"] not in ids(read(connector, schema))
    sandbox.advance(to=(watermark + timedelta(seconds=120)).isoformat().replace("+00:00", "Z"))
    after = Window(watermark, connector.server_time())
    assert held["id"] not in ids(read(connector, schema, after))
    overlapping = Window(watermark - timedelta(minutes=10), connector.server_time())
    assert held["id"] in ids(read(connector, schema, overlapping))
    sandbox.unlink(DATABASE, "crm.stage", [held["id"]])


def test_a_deleted_record_does_not_come_by_id(connect: Connect, sandbox: Sandbox) -> None:
    (gone,) = sandbox.create(DATABASE, "crm.stage", [{"name": "short-lived"}])
    sandbox.unlink(DATABASE, "crm.stage", [gone])
    connector = connect(page_size=2)
    schema = connector.schema("crm_stage")
    there = sandbox.ids(DATABASE, "crm.stage")
    asked = [str(value) for value in [*there, gone, *there[:1]]]
    assert records(connector.by_ids(schema, asked)) == read(connector, schema)
    assert records(connector.by_ids(schema, [str(gone)])) == []
    assert records(connector.by_ids(schema, [])) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_inventory_lists_every_record_with_its_modification_time(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    connector = connect(protocol)
    schema = connector.schema("res_partner")
    expected = [(record["id"], record["write_date"] or None) for record in read(connector, schema)]
    expected = [(str(record_id), modified) for record_id, modified in expected]
    assert [record_id for record_id, _ in expected] == [str(value) for value in sandbox.ids(DATABASE, "res.partner")]
    assert [entry for batch in connector.inventory(schema) for entry in batch] == expected
    monkeypatch.setattr("resources.connectors.odoo.IDS_A_LIST", 7)
    batches = list(connector.inventory(schema))
    assert [entry for batch in batches for entry in batch] == expected
    assert len(batches) > 1


def test_archived_records_are_read(connect: Connect, sandbox: Sandbox) -> None:
    archived = {row["id"] for row in sandbox.truth(DATABASE, "crm.lead", "active") if not row["active"]}
    assert archived
    assert archived <= set(ids(read(connect(), "crm_lead")))


def test_pages_tell_when_their_request_began(connect: Connect) -> None:
    connector = connect(page_size=50)
    schema = connector.schema("res_country")
    began = datetime.now(UTC)
    stamps = [page.read_at for page in connector.changes(schema, Window())]
    assert len(set(stamps)) == len(stamps) > 3
    assert began <= min(stamps) <= max(stamps) <= datetime.now(UTC)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 10**9), min_size=1, max_size=3))
def test_adjoining_windows_hold_every_record(connect: Connect, cuts: list[int]) -> None:
    connector = connect(page_size=60)
    schema = connector.schema("res_partner")
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC)
    moments = sorted(start + (end - start) * (cut / 10**9) for cut in cuts)
    bounds = [None, *moments, None]
    seen = [row for lo, hi in pairwise(bounds) for row in read(connector, schema, Window(lo, hi))]
    everything = read(connector, schema)
    assert {row["id"]: row for row in seen} == {row["id"]: row for row in everything}
    if all(moment.microsecond == 0 for moment in moments):
        assert len(seen) == len(everything)


@given(moment=st.datetimes(timezones=st.just(UTC)), zone=st.timezones())
def test_bounds_are_widened_to_whole_seconds_utc(moment: datetime, zone: Any) -> None:
    if not 1900 < moment.year < 9999:
        return
    local = moment.astimezone(zone)
    lo, hi = (datetime.fromisoformat(_second(local, up)).replace(tzinfo=UTC) for up in (False, True))
    assert lo <= moment <= hi
    assert hi - lo <= timedelta(seconds=1)
    assert (lo == hi) == (moment.microsecond == 0)


def test_a_bound_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        _second(datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None))


def test_server_time_is_the_sources_and_costs_no_request_of_its_own(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect()
    before = datetime.fromisoformat(sandbox.health()["now"])
    first = connector.server_time()
    asked = connector.usage().requests
    second = connector.server_time()
    assert before - timedelta(seconds=2) < first
    assert first <= second <= datetime.fromisoformat(sandbox.health()["now"])
    assert first.microsecond == 0
    assert connector.usage().requests == asked


def test_has_changes_stops_at_the_first_yes(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(max_in_flight=1)
    future = datetime(2040, 1, 1, tzinfo=UTC)
    calm = dict.fromkeys(BUILT_IN_TABLES, future)
    assert connector.has_changes(calm) is False
    assert connector.has_changes({}) is False
    asked = connector.usage().requests
    assert connector.has_changes(dict.fromkeys(BUILT_IN_TABLES, datetime(2000, 1, 1, tzinfo=UTC))) is True
    assert connector.usage().requests - asked < len(BUILT_IN_TABLES)
    before = connector.server_time()
    sandbox.write(DATABASE, "project.project", sandbox.ids(DATABASE, "project.project")[:1], {"sequence": 3})
    assert connector.has_changes(calm | {"project_project": before}) is True


def test_has_changes_passes_over_tables_that_cannot_be_asked(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(user="lowpriv")
    since = {table: datetime(2000, 1, 1, tzinfo=UTC) for table in ("crm_lead", "no_such_table", "account_move")}
    assert connector.has_changes(since) is False
    assert connector.has_changes(since | {"res_country": datetime(2000, 1, 1, tzinfo=UTC)}) is True


def test_has_changes_raises_where_nobody_can_log_in(connect: Connect) -> None:
    with pytest.raises(SourceError):
        connect(password="wrong").has_changes({"crm_lead": datetime(2000, 1, 1, tzinfo=UTC)})


def test_how_many_requests_a_sync_takes(connect: Connect) -> None:
    connector = connect()
    connector.check()
    login = connector.usage().requests
    assert login == 4  # version, login and user context (odoorpc), and the check's own
    schema = connector.schema("crm_lead")
    read(connector, schema)
    assert connector.usage("crm_lead").requests == 2  # fields and one page
    later = connect()
    read(later, "crm_lead", Window(datetime(2040, 1, 1, tzinfo=UTC)))
    assert later.usage("crm_lead").requests == 2
    assert later.usage("crm_lead") != Usage()
