"""Salesforce: what is read is what the org holds, in as few calls as that takes; what it refuses is told."""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from resources.connectors.base import (
    BudgetSpent,
    MissingAtSource,
    NotPermitted,
    Page,
    PermanentError,
    TransientError,
    Window,
)
from resources.connectors.salesforce import BUILT_IN_TABLES, SOURCE, SalesforceConnector, SalesforceSource
from resources.connectors.salesforce_pages import MOST_DAYS, PageReader
from resources.connectors.salesforce_rest import Batch, Login, Rest, query_string
from resources.connectors.windows import Span
from resources.http import HttpClient, RetryPolicy
from sandbox.server import Sandbox, running

RECORDS, PAGE = 1200, 200
"""A quarter of the records share one stamp: more than a page."""
CLIENT = {"client_id": "3MVG9northwind", "client_secret": "northwind-secret"}

Connect = Callable[..., SalesforceConnector]


@pytest.fixture(scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with running(scale=0.2, records=RECORDS, sources="salesforce") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The shared org, without faults, limits and requests of earlier tests."""
    _sandbox.reset_requests()
    yield _sandbox
    _sandbox.clear_faults()
    control(_sandbox, "limits", daily=108_000, used=0, session_seconds=7200)


@pytest.fixture
def connect(sandbox: Sandbox) -> Iterator[Connect]:
    """Makes connectors that do not wait between tries; arguments are settings."""
    made: list[SalesforceConnector] = []

    def make(retry: RetryPolicy | None = None, **given: Any) -> SalesforceConnector:
        settings = SalesforceSource.model_validate(
            {"url": sandbox.source_url("salesforce", "northwind"), "page_size": PAGE, **CLIENT, **given}
        )
        http = HttpClient(
            "northwind", "salesforce", max_in_flight=settings.max_in_flight, timeout_seconds=10, retry=retry,
            sleep=lambda seconds: None,
        )  # fmt: skip
        made.append(SalesforceConnector("salesforce", settings, "northwind", http))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


def control(sandbox: Sandbox, path: str, method: str = "POST", **body: Any) -> Any:
    with requests.Session() as http:
        http.trust_env = False
        answer = http.request(method, f"{sandbox.url}/_sandbox/salesforce/northwind/{path}", json=body, timeout=10)
    answer.raise_for_status()
    return answer.json()


def rows(pages: Iterable[Page]) -> list[dict[str, Any]]:
    return [json.loads(record) if isinstance(record, bytes) else record for page in pages for record in page.records]


def read(connector: SalesforceConnector, table: str, window: Window | None = None) -> list[dict[str, Any]]:
    return rows(connector.changes(connector.schema(table), window or Window()))


def stored(sandbox: Sandbox, table: str) -> dict[str, dict[str, Any]]:
    return {row["Id"]: row for row in sandbox.records("salesforce", "northwind", table)}


def methods(sandbox: Sandbox) -> Counter[str]:
    return Counter({f"{tally['model']} {tally['method']}": tally["requests"] for tally in sandbox.requests()})


def same(found: list[dict[str, Any]], expected: dict[str, dict[str, Any]]) -> None:
    """Every record once, with all that the store has of it."""
    assert len(found) == len(expected)
    assert {row["Id"] for row in found} == expected.keys()
    for row in found:
        known = expected[row["Id"]]
        assert {name: row[name] for name in row if name in known} == {
            name: known[name] for name in row if name in known
        }


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# -- reading ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table", [*BUILT_IN_TABLES, "case", "subscription__c", "opportunity_field_history", "attachment", "price__x"]
)
def test_every_record_of_an_object_is_read_once_with_all_its_fields(
    connect: Connect, sandbox: Sandbox, table: str
) -> None:
    connector = connect(tables={"case": {}, "Subscription__c": {}, "OpportunityFieldHistory": {}})
    schema = connector.schema(table)
    found = rows(connector.changes(schema, Window()))
    expected = stored(sandbox, table)
    same(found, expected)
    names = {column.name for column in schema.columns}
    assert all(row.keys() == {"attributes", *names} for row in found)
    assert names == next(iter(expected.values())).keys() - {"Body"}


def test_a_first_read_counts_by_day_and_asks_for_full_pages(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect()
    found = read(connector, "opportunity")
    assert len(found) == RECORDS
    asked = methods(sandbox)
    assert asked["opportunity describe"] == 1
    # the count, the oldest page, and the rest: of those only pieces of several pages need cursors
    assert asked["opportunity query_all"] + asked["opportunity query_more"] <= 1 + -(-RECORDS // PAGE) + 3
    assert asked["opportunity query_more"] >= 1
    assert connector.usage("opportunity").requests == sum(
        number for kind, number in asked.items() if kind.startswith("opportunity")
    )


def test_pieces_cover_their_span_and_are_short(connect: Connect) -> None:
    connector = connect()
    reader: PageReader = connector._reader(connector.schema("opportunity"))
    first = datetime(2020, 1, 1, tzinfo=UTC)
    days = {(first + timedelta(days=number)).date(): 30 for number in range(100)}
    days[(first + timedelta(days=40)).date()] = 900
    for counts in (days, {}, {(first + timedelta(days=number)).date(): 1 for number in range(MOST_DAYS)}):
        pieces = sorted(
            reader._pieces(Span(None, None), counts), key=lambda piece: piece.lo or first - timedelta(days=1)
        )
        assert (pieces[0].lo, pieces[-1].hi) == (None, None)
        assert all(piece.hi == later.lo for piece, later in pairwise(pieces))
        if counts is days:
            sizes = [
                sum(number for day, number in days.items() if (not piece.lo or piece.lo.date() <= day)
                    and (not piece.hi or day < piece.hi.date()))
                for piece in pieces
            ]  # fmt: skip
            assert sum(sizes) == sum(days.values())
            assert max(sizes) <= 900 + 2 * PAGE
            assert len(pieces) >= 15


def test_a_first_batch_that_is_small_because_records_are_large_is_not_taken_for_all(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Rest.query

    def smaller(rest: Rest, soql: str, *args: Any, **options: Any) -> Batch:
        batch = query(rest, soql, *args, **options)
        if soql.endswith(f"LIMIT {PAGE}"):
            return Batch(batch.records[:120], "/services/data/v62.0/query/01g000000000000AAA-120", batch.read_at)
        return batch

    monkeypatch.setattr(Rest, "query", smaller)
    same(read(connect(), "opportunity"), stored(sandbox, "opportunity"))


def test_one_at_a_time_reads_the_same(connect: Connect, sandbox: Sandbox) -> None:
    same(read(connect(max_in_flight=1), "opportunity"), stored(sandbox, "opportunity"))
    assert methods(sandbox)["opportunity query_more"] == -(-RECORDS // PAGE) - 1


def test_a_window_takes_its_first_moment_and_leaves_its_last(connect: Connect, sandbox: Sandbox) -> None:
    everything = stored(sandbox, "opportunity")
    stamps = sorted(row["SystemModstamp"] for row in everything.values())
    (tied, number), *_ = Counter(stamps).most_common(1)
    assert number > PAGE
    last = next(stamp for stamp in stamps if stamp > tied)
    connector = connect()
    for lo, hi in ((tied, last), (stamps[100], stamps[900]), (last, "9999")):
        found = read(connector, "opportunity", Window(moment(lo), moment(hi) if hi < "9" else None))
        same(found, {i: row for i, row in everything.items() if lo <= row["SystemModstamp"] < hi})
    # a bound inside a second is widened to the whole one
    lower, upper = (moment(tied) + timedelta(milliseconds=part) for part in (300, 600))
    assert len(read(connector, "opportunity", Window(lower, upper))) == number


def test_a_second_look_takes_one_call_a_table(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect()
    schema, since = connector.schema("opportunity"), connector.server_time() - timedelta(minutes=10)
    sandbox.reset_requests()
    assert len(rows(connector.changes(schema, Window(since)))) < RECORDS
    assert methods(sandbox) == {"opportunity query_all": 1}


def test_deleted_and_merged_records_come_as_such(connect: Connect, sandbox: Sandbox) -> None:
    winner, loser, gone = list(stored(sandbox, "account"))[:3]
    before = datetime.now(UTC) - timedelta(seconds=2)
    sandbox.change("salesforce", "northwind", "account", delete=[gone])
    control(sandbox, "merge", object="account", winner=winner, loser=loser)
    connector = connect()
    schema = connector.schema("account")
    assert schema.deleted == ("IsDeleted", True)
    found = {row["Id"]: row for row in rows(connector.changes(schema, Window(before)))}
    assert (found[gone]["IsDeleted"], found[gone]["MasterRecordId"]) == (True, None)
    assert (found[loser]["IsDeleted"], found[loser]["MasterRecordId"]) == (True, winner)
    assert not found[winner]["IsDeleted"]
    listed = {source_id for batch in connector.inventory(schema) for source_id, _ in batch}
    assert listed == {i for i, row in stored(sandbox, "account").items() if not row["IsDeleted"]}
    assert connector.schema("user").deleted is None


def test_records_by_their_ids_and_the_full_list(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect()
    schema = connector.schema("opportunity")
    everything = stored(sandbox, "opportunity")
    some = list(everything)[::10]
    found = rows(connector.by_ids(schema, iter([*some, "006000000000000AAA", "no' OR Id != '"])))
    same(found, {i: everything[i] for i in some})
    listed = [entry for batch in connector.inventory(schema) for entry in batch]
    assert sorted(listed) == sorted((i, row["SystemModstamp"]) for i, row in everything.items() if not row["IsDeleted"])
    assert list(connector.undated(schema)) == []


def test_archived_records_are_in_the_full_list(connect: Connect, sandbox: Sandbox) -> None:
    everything = stored(sandbox, "task")
    archived = {i for i, row in everything.items() if row["IsArchived"]}
    deleted = next(i for i in everything if i not in archived)
    sandbox.change("salesforce", "northwind", "task", delete=[deleted])
    connector = connect(tables={"task": {}})
    schema = connector.schema("task")
    listed = {source_id for batch in connector.inventory(schema) for source_id, _ in batch}
    assert archived <= listed == everything.keys() - {deleted}
    # where there is no recycle bin there is nothing to leave out
    users = {source_id for batch in connector.inventory(connector.schema("user")) for source_id, _ in batch}
    assert users == stored(sandbox, "user").keys()


def test_changes_are_told_apart_from_none(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(tables={"subscription__c": {}, "price__x": {}})
    now = connector.server_time() + timedelta(seconds=5)
    later = dict.fromkeys([*BUILT_IN_TABLES, "subscription__c", "price__x", "nothing"], now)
    assert not connector.has_changes(later)
    assert not connector.has_changes({})
    sandbox.reset_requests()
    assert not connector.has_changes(dict.fromkeys(BUILT_IN_TABLES, now))
    asked = methods(sandbox).total()
    assert asked == len(BUILT_IN_TABLES) <= SOURCE.poll_cost + SOURCE.poll_cost_a_table * len(BUILT_IN_TABLES)
    assert connector.has_changes(later | {"opportunity": now - timedelta(days=30)})
    assert SOURCE.daily_budget(connect(org_requests_per_day=40_000)._settings) == 40_000
    assert "108" in connector.check()


# -- schema ----------------------------------------------------------------------------------------------------------------


def test_fields_have_the_lakes_types(connect: Connect) -> None:
    columns = {column.name: column for column in connect().schema("opportunity").columns}
    kinds = {name: (columns[name].type, columns[name].source_type) for name in (
        "Id", "IsWon", "Amount", "Probability", "Seats__c", "PushCount", "CloseDate", "SystemModstamp", "AccountId",
        "Competitors__c", "StageName", "Days_Open__c", "Description",
    )}  # fmt: skip
    assert kinds == {
        "Id": ("text", "id"), "IsWon": ("boolean", "boolean"), "Amount": ("decimal", "currency"),
        "Probability": ("double", "percent"), "Seats__c": ("double", "double"), "PushCount": ("integer", "int"),
        "CloseDate": ("date", "date"), "SystemModstamp": ("timestamp", "datetime"), "AccountId": ("text", "reference"),
        "Competitors__c": ("text", "multipicklist"), "StageName": ("text", "picklist"),
        "Days_Open__c": ("double", "double"), "Description": ("text", "textarea"),
    }  # fmt: skip
    assert columns["AccountId"].relation == "Account"
    assert columns["Go_Live__c"].label == "Go Live"
    assert "Site__c" not in columns
    assert "Site__Latitude__s" in columns


def test_compound_fields_are_left_out_for_their_parts_and_files_altogether(connect: Connect) -> None:
    connector = connect(tables={"attachment": {}, "account": {"include": ["Name", "BillingAddress"], "exclude": []}})
    contact = {column.name for column in connector.schema("contact").columns}
    assert contact >= {"MailingCity", "FirstName", "LastName", "Name"}
    assert not contact & {"MailingAddress", "OtherAddress"}
    assert "Body" not in {column.name for column in connector.schema("attachment").columns}
    chosen = connector.schema("account")
    assert {column.name: column.type for column in chosen.columns} == {
        "Id": "text", "IsDeleted": "boolean", "Name": "text", "BillingAddress": "json", "SystemModstamp": "timestamp",
    }  # fmt: skip
    assert {type(row["BillingAddress"]) for row in rows(connector.changes(chosen, Window()))} == {dict, type(None)}


def test_configuration_that_asks_for_what_is_not_there_is_an_error(connect: Connect) -> None:
    connector = connect(tables={"account": {"include": ["Nmae"]}, "contact": {"exclude": ["Phone", "Id"]}})
    with pytest.raises(PermanentError, match=r"salesforce\.tables\.account\.include .*Nmae"):
        connector.schema("account")
    names = {column.name for column in connector.schema("contact").columns}
    assert "Phone" not in names
    assert "Id" in names


def test_any_object_is_found_by_its_own_or_its_snake_case_name(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(
        tables=["Subscription__c", "opportunity_field_history", "OpportunityFieldHistory2", "Pricee__x"]
    )
    assert connector.tables() == [
        "subscription__c", "opportunity_field_history", "opportunity_field_history2", "pricee__x",
    ]  # fmt: skip
    assert connector.schema("subscription__c").source_name == "Subscription__c"
    history = connector.schema("opportunity_field_history")
    assert (history.source_name, history.modified_column) == ("OpportunityFieldHistory", "CreatedDate")
    assert connector.schema("opportunityfieldhistory").source_name == "OpportunityFieldHistory"
    with pytest.raises(MissingAtSource, match=r"table pricee__x.*Did you mean price__x\?"):
        connector.schema("pricee__x")
    assert methods(sandbox)["- sobjects"] == 1
    external = connector.schema("price__x")
    assert (external.whole, external.modified_column, external.deleted) == (True, None, None)
    assert connect(tables={"Case": {}}).tables() == [*BUILT_IN_TABLES, "case"]


def test_tables_that_begin_together_fetch_the_list_of_objects_once(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = connect(tables=["case", "task", "subscription__c", "price__x"])
    rest = connector._connected()
    objects = rest.objects

    def slow() -> list[str]:
        time.sleep(0.05)
        return objects()

    monkeypatch.setattr(rest, "objects", slow)
    with ThreadPoolExecutor(4) as pool:
        found = [schema.source_name for schema in pool.map(connector.schema, connector.tables())]
    assert found == ["Case", "Task", "Subscription__c", "Price__x"]
    assert methods(sandbox)["- sobjects"] == 1


def test_an_object_without_the_best_stamp_goes_by_the_next(connect: Connect, sandbox: Sandbox) -> None:
    control(sandbox, "objects/lead", remove=["SystemModstamp"])
    try:
        connector = connect()
        schema = connector.schema("lead")
        assert schema.modified_column == "LastModifiedDate"
        everything = stored(sandbox, "lead")
        same(rows(connector.changes(schema, Window())), everything)
        lo = sorted(row["LastModifiedDate"] for row in everything.values())[-50]
        expected = {i: row for i, row in everything.items() if row["LastModifiedDate"] >= lo}
        same(rows(connector.changes(schema, Window(moment(lo)))), expected)
    finally:
        control(sandbox, "objects/lead", add=["SystemModstamp datetime"])


def test_an_object_that_is_hidden_is_missing(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect()
    schema = connector.schema("lead")
    control(sandbox, "objects/lead", visible=False)
    try:
        for ask in (lambda: connector.schema("lead"), lambda: rows(connector.changes(schema, Window()))):
            with pytest.raises(MissingAtSource, match=r"tenant northwind, source salesforce, table lead.*Lead"):
                ask()
    finally:
        control(sandbox, "objects/lead", visible=True)


def test_more_columns_than_fit_into_an_address_are_read_in_parts(connect: Connect, sandbox: Sandbox) -> None:
    names = [f"Very_Long_Name_Of_A_Custom_Field_{number:03d}__c" for number in range(500)]
    control(sandbox, "objects/contact", add=[f"{name} string" for name in names])
    try:
        some, moved, gone = list(stored(sandbox, "contact"))[:3]
        sandbox.change("salesforce", "northwind", "contact", put=[{"Id": some, names[0]: "first", names[-1]: "last"}])
        connector = connect()
        schema = connector.schema("contact")
        assert len(query_string(",".join(column.name for column in schema.columns))) > 16_384
        sandbox.reset_requests()
        everything = stored(sandbox, "contact")
        same(rows(connector.changes(schema, Window())), everything)
        found = {row["Id"]: row for row in rows(connector.by_ids(schema, [some, moved]))}
        assert (found[some][names[0]], found[some][names[-1]]) == ("first", "last")
        assert found[moved].keys() == {"attributes", *(column.name for column in schema.columns)}
        # records that move or vanish between the parts
        answers = 0
        ask = connector._connected().query

        def moving(*args: Any, **kwargs: Any) -> Any:
            nonlocal answers
            answers += 1
            if answers == 3:
                sandbox.change("salesforce", "northwind", "contact", put=[{"Id": moved, names[-1]: "moved"}])
                sandbox.change("salesforce", "northwind", "contact", delete=[gone])
            return ask(*args, **kwargs)

        connector._connected().query = moving
        late = {row["Id"]: row for row in rows(connector.changes(schema, Window()))}
        assert late.keys() == everything.keys()
        assert (late[moved][names[-1]], late[gone]["IsDeleted"]) == ("moved", True)
        assert all(row.keys() == late[moved].keys() for row in late.values())
    finally:
        control(sandbox, "objects/contact", remove=names)


class OnePlace(threading.Semaphore):
    """Where nobody else takes places, to wait for one is to wait for ever."""

    def __enter__(self, blocking: bool = True, timeout: float | None = None) -> bool:
        assert self.acquire(timeout=0), "waits for a place that it holds itself"
        return True


def test_parts_that_come_in_several_batches_do_not_wait_for_each_other(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.connectors.salesforce_pages.LONGEST_COLUMNS", 500)
    connector = connect(max_in_flight=1, page_size=600)
    connector._cursors = OnePlace(1)
    rest = connector._connected()
    query, usual = rest.query, rest._options

    def smaller(soql: str, *args: Any, **options: Any) -> Batch:
        # the fields of the later parts are long: their batches hold fewer records than the first part's
        first = "SystemModstamp > " not in soql and "Id IN" not in soql
        rest._options = usual if first else {"Sforce-Query-Options": "batchSize=200"}
        return query(soql, *args, **options)

    monkeypatch.setattr(rest, "query", smaller)
    same(read(connector, "opportunity"), stored(sandbox, "opportunity"))
    asked = methods(sandbox)
    assert asked["opportunity query_more"] > 1 + asked["opportunity query_all"], "a part came in several batches"
    ids = list(stored(sandbox, "opportunity"))[:500]
    assert len(rows(connector.by_ids(connector.schema("opportunity"), ids))) == 500


# -- what moves while it is read -------------------------------------------------------------------------------------------


def test_a_record_that_changes_between_two_pages_is_not_lost(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect(max_in_flight=1)
    begin = connector.server_time()
    pages = connector.changes(connector.schema("opportunity"), Window())
    first = rows([next(pages)])
    last = max(stored(sandbox, "opportunity").values(), key=lambda row: (row["SystemModstamp"], row["Id"]))["Id"]
    sandbox.change("salesforce", "northwind", "opportunity", put=[{"Id": last, "NextStep": "between"}])
    found = [*first, *rows(pages)]
    assert len({row["Id"] for row in found}) == len(found) == RECORDS
    again = read(connector, "opportunity", Window(begin - timedelta(minutes=10)))
    assert {row["Id"]: row["NextStep"] for row in again}[last] == "between"


def test_a_record_committed_late_lies_in_the_overlap(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect()
    watermark = connector.server_time()
    stamp = f"{watermark - timedelta(minutes=4):%Y-%m-%dT%H:%M:%S}.000+0000"
    (late,) = sandbox.change("salesforce", "northwind", "lead", put=[{"LastName": "late", "SystemModstamp": stamp}])
    found = read(connector, "lead", Window(watermark - timedelta(minutes=10)))
    assert late in {row["Id"] for row in found}


def test_a_field_that_vanishes_while_it_is_read_is_left_out(
    connect: Connect, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    control(sandbox, "objects/case", add=["Short_Lived__c string"])
    connector = connect(tables={"case": {}})
    schema = connector.schema("case")
    assert "Short_Lived__c" in {column.name for column in schema.columns}
    control(sandbox, "objects/case", remove=["Short_Lived__c"])
    with caplog.at_level(logging.WARNING):
        found = rows(connector.changes(schema, Window()))
    same(found, stored(sandbox, "case"))
    assert "Short_Lived__c" not in found[0]
    assert "the source lost Short_Lived__c" in caplog.text


@pytest.mark.parametrize(("number", "columns"), [(3, 13_000), (3, 500), (450, 13_000), (450, 500)])
@pytest.mark.parametrize("settings", [{}, {"max_in_flight": 1}], ids=str)
def test_records_without_a_time_are_read_with_the_others(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], columns: int,
    number: int,
) -> None:  # fmt: skip
    monkeypatch.setattr("resources.connectors.salesforce_pages.LONGEST_COLUMNS", columns)
    before = stored(sandbox, "opportunity")
    undated = list(before)[100 : 100 + number]
    sandbox.change("salesforce", "northwind", "opportunity", put=[{"Id": i, "SystemModstamp": None} for i in undated])
    try:
        connector = connect(**settings)
        schema = connector.schema("opportunity")
        everything = stored(sandbox, "opportunity")
        found = rows(connector.changes(schema, Window()))
        same(list({row["Id"]: row for row in found}.values()), everything)
        same(rows(connector.undated(schema)), {i: everything[i] for i in undated})
        bounded = rows(connector.changes(schema, Window(hi=connector.server_time() + timedelta(days=1))))
        same(list({row["Id"]: row for row in bounded}.values()), everything)
        listed = dict(entry for batch in connector.inventory(schema) for entry in batch)
        assert [listed[i] for i in undated] == [None] * number
        # a cursor that is lost among them
        sandbox.fault("expired", model="opportunity", method="query_more")
        found = rows(connector.changes(schema, Window()))
        same(list({row["Id"]: row for row in found}.values()), everything)
    finally:
        back = [{"Id": i, "SystemModstamp": before[i]["SystemModstamp"]} for i in undated]
        sandbox.change("salesforce", "northwind", "opportunity", put=back)


# -- login -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_login_by_a_signed_assertion(connect: Connect, sandbox: Sandbox, key: rsa.RSAPrivateKey) -> None:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    control(sandbox, "keys", public_key=public.decode())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    user = {"client_secret": None, "username": "integration@northwind.example"}
    for written in (pem, pem.replace("\n", "\\n")):
        assert "logged in" in connect(**user, private_key=written).check()
    with pytest.raises(PermanentError, match=r"refused the login: invalid_grant.*username, private_key") as refused:
        connect(**user | {"username": "somebody@else.example"}, private_key=pem).check()
    with pytest.raises(PermanentError, match="private_key is not an RSA private key"):
        connect(**user, private_key="no key at all").check()
    assert pem[40:80] not in str(refused.value)


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_clock_five_minutes_off_signs_by_that_of_the_server(
    connect: Connect, sandbox: Sandbox, key: rsa.RSAPrivateKey, minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    control(sandbox, "keys", public_key=public.decode())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    wrong = SimpleNamespace(time=lambda: time.time() + 60 * minutes)
    monkeypatch.setattr("resources.connectors.salesforce_rest.time", wrong)
    user = {"client_secret": None, "username": "integration@northwind.example", "private_key": pem}
    settings = SalesforceSource.model_validate({"url": sandbox.source_url("salesforce", "northwind"), **CLIENT, **user})
    login = Login(settings.url, "", settings.client_id, "", "integration@northwind.example", pem)
    http = HttpClient("northwind", "salesforce")
    session = Rest(http, login, "62.0", 0.9, PAGE, time.monotonic).session()
    http.close()
    assert session.token
    assert methods(sandbox) == {"- token": 2}


def test_a_wrong_secret_is_told_once_and_not_shown(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = connect(client_secret="wr0ng-s3cret")
    for _ in range(3):
        with pytest.raises(
            PermanentError, match=r"refused the login: invalid_client.*sources\.salesforce\.client_id"
        ) as error:
            connector.schema("account")
        assert "s3cret" not in str(error.value)
    assert methods(sandbox) == {"- token": 1}
    monkeypatch.delenv("NOT_SET_ANYWHERE", raising=False)
    with pytest.raises(PermanentError, match="NOT_SET_ANYWHERE is not set"):
        connect(client_secret="${NOT_SET_ANYWHERE}").server_time()


@pytest.mark.parametrize(
    "given",
    [
        {"client_secret": None},
        {"client_secret": None, "private_key": "key"},
        {"private_key": "key", "username": "user"},
        {"tables": {"Case": {}, "case": {}}},
        {"url": "https://user:password@example.com"},
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SalesforceSource.model_validate({"url": "https://acme.my.salesforce.com", **CLIENT, **given})


def test_a_session_that_ends_is_renewed_once_for_all_threads(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect()
    schemas = [connector.schema(table) for table in BUILT_IN_TABLES]
    control(sandbox, "sessions", "DELETE")
    sandbox.reset_requests()
    found: dict[str, int] = {}
    threads = [
        threading.Thread(target=lambda s=schema: found.update({s.table: len(rows(connector.changes(s, Window())))}))
        for schema in schemas
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {table: len(stored(sandbox, table)) for table in BUILT_IN_TABLES}
    assert methods(sandbox)["- token"] == 1


def test_a_session_that_is_refused_again_at_once_is_an_error(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect()
    connector.check()
    sandbox.fault("expired", method="describe", times=None)
    with pytest.raises(PermanentError, match=r"table account.*has just given: INVALID_SESSION_ID"):
        connector.schema("account")
    assert methods(sandbox)["- token"] == 2


def test_a_login_that_goes_on_failing_for_a_while_is_no_error_of_configuration(
    connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.fault("429", style="login_rate", method="token", times=None)
    with pytest.raises(TransientError, match="HTTP 400, invalid_grant: login rate exceeded") as raised:
        connect(RetryPolicy(tries=2)).schema("account")
    assert "northwind-secret" not in str(raised.value)


# -- limits ----------------------------------------------------------------------------------------------------------------


def test_it_stops_before_the_orgs_limit_and_goes_on_where_it_stopped(connect: Connect, sandbox: Sandbox) -> None:
    control(sandbox, "limits", daily=1000, used=895)
    connector = connect(max_in_flight=2)
    schema = connector.schema("opportunity")
    pages: list[Page] = []
    with pytest.raises(BudgetSpent, match=r"\d+ of the 1,000 calls.*org_limit_share") as stop:
        pages.extend(connector.changes(schema, Window()))
    assert stop.value.resumes_at > datetime.now(UTC) + timedelta(minutes=50)
    partly = {row["Id"] for row in rows(pages)}
    assert 0 < len(partly) < RECORDS
    assert stop.value.rest
    control(sandbox, "limits", daily=108_000, used=0)
    now = connector.server_time()
    rest = rows(connect().changes(schema, Window(now, rest=stop.value.rest)))
    assert partly | {row["Id"] for row in rest} == stored(sandbox, "opportunity").keys()


def test_an_exhausted_org_is_a_spent_budget_and_a_crowded_one_is_waited_for(connect: Connect, sandbox: Sandbox) -> None:
    connector = connect()
    schema = connector.schema("account")
    sandbox.fault("403", style="concurrent", model="account", method="query_all")
    assert rows(connector.changes(schema, Window()))
    sandbox.fault("403", style="limit", model="account", method="query_all", times=None)
    with pytest.raises(BudgetSpent, match="used up: REQUEST_LIMIT_EXCEEDED"):
        rows(connector.changes(schema, Window()))


def test_few_cursors_are_open_at_once(connect: Connect, sandbox: Sandbox) -> None:
    control(sandbox, "limits", cursors=1)
    try:
        same(read(connect(), "opportunity"), stored(sandbox, "opportunity"))
    finally:
        control(sandbox, "limits", cursors=10)


# -- faults ----------------------------------------------------------------------------------------------------------------

PASSING = [
    {"kind": "503"}, {"kind": "503", "style": "disabled"}, {"kind": "503", "style": "html", "retry_after": 1},
    {"kind": "500"}, {"kind": "429"}, {"kind": "429", "retry_after": 3}, {"kind": "cut"}, {"kind": "reset"},
    {"kind": "html"}, {"kind": "401"}, {"kind": "expired"},
]  # fmt: skip


@pytest.mark.parametrize("fault", PASSING, ids=str)
@pytest.mark.parametrize("method", ["describe", "query_all", "query_more"])
def test_what_passes_loses_nothing_and_doubles_nothing(
    connect: Connect, sandbox: Sandbox, fault: dict[str, Any], method: str
) -> None:
    sandbox.fault(**fault, model="opportunity", method=method)
    same(read(connect(), "opportunity"), stored(sandbox, "opportunity"))
    assert sandbox.faults()[0]["struck"] == 1


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ({"kind": "403"}, PermanentError, "HTTP 403"),
        ({"kind": "403", "style": "disabled"}, PermanentError, "API_DISABLED_FOR_ORG"),
        ({"kind": "403", "style": "access"}, NotPermitted, "INSUFFICIENT_ACCESS"),
        ({"kind": "503"}, TransientError, "SERVER_UNAVAILABLE"),
        ({"kind": "429"}, TransientError, "HTTP 429"),
        ({"kind": "html"}, TransientError, "text/html that is no answer"),
        ({"kind": "reset"}, TransientError, "connection"),
    ],
    ids=str,
)
def test_what_stays_is_told_with_tenant_source_and_table(
    connect: Connect, sandbox: Sandbox, fault: dict[str, Any], error: type[Exception], said: str
) -> None:
    connector = connect(RetryPolicy(tries=3))
    schema = connector.schema("account")
    sandbox.fault(**fault, model="account", method="query_all", times=None)
    with pytest.raises(error, match=said) as raised:
        rows(connector.changes(schema, Window()))
    assert "tenant northwind, source salesforce, table account" in str(raised.value)
    assert "northwind-secret" not in str(raised.value)
    assert "00D5g" not in str(raised.value)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "html"}, {"kind": "503"}, {"kind": "403"}, {"kind": "500", "style": "unknown"},
        {"kind": "500", "style": "server"}, {"kind": "429", "style": "login_rate"},
    ],
    ids=str,
)  # fmt: skip
def test_a_login_meets_faults_too(connect: Connect, sandbox: Sandbox, fault: dict[str, Any]) -> None:
    sandbox.fault(**fault, method="token")
    connector = connect()
    if fault["kind"] == "403":
        with pytest.raises(PermanentError, match=r"tenant northwind, source salesforce: .*HTTP 403"):
            connector.schema("account")
    else:
        assert connector.schema("account").columns


@pytest.mark.parametrize("kind", ["expired", "repeat"])
@pytest.mark.parametrize("after", [0, 2])
def test_a_cursor_that_is_lost_or_answers_twice_costs_a_call_and_no_record(
    connect: Connect, sandbox: Sandbox, kind: str, after: int
) -> None:
    sandbox.fault(kind, model="opportunity", method="query_more", after=after)
    found = read(connect(max_in_flight=1), "opportunity")
    assert len(found) == len({row["Id"] for row in found})
    same(found, stored(sandbox, "opportunity"))
    sandbox.clear_faults()
    sandbox.fault(kind, model="opportunity", method="query_more", after=after)
    connector = connect()
    listed = [entry[0] for batch in connector.inventory(connector.schema("opportunity")) for entry in batch]
    assert len(listed) == len(set(listed))
    assert set(listed) == {i for i, row in stored(sandbox, "opportunity").items() if not row["IsDeleted"]}


def test_a_query_that_takes_too_long_is_asked_in_halves(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.fault("500", style="query_timeout", model="opportunity", method="query_all", times=3)
    found = read(connect(max_in_flight=1), "opportunity")
    same(list({row["Id"]: row for row in found}.values()), stored(sandbox, "opportunity"))
    sandbox.clear_faults()
    sandbox.fault("500", style="query_timeout", model="opportunity", method="query_all")
    # without the count by day chains are split while they are read, and pages next to a split come twice
    found = read(connect(), "opportunity")
    same(list({row["Id"]: row for row in found}.values()), stored(sandbox, "opportunity"))
