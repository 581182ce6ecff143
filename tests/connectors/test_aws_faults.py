"""What AWS, networks and proxies do to a sync of Partner Central and Marketplace.

Nothing is lost, nothing comes twice; errors say where, what and which AWS request, but never a credential.
"""

import logging
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from resources.connectors import aws
from resources.connectors.aws_errors import meaning
from resources.connectors.base import PermanentError, TransientError
from resources.connectors.partner_central import PartnerCentralSource
from resources.connectors.remembered import REMEMBERED_SECONDS
from sandbox.aws.wire import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from sandbox.server import Sandbox
from tests.connectors.aws_lakes import asked, aws_lake, aws_sandbox, captured, control
from tests.connectors.scripted_server import Answer, serving
from tests.lakes import SyncedLake

SOURCE: dict[str, Any] = {"source": "partner_central"}
RECORDS = 20


@pytest.fixture(scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with aws_sandbox(RECORDS) as server:
        yield server


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Iterator[Sandbox]:
    _sandbox.clear_faults()
    _sandbox.reset_requests()
    yield _sandbox
    _sandbox.clear_faults()
    control(_sandbox, "limits")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    monkeypatch.setattr(aws, "FIRST_WAIT", 0.0)
    monkeypatch.setattr("botocore.retries.adaptive.ClientRateLimiter.on_sending_request", lambda *_, **__: None)


@pytest.fixture
def lake(sandbox: Sandbox, tmp_path: Path) -> SyncedLake:
    return aws_lake(tmp_path, sandbox)


def ids(sandbox: Sandbox, entity: str = "opportunities", key: str = "Id") -> set[str]:
    return {row[key] for row in sandbox.records("aws", "podium", entity)}


def once_each(lake: SyncedLake, sandbox: Sandbox) -> None:
    """Every opportunity is in bronze exactly once."""
    rows = [row["source_id"] for row in lake.bronze("opportunities", **SOURCE)]
    assert len(rows) == len(set(rows))
    assert set(rows) == ids(sandbox)


PASSING = [
    ("429", {}), ("429", {"style": "html"}), ("429", {"style": "html", "retry_after": 0}), ("500", {}),
    ("500", {"style": "html"}), ("503", {}), ("html", {}), ("cut", {}), ("reset", {}), ("timeout", {"seconds": 1.5}),
    ("expired", {}), ("database_down", {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "kind", "more"),
    [("GetOpportunity", kind, more) for kind, more in PASSING]
    + [
        (name, kind, {})
        for name in ("ListOpportunities", "GetAwsOpportunitySummary")
        for kind in ("429", "html", "cut")
    ],
)
def test_what_passes_is_tried_again(
    lake: SyncedLake, sandbox: Sandbox, method: str, kind: str, more: Any, monkeypatch: Any
) -> None:
    if kind == "timeout":
        lake.reconfigure({"timeout_seconds": 1}, source="partner_central")
    sandbox.fault(kind, method=method, after=0 if method.startswith("List") else 7, **more)
    outcome = lake.capture("opportunities", **SOURCE)["opportunities"]
    assert outcome.status == "ok", outcome.message
    once_each(lake, sandbox)
    assert sum(fault["struck"] for fault in sandbox.faults()) == 1


@pytest.mark.parametrize(
    ("kind", "more", "status", "retry", "says"),
    [
        ("429", {}, "failed", True, "throttled 3 times (ThrottlingException"),
        ("429", {"style": "html"}, "failed", True, "throttled"),
        ("500", {}, "failed", True, "InternalServerException"),
        ("503", {}, "failed", True, "HTTP 503"),
        ("html", {}, "failed", True, "no whole JSON object"),
        ("cut", {}, "failed", True, "after 3 tries"),
        ("reset", {}, "failed", True, "no complete answer after 3 tries"),
        ("403", {}, "not_permitted", False, "Allow the action"),
        ("403", {"style": "html"}, "failed", False, "not by AWS"),
        ("401", {}, "failed", False, "does not accept the credentials"),
        ("401", {"style": "html"}, "failed", False, "not by AWS"),
        ("expired", {}, "failed", False, "credentials have expired"),
    ],
)
def test_what_does_not_pass_fails_the_table_and_says_so(
    lake: SyncedLake, sandbox: Sandbox, kind: str, more: Any, status: str, retry: bool, says: str, monkeypatch: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    lake.reconfigure({"tries": 3, "session_token": "t0ken-of-the-session"}, source="partner_central")
    sandbox.fault(kind, model="opportunities", times=None, **more)
    outcomes = lake.capture("opportunities", "solutions", **SOURCE)
    outcome = outcomes["opportunities"]
    assert (outcome.status, outcome.retry) == (status, retry), outcome.message
    assert says in outcome.message
    assert "tenant podium, source partner_central, table opportunities" in outcome.message
    if "style" not in more and kind not in ("html", "cut", "reset", "503"):
        assert "AWS request " in outcome.message
        assert "request none" not in outcome.message
    assert outcomes["solutions"].status == "ok", "another table is read all the same"
    assert lake.bronze("opportunities", **SOURCE) == []
    told = caplog.text + outcome.message
    assert SECRET_ACCESS_KEY not in told
    assert "t0ken-of-the-session" not in told
    assert ACCESS_KEY_ID not in told
    sandbox.clear_faults()
    assert lake.capture("opportunities", **SOURCE)["opportunities"].status == "ok"
    once_each(lake, sandbox)


def test_wrong_and_missing_credentials(lake: SyncedLake, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.reconfigure({"secret_access_key": "not-the-secret"}, source="partner_central")
    outcome = lake.capture("opportunities", **SOURCE)["opportunities"]
    assert (outcome.status, outcome.retry) == ("failed", False)
    assert "InvalidSignatureException" in outcome.message
    assert "not-the-secret" not in outcome.message
    lake.reconfigure({"secret_access_key": "${AWS_SECRET_OF_NOBODY}"}, source="partner_central")
    outcome = lake.capture("opportunities", **SOURCE)["opportunities"]
    assert "AWS_SECRET_OF_NOBODY" in outcome.message
    lake.reconfigure({"secret_access_key": None, "access_key_id": None}, source="partner_central")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "nowhere")
    outcome = lake.capture("opportunities", **SOURCE)["opportunities"]
    assert "no usable AWS credentials" in outcome.message
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
    assert lake.capture("opportunities", **SOURCE)["opportunities"].status == "ok", "boto3's own chain"
    lake.reconfigure({"profile": "nobody"}, source="partner_central")
    assert "nobody" in lake.capture("opportunities", **SOURCE)["opportunities"].message


@pytest.mark.parametrize(
    ("sentence", "minutes", "says"),
    [
        (
            "Signature expired: 20261114T000000Z is now earlier than 20261114T001500Z",
            20,
            r"1(1[89]|20)\d s behind AWS's",
        ),
        ("Signature not yet current: 20261114T003000Z is still later than 20261114T001500Z", -20, r"ahead of AWS's"),
        ("Signature expired: 20261114T000000Z is now earlier than 20261114T001500Z", None, "clock is wrong"),
    ],
)
def test_a_wrong_clock_is_not_taken_for_a_wrong_key(sentence: str, minutes: int | None, says: str) -> None:
    date = {} if minutes is None else {"date": format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), True)}
    error = {"Code": "InvalidSignatureException", "Message": sentence}
    about = {"HTTPStatusCode": 400, "RequestId": "r-1", "HTTPHeaders": date}
    asked_for = aws.Asked("tenant t, source s", "list_solutions", "tenants.t.sources.s", 1)
    said = meaning({"Error": error, "ResponseMetadata": about}, asked_for)
    assert isinstance(said, PermanentError)
    assert re.search(says, str(said))
    assert "access_key_id" not in str(said)


def test_a_missing_right_concerns_its_tables_alone(lake: SyncedLake, sandbox: Sandbox) -> None:
    for operation in ("ListBenefitApplications", "ListSolutions"):
        control(sandbox, "rights", operation=operation, allow=False)
    outcomes = lake.capture("opportunities", "solutions", "benefit_applications", "benefit_allocations", **SOURCE)
    for operation in ("ListBenefitApplications", "ListSolutions"):
        control(sandbox, "rights", operation=operation, allow=True)
    statuses = {name: outcome.status for name, outcome in outcomes.items()}
    assert statuses["solutions"] == statuses["benefit_applications"] == "not_permitted"
    assert statuses["opportunities"] == "ok"
    assert statuses["benefit_allocations"] in ("ok", "unchanged")
    assert "partnercentral:ListBenefitApplications" in outcomes["benefit_applications"].message


@pytest.fixture
def refuse(sandbox: Sandbox) -> Iterator[Any]:
    """Refuses single records by operation until the test is over."""
    taken: list[dict[str, str]] = []

    def take(operation: str, *records: str) -> None:
        for record in records:
            taken.append({"operation": operation, "record": record})
            control(sandbox, "rights", allow=False, **taken[-1])

    yield take
    for right in taken:
        control(sandbox, "rights", allow=True, **right)


def test_a_record_that_may_not_be_read_is_left_out_alone(
    lake: SyncedLake, sandbox: Sandbox, refuse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    closed, other, *_ = sorted(ids(sandbox, "engagements"))
    refuse("GetEngagement", closed)
    assert lake.capture("engagements", **SOURCE)["engagements"].status == "ok"
    assert set(captured(lake, "engagements")) == ids(sandbox, "engagements") - {closed}
    assert f"Left out: {closed}" in caplog.text
    again = lake.capture("engagements", **SOURCE)["engagements"]
    assert again.status == "unchanged", "all that this sync asked for was refused, but another one may be read"
    for key in ids(sandbox, "engagements") - {other}:
        refuse("GetEngagement", key)
    told = lake.capture("engagements", ids={"engagements": (closed, other)}, **SOURCE)["engagements"]
    assert told.status == "unchanged", told.message
    refuse("GetEngagement", other)
    lost = lake.capture("engagements", **SOURCE)["engagements"]
    assert lost.status == "not_permitted"
    assert other in captured(lake, "engagements")


def test_a_refused_record_is_no_deleted_one(lake: SyncedLake, sandbox: Sandbox, refuse: Any) -> None:
    lake.capture("opportunities", **SOURCE)
    closed, other, *_ = sorted(ids(sandbox))
    refuse("GetOpportunity", closed)
    for events in ((closed, other), (closed,)):
        told = lake.capture("opportunities", ids={"opportunities": events}, **SOURCE)["opportunities"]
        assert (told.status, told.rows_deleted) == ("unchanged", 0), told.message
    once_each(lake, sandbox)


def test_a_table_of_refused_records_is_given_up_soon(lake: SyncedLake, sandbox: Sandbox) -> None:
    control(sandbox, "rights", operation="GetOpportunity", allow=False)
    lake.reconfigure({"max_in_flight": 1}, source="partner_central")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resources.connectors.aws_reading.MANY_REFUSED", 5)
        outcome = lake.capture("opportunities", **SOURCE)["opportunities"]
    control(sandbox, "rights", operation="GetOpportunity", allow=True)
    assert outcome.status == "not_permitted"
    assert "partnercentral:GetOpportunity" in outcome.message
    assert asked(sandbox)["GetOpportunity"] < RECORDS


def test_what_belongs_to_a_record_may_be_refused(
    lake: SyncedLake, sandbox: Sandbox, refuse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    closed, other, *_ = sorted(ids(sandbox))
    refuse("GetAwsOpportunitySummary", closed)
    accepted = next(row for row in sandbox.records("aws", "podium", "invitations")
                    if row["Status"] == "ACCEPTED" and row["EngagementId"])  # fmt: skip
    refuse("GetEngagement", accepted["EngagementId"])
    outcomes = lake.capture("opportunities", "leads", **SOURCE)
    assert {outcome.status for outcome in outcomes.values()} == {"ok"}, outcomes
    assert captured(lake, "opportunities")[closed]["AwsOpportunitySummary"] is None
    assert captured(lake, "opportunities")[other]["AwsOpportunitySummary"]
    assert captured(lake, "leads")[accepted["Id"]]["Lead"] is None
    assert f"{closed} is kept without it" in caplog.text
    assert f"{accepted['Id']} is kept without it" in caplog.text


def test_the_engagement_of_a_rejected_invitation_is_not_asked_for(
    lake: SyncedLake, sandbox: Sandbox, refuse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pending = next(row for row in sandbox.records("aws", "podium", "invitations")
                   if row["Status"] == "PENDING" and row["PayloadType"] == "LeadInvitation")  # fmt: skip
    of_others = "eng-0of0others0000"
    rejected = {"Id": pending["Id"], "Status": "REJECTED", "EngagementId": of_others}
    sandbox.change("aws", "podium", "invitations", put=[rejected])
    refuse("GetEngagement", of_others)
    assert lake.capture("leads", **SOURCE)["leads"].status == "ok"
    assert captured(lake, "leads")[pending["Id"]]["Lead"] is None
    assert "kept without it" not in caplog.text


def test_an_expired_token_begins_the_listing_anew(
    lake: SyncedLake, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.connectors.partner_central.PAGE", 5)
    sandbox.fault("expired", style="cursor", method="ListOpportunities", after=2)
    assert lake.capture("opportunities", **SOURCE)["opportunities"].status == "ok"
    once_each(lake, sandbox)
    assert asked(sandbox)["ListOpportunities"] == 7, "four pages, and the three before the token expired"


def test_a_page_that_comes_twice_is_kept_once(
    lake: SyncedLake, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.connectors.partner_central.PAGE", 5)
    sandbox.fault("repeat", method="ListOpportunities", after=2)
    sandbox.fault("repeat", method="ListSolutions", after=2)
    lake.capture("opportunities", "solutions", **SOURCE)
    once_each(lake, sandbox)
    assert len(lake.bronze("solutions", **SOURCE)) == len(ids(sandbox, "solutions"))


def test_a_listing_that_never_ends_fails(lake: SyncedLake, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.connectors.partner_central.PAGE", 5)
    sandbox.fault("repeat", method="ListSolutions", after=2, times=None)
    outcome = lake.capture("solutions", **SOURCE)["solutions"]
    assert outcome.status == "failed"
    assert "again and again" in outcome.message


def test_records_that_move_or_go_between_list_and_get(
    lake: SyncedLake, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resources.connectors.partner_central import PartnerCentralConnector

    listed = PartnerCentralConnector._listed_opportunities
    victims = sorted(ids(sandbox))
    temporary = sandbox.change("aws", "podium", "opportunities", put=[{"Id": "O99"}])

    def meddled(self: Any, window: Any) -> Any:
        for batch in listed(self, window):
            sandbox.change("aws", "podium", "opportunities", put=[{"Id": victims[0], "NationalSecurity": "Yes"}])
            sandbox.change("aws", "podium", "opportunities", delete=temporary)
            yield batch

    monkeypatch.setattr(PartnerCentralConnector, "_listed_opportunities", meddled)
    assert lake.capture("opportunities", **SOURCE)["opportunities"].status == "ok"
    once_each(lake, sandbox)
    assert captured(lake, "opportunities")[victims[0]]["NationalSecurity"] == "Yes"
    monkeypatch.setattr(PartnerCentralConnector, "_listed_opportunities", listed)
    assert lake.capture("opportunities", **SOURCE)["opportunities"].status == "unchanged"


def test_a_clock_five_minutes_off_loses_nothing(tmp_path: Path) -> None:
    """The lake's watermark is AWS's time: here AWS's clock is days behind and then jumps."""
    with aws_sandbox(RECORDS, start="-2d") as sandbox:
        lake = aws_lake(tmp_path, sandbox)
        lake.capture("opportunities", **SOURCE)
        key = min(ids(sandbox))
        sandbox.change("aws", "podium", "opportunities", put=[{"Id": key, "NationalSecurity": "Yes"}])
        assert lake.capture("opportunities", **SOURCE)["opportunities"].rows_written == 1
        sandbox.advance("now")
        sandbox.change("aws", "podium", "opportunities", put=[{"Id": key, "NationalSecurity": "No"}])
        outcome = lake.capture("opportunities", **SOURCE)["opportunities"]
        assert captured(lake, "opportunities")[key]["NationalSecurity"] == "No", outcome
        once = {row["Id"] for row in sandbox.records("aws", "podium", "opportunities")}
        assert set(captured(lake, "opportunities")) == once


def test_real_throttling_loses_nothing(lake: SyncedLake, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: random.uniform(0.02, 0.1)
    )
    control(sandbox, "limits", about="partnercentral-selling", per_second=80, burst=3)
    lake.reconfigure({"max_in_flight": 8, "tries": 20}, source="partner_central")
    assert lake.capture("opportunities", **SOURCE)["opportunities"].status == "ok"
    once_each(lake, sandbox)
    errors = sum(entry["errors"] for entry in sandbox.requests())
    assert errors > 0, "it was throttled"


def test_throttling_that_does_not_end_keeps_what_was_read(lake: SyncedLake, sandbox: Sandbox) -> None:
    lake.reconfigure({"tries": 2, "max_in_flight": 2}, source="partner_central")
    sandbox.fault("429", method="GetOpportunity", after=8, times=None)
    stopped = lake.capture("opportunities", **SOURCE)["opportunities"]
    assert stopped.resumes_at is not None
    assert "throttled" in stopped.message
    assert stopped.rows_written == 8
    sandbox.clear_faults()
    sandbox.reset_requests()
    assert lake.capture("opportunities", **SOURCE)["opportunities"].rows_written == RECORDS - 8
    assert asked(sandbox)["GetOpportunity"] == RECORDS - 8
    once_each(lake, sandbox)


def test_marketplace_passes_through_the_same(lake: SyncedLake, sandbox: Sandbox) -> None:
    for method in ("ListEntities", "DescribeEntity", "SearchAgreements", "DescribeAgreement", "GetAgreementTerms"):
        sandbox.fault("429", method=method)
        sandbox.fault("503", method=method)
    outcomes = lake.capture("products", "agreements", source="marketplace")
    assert {outcome.status for outcome in outcomes.values()} == {"ok"}
    assert set(captured(lake, "products", "marketplace")) == ids(sandbox, "products", "EntityId")
    assert set(captured(lake, "agreements", "marketplace")) == ids(sandbox, "agreements", "agreementId")
    sandbox.fault("403", model="agreements", times=None)
    denied = lake.capture("products", "agreements", source="marketplace")
    assert denied["agreements"].status == "not_permitted"
    assert "table agreements" in denied["agreements"].message
    assert denied["products"].status == "unchanged"


def test_an_endpoint_that_is_down_is_not_tried_for_each_table_in_turn() -> None:
    now = [0.0]
    with serving([Answer(reset=True)]) as server:
        options = PartnerCentralSource.model_validate(
            {"endpoint_url": server.url, "access_key_id": "AKIA", "secret_access_key": "s", "tries": 2}
        )
        account = aws.AwsAccount("podium", "partner_central", options, clock=lambda: now[0])

        def begin(_: int) -> str:
            with pytest.raises(TransientError) as raised:
                account.server_time(lambda: account.call("partnercentral-selling", "list_opportunities", Catalog="AWS"))
            return str(raised.value)

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(begin, range(4)))) == 1
        assert len(server.asked) == 2
        now[0] = REMEMBERED_SECONDS
        begin(0)
        assert len(server.asked) == 4
