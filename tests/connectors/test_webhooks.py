"""What webhooks tell, and that only their sender is believed."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resources.connectors import aws_events, pipedrive_webhooks, zendesk_webhooks
from resources.connectors.base import Change, WebhookRefused

SECRET = "s3cret-of-the-hook"
BASIC = {"authorization": "Basic " + base64.b64encode(f"revlake:{SECRET}".encode()).decode()}
OPPORTUNITY = {
    "version": "0",
    "id": "01234567-0123-0123-0123-0123456789ab",
    "detail-type": "Opportunity Updated",
    "source": "aws.partnercentral-selling",
    "account": "123456789123",
    "region": "us-east-1",
    "detail": {"schemaVersion": "1", "catalog": "AWS", "opportunity": {"identifier": "O1234567", "arn": "arn:aws:x"}},
}


def signed(body: bytes, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    timestamp = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hmac.new(secret.encode(), timestamp.encode() + body, hashlib.sha256).digest()
    return {
        "x-zendesk-webhook-signature": base64.b64encode(digest).decode(),
        "x-zendesk-webhook-signature-timestamp": timestamp,
    }


def pipedrive(meta: dict[str, Any], **more: Any) -> list[Change]:
    return pipedrive_webhooks.webhook(SECRET, BASIC, json.dumps({"meta": meta, **more}).encode())


def zendesk(message: Any) -> list[Change]:
    body = json.dumps(message).encode()
    return zendesk_webhooks.webhook(SECRET, signed(body), body)


def test_pipedrive_tells_of_a_record_in_both_versions() -> None:
    assert pipedrive({"v": 1, "action": "updated", "object": "person", "id": 622}) == [Change("persons", "622")]
    second = {
        "version": "2.0",
        "action": "change",
        "entity": "deal",
        "entity_id": "9007199254740993",
        "id": "5f0c-uuid",
    }
    assert pipedrive(second) == [Change("deals", "9007199254740993")]
    assert pipedrive({"object": "note", "id": 3}) == []


def test_pipedrive_tells_of_a_deletion_and_of_a_merge() -> None:
    assert pipedrive({"action": "deleted", "object": "deal", "id": 5}, current=None, previous={"id": 5}) == [
        Change("deals", "5")
    ]
    merged = pipedrive({"action": "merged", "object": "person", "id": 7}, current={"id": 7}, previous={"id": 8})
    assert merged == [Change("persons", "7"), Change("persons", "8")]


def test_zendesk_tells_of_a_record_by_events_and_by_triggers() -> None:
    assert zendesk({"type": "zen:event-type:ticket.status_changed", "detail": {"id": "35436"}}) == [
        Change("tickets", "35436")
    ]
    assert zendesk({"type": "zen:event-type:article.published", "detail": {"id": "1"}}) == []
    assert zendesk({"type": "zen:event-type:messaging_ticket.message_added", "detail": {"id": "35436"}}) == [
        Change("tickets", "35436")
    ]
    assert zendesk({"table": "tickets", "id": 77}) == [Change("tickets", "77")]


@pytest.mark.parametrize("number", [{"a": 1}, ["5"], "#17", "17\x00", "17\n", "-5", "1,2", "٣", True, 1.5, "9" * 21])
def test_an_id_that_is_no_number_is_an_error(number: Any) -> None:
    with pytest.raises(ValueError, match="not a number"):
        pipedrive({"object": "deal", "id": number})
    with pytest.raises(ValueError, match="not a number"):
        pipedrive({"object": "deal", "id": 5}, previous={"id": number})
    with pytest.raises(ValueError, match="not a number"):
        zendesk({"table": "tickets", "id": number})
    with pytest.raises(ValueError, match="not a number"):
        zendesk({"type": "zen:event-type:ticket.created", "detail": {"id": number}})


def test_eventbridge_tells_of_an_opportunity_and_of_an_invitation() -> None:
    body = json.dumps(OPPORTUNITY).encode()
    assert aws_events.webhook(SECRET, {"x-api-key": SECRET}, body) == [Change("opportunities", "O1234567")]
    invited = {**OPPORTUNITY, "detail": {"engagementInvitation": {"id": "engi-0000001abc3de"}}}
    body = json.dumps(invited).encode()
    bearer = {"authorization": f"Bearer {SECRET}"}
    assert aws_events.webhook(SECRET, bearer, body) == [Change("leads", "engi-0000001abc3de")]


def eventbridge(source: str, detail: dict[str, Any], *resources: str) -> list[Change]:
    event = {"version": "0", "detail-type": "Something", "source": source, "resources": resources, "detail": detail}
    return aws_events.webhook(SECRET, BASIC, json.dumps(event).encode())


def test_eventbridge_tells_of_an_agreement_but_not_of_its_product() -> None:
    agreement = {"id": "agmt-9xyz8wmklp67rt32nb1qv45ds", "intent": "NEW", "status": "ACTIVE"}
    detail = {"catalog": "AWSMarketplace", "agreement": agreement, "product": {"id": "prod-ofanotherseller"}}
    arn = f"arn:aws:aws-marketplace::agreement:{agreement['id']}"
    assert eventbridge("aws.agreement-marketplace", detail, arn) == [Change("agreements", agreement["id"])]
    assert eventbridge("aws.agreement-marketplace", {}, arn) == [Change("agreements", agreement["id"])]


def test_eventbridge_tells_of_a_product() -> None:
    arns = "arn:aws:aws-marketplace:us-east-1:123456789012:AWSMarketplace"
    old = "bbbbaaaa-abcd-1111-abcd-666666666666"
    detail = {"offer": {"id": "offer-1234567890123"}, "product": {"id": old}}
    resources = (f"{arns}/Offer/offer-1234567890123", f"{arns}/SaaSProduct/{old}", f"{arns}/AmiProduct/prod-4example")
    told = [Change("products", old), Change("products", "prod-4example")]
    assert eventbridge("aws.marketplacecatalog", detail, *resources) == told
    assert eventbridge("aws.marketplacecatalog", {"changeSetId": "x"}, f"{arns}/ChangeSet/x") == []


@pytest.mark.parametrize(
    ("key", "record_id"),
    [
        ("opportunity", "1234567"),
        ("opportunity", "O1234567\n"),
        ("opportunity", 5),
        ("engagementInvitation", "eng-0e7bzf66vlcj3p"),
        ("engagement", "engi-0000001abc3de"),
        ("benefitApplication", "benalloc-1"),
        ("benefitAllocation", ["benalloc-1"]),
        ("product", "offer-1234567890123"),
        ("product", "prod-1@3"),
        ("agreement", "../agmt-1"),
    ],
)
def test_an_id_of_another_form_than_its_table_has_is_refused(key: str, record_id: Any) -> None:
    with pytest.raises(ValueError, match="is no id of"):
        eventbridge("aws.somewhere", {key: {"id": record_id}})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": "wrong"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + base64.b64encode(SECRET.encode()).decode()},
        {"authorization": f"Digest {SECRET}"},
    ],
)
@pytest.mark.parametrize("webhook", [pipedrive_webhooks.webhook, aws_events.webhook])
def test_a_message_without_the_token_is_refused(webhook: Callable[..., Any], headers: dict[str, str]) -> None:
    with pytest.raises(WebhookRefused) as refused:
        webhook(SECRET, headers, json.dumps(OPPORTUNITY).encode())
    assert SECRET not in str(refused.value)


def test_a_message_that_zendesk_did_not_sign_is_refused() -> None:
    body = json.dumps({"table": "tickets", "id": 1}).encode()
    for headers in (
        {},
        signed(body, "other"),
        signed(body + b" "),
        signed(body, at=datetime.now(UTC) - timedelta(hours=1)),
    ):
        with pytest.raises(WebhookRefused):
            zendesk_webhooks.webhook(SECRET, headers, body)


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"{}", b'{"meta": {"object": "deal"}}'])
def test_a_message_that_cannot_be_understood_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|meta|id"):
        pipedrive_webhooks.webhook(SECRET, BASIC, body)
    with pytest.raises(ValueError, match=r"JSON|table"):
        zendesk_webhooks.webhook(SECRET, signed(body), body)
    with pytest.raises(ValueError, match=r"JSON|EventBridge"):
        aws_events.webhook(SECRET, BASIC, body)
