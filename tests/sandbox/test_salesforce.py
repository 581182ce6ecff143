"""The stand-in for Salesforce: recorded columns, logins, SOQL, cursors, limits, the recycle bin, days that pass, faults."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.salesforce import soql
from sandbox.salesforce.ids import checked
from sandbox.salesforce.objects import OBJECTS, fields_of, snake
from sandbox.salesforce.table import java_double
from sandbox.server import Sandbox, running
from sandbox.world import World

START = "2026-11-14"
RECORDED = json.loads((Path(__file__).parent / "data" / "salesforce_columns.json").read_text())
APP = {"client_id": "3MVG9northwind", "client_secret": "northwind-secret"}


@dataclass
class Client:
    """A bare client of one org."""

    sandbox: Sandbox
    http: requests.Session = field(default_factory=requests.Session)
    session: str = ""

    def __post_init__(self) -> None:
        self.http.trust_env = False
        self.url = self.sandbox.source_url("salesforce", "northwind")

    def token(self, **form: str) -> requests.Response:
        return self.http.post(f"{self.url}/services/oauth2/token", data=form, timeout=10)

    def log_in(self) -> None:
        self.session = self.token(grant_type="client_credentials", **APP).json()["access_token"]

    def get(self, path: str, headers: dict[str, str] | None = None, **params: str) -> requests.Response:
        own = {"Authorization": f"Bearer {self.session}"} | (headers or {})
        return self.http.get(f"{self.url}/services/data/v62.0/{path}", params=params, headers=own, timeout=10)

    def query(self, text: str, path: str = "query") -> list[dict[str, Any]]:
        answer = self.get(path, q=text).json()
        assert isinstance(answer, dict), answer
        records = answer["records"]
        while not answer["done"]:
            answer = self.get(answer["nextRecordsUrl"].split("/", 4)[4]).json()
            records += answer["records"]
        return records

    def ids(self, text: str, path: str = "query") -> list[str]:
        return [record["Id"] for record in self.query(text, path)]

    def error(self, text: str) -> tuple[int, str]:
        answer = self.get("query", q=text)
        return answer.status_code, answer.json()[0]["errorCode"]

    def control(self, method: str, path: str, **body: Any) -> Any:
        url = f"{self.sandbox.url}/_sandbox/salesforce/northwind/{path}"
        answer = self.http.request(method, url, json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def truth(self, entity: str) -> list[dict[str, Any]]:
        return self.sandbox.records("salesforce", "northwind", entity)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running(start=START, seed=7, sources="salesforce", records=3000, scale=0.2) as server:
        yield server


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    client.log_in()
    yield client
    sandbox.clear_faults()
    client.control("POST", "limits", daily=108_000, used=0, cursors=10, session_seconds=7200)
    client.http.close()


# -- as recorded -----------------------------------------------------------------------------------------------------------

WITHOUT_THE_FEATURE = (
    "country_code",
    "state_code",
    "territory_2",
    "individual",
    "jigsaw",
    "_photo",
    "photo_url",
    "badge",
)
"""Columns that an org has only with state picklists, territories, data.com, photos, ..."""


def test_the_objects_have_the_recorded_columns() -> None:
    missing = {}
    for name in ("Account", "Contact", "Opportunity"):
        ours = {snake(column).replace("2_id", "_2_id") for column in fields_of(name)}
        recorded = RECORDED[name.lower()]["columns"]
        missing[name] = sorted(c for c in recorded if c not in ours and not any(w in c for w in WITHOUT_THE_FEATURE))
    assert missing == {
        "Account": [],
        "Contact": ["has_opted_out_of_fax", "last_curequest_date", "last_cuupdate_date"],
        "Opportunity": ["synced_quote_id"],
    }


def test_ids_carry_the_checksum_of_real_ones(client: Client) -> None:
    for recorded in RECORDED.values():
        assert all(checked(value[:15]) == value for value in recorded["ids"])
    for record in client.truth("opportunity")[:50]:
        assert record["Id"].startswith("006")
        assert checked(record["Id"][:15]) == record["Id"]


def test_large_numbers_are_written_as_java_writes_doubles(client: Client) -> None:
    assert [java_double(n) for n in (24_120_000.0, 12_345_678.9, 1e7, 9007199254740993.0, -2.5e8)] == [
        b"2.412E7", b"1.23456789E7", b"1.0E7", b"9.007199254740992E15", b"-2.5E8",
    ]  # fmt: skip
    text = client.get("query", q="SELECT Amount FROM Opportunity WHERE Amount > 24119999 LIMIT 1").text
    assert '"Amount":2.412E7' in text


def test_describe_tells_types_parts_picklists_and_formulas(client: Client) -> None:
    described = client.get("sobjects/Account/describe").json()
    fields = {entry["name"]: entry for entry in described["fields"]}
    assert (described["keyPrefix"], described["queryable"], described["custom"]) == ("001", True, False)
    assert fields["BillingAddress"]["type"] == "address"
    assert fields["BillingGeocodeAccuracy"]["compoundFieldName"] == "BillingAddress"
    assert fields["Name"]["compoundFieldName"] == "Name"
    assert fields["OwnerId"]["referenceTo"] == ["User"]
    opportunity = {entry["name"]: entry for entry in client.get("sobjects/opportunity/describe").json()["fields"]}
    assert opportunity["Days_Open__c"]["calculated"]
    assert opportunity["Site__Latitude__s"]["compoundFieldName"] == "Site__c"
    assert "Closed Won" in [entry["value"] for entry in opportunity["StageName"]["picklistValues"]]
    kinds = {entry["type"] for name in OBJECTS for entry in client.get(f"sobjects/{name}/describe").json()["fields"]}
    assert kinds >= {
        "currency",
        "percent",
        "double",
        "int",
        "multipicklist",
        "base64",
        "location",
        "datetime",
        "reference",
    }
    assert "IsDeleted" not in {entry["name"] for entry in client.get("sobjects/User/describe").json()["fields"]}
    listed = {entry["name"] for entry in client.get("sobjects").json()["sobjects"]}
    assert listed == set(OBJECTS)
    versions = client.http.get(f"{client.url}/services/data/", timeout=10).json()
    assert versions[-1] == {"label": "v62", "url": "/services/data/v62.0", "version": "62.0"}


def test_records_open_with_attributes_and_show_addresses_as_objects(client: Client) -> None:
    (record,) = client.query("SELECT Id, BillingAddress, BillingCity FROM Account WHERE BillingCity != null LIMIT 1")
    assert list(record) == ["attributes", "Id", "BillingAddress", "BillingCity"]
    assert record["attributes"] == {
        "type": "Account", "url": f"/services/data/v62.0/sobjects/Account/{record['Id']}",
    }  # fmt: skip
    assert record["BillingAddress"]["city"] == record["BillingCity"]
    assert set(record["BillingAddress"]) >= {"street", "postalCode", "geocodeAccuracy", "latitude"}
    (body,) = client.query("SELECT Id, Body FROM Attachment LIMIT 1")
    assert body["Body"].endswith("/Body")


# -- login -----------------------------------------------------------------------------------------------------------------


def test_client_credentials_go_in_the_form_or_as_basic(client: Client) -> None:
    answer = client.token(grant_type="client_credentials", **APP).json()
    assert set(answer) >= {"access_token", "instance_url", "id", "token_type", "issued_at", "signature"}
    assert answer["instance_url"] == client.url
    url = f"{client.url}/services/oauth2/token"
    basic = client.http.post(
        url, data={"grant_type": "client_credentials"}, auth=(APP["client_id"], APP["client_secret"]), timeout=10
    )
    assert basic.json()["token_type"] == "Bearer"
    for form, said in (
        ({"client_id": "nobody"}, "invalid_client_id"), ({"client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ):  # fmt: skip
        refused = client.token(**{"grant_type": "client_credentials", **APP, **form})
        assert (refused.status_code, refused.json()["error"]) == (400, said)


def test_a_jwt_must_be_signed_with_the_registered_key(client: Client) -> None:
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
    public = keys[0].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    client.control("POST", "keys", public_key=public.decode())
    good = {
        "iss": APP["client_id"], "sub": "integration@northwind.example", "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 180,
    }  # fmt: skip

    def log_in(key: rsa.RSAPrivateKey = keys[0], **claims: Any) -> requests.Response:
        assertion = jwt.encode(good | claims, key, "RS256")
        return client.token(grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=assertion)

    client.session = log_in().json()["access_token"]
    assert client.get("limits").status_code == 200
    for refused in (
        log_in(keys[1]), log_in(aud="https://example.com"), log_in(exp=int(time.time()) - 60),
        log_in(exp=int(time.time()) + 3600), log_in(sub="somebody@else.example"), log_in(iss="other"),
    ):  # fmt: skip
        assert refused.status_code == 400
        assert refused.json()["error"] in ("invalid_grant", "invalid_client_id")


def test_sessions_end(client: Client) -> None:
    client.control("DELETE", "sessions")
    answer = client.get("limits")
    assert (answer.status_code, answer.json()) == (
        401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
    )  # fmt: skip
    client.control("POST", "limits", session_seconds=0)
    client.log_in()
    assert client.get("limits").status_code == 401


# -- SOQL ------------------------------------------------------------------------------------------------------------------


def test_windows_orders_and_conditions_find_what_a_scan_finds(client: Client) -> None:
    rows = client.truth("opportunity")
    stamps = sorted(row["SystemModstamp"] for row in rows)
    lo, hi = stamps[500], stamps[1500]
    begin, end = (stamp.replace("+0000", "Z") for stamp in (lo, hi))

    def expected(test: Any, key: str = "SystemModstamp") -> list[str]:
        return [row["Id"] for row in sorted((row for row in rows if test(row)), key=lambda row: (row[key], row["Id"]))]

    window = f"SystemModstamp >= {begin} AND SystemModstamp < {end}"
    ask = "SELECT Id FROM Opportunity WHERE"
    order = "ORDER BY SystemModstamp, Id"
    assert client.ids(f"{ask} {window} {order}") == expected(lambda row: lo <= row["SystemModstamp"] < hi)
    assert client.ids(f"{ask} {window} AND IsWon = true {order}") == expected(
        lambda row: lo <= row["SystemModstamp"] < hi and row["IsWon"]
    )
    last = rows[700]["Id"]
    keyset = f"(SystemModstamp = {begin} AND Id > '{last}') OR SystemModstamp > {begin}"
    assert client.ids(f"{ask} {keyset} {order} LIMIT 40") == expected(
        lambda row: (row["SystemModstamp"] == lo and row["Id"] > last) or row["SystemModstamp"] > lo
    )[:40]  # fmt: skip
    assert (
        client.ids(f"{ask} Id > '{last[:15]}' ORDER BY Id LIMIT 5") == expected(lambda row: row["Id"] > last, "Id")[:5]
    )
    some = "', '".join(row["Id"] for row in rows[3:6])
    assert client.ids(f"{ask} Id IN ('{some}', '006000000000000AAA')") == [row["Id"] for row in rows[3:6]]
    assert set(client.ids(f"{ask} Name LIKE '%LAMPS' AND NOT (Amount <= 5000 OR Amount = null)")) == set(
        expected(lambda row: row["Name"].lower().endswith("lamps") and (row["Amount"] or 0) > 5000)
    )
    assert set(client.ids(f"{ask} CloseDate = null OR LeadSource NOT IN ('web', 'Other', null)")) == set(
        expected(lambda row: row["CloseDate"] is None or row["LeadSource"] not in ("Web", "Other", None))
    )
    assert (
        client.ids(f"{ask} {window} ORDER BY SystemModstamp DESC, Id DESC LIMIT 3 OFFSET 2")
        == (expected(lambda row: lo <= row["SystemModstamp"] < hi)[::-1][2:5])
    )
    (found,) = client.query(f"SELECT MIN(SystemModstamp), MAX(SystemModstamp) last FROM Opportunity WHERE {window}")
    assert (found["expr0"], found["last"]) == (lo, max(stamp for stamp in stamps if stamp < hi))
    count = client.get("query", q=f"SELECT COUNT() FROM Opportunity WHERE {window}").json()
    assert (count["totalSize"], count["records"]) == (len(expected(lambda row: lo <= row["SystemModstamp"] < hi)), [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Nope = 1", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Name = 7", "INVALID_FIELD"),
        ("SELECT Id, Id FROM Account", "INVALID_FIELD"),
        ("SELECT DAY_ONLY(CreatedDate), COUNT(Id) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'x", "MALFORMED_QUERY"),
        ("SELECT Id, FROM Account", "MALFORMED_QUERY"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD"),
    ],
)
def test_queries_are_refused_as_salesforce_refuses_them(client: Client, text: str, code: str) -> None:
    assert client.error(text) == (400, code)


def test_a_query_counts_by_day(client: Client) -> None:
    days = Counter(row["SystemModstamp"][:10] for row in client.truth("opportunity"))
    text = (
        "SELECT DAY_ONLY(SystemModstamp) d, COUNT(Id) n FROM Opportunity GROUP BY DAY_ONLY(SystemModstamp) "
        "ORDER BY DAY_ONLY(SystemModstamp) DESC LIMIT 50"
    )
    found = client.query(text, "queryAll")
    assert [(row["d"], row["n"]) for row in found] == sorted(days.items(), reverse=True)[:50]
    assert found[0]["attributes"] == {"type": "AggregateResult"}


def test_moments_are_read_with_any_zone() -> None:
    texts = ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000+0000")
    values = set()
    for text in texts:
        where = soql.parse(f"SELECT Id FROM A WHERE B = {text}").where
        assert isinstance(where, soql.Compare)
        assert isinstance(where.value, soql.Value)
        values.add(where.value.value)
    assert values == {"2026-01-01T00:00:00.000+0000"}
    assert soql.parse(r"SELECT Id FROM A WHERE B = 'it\'s'").where == soql.Compare(
        "B", "=", soql.Value("string", "it's")
    )


def test_fields_all_needs_a_limit(client: Client) -> None:
    (record,) = client.query("SELECT FIELDS(ALL) FROM Account LIMIT 1")
    assert set(record) == {"attributes", *fields_of("Account")}


# -- cursors ---------------------------------------------------------------------------------------------------------------


def test_a_result_is_read_as_it_was_when_it_was_asked_for(client: Client, sandbox: Sandbox) -> None:
    small = {"Sforce-Query-Options": "batchSize=1000"}
    text = "SELECT Id, NextStep FROM Opportunity ORDER BY SystemModstamp, Id"
    first = client.get("query", small, q=text).json()
    assert (len(first["records"]), first["done"], first["totalSize"]) == (1000, False, 3000)
    later = [row["Id"] for row in client.truth("opportunity")][-3:]
    sandbox.change(
        "salesforce", "northwind", "opportunity", put=[{"Id": later[0], "NextStep": "moved"}], delete=later[1:2]
    )
    seen = [record["Id"] for record in first["records"]]
    answer, locator = first, ""
    while not answer["done"]:
        locator = answer["nextRecordsUrl"].rpartition("/")[2]
        assert locator.startswith("01g")
        answer = client.get(f"query/{locator}").json()
        seen += [record["Id"] for record in answer["records"]]
    assert len(seen) == len(set(seen)) == 3000
    assert client.get(f"query/{locator}").json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
    assert client.get("query/01gnothing-2000").status_code == 400
    assert len(client.get("query", {"Sforce-Query-Options": "batchSize=3"}, q=text).json()["records"]) == 200
    sandbox.change("salesforce", "northwind", "opportunity", put=[{"Id": later[1], "IsDeleted": False}])


def test_the_oldest_of_ten_open_cursors_is_released(client: Client) -> None:
    small = {"Sforce-Query-Options": "batchSize=200"}
    opened = [
        client.get("query", small, q="SELECT Id FROM Opportunity").json()["nextRecordsUrl"].rpartition("/")[2]
        for _ in range(11)
    ]
    assert client.get(f"query/{opened[0]}").json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
    assert client.get(f"queryAll/{opened[1]}").status_code == 200
    client.control("DELETE", "sessions", cursors=True)
    assert client.get(f"query/{opened[-1]}").json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_an_address_has_a_greatest_length(client: Client) -> None:
    text = "SELECT Id FROM Account WHERE Name IN ('" + "','".join(f"name {n:04d}" for n in range(1500)) + "')"
    answer = client.get("query", q=text)
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (414, "text/html")


# -- limits ----------------------------------------------------------------------------------------------------------------


def test_every_answer_tells_the_calls_used_until_none_are_left(client: Client) -> None:
    client.control("POST", "limits", daily=5000, used=4998)
    assert client.get("limits").headers["Sforce-Limit-Info"] == "api-usage=4999/5000"
    left = client.get("limits").json()["DailyApiRequests"]
    assert left == {"Max": 5000, "Remaining": 0}
    refused = client.get("query", q="SELECT Id FROM Account LIMIT 1")
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert refused.headers["Sforce-Limit-Info"] == "api-usage=5000/5000"
    client.log_in()  # logging in costs nothing


# -- the recycle bin -------------------------------------------------------------------------------------------------------


def test_deleted_and_merged_records_are_seen_by_query_all_only(client: Client, sandbox: Sandbox) -> None:
    winner, loser, gone = [row["Id"] for row in client.truth("account") if not row["IsDeleted"]][5:8]
    sandbox.change("salesforce", "northwind", "account", delete=[gone])
    moved = client.control("POST", "merge", object="account", winner=winner, loser=loser)
    text = f"SELECT Id, IsDeleted, MasterRecordId FROM Account WHERE Id IN ('{winner}', '{loser}', '{gone}')"
    assert client.ids(text) == [winner]
    found = {record["Id"]: (record["IsDeleted"], record["MasterRecordId"]) for record in client.query(text, "queryAll")}
    assert found == {winner: (False, None), loser: (True, winner), gone: (True, None)}
    contacts = client.query(f"SELECT Id, SystemModstamp FROM Contact WHERE AccountId = '{winner}'")
    assert {record["Id"] for record in contacts} >= set(moved["Contact"])
    assert moved["Contact"]
    newest = client.query("SELECT MAX(SystemModstamp) m FROM Account")[0]["m"]
    assert {row["SystemModstamp"] for row in contacts if row["Id"] in moved["Contact"]} <= {newest}
    assert client.ids(f"SELECT Id FROM Account WHERE IsDeleted = true AND Id = '{gone}'", "queryAll") == [gone]


def test_only_query_all_sees_archived_tasks(client: Client) -> None:
    tasks = client.truth("task")
    archived = {row["Id"] for row in tasks if row["IsArchived"]}
    assert 0 < len(archived) < len(tasks)
    assert set(client.ids("SELECT Id FROM Task")) == {row["Id"] for row in tasks} - archived
    assert set(client.ids("SELECT Id FROM Task WHERE IsArchived = true AND IsDeleted = false", "queryAll")) == archived


def test_a_record_committed_late_has_the_stamp_it_brings(client: Client, sandbox: Sandbox) -> None:
    stamp = "2026-11-13T12:00:00.000+0000"
    (late,) = sandbox.change("salesforce", "northwind", "opportunity", put=[{"Name": "late", "SystemModstamp": stamp}])
    window = "SystemModstamp >= 2026-11-13T12:00:00Z AND SystemModstamp < 2026-11-13T12:00:01Z"
    assert late in client.ids(f"SELECT Id FROM Opportunity WHERE {window}")


def test_fields_come_and_go_and_objects_hide(client: Client) -> None:
    before = {row["Id"]: row["SystemModstamp"] for row in client.truth("case")}
    client.control("POST", "objects/case", add=["Urgency__c picklist values=now|later", "Cost__c currency"])
    (record,) = client.query("SELECT Id, Urgency__c, Cost__c FROM Case LIMIT 1")
    assert (record["Urgency__c"], record["Cost__c"]) == (None, None)
    assert {row["Id"]: row["SystemModstamp"] for row in client.truth("case")} == before
    client.control("POST", "objects/case", remove=["Cost__c", "SystemModstamp"])
    assert client.error("SELECT Cost__c FROM Case") == (400, "INVALID_FIELD")
    assert len(client.ids("SELECT Id FROM Case ORDER BY LastModifiedDate, Id")) == len(before)
    client.control("POST", "objects/case", visible=False)
    assert client.error("SELECT Id FROM Case") == (400, "INVALID_TYPE")
    assert client.get("sobjects/Case/describe").status_code == 404
    client.control("POST", "objects/case", visible=True, add=["SystemModstamp datetime"])


# -- faults ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ({"kind": "401"}, 401, "INVALID_SESSION_ID"),
        ({"kind": "expired"}, 401, "INVALID_SESSION_ID"),
        ({"kind": "403", "style": "limit"}, 403, "REQUEST_LIMIT_EXCEEDED"),
        ({"kind": "403", "style": "disabled"}, 403, "API_DISABLED_FOR_ORG"),
        ({"kind": "403"}, 403, "Access denied"),
        ({"kind": "503"}, 503, "SERVER_UNAVAILABLE"),
        ({"kind": "503", "style": "html", "retry_after": 2}, 503, "<h1>503"),
        ({"kind": "500", "style": "query_timeout"}, 400, "QUERY_TIMEOUT"),
        ({"kind": "429"}, 429, "<h1>429"),
        ({"kind": "html"}, 200, "Maintenance"),
    ],
)
def test_faults_are_worded_as_salesforce_or_a_proxy_words_them(
    client: Client, sandbox: Sandbox, fault: dict[str, Any], status: int, said: str
) -> None:
    sandbox.fault(**fault, database="northwind", model="account", method="query")
    answer = client.get("query", q="SELECT Id FROM Account LIMIT 1")
    assert (answer.status_code, said in answer.text) == (status, True)
    assert answer.headers.get("Retry-After") == ("2" if "retry_after" in fault else None)
    assert client.get("query", q="SELECT Id FROM Account LIMIT 1").status_code == 200


def test_a_cursor_expires_or_repeats_a_page_on_demand(client: Client, sandbox: Sandbox) -> None:
    small = {"Sforce-Query-Options": "batchSize=1000"}
    first = client.get("query", small, q="SELECT Id FROM Opportunity").json()
    more = first["nextRecordsUrl"].rpartition("/")[2]
    sandbox.fault("repeat", model="opportunity", method="query_more")
    assert client.get(f"query/{more}").json()["records"] == first["records"]
    sandbox.fault("expired", model="opportunity", method="query_more")
    assert client.get(f"query/{more}").json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
    sandbox.reset_requests()
    assert len(client.get(f"query/{more}").json()["records"]) == 1000
    (tally,) = sandbox.requests()
    assert (tally["model"], tally["method"], tally["requests"], tally["rows"]) == ("opportunity", "query_more", 1, 1000)


# -- the story -------------------------------------------------------------------------------------------------------------


def test_the_data_has_the_flaws_of_real_data(client: Client) -> None:
    rows = client.truth("opportunity")
    assert Counter(row["SystemModstamp"] for row in rows).most_common(1)[0][1] > 300
    known = set(fields_of("Opportunity")["LeadSource"].values)
    assert {row["LeadSource"] for row in rows} - known - {None} == {"Messe"}
    assert any(row["Name"] == "" for row in rows)
    assert any(row["CloseDate"] is None for row in rows)
    assert max(row["Legacy_Number__c"] or 0 for row in rows) > 2**53 - 2
    assert any(2**31 < (row["Legacy_Number__c"] or 0) < 2**53 for row in rows)
    assert any(row["SystemModstamp"] > row["LastModifiedDate"] for row in rows), "automation moves one stamp only"
    assert all(row["SystemModstamp"].endswith(".000+0000") for row in rows)


def test_companies_people_and_deals_are_those_of_the_story(client: Client, sandbox: Sandbox) -> None:
    world = World("northwind", 7, companies=40)
    names = {row["Id"]: row["Name"] for row in client.truth("account")}
    same = 0
    for identity in sandbox.identities("northwind"):
        if identity["kind"] == "company":
            company = world.company(identity["number"])
            assert names[identity["id"]].removesuffix(" (Holding)") == world.alias(
                company.name, "salesforce", company.number
            )
            same += names[identity["id"]] == company.name
    assert 5 < same < 40, "people typed some names otherwise"
    deals = {i["number"]: i["id"] for i in sandbox.identities("northwind") if i["kind"] == "deal"}
    rows = {row["Id"]: row for row in client.truth("opportunity")}
    assert all(rows[deals[n]]["Amount"] in (world.deal(n, 2026).amount, None, 24_120_000.0) for n in range(300))


def lived(to: tuple[str, ...]) -> tuple[list[Any], dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    with running(start="2026-11-10", seed=3, scale=0.5, records=500, sources="salesforce") as own:
        before = own.records("salesforce", "northwind", "opportunity")
        changes = [own.advance(day)["salesforce"]["northwind"] for day in to]
        return changes, {name: own.records("salesforce", "northwind", snake(name)) for name in OBJECTS}, before


def test_days_pass_the_same_in_one_step_or_many_and_report_what_changed() -> None:
    many, contents, _ = lived(("2026-11-11", "2026-11-12T15:30:00Z", "2026-12-08"))
    (once,), same, before = lived(("2026-12-08",))
    assert contents == same
    assert set().union(*(change.get("opportunity", {}).get("created", []) for change in many)) == set(
        once["opportunity"]["created"]
    )
    old = {row["Id"]: row for row in before}
    new = {row["Id"]: row for row in contents["Opportunity"]}
    changed = {i for i in old.keys() & new.keys() if old[i]["SystemModstamp"] != new[i]["SystemModstamp"]}
    deleted = {i for i in changed if new[i]["IsDeleted"]}
    purged = (old.keys() | set(once["opportunity"]["created"])) - new.keys()
    assert purged, "after 15 days in the bin a record is gone for good"
    assert set(once["opportunity"]["deleted"]) >= deleted | purged
    assert {i for i in once["opportunity"]["updated"] if i in old} == changed - deleted
    assert set(once["opportunity"]["created"]) | set(once["opportunity"]["deleted"]) >= new.keys() - old.keys()
    added = [name for name in next(iter(new.values())) if name not in fields_of("Opportunity")]
    assert len(added) >= 3, "administrators add fields"
    assert any(row["Account_Name__c"] != old[i]["Account_Name__c"] and i not in changed for i, row in new.items() if i in old), (
        "a formula changes and no stamp does"
    )  # fmt: skip
    assert any(row["MasterRecordId"] for row in contents["Account"])
